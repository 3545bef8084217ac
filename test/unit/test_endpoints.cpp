// The endpoint contract, for every registered kind; and what `file` promises beyond it.
#include <algorithm>
#include <csignal>
#include <ctime>
#include <set>
#include <thread>

#include <sys/resource.h>

#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

namespace muskrat {
namespace {

using Fate = Outcome::Fate;
using unit::event;
using unit::Made;

std::string minimal(const std::string& kind, const unit::Folder& folder) {
  if (kind == "file") return "    path: " + (folder / "out.jsonl") + "\n";
  if (kind == "exec") return "    command: [cat]\n";
  if (kind == "http") return "    url: http://127.0.0.1:1/\n";
  if (kind == "marketo")
    return "    url: http://127.0.0.1:1\n    client_id: a\n    client_secret: ${HOME}\n"
           "    fields: [{to: email, from: id, as: text}]\n";
  if (kind == "salesforce")
    return "    login_url: https://x.my.salesforce.com\n    login: client_credentials\n    client_id: a\n"
           "    client_secret: b\n    object: Contact\n    external_id: Ext__c\n"
           "    fields: [{to: Ext__c, from: id, as: text}]\n";
  if (kind == "mysql") return "    dsn: mysql://u@localhost/d\n    routes: [{table: t, key: [id], columns: [id]}]\n";
  if (kind == "postgres") return "    dsn: host=/nowhere\n    routes: [{table: t, key: [id], columns: [id]}]\n";
  return "";
}

int setup(void** state) {
  *state = new Made;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Made*>(*state);
  return 0;
}
Made& made_of(void** state) { return *static_cast<Made*>(*state); }

// ---- every kind ----

void test_endpoints_every_kind_has_name_help_and_helped_options(void**) {
  std::set<std::string_view> names;
  for (const EndpointKind& kind : endpoint_kinds()) {
    assert_true(names.insert(kind.name).second);
    assert_true(kind.help.size() > 20);
    assert_non_null(kind.make);
    assert_true(kind.default_lanes >= 1 && kind.default_lanes <= kind.most_lanes);
    for (const Option& option : kind.options) {
      assert_true(option.help.ends_with("."));
      for (const Option& common : endpoint_common_options()) assert_true(option.name != common.name);
    }
  }
}

void test_endpoints_every_kind_loads_with_what_it_requires_alone(void**) {
  for (const EndpointKind& kind : endpoint_kinds()) {
    const unit::Folder folder;
    const Loaded loaded = unit::load_endpoint(folder, std::string(kind.name), minimal(std::string(kind.name), folder));
    for (const Problem& problem : loaded.problems)
      if (problem.error) fail_msg("%s", describe(problem).c_str());
    assert_non_null(kind.make(loaded.config.endpoints.front()).get());
  }
}

void test_endpoints_every_kind_refuses_an_unknown_option(void**) {
  for (const EndpointKind& kind : endpoint_kinds()) {
    const unit::Folder folder;
    const std::string options = minimal(std::string(kind.name), folder) + "    no_such_option: 1\n";
    assert_false(unit::load_endpoint(folder, std::string(kind.name), options).ok());
  }
}

void test_endpoints_more_lanes_than_the_kind_works_with_are_refused(void**) {
  for (const EndpointKind& kind : endpoint_kinds()) {
    const unit::Folder folder;
    const std::string least = minimal(std::string(kind.name), folder) + "    lanes: ";
    assert_true(
        unit::load_endpoint(folder, std::string(kind.name), least + std::to_string(kind.most_lanes) + "\n").ok());
    const Loaded loaded =
        unit::load_endpoint(folder, std::string(kind.name), least + std::to_string(kind.most_lanes + 1) + "\n");
    assert_false(loaded.ok());
    if (kind.most_lanes == 1)
      unit::assert_holds(loaded.problems.front().text,
                         "endpoints.it.lanes: the kind " + std::string(kind.name) + " works with at most 1");
  }
}

void test_endpoints_event_that_nobody_judged_goes_again(void**) {
  const Outcome nobodys;
  assert_true(nobodys.fate == Fate::park && nobodys.until.count() == 0 && !nobodys.reason.empty());
  assert_true(Outcome::done().fate == Fate::done && Outcome::done().reason.empty());
}

// What the host remembers for a kind is configured by the same three options everywhere.
void test_endpoints_every_kind_whose_state_the_host_keeps_takes_the_guards_options(void**) {
  size_t kept = 0;
  for (const EndpointKind& kind : endpoint_kinds()) {
    size_t found = 0;
    for (const Option& option : kind.options)
      found += option.name == "guard" || option.name == "guard_key" || option.name == "seen_for";
    if (kind.host_keeps_state) assert_int_equal(found, 3);
    kept += kind.host_keeps_state;
  }
  assert_int_equal(kept, 4);
}

// One outcome per event in the order given, and a bad event never fails its neighbours: for each kind that needs no
// server (test/integration has postgres).
void test_endpoints_bad_event_fails_alone(void**) {
  for (const std::string kind : {"file", "null"}) {
    Made made;
    made.make(kind, minimal(kind, made.folder));
    const auto outcomes = made.deliver({event(1, 1, "{\"id\":1}"), event(2, 2, "no json"), event(3, 3, "{\"id\":3}")});
    assert_int_equal(outcomes.size(), 3);
    assert_true(outcomes[0].fate == Fate::done && outcomes[2].fate == Fate::done);
    if (kind == "null") continue;
    assert_true(outcomes[1].fate == Fate::dead);
    unit::assert_lacks(outcomes[1].reason, "no json");
  }
}

// Documents of the kinds that take a mapping, and what becomes of events that it does not want or cannot make.
void test_endpoints_file_sends_what_the_mapping_makes(void**) {
  Made made;
  made.make("file", minimal("file", made.folder) +
                        "    when: {op: [insert, update]}\n"
                        "    fields: [{to: customer.id, from: id, as: integer, required: true}]\n");
  const auto outcomes = made.deliver(
      {event(1, 1, "{\"id\":\"7\"}"), event(2, 2, "{\"id\":2}", Op::remove), event(3, 3, "{\"id\":\"x7\"}")});
  assert_true(outcomes[0].fate == Fate::done);
  assert_true(outcomes[1].fate == Fate::skipped);
  assert_true(outcomes[2].fate == Fate::dead);
  unit::assert_text(outcomes[2].reason, "field customer.id is not a whole number");
  const std::string text = unit::read_file(made.folder / "out.jsonl");
  assert_int_equal(std::count(text.begin(), text.end(), '\n'), 1);
  unit::assert_holds(text, "\"body\":{\"customer\":{\"id\":7}}}");
}

void test_endpoints_every_kind_explains_without_a_server(void**) {
  for (const EndpointKind& kind : endpoint_kinds()) {
    const unit::Folder folder;
    const Loaded loaded = unit::load_endpoint(folder, std::string(kind.name), minimal(std::string(kind.name), folder));
    const Explanation what = kind.explain(loaded.config.endpoints.front(), event(7, 1, "{\"id\":7}"));
    assert_true(what.fate == Explanation::Fate::sends);
    std::string why;
    assert_true(json::Document::parse(what.text, why).has_value());
    const Explanation bad = kind.explain(loaded.config.endpoints.front(), event(7, 1, "no json"));
    if (kind.name != "null") assert_true(bad.fate == Explanation::Fate::dead);
  }
}

std::string explained(const std::string& routes, const Event& of) {
  const unit::Folder folder;
  const Loaded loaded = unit::load_endpoint(folder, "postgres", "    dsn: host=/nowhere\n    routes: " + routes + "\n");
  const Explanation what = unit::kind_named("postgres").explain(loaded.config.endpoints.front(), of);
  const char* fates[] = {"sends ", "skips ", "dead "};
  return fates[static_cast<size_t>(what.fate)] + what.text;
}

void test_endpoints_sql_explains_rows_as_a_delivery_would_make_them(void**) {
  const std::string routes =
      "[{table: c, key: [id], columns: [id, email]}, {table: log, mode: append, when: {op: insert}, columns: [{to: n, "
      "from: id, as: text}]}]";
  unit::assert_text(explained(routes, event(7, 1, "{\"id\":7.10,\"email\":null}")),
                    "sends [{\"table\":\"c\",\"effect\":\"upsert\",\"values\":{\"id\":7.10,\"email\":null}},"
                    "{\"table\":\"log\",\"effect\":\"append\",\"values\":{\"n\":\"7.10\"}}]");
  unit::assert_text(explained(routes, event(7, 1, "{\"id\":7,\"email\":\"x\"}", Op::remove)),
                    "sends [{\"table\":\"c\",\"effect\":\"delete\",\"values\":{\"id\":7}}]");
  unit::assert_text(explained(routes, event(7, 1, "{}")), "dead key column id is not in the event");
  unit::assert_text(explained("[{table: c, key: [id], columns: [id], when: {op: delete}}]", event(7, 1, "{\"id\":1}")),
                    "skips by the `when` of the route to c");
  unit::assert_text(
      explained("[{table: c, key: [id], columns: [id]}, {table: log, mode: append, columns: [{to: n, from: "
                "$op}]}]\n    on_truncate: apply",
                event(0, 1, "{}", Op::truncate)),
      "sends [{\"table\":\"c\",\"effect\":\"truncate\"},{\"table\":\"log\",\"effect\":\"append\","
      "\"values\":{\"n\":\"truncate\"}}]");
}

// ---- postgres: what configuration alone shows ----

std::string first_error(const std::string& routes) {
  const unit::Folder folder;
  const Loaded loaded = unit::load_endpoint(folder, "postgres", "    dsn: host=/nowhere\n    routes: " + routes + "\n");
  for (const Problem& problem : loaded.problems)
    if (problem.error) return problem.text;
  return "";
}

void test_endpoints_postgres_route_without_key_is_refused(void**) {
  unit::assert_holds(first_error("[{table: t, columns: [id]}]"), "needs a key");
  unit::assert_text(first_error("[{table: t, columns: [id], mode: append}]"), "");
}
void test_endpoints_postgres_key_outside_the_columns_is_refused(void**) {
  unit::assert_holds(first_error("[{table: t, key: [nr], columns: [id]}]"), "key column nr");
}
void test_endpoints_postgres_two_unnamed_routes_to_one_table_are_refused(void**) {
  const std::string route = "{table: t, key: [id], columns: [id]}";
  unit::assert_holds(first_error("[" + route + ", " + route + "]"), "name");
}
void test_endpoints_postgres_bad_pattern_is_refused(void**) {
  unit::assert_holds(first_error("[{'on': ['a.b.c.d'], table: t, key: [id], columns: [id]}]"), "pattern a.b.c.d");
}

// ---- file ----

void make_file(Made& made, const std::string& more = "") { made.make("file", minimal("file", made.folder) + more); }

void test_file_line_holds_event_and_body_as_it_was(void** state) {
  Made& made = made_of(state);
  make_file(made);
  made.deliver({event(7, 42, "{\"id\":7,\"n\":12345678901234567890.50}")});
  const std::string line = unit::read_file(made.folder / "out.jsonl");
  unit::assert_text(
      line,
      "{\"routing_key\":\"Frontend.Customer.Signup\",\"message_id\":\"00000000-0000-7000-8000-100000000042\","
      "\"key\":\"Frontend.Customer:[7]\",\"op\":\"insert\",\"epoch\":1,\"seq\":42,\"source\":\"frontend\","
      "\"captured_at\":\"2023-11-14T22:13:20.000042Z\",\"body\":{\"id\":7,\"n\":12345678901234567890.50}}\n");
}

void test_file_body_over_several_lines_becomes_one(void** state) {
  Made& made = made_of(state);
  make_file(made);
  made.deliver({event(1, 1, "{\n  \"id\": 1\n}")});
  const std::string text = unit::read_file(made.folder / "out.jsonl");
  assert_int_equal(std::count(text.begin(), text.end(), '\n'), 1);
  unit::assert_holds(text, "\"body\":{\"id\":1}}");
}

void test_file_header_that_is_no_json_tears_no_line(void** state) {
  Made& made = made_of(state);
  make_file(made);
  Event foreign = event(1, 1, "{\"id\":1}");
  foreign.omitted = "no\njson";
  made.deliver({foreign});
  const std::string line = unit::read_file(made.folder / "out.jsonl");
  assert_true(line.find('\n') == line.size() - 1);
  std::string why;
  assert_true(json::Document::parse(line, why).has_value());
}

void test_file_torn_last_line_is_cut_and_its_event_written_again(void** state) {
  Made& made = made_of(state);
  make_file(made);
  made.deliver({event(1, 1, "{\"id\":1}"), event(2, 2, "{\"id\":2}")});
  const std::string path = made.folder / "out.jsonl", whole = unit::read_file(path);
  made.endpoint.reset();
  std::filesystem::resize_file(path, whole.size() - 5);
  make_file(made);
  const auto outcomes = made.deliver({event(1, 1, "{\"id\":1}"), event(2, 2, "{\"id\":2}")});
  assert_true(outcomes[0].fate == Fate::repeated);
  assert_true(outcomes[1].fate == Fate::done);
  unit::assert_text(unit::read_file(path), whole);
}

void test_file_that_holds_one_torn_line_becomes_empty(void** state) {
  Made& made = made_of(state);
  std::ofstream(made.folder / "out.jsonl") << std::string(200'000, 'x');
  make_file(made);
  assert_int_equal(std::filesystem::file_size(made.folder / "out.jsonl"), 0);
}

void test_file_rotates_by_size_and_knows_events_of_the_file_before(void** state) {
  Made& made = made_of(state);
  make_file(made, "    rotate_bytes: 4KiB\n");
  const std::string body = "{\"x\":\"" + std::string(3000, 'x') + "\"}";
  for (int64_t seq = 1; seq <= 4; ++seq) made.deliver({event(seq, seq, body)});
  made.endpoint.reset();
  make_file(made, "    rotate_bytes: 4KiB\n");
  assert_true(made.deliver({event(3, 3, body)})[0].fate == Fate::repeated);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(made.folder / ""))
    files += entry.path().filename().string().starts_with("out.jsonl");
  assert_int_equal(files, 2);
}

// Its age is that of the file and not of the last line; whole seconds count, so that one must pass.
void test_file_age_goes_on_through_a_restart(void** state) {
  Made& made = made_of(state);
  make_file(made);
  made.deliver({event(1, 1, "{\"id\":1}")});
  const std::time_t began = std::time(nullptr);
  while (std::time(nullptr) == began) std::this_thread::sleep_for(milliseconds(20));
  made.deliver({event(2, 2, "{\"id\":2}")});
  made.endpoint.reset();
  make_file(made, "    rotate_age: 1s\n");
  made.deliver({event(3, 3, "{\"id\":3}")});
  const std::string text = unit::read_file(made.folder / "out.jsonl");
  assert_int_equal(std::count(text.begin(), text.end(), '\n'), 1);
  unit::assert_holds(text, "\"body\":{\"id\":3}}");
}

void test_file_keeps_as_many_rotated_files_as_told(void** state) {
  Made& made = made_of(state);
  make_file(made, "    rotate_bytes: 4KiB\n    keep: 2\n");
  std::ofstream(made.folder / "out.jsonl.backup") << "not ours";
  const std::string body = "{\"x\":\"" + std::string(5000, 'x') + "\"}";
  for (int64_t seq = 1; seq <= 6; ++seq) made.deliver({event(seq, seq, body)});
  size_t rotated = 0;
  for (const auto& entry : std::filesystem::directory_iterator(made.folder / ""))
    rotated += entry.path().filename().string().starts_with("out.jsonl.2");
  assert_int_equal(rotated, 2);
  assert_true(std::filesystem::exists(made.folder / "out.jsonl.backup"));
}

void test_file_full_disk_is_the_endpoints_trouble_and_leaves_no_torn_line(void** state) {
  Made& made = made_of(state);
  make_file(made);
  made.deliver({event(1, 1, "{\"id\":1}")});
  const std::string path = made.folder / "out.jsonl", before = unit::read_file(path);
  rlimit limit{}, small{};
  getrlimit(RLIMIT_FSIZE, &limit);
  small = {before.size() + 100, limit.rlim_max};
  assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
  setrlimit(RLIMIT_FSIZE, &small);
  Remedy remedy = Remedy::stop;
  try {
    made.deliver({event(2, 2, "{\"x\":\"" + std::string(5000, 'x') + "\"}")});
  } catch (const Failure& failure) {
    remedy = failure.remedy();
  }
  setrlimit(RLIMIT_FSIZE, &limit);
  assert_true(remedy == Remedy::reconnect);
  unit::assert_text(unit::read_file(path), before);
}

void test_file_second_writer_is_refused(void** state) {
  Made& made = made_of(state);
  make_file(made);
  const auto other = unit::kind_named("file").make(made.config.endpoints.front());
  std::string why;
  try {
    other->connect(unit::soon());
  } catch (const Failure& failure) {
    why = failure.what();
  }
  unit::assert_holds(why, "another process");
}

}  // namespace
}  // namespace muskrat

int main() {
  using namespace muskrat;
  const CMUnitTest tests[] = {
      checked(test_endpoints_every_kind_has_name_help_and_helped_options),
      checked(test_endpoints_every_kind_loads_with_what_it_requires_alone),
      checked(test_endpoints_every_kind_refuses_an_unknown_option),
      checked(test_endpoints_more_lanes_than_the_kind_works_with_are_refused),
      checked(test_endpoints_event_that_nobody_judged_goes_again),
      checked(test_endpoints_every_kind_whose_state_the_host_keeps_takes_the_guards_options),
      checked(test_endpoints_bad_event_fails_alone),
      checked(test_endpoints_file_sends_what_the_mapping_makes),
      checked(test_endpoints_every_kind_explains_without_a_server),
      checked(test_endpoints_sql_explains_rows_as_a_delivery_would_make_them),
      checked(test_endpoints_postgres_route_without_key_is_refused),
      checked(test_endpoints_postgres_key_outside_the_columns_is_refused),
      checked(test_endpoints_postgres_two_unnamed_routes_to_one_table_are_refused),
      checked(test_endpoints_postgres_bad_pattern_is_refused),
      checked_with(test_file_line_holds_event_and_body_as_it_was, setup, teardown),
      checked_with(test_file_body_over_several_lines_becomes_one, setup, teardown),
      checked_with(test_file_header_that_is_no_json_tears_no_line, setup, teardown),
      checked_with(test_file_torn_last_line_is_cut_and_its_event_written_again, setup, teardown),
      checked_with(test_file_that_holds_one_torn_line_becomes_empty, setup, teardown),
      checked_with(test_file_rotates_by_size_and_knows_events_of_the_file_before, setup, teardown),
      checked_with(test_file_age_goes_on_through_a_restart, setup, teardown),
      checked_with(test_file_keeps_as_many_rotated_files_as_told, setup, teardown),
      checked_with(test_file_full_disk_is_the_endpoints_trouble_and_leaves_no_torn_line, setup, teardown),
      checked_with(test_file_second_writer_is_refused, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
