// Scheduled sources: what becomes of a record, and what is remembered of it.
#include <sys/stat.h>
#include <unistd.h>

#include "common/config.hpp"
#include "common/state_path.hpp"
#include "relay/scheduled/http_calls.hpp"
#include "relay/scheduled/record.hpp"
#include "relay/scheduled/state.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using unit::assert_holds;
using unit::assert_lacks;
using unit::assert_text;

namespace {

json::Document document(const std::string& text) {
  std::string why;
  auto made = json::Document::parse(text, why);
  assert_text(why, "");
  return std::move(*made);
}

std::string routing_key(const std::string& pattern, const std::string& record) {
  std::string why;
  const json::Document body = document(record);
  return routing_key_of(pattern, body.root(), why).value_or(why);
}

std::string key(const std::vector<std::string>& paths, const std::string& record) {
  std::string why;
  const json::Document body = document(record);
  return record_key_of(paths, body.root(), why).value_or(why);
}

void test_routing_key_template_takes_members_at_any_depth(void**) {
  assert_text(routing_key("Stats.{metric.name}.{kind}", R"({"metric":{"name":"Volume"},"kind":"Snapshot"})"),
              "Stats.Volume.Snapshot");
  assert_text(routing_key("Statsserver.Volume.Snapshot", "{}"), "Statsserver.Volume.Snapshot");
}

void test_routing_key_that_the_record_cannot_make_is_told_without_its_value(void**) {
  assert_text(routing_key("Stats.{a}.X", "{}"), "routing_key: it has no a");
  const std::string why = routing_key("Stats.{a}.X", R"({"a":"secret value"})");
  assert_holds(why, "no three words");
  assert_true(why.find("secret") == std::string::npos);
}

void test_record_key_is_canonical(void**) {
  assert_text(key({"id", "at"}, R"({"id":1.500,"at":"x"})"), R"([1.5,"x"])");
  assert_text(key({"id"}, R"({"id":10.00})"), "[10]");
  assert_text(key({"id"}, R"({"id":100})"), "[100]");
  assert_text(key({"id"}, R"({"id":12345678901234567890})"), "[12345678901234567890]");
  assert_text(key({"id"}, R"({"id":null})"), "key: it has null in id");
  assert_text(key({"id"}, R"({"ID":1})"), "key: it has no id");
}

void test_ordering_key_has_the_object_and_the_key_or_its_hash(void**) {
  assert_text(ordering_key_of("Billing.Usage.Record", "[1]"), "Billing.Usage:[1]");
  assert_int_equal(ordering_key_of("A.B.C", std::string(2000, 'x')).size(), 4 + 65);
}

void test_record_digest_tells_version_from_body(void**) {
  assert_true(digest_of({"ab", "c", 0}) != digest_of({"a", "bc", 0}));
  assert_text(digest_of({"a", "b", 0}), digest_of({"a", "b", 7}));
}

void test_requests_of_a_second_are_no_more_than_are_allowed(void**) {
  for (const int64_t requests : {1, 7, 10, 600, 999, 1000})
    assert_true(pause_between(requests) * requests >= std::chrono::seconds(1));
  assert_int_equal(pause_between(600).count(), 1667);
}

int setup(void** state) {
  *state = new unit::Folder;
  return 0;
}
int teardown(void** state) {
  delete static_cast<unit::Folder*>(*state);
  return 0;
}

void settle(ScheduledState& state, const ScheduledState::Settlement& page) {
  const ScheduledState::Settlement* const pages[] = {&page};
  state.settled(pages);
}

std::string path(void** state) { return *static_cast<unit::Folder*>(*state) / "relay.sqlite"; }

void test_state_numbers_are_never_given_twice(void** state) {
  auto kept = ScheduledState::open(path(state), "billing", "a");
  assert_int_equal(kept->reserve(3), 1);
  kept = ScheduledState::open(path(state), "billing", "a");
  assert_int_equal(kept->reserve(2), 4);
  assert_int_equal(ScheduledState::open(path(state), "other", "a")->reserve(1), 1);
}

void test_state_numbers_that_were_given_back_are_given_next(void** state) {
  const auto kept = ScheduledState::open(path(state), "billing", "a");
  assert_int_equal(kept->reserve(100), 1);
  kept->release(8);
  assert_int_equal(kept->reserve(1), 8);
}

void test_state_forgets_what_ranks_lower_and_knows_two_versions_of_a_row(void** state) {
  const auto kept = ScheduledState::open(path(state), "billing", "a");
  settle(*kept, {{{"old", 10}, {"new", 20}}, {}, {}, "[20]", 5});
  assert_true(kept->knows("old") && kept->knows("new"));
  assert_true(kept->may_know(20));
  assert_false(kept->may_know(21));
  settle(*kept, {{}, {}, {}, "[30]", 20});
  assert_false(kept->knows("old"));
  assert_true(kept->knows("new"));
  assert_false(ScheduledState::open(path(state), "other", "a")->knows("new"));
}

// ---- the numbers of notifications ----

constexpr int64_t noon = 1'764'158'400'000'000, second = 1'000'000;

void test_notices_are_numbered_by_when_they_were_made_and_keep_their_numbers(void** state) {
  auto kept = ScheduledState::open(path(state), "hooks", "webhooks");
  assert_true(kept->number({{"b", noon + second}, {"a", noon}}, 0) == std::vector<int64_t>({noon + second, noon}));
  kept = ScheduledState::open(path(state), "hooks", "webhooks");
  assert_true(kept->number({{"a", noon}, {"b", noon + second}}, 0) == std::vector<int64_t>({noon, noon + second}));
  assert_true(ScheduledState::open(path(state), "other", "webhooks")->number({{"a", noon + 7}}, 0) ==
              std::vector<int64_t>({noon}));
}

void test_notices_of_one_second_are_numbered_as_they_came_first(void** state) {
  const auto kept = ScheduledState::open(path(state), "hooks", "webhooks");
  assert_true(kept->number({{"a", noon}, {"b", noon}, {"a", noon}}, 0) == std::vector<int64_t>({noon, noon + 1, noon}));
  assert_true(kept->number({{"d", noon + second}, {"c", noon}, {"b", noon}}, 0) ==
              std::vector<int64_t>({noon + second, noon + 2, noon + 1}));
}

void test_notices_that_are_too_old_to_come_again_are_forgotten(void** state) {
  const auto kept = ScheduledState::open(path(state), "hooks", "webhooks");
  kept->number({{"a", noon}, {"b", noon}, {"c", noon + second}}, 0);
  assert_true(kept->number({{"b", noon}}, noon + second) == std::vector<int64_t>({noon}));  // the first of its second
  assert_true(kept->number({{"c", noon + second}}, noon + second) == std::vector<int64_t>({noon + second}));
}

HeldRecord held(int64_t seq, const std::string& body, const std::string& key) {
  return {seq, {body, "v", 0, Op::remove}, 7, 8, key, "no reason"};
}

std::vector<int64_t> numbers(ScheduledState& state) {
  std::vector<int64_t> all;
  for (const HeldRecord& each : state.held().behind(0)) all.push_back(each.seq);
  return all;
}

void test_state_holds_records_until_they_are_released_each_content_once(void** state) {
  const auto kept = ScheduledState::open(path(state), "billing", "a");
  settle(*kept, {{}, {}, {}, "[1]", std::nullopt, {}, {held(1, "{}", "k"), held(2, "[]", "l"), held(3, "{}", "k")}});
  assert_true(numbers(*kept) == std::vector<int64_t>({1, 2}));
  assert_true(kept->held().has({"{}", "v", 5}));
  assert_false(kept->held().has({"{}", "w", 5}));
  const auto again = ScheduledState::find(path(state), "billing");
  const HeldRecord first = again->held().behind(0).front();
  assert_text(first.record.body, "{}");
  assert_text(first.record.version, "v");
  assert_true(first.record.op == Op::remove && first.captured_us == 7 && first.held_us == 8);
  assert_text(first.key, "k");
  assert_true(again->held().behind(1).size() == 1 && again->held().behind(2).empty());
  settle(*again, {{}, {}, {}, "[2]", std::nullopt, {}, {}, {1}});
  assert_int_equal(again->held().count(), 1);
  assert_int_equal(ScheduledState::open(path(state), "other", "a")->held().count(), 0);
}

void test_state_gives_up_held_records_by_number_and_by_key(void** state) {
  const auto kept = ScheduledState::open(path(state), "billing", "a");
  settle(*kept, {{}, {}, {}, "[1]", std::nullopt, {}, {held(1, "1", "k"), held(2, "2", "k"), held(3, "3", "l")}});
  assert_int_equal(kept->held().remove(9), 0);
  assert_int_equal(kept->held().remove(3), 1);
  assert_int_equal(kept->held().count_of("k"), 2);
  assert_int_equal(kept->held().remove_of("k"), 2);
  assert_int_equal(kept->held().count(), 0);
}

void test_database_keeps_nothing_that_was_deleted_once_its_log_is_emptied(void** state) {
  const std::string path = *static_cast<unit::Folder*>(*state) / "traces.sqlite";
  auto db = sqlite::Database::open(path, milliseconds(50)), other = sqlite::Database::open(path, milliseconds(50));
  db.exec("CREATE TABLE t (x TEXT); INSERT INTO t VALUES ('somebody')");
  auto secure = other.prepare("PRAGMA secure_delete");
  assert_true(secure.step() && secure.integer(0) == 1);
  secure.reset();
  {
    const sqlite::Reading reading(other);
    auto rows = other.prepare("SELECT x FROM t");
    assert_true(rows.step());
    rows.reset();
    db.exec("DELETE FROM t");
    std::string problem;
    try {
      db.empty_log();
    } catch (const Failure& failure) {
      problem = failure.what();
    }
    assert_holds(problem, "another process is reading there");
  }
  db.empty_log();
  for (const std::string& file : {path, path + "-wal", path + "-shm"}) {
    std::ifstream in(file, std::ios::binary);
    assert_lacks(std::string(std::istreambuf_iterator<char>(in), {}), "somebody");
  }
}

void test_state_shows_large_held_records_a_few_at_a_time(void** state) {
  const auto kept = ScheduledState::open(path(state), "billing", "a");
  const std::string large(size_t{3} << 20, 'x');
  settle(
      *kept,
      {{}, {}, {}, "[1]", std::nullopt, {}, {held(1, large + "1", ""), held(2, large + "2", ""), held(3, large, "")}});
  assert_int_equal(kept->held().behind(0).size(), 2);
  assert_int_equal(kept->held().behind(2).size(), 1);
}

void test_state_survives_and_tells_its_history(void** state) {
  assert_true(ScheduledState::find(path(state), "billing") == nullptr);
  {
    const auto kept = ScheduledState::open(path(state), "billing", "a");
    kept->failed("no network");
    settle(*kept, {{}, {}, {}, "[1]", std::nullopt});
  }
  const auto found = ScheduledState::find(path(state), "billing");
  assert_text(found->cursor(), "[1]");
  assert_text(found->history().trouble, "no network");
  assert_false(found->history().begun_us.has_value());
  found->succeeded(5, 7);
  assert_int_equal(*ScheduledState::find(path(state), "billing")->history().begun_us, 5);
  assert_text(found->history().trouble, "");
  assert_true(ScheduledState::find(path(state), "other") == nullptr);
}

void test_state_of_another_shape_is_refused(void** state) {
  ScheduledState::open(path(state), "billing", "changed, id");
  std::string why;
  try {
    ScheduledState::open(path(state), "billing", "id");
  } catch (const Failure& failure) {
    why = failure.what();
  }
  assert_holds(why, "is one of (changed, id) and not of (id)");
}

void test_file_lock_has_one_holder(void** state) {
  const std::string file = path(state) + ".lock";
  FileLock first = FileLock::try_take(file, "x");
  assert_true(static_cast<bool>(first));
  assert_false(static_cast<bool>(FileLock::try_take(file, "x")));
  first = FileLock();
  assert_true(static_cast<bool>(FileLock::try_take(file, "x")));
}

void test_file_lock_made_by_root_belongs_to_the_owner_of_its_folder(void** state) {
  if (::geteuid() != 0) skip();
  const std::string folder = *static_cast<unit::Folder*>(*state) / "";
  constexpr uid_t somebody = 12345;
  assert_int_equal(::chown(folder.c_str(), somebody, somebody), 0);
  const FileLock lock = FileLock::try_take(folder + "lock", "x");
  struct stat made {};
  assert_int_equal(::stat((folder + "lock").c_str(), &made), 0);
  assert_int_equal(made.st_uid, somebody);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_requests_of_a_second_are_no_more_than_are_allowed),
      checked(test_routing_key_template_takes_members_at_any_depth),
      checked(test_routing_key_that_the_record_cannot_make_is_told_without_its_value),
      checked(test_record_key_is_canonical),
      checked(test_ordering_key_has_the_object_and_the_key_or_its_hash),
      checked(test_record_digest_tells_version_from_body),
      checked_with(test_state_numbers_are_never_given_twice, setup, teardown),
      checked_with(test_state_numbers_that_were_given_back_are_given_next, setup, teardown),
      checked_with(test_state_forgets_what_ranks_lower_and_knows_two_versions_of_a_row, setup, teardown),
      checked_with(test_state_holds_records_until_they_are_released_each_content_once, setup, teardown),
      checked_with(test_state_gives_up_held_records_by_number_and_by_key, setup, teardown),
      checked_with(test_database_keeps_nothing_that_was_deleted_once_its_log_is_emptied, setup, teardown),
      checked_with(test_state_shows_large_held_records_a_few_at_a_time, setup, teardown),
      checked_with(test_notices_are_numbered_by_when_they_were_made_and_keep_their_numbers, setup, teardown),
      checked_with(test_notices_of_one_second_are_numbered_as_they_came_first, setup, teardown),
      checked_with(test_notices_that_are_too_old_to_come_again_are_forgotten, setup, teardown),
      checked_with(test_state_survives_and_tells_its_history, setup, teardown),
      checked_with(test_state_of_another_shape_is_refused, setup, teardown),
      checked_with(test_file_lock_has_one_holder, setup, teardown),
      checked_with(test_file_lock_made_by_root_belongs_to_the_owner_of_its_folder, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
