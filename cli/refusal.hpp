// What a verb says when the source's PostgreSQL server refuses it: whose rights it takes, or that the extension is not
// there.
//
// Used by accept, attach, detach, attached, endpoint ddl, backfill and verify. Thread rule: free functions.
#pragma once

#include <string>
#include <string_view>

#include "common/pg.hpp"

namespace muskrat::cli {

// Called where `error` is being handled; `place` is where the connection leads. A right that is missing (42501) becomes
// the server's text and `needs`; an extension that is not there, or is too old to `what` (a verb), a text that says so.
// Whatever else it is goes on as it is.
[[noreturn]] void explain_refusal(const pg::SqlError& error, const std::string& place, std::string_view what,
                                  std::string_view needs);
// The `needs` of whoever looks at what is attached at that source.
std::string see_attachments_needs(const std::string& source);
// The second of these texts by itself.
[[noreturn]] void no_extension(const pg::SqlError& error, const std::string& place, std::string_view what);

}  // namespace muskrat::cli
