// The host's state database in SQLite, and the guard built on it.
#include <algorithm>
#include <csignal>
#include <fstream>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sqlite.hpp"
#include "consumer/state/guarded.hpp"
#include "test/unit/state_cases.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

using Fate = Outcome::Fate;

int setup(void** state) {
  auto it = new StateFixture;
  it->open = [it] { return state::open_sqlite(it->folder / "state.sqlite"); };
  it->store = it->open();
  *state = it;
  return 0;
}
int teardown(void** state) {
  delete static_cast<StateFixture*>(*state);
  return 0;
}

std::string failure_of(const std::function<void()>& work, Remedy remedy) {
  try {
    work();
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == remedy);
    return failure.what();
  }
  return "nothing failed";
}

// ---- SQLite's own ----

void test_state_file_is_its_owners_alone(void** state) {
  struct stat info {};
  assert_int_equal(stat((state_of(state).folder / "state.sqlite").c_str(), &info), 0);
  assert_int_equal(info.st_mode & 0777, 0600);
}

void test_state_file_made_by_root_is_the_folders_owners(void** state) {
  if (geteuid() != 0) skip();
  const Folder& folder = state_of(state).folder;
  const std::string other = folder / "other";
  assert_int_equal(mkdir(other.c_str(), 0700), 0);
  assert_int_equal(chown(other.c_str(), 65534, 65534), 0);
  const auto store = state::open_sqlite(other + "/state.sqlite");
  store->pause({"crm", 5, "ann", ""}, soon());
  for (const char* name : {"/state.sqlite", "/state.sqlite-wal", "/state.sqlite-shm"}) {
    struct stat info {};
    assert_int_equal(stat((other + name).c_str(), &info), 0);
    assert_int_equal(info.st_uid, 65534);
  }
}

void test_state_file_that_is_no_database_stops_with_advice(void** state) {
  const std::string path = state_of(state).folder / "other";
  std::ofstream(path) << std::string(5000, 'x');
  assert_holds(failure_of([&] { state::open_sqlite(path); }, Remedy::stop), "move it away");
}

void test_state_folder_that_is_missing_is_named(void** state) {
  const std::string path = state_of(state).folder / "none/state.sqlite";
  assert_holds(failure_of([&] { state::open_sqlite(path); }, Remedy::reconnect), path);
}

void test_state_of_a_newer_version_is_refused(void** state) {
  const std::string path = state_of(state).folder / "state.sqlite";
  sqlite::Database::open(path, milliseconds(100)).exec("PRAGMA user_version = 99");
  assert_holds(failure_of([&] { state::open_sqlite(path); }, Remedy::stop), "newer");
}

void test_state_second_host_on_a_file_is_refused_until_the_first_is_gone(void** state) {
  const std::string path = state_of(state).folder / "state.sqlite";
  {
    const state::HostLock lock(path);
    assert_holds(failure_of([&] { state::HostLock other(path); }, Remedy::stop), "another muskrat consume");
  }
  const state::HostLock again(path);
}

void test_state_two_stores_of_one_file_write_in_turn(void** state) {
  StateFixture& it = state_of(state);
  const auto other = it.open();
  for (int64_t seq = 1; seq <= 20; ++seq) {
    mark(*it.store, "crm", "[1]", {1, seq});
    mark(*other, "crm", "[2]", {1, seq});
  }
  assert_true(ask_one(*it.store, "crm", "[2]").newest == (state::Version{1, 20}));
}

// What record() has returned for is there after kill -9.
void test_state_recorded_survives_kill(void** state) {
  StateFixture& it = state_of(state);
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const auto store = it.open();
    for (int64_t seq = 1;; ++seq) {
      mark(*store, "crm", "[1]", {1, seq});
      if (write(ends[1], &seq, sizeof seq) < 0) _exit(1);
    }
  }
  close(ends[1]);
  int64_t seq = 0;
  while (seq < 30) assert_int_equal(read(ends[0], &seq, sizeof seq), sizeof seq);
  kill(child, SIGKILL);
  while (read(ends[0], &seq, sizeof seq) == sizeof seq) continue;
  close(ends[0]);
  waitpid(child, nullptr, 0);
  const auto newest = ask_one(*it.open(), "crm", "[1]").newest;
  assert_true(newest && newest->seq >= seq && newest->seq <= seq + 1);
}

// ---- the guard ----

// An endpoint whose outcomes the test writes.
struct Scripted : Endpoint {
  std::vector<std::string>& taken;
  std::function<Outcome(const Event&)>& answer;
  Scripted(std::vector<std::string>& t, std::function<Outcome(const Event&)>& a) : taken(t), answer(a) {}
  void connect(Deadline) override {}
  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline) override {
    std::vector<Outcome> outcomes;
    for (const Event* event : batch) {
      taken.push_back(event->message_id);
      outcomes.push_back(answer ? answer(*event) : Outcome::done());
    }
    return outcomes;
  }
};

struct GuardFixture {
  Folder folder;
  Component component;
  Settings consumer;
  std::vector<std::string> taken;
  std::function<Outcome(const Event&)> answer;
  std::unique_ptr<state::Guarded> guarded;

  void make(const std::string& options, size_t full_batch = 0) {
    static constexpr std::array table{state::guard_option, state::guard_key_option, state::seen_for_option};
    std::vector<Problem> problems;
    component.name = "crm";
    component.settings = parse_settings(table, options, "test", problems);
    consumer = parse_settings(consumer_options(), "state: " + (folder / "state.sqlite"), "test", problems);
    for (const Problem& problem : problems) fail_msg("%s", describe(problem).c_str());
    guarded =
        std::make_unique<state::Guarded>(std::make_unique<Scripted>(taken, answer), component, consumer, full_batch);
    guarded->connect(soon());
  }
  std::vector<Outcome> deliver(const std::vector<Event>& events) {
    std::vector<const Event*> batch;
    batch.reserve(events.size());
    for (const Event& event : events) batch.push_back(&event);
    return guarded->deliver(batch, soon());
  }
};
GuardFixture& guard_of(void** state) { return *static_cast<GuardFixture*>(*state); }
int guard_setup(void** state) {
  *state = new GuardFixture;
  return 0;
}
int guard_teardown(void** state) {
  delete static_cast<GuardFixture*>(*state);
  return 0;
}

Event at(int64_t id, int64_t seq, Op op = Op::update) {
  return event(id, seq, "{\"id\":" + std::to_string(id) + "}", op);
}

void test_guard_repeat_and_older_event_do_not_reach_the_endpoint(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}");
  assert_true(it.deliver({at(1, 10), at(2, 11)})[1].fate == Fate::done);
  it.make("{}");  // the host has restarted
  const auto outcomes = it.deliver({at(1, 10), at(2, 5), at(3, 12)});
  assert_true(outcomes[0].fate == Fate::repeated);
  assert_true(outcomes[1].fate == Fate::superseded);
  assert_text(outcomes[1].reason, "1/11");
  assert_true(outcomes[2].fate == Fate::done);
  assert_int_equal(it.taken.size(), 3);
}

// What a host that was killed had done comes again in full batches: else the few others would each be a call.
void test_guard_few_that_are_left_of_a_full_batch_go_with_others(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}", 8);
  const auto from = [](int64_t first, int64_t last) {
    std::vector<Event> events;
    for (int64_t n = first; n <= last; ++n) events.push_back(at(n, n));
    return events;
  };
  it.deliver(from(1, 8));
  it.taken.clear();
  auto outcomes = it.deliver(from(7, 14));  // more than an eighth of a call would be empty
  assert_true(outcomes[0].fate == Fate::repeated && outcomes[1].fate == Fate::repeated);
  for (size_t i = 2; i < 8; ++i) assert_true(outcomes[i].fate == Fate::park && outcomes[i].until.count() == 0);
  assert_true(it.taken.empty());
  outcomes = it.deliver(from(8, 15));
  assert_true(outcomes[0].fate == Fate::repeated && outcomes[1].fate == Fate::done && outcomes[7].fate == Fate::done);
  assert_true(it.deliver({at(1, 1), at(16, 16)})[1].fate == Fate::done);  // not full: no more come
}

void test_guard_tombstone_keeps_a_late_update_from_bringing_a_row_back(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}");
  it.deliver({at(1, 20, Op::remove)});
  assert_true(it.deliver({at(1, 15)})[0].fate == Fate::superseded);
  assert_true(it.deliver({at(1, 25)})[0].fate == Fate::done);
}

void test_guard_event_that_was_not_done_leaves_no_mark(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}");
  for (const Fate fate : {Fate::retry, Fate::park, Fate::dead}) {
    it.answer = [fate](const Event&) { return Outcome{fate, "no", milliseconds(1)}; };
    assert_true(it.deliver({at(1, 10)})[0].fate == fate);
  }
  it.answer = nullptr;
  assert_true(it.deliver({at(1, 10)})[0].fate == Fate::done);
}

// A dead letter that is retried after newer state got through must not overwrite it.
void test_guard_retry_after_newer_state_is_superseded(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}");
  it.answer = [](const Event&) { return Outcome::dead("bad"); };
  it.deliver({at(1, 10)});
  it.answer = nullptr;
  it.deliver({at(1, 11)});
  assert_true(it.deliver({at(1, 10)})[0].fate == Fate::superseded);
}

void test_guard_events_count_each_for_itself_and_repeats_are_known(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("guard: events");
  it.deliver({at(1, 11)});
  assert_true(it.deliver({at(1, 10)})[0].fate == Fate::done);
  it.make("guard: events");
  const auto outcomes = it.deliver({at(1, 11), at(1, 10), at(1, 12)});
  assert_true(outcomes[0].fate == Fate::repeated && outcomes[1].fate == Fate::repeated);
  assert_true(outcomes[2].fate == Fate::done);
}

void test_guard_event_without_version_passes_but_once(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}");
  Event foreign = at(1, 3);
  it.deliver({at(1, 10)});
  foreign.epoch = foreign.seq = 0;
  assert_true(it.deliver({foreign})[0].fate == Fate::done);
  assert_true(it.deliver({foreign})[0].fate == Fate::repeated);
}

void test_guard_key_tells_rows_of_one_ordering_key_apart(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("guard_key: [id]");
  Event first = at(1, 10), second = at(2, 11), keyless = at(3, 12);
  first.key = second.key = keyless.key = "Frontend.Order:[7]";
  keyless.body = "{\"nr\":3}";
  it.deliver({second});
  const auto outcomes = it.deliver({first, keyless});
  assert_true(outcomes[0].fate == Fate::done);
  assert_true(outcomes[1].fate == Fate::dead);
  assert_text(outcomes[1].reason, "guard_key: the body has no id");
}

void test_guard_truncate_supersedes_what_came_before_it(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}");
  assert_true(it.deliver({at(0, 20, Op::truncate)})[0].fate == Fate::done);
  assert_true(it.deliver({at(0, 20, Op::truncate)})[0].fate == Fate::repeated);
  const auto outcomes = it.deliver({at(1, 15), at(2, 21)});
  assert_true(outcomes[0].fate == Fate::superseded && outcomes[1].fate == Fate::done);
}

void test_guard_state_that_cannot_be_opened_is_the_endpoints_trouble(void** state) {
  GuardFixture& it = guard_of(state);
  it.make("{}");
  std::vector<Problem> problems;
  it.consumer = parse_settings(consumer_options(), "state: " + (it.folder / "none/x"), "test", problems);
  assert_holds(failure_of([&] { it.guarded->connect(soon()); }, Remedy::reconnect), "none/x");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      MUSKRAT_STATE_CASES(setup, teardown),
      checked_with(test_state_file_is_its_owners_alone, setup, teardown),
      checked_with(test_state_file_made_by_root_is_the_folders_owners, setup, teardown),
      checked_with(test_state_file_that_is_no_database_stops_with_advice, setup, teardown),
      checked_with(test_state_folder_that_is_missing_is_named, setup, teardown),
      checked_with(test_state_of_a_newer_version_is_refused, setup, teardown),
      checked_with(test_state_second_host_on_a_file_is_refused_until_the_first_is_gone, setup, teardown),
      checked_with(test_state_two_stores_of_one_file_write_in_turn, setup, teardown),
      checked_with(test_state_recorded_survives_kill, setup, teardown),
      checked_with(test_guard_repeat_and_older_event_do_not_reach_the_endpoint, guard_setup, guard_teardown),
      checked_with(test_guard_few_that_are_left_of_a_full_batch_go_with_others, guard_setup, guard_teardown),
      checked_with(test_guard_tombstone_keeps_a_late_update_from_bringing_a_row_back, guard_setup, guard_teardown),
      checked_with(test_guard_event_that_was_not_done_leaves_no_mark, guard_setup, guard_teardown),
      checked_with(test_guard_retry_after_newer_state_is_superseded, guard_setup, guard_teardown),
      checked_with(test_guard_events_count_each_for_itself_and_repeats_are_known, guard_setup, guard_teardown),
      checked_with(test_guard_event_without_version_passes_but_once, guard_setup, guard_teardown),
      checked_with(test_guard_key_tells_rows_of_one_ordering_key_apart, guard_setup, guard_teardown),
      checked_with(test_guard_truncate_supersedes_what_came_before_it, guard_setup, guard_teardown),
      checked_with(test_guard_state_that_cannot_be_opened_is_the_endpoints_trouble, guard_setup, guard_teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
