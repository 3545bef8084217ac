// What the host's next life knows of a rest that an endpoint asked for, over a SQLite file; clocks that were set
// between.
#include "consumer/park_notes.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

constexpr int64_t minute_us = 60'000'000, day_us = int64_t{24} * 60 * minute_us;

struct Fixture {
  Folder folder;
  Settings consumer;

  std::string path() const { return folder / "state.sqlite"; }
  void write(int64_t until_us, int64_t seen_us) const {
    state::open_sqlite(path())->set_parked({"crm", until_us, seen_us, "asked", "answer 429"}, soon());
  }
  // How long crm is still to rest.
  std::optional<int64_t> left_us() const {
    const auto note = ParkNotes(consumer).asked_before("crm");
    return note ? std::optional(note->until_us - wall_clock_us()) : std::nullopt;
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

void test_park_notes_of_a_clock_that_was_ahead_give_the_span_that_was_left(void** state) {
  Fixture& it = fixture(state);
  const int64_t then_us = wall_clock_us() + day_us;
  for (const int64_t seen_us : {then_us, -then_us}) {  // of a host that was killed, and of one that ended
    it.write(then_us + minute_us, seen_us);
    const auto left_us = it.left_us();
    assert_true(left_us && *left_us <= minute_us);
  }
  it.write(then_us - minute_us, then_us);  // over by the clock that it was written by
  const auto left_us = it.left_us();
  assert_true(!left_us || *left_us <= 0);
}

void test_park_notes_of_a_clock_that_goes_right_give_the_time_that_was_said(void** state) {
  Fixture& it = fixture(state);
  const int64_t now_us = wall_clock_us();
  for (const int64_t seen_us : {now_us - minute_us, minute_us - now_us, int64_t{0}}) {
    it.write(now_us + day_us, seen_us);
    assert_true(ParkNotes(it.consumer).asked_before("crm")->until_us == now_us + day_us);
  }
  it.write(now_us - minute_us, now_us - day_us);
  assert_false(it.left_us().has_value());
}

void test_park_notes_that_end_say_when_and_how_much_was_left(void** state) {
  Fixture& it = fixture(state);
  ParkNotes(it.consumer).parked({"crm", wall_clock_us() + day_us, 0, "asked", "answer 429"});
  const auto notes = state::open_sqlite(it.path())->parked(soon());
  assert_int_equal(notes.size(), 1);
  assert_true(notes[0].seen_us < 0 && -notes[0].seen_us <= wall_clock_us());
  const int64_t left_us = notes[0].until_us + notes[0].seen_us;
  assert_true(left_us > 0 && left_us <= day_us + minute_us);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_park_notes_of_a_clock_that_was_ahead_give_the_span_that_was_left, setup, teardown),
      checked_with(test_park_notes_of_a_clock_that_goes_right_give_the_time_that_was_said, setup, teardown),
      checked_with(test_park_notes_that_end_say_when_and_how_much_was_left, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
