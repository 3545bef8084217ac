// What the hosts are told of pauses, over a SQLite file.
#include <thread>

#include "common/sqlite.hpp"
#include "consumer/pause_watch.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

struct Fixture {
  Folder folder;
  Settings consumer;
  std::unique_ptr<PauseWatch> watch;

  std::string path() const { return folder / "state.sqlite"; }
  void look() {
    watch.reset();
    watch = std::make_unique<PauseWatch>(consumer);
  }
  // What crm is told once it is no longer `before`, or at the end of patience.
  std::optional<PauseWatch::Reason> once_changed(bool before) const {
    for (const Deadline end = soon(); !end.passed(); std::this_thread::sleep_for(milliseconds(10)))
      if (watch->reason_to_wait("crm").has_value() != before) break;
    return watch->reason_to_wait("crm");
  }
};
Fixture& fixture(void** state) { return *static_cast<Fixture*>(*state); }

int setup(void** state) {
  auto* it = new Fixture;
  std::vector<Problem> problems;
  it->consumer = parse_settings(consumer_options(), "state: " + it->path(), "test", problems);
  *state = it;
  return problems.empty() ? 0 : 1;
}
int teardown(void** state) {
  delete static_cast<Fixture*>(*state);
  return 0;
}

void test_pause_watch_without_a_state_file_lets_all_run_and_makes_none(void** state) {
  Fixture& it = fixture(state);
  it.look();
  assert_false(it.watch->reason_to_wait("crm").has_value());
  assert_false(std::filesystem::exists(it.path()));
}

void test_pause_watch_sees_a_pause_and_its_end_while_it_runs(void** state) {
  Fixture& it = fixture(state);
  it.look();
  const auto store = state::open_sqlite(it.path());
  store->pause({"crm", 1'764'072'000'000'000, "ann@box", "quota"}, soon());
  const auto reason = it.once_changed(false);
  assert_true(reason && reason->paused);
  assert_text(reason->text, "since 2025-11-25T12:00:00Z by ann@box: quota");
  assert_false(it.watch->reason_to_wait("other").has_value());
  store->resume("crm", soon());
  assert_false(it.once_changed(true).has_value());
}

void test_pause_watch_knows_from_the_start_what_was_paused_before(void** state) {
  Fixture& it = fixture(state);
  state::open_sqlite(it.path())->pause({"crm", 1'764'072'000'000'000, "ann@box", ""}, soon());
  it.look();
  const auto reason = it.watch->reason_to_wait("crm");
  assert_true(reason && reason->paused);
  assert_text(reason->text, "since 2025-11-25T12:00:00Z by ann@box");
}

void test_pause_watch_that_never_could_read_lets_nothing_run_until_it_can(void** state) {
  Fixture& it = fixture(state);
  std::ofstream(it.path()) << std::string(5000, 'x');
  it.look();
  const auto reason = it.watch->reason_to_wait("crm");
  assert_true(reason && !reason->paused);
  assert_holds(reason->text, it.path());
  std::filesystem::remove(it.path());
  assert_false(it.once_changed(true).has_value());
}

// Both the pause and its absence stay as they were; the end of a pause is seen once it can be read again.
void test_pause_watch_that_can_no_longer_read_leaves_things_as_they_are(void** state) {
  Fixture& it = fixture(state);
  state::open_sqlite(it.path())->pause({"crm", 5, "ann@box", ""}, soon());
  it.look();
  auto db = sqlite::Database::open(it.path(), milliseconds(1000));
  db.exec("ALTER TABLE paused RENAME TO gone; DELETE FROM gone");
  std::this_thread::sleep_for(milliseconds(2500));  // two looks at least; nothing is to happen
  const auto reason = it.watch->reason_to_wait("crm");
  assert_true(reason && reason->paused);
  assert_false(it.watch->reason_to_wait("other").has_value());
  db.exec("ALTER TABLE gone RENAME TO paused");
  assert_false(it.once_changed(true).has_value());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_pause_watch_without_a_state_file_lets_all_run_and_makes_none, setup, teardown),
      checked_with(test_pause_watch_sees_a_pause_and_its_end_while_it_runs, setup, teardown),
      checked_with(test_pause_watch_knows_from_the_start_what_was_paused_before, setup, teardown),
      checked_with(test_pause_watch_that_never_could_read_lets_nothing_run_until_it_can, setup, teardown),
      checked_with(test_pause_watch_that_can_no_longer_read_leaves_things_as_they_are, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
