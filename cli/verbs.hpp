// The explicit list of verbs. A new verb is one file in cli/, a line here and a line in verbs.cpp.
#pragma once

#include <memory>
#include <span>

#include "cli/arguments.hpp"

namespace muskrat::cli {

std::unique_ptr<Command> make_init(Arguments& arguments);
std::unique_ptr<Command> make_check(Arguments& arguments);
std::unique_ptr<Command> make_setup(Arguments& arguments);
std::unique_ptr<Command> make_install(Arguments& arguments);
std::unique_ptr<Command> make_attach(Arguments& arguments);
std::unique_ptr<Command> make_detach(Arguments& arguments);
std::unique_ptr<Command> make_attached(Arguments& arguments);
std::unique_ptr<Command> make_endpoint_ddl(Arguments& arguments);
std::unique_ptr<Command> make_relay(Arguments& arguments);
std::unique_ptr<Command> make_consume(Arguments& arguments);
std::unique_ptr<Command> make_produce(Arguments& arguments);
std::unique_ptr<Command> make_status(Arguments& arguments);
std::unique_ptr<Command> make_tail(Arguments& arguments);
std::unique_ptr<Command> make_explain(Arguments& arguments);
std::unique_ptr<Command> make_test(Arguments& arguments);
std::unique_ptr<Command> make_dead_list(Arguments& arguments);
std::unique_ptr<Command> make_dead_show(Arguments& arguments);
std::unique_ptr<Command> make_dead_export(Arguments& arguments);
std::unique_ptr<Command> make_superseded(Arguments& arguments);
std::unique_ptr<Command> make_held_list(Arguments& arguments);
std::unique_ptr<Command> make_dead_drop(Arguments& arguments);
std::unique_ptr<Command> make_held_drop(Arguments& arguments);
std::unique_ptr<Command> make_dead_retry(Arguments& arguments);
std::unique_ptr<Command> make_backfill(Arguments& arguments);
std::unique_ptr<Command> make_verify(Arguments& arguments);
std::unique_ptr<Command> make_pause(Arguments& arguments);
std::unique_ptr<Command> make_resume(Arguments& arguments);
std::unique_ptr<Command> make_replay(Arguments& arguments);
std::unique_ptr<Command> make_forget(Arguments& arguments);
std::unique_ptr<Command> make_accept(Arguments& arguments);
std::unique_ptr<Command> make_docs_options(Arguments& arguments);

std::span<const Verb> verbs();

}  // namespace muskrat::cli
