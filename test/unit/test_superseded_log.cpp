// The log of superseded events, over a SQLite file: written beside deliveries, kept while it cannot be written.
#include <filesystem>
#include <thread>

#include "consumer/superseded_log.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

struct Fixture {
  Folder folder;
  Settings consumer;
  std::unique_ptr<SupersededLog> log;

  std::string parent() const { return folder / "there"; }
  std::string path() const { return parent() + "/state.sqlite"; }
  void note(const std::string& endpoint, int64_t seq) const {
    log->note(endpoint, {"m" + std::to_string(seq), "K", "A.B.C", {1, seq}, "1/99", 5});
  }
  std::vector<state::Superseded> written(const std::string& endpoint) const {
    return state::open_sqlite(path())->superseded(endpoint, state::Store::superseded_most, soon());
  }
};
Fixture& fixture(void** state) { return *static_cast<Fixture*>(*state); }

int setup(void** state) {
  auto* it = new Fixture;
  std::vector<Problem> problems;
  it->consumer = parse_settings(consumer_options(), "state: " + it->path(), "test", problems);
  it->log = std::make_unique<SupersededLog>(it->consumer);
  *state = it;
  return problems.empty() ? 0 : 1;
}
int teardown(void** state) {
  delete static_cast<Fixture*>(*state);
  return 0;
}

void test_superseded_log_without_events_makes_no_state_file(void** state) {
  Fixture& it = fixture(state);
  std::filesystem::create_directory(it.parent());
  it.log.reset();
  assert_false(std::filesystem::exists(it.path()));
}

void test_superseded_log_at_its_end_has_written_all_by_endpoint(void** state) {
  Fixture& it = fixture(state);
  std::filesystem::create_directory(it.parent());
  it.note("crm", 1);
  it.note("crm", 2);
  it.note("other", 3);
  it.log.reset();
  const auto events = it.written("crm");
  assert_int_equal(events.size(), 2);
  assert_text(events[0].message_id, "m2");
  assert_text(events[1].by, "1/99");
  assert_int_equal(it.written("other").size(), 1);
}

void test_superseded_log_that_cannot_be_written_waits_until_it_can(void** state) {
  Fixture& it = fixture(state);
  it.note("crm", 1);
  std::this_thread::sleep_for(milliseconds(1500));  // long enough for a try in vain; shorter only makes it easier
  it.note("crm", 2);
  std::filesystem::create_directory(it.parent());
  it.log.reset();
  const auto events = it.written("crm");
  assert_int_equal(events.size(), 2);
  assert_text(events[1].message_id, "m1");
}

void test_superseded_log_of_very_many_keeps_the_newest(void** state) {
  Fixture& it = fixture(state);
  std::filesystem::create_directory(it.parent());
  const auto most = static_cast<int64_t>(state::Store::superseded_most);
  for (int64_t i = 0; i < most + 5; ++i) it.note("crm", i);
  it.log.reset();
  const auto events = it.written("crm");
  assert_int_equal(events.size(), most);
  assert_int_equal(events.front().version.seq, most + 4);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_superseded_log_without_events_makes_no_state_file, setup, teardown),
      checked_with(test_superseded_log_at_its_end_has_written_all_by_endpoint, setup, teardown),
      checked_with(test_superseded_log_that_cannot_be_written_waits_until_it_can, setup, teardown),
      checked_with(test_superseded_log_of_very_many_keeps_the_newest, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
