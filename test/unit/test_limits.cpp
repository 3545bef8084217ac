// Rates: how they are written, and that no span of their length ever holds more; and the gate that lanes pass.
#include <random>
#include <thread>

#include "consumer/gated.hpp"
#include "consumer/options.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;
using limits::RateWindow;
using limits::Unit;

namespace {

SteadyTime at(int64_t ms) { return SteadyTime(milliseconds(1'000'000 + ms)); }

std::string read(const std::string& text) {
  std::string why;
  const auto amount = limits::parse_amount(text, why);
  return amount ? describe(*amount) : "refused: " + why;
}

void test_amount_is_read_as_people_write_it(void**) {
  for (const char* text : {"100 per 20s", "100 calls per 20s", "100/20s", "100 calls / 20s", " 100  calls per  20s "})
    assert_text(read(text), "100 calls per 20s");
  assert_text(read("50/s"), "50 calls per 1s");
  assert_text(read("5 records per m"), "5 records per 1m");
  assert_text(read("60 per 60s"), "60 calls per 1m");
  assert_text(read("50000 calls per day"), "50000 calls per day");
  assert_text(read("100000 per 24h"), "100000 calls per 1d");
}

void test_amount_that_says_nothing_is_refused_with_examples(void**) {
  for (const char* text : {"", "100", "0/s", "-1/s", "1.5/s", "per 20s", "100 per", "100 per 0s", "100 per 20",
                           "100 cats per 20s", "100 per 20s too", "99999999999999999999/s", "100 per days", "/"})
    assert_holds(read(text), "such as 50/s, 100 calls per 20s");
}

void test_rate_window_lets_a_burst_through_and_then_one_for_each_that_left(void**) {
  RateWindow rate({3, Unit::calls, milliseconds(1000)});
  for (int64_t i = 0; i < 3; ++i) {
    assert_true(rate.opens_at(1, at(i * 100)) == at(i * 100));
    rate.take(1, at(i * 100));
  }
  assert_true(rate.opens_at(1, at(300)) == at(1000));
  assert_true(rate.opens_at(2, at(300)) == at(1100));
  assert_true(rate.opens_at(1, at(1000)) == at(1000));
  rate.take(1, at(1000));
  assert_true(rate.opens_at(1, at(1000)) == at(1100));
}

void test_rate_window_piece_larger_than_the_rate_waits_for_an_empty_one(void**) {
  RateWindow rate({10, Unit::records, milliseconds(1000)});
  rate.take(1, at(0));
  assert_true(rate.opens_at(25, at(1)) == at(1000));
  rate.take(25, at(1000));
  assert_true(rate.opens_at(1, at(1001)) == at(2000));
}

void test_rate_window_is_scarce_for_a_period_after_more_than_half_was_used(void**) {
  RateWindow rate({4, Unit::calls, milliseconds(1000)});
  for (int64_t i = 0; i < 3; ++i) {
    assert_false(rate.scarce(at(i * 100)));
    rate.opens_at(1, at(i * 100));
    rate.take(1, at(i * 100));
  }
  assert_true(rate.scarce(at(200)) && rate.scarce(at(1199)));
  assert_false(rate.scarce(at(1200)));
  rate.opens_at(1, at(1200));
  rate.take(1, at(1200));
  assert_false(rate.scarce(at(1200)));
}

// The promise itself, over a random history: whatever span of the period is looked at, it holds no more than `count`.
void test_rate_window_no_span_holds_more_than_the_count(void**) {
  std::minstd_rand chance(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): each run the same
  for (const int64_t count : {1, 7, 100, 5000}) {
    RateWindow rate({count, Unit::calls, milliseconds(20'000)});
    std::vector<SteadyTime> taken;
    SteadyTime now = at(0);
    while (now < at(100'000)) {
      const SteadyTime opens = rate.opens_at(1, now);
      if (opens <= now) {
        rate.take(1, now);
        taken.push_back(now);
        now += milliseconds(chance() % 8);
      } else {
        now = opens;
      }
    }
    const auto n = static_cast<size_t>(count);
    for (size_t i = n; i < taken.size(); ++i) assert_true(taken[i] - taken[i - n] >= milliseconds(20'000));
    // and it gives away no more than the portions cost
    if (count > 1 && count < 5000) assert_true(taken.size() >= static_cast<size_t>(count) * 5 * 95 / 100);
  }
}

// ---- the gate ----

struct Counting : Endpoint {
  int& calls;
  milliseconds& left;
  Counting(int& c, milliseconds& l) : calls(c), left(l) {}
  void connect(Deadline) override {}
  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override {
    ++calls;
    left = milliseconds(deadline.poll_timeout());
    return {batch.size(), Outcome::done()};
  }
};

struct GateFixture {
  Folder folder;
  Stop stop;
  Component component;
  Settings consumer;
  std::optional<CallGate> gate;
  int calls = 0;
  milliseconds left{0};
  std::unique_ptr<Gated> endpoint;

  void make(const std::string& options) {
    std::vector<Problem> problems;
    component.name = "gate test";
    component.settings = parse_settings(endpoint_common_options(), "subscribe: ['#']\n" + options, "test", problems);
    consumer = parse_settings(consumer_options(), "state: " + (folder / "state.sqlite"), "test", problems);
    gate.emplace(component, consumer, stop);
    for (const Problem& problem : problems) fail_msg("%s", describe(problem).c_str());
    endpoint = std::make_unique<Gated>(std::make_unique<Counting>(calls, left), *gate);
  }
  Outcome deliver(milliseconds patience) {
    const Event one = event(1, 1, "{}");
    const Event* batch[] = {&one, &one};
    return endpoint->deliver(batch, Deadline::in(patience)).at(1);
  }
};
GateFixture& fixture(void** state) { return *static_cast<GateFixture*>(*state); }
int setup(void** state) {
  *state = new GateFixture;
  return 0;
}
int teardown(void** state) {
  delete static_cast<GateFixture*>(*state);
  return 0;
}

void test_gate_without_limits_is_open(void** state) {
  GateFixture& it = fixture(state);
  it.make("");
  for (int i = 0; i < 100; ++i) assert_true(it.deliver(milliseconds(1000)).fate == Outcome::Fate::done);
  assert_false(it.gate->shut(std::chrono::steady_clock::now()).has_value());
}

void test_gate_used_up_beyond_the_deadline_leaves_the_batch_untried_at_once(void** state) {
  GateFixture& it = fixture(state);
  it.make("rate: [100/s, 1 per 1h]\n");
  assert_true(it.deliver(milliseconds(1000)).fate == Outcome::Fate::done);
  const Outcome outcome = it.deliver(milliseconds(1000));
  assert_true(outcome.fate == Outcome::Fate::park && outcome.until.count() == 0);
  assert_text(outcome.reason, "not tried yet: the rate of 1 calls per 1h is used up");
  assert_int_equal(it.calls, 1);
  const SteadyTime now = std::chrono::steady_clock::now();
  const auto shut = it.gate->shut(now);
  assert_true(shut && shut->reason == ParkReason::rate && shut->until > now + std::chrono::minutes(59));
}

// Else the host would hand the batch out again and again: for one record there is room.
void test_gate_that_turned_a_batch_away_stays_shut_until_there_is_room_for_it(void** state) {
  GateFixture& it = fixture(state);
  it.make("rate: 3 records per 1h\n");
  assert_true(it.deliver(milliseconds(1000)).fate == Outcome::Fate::done);
  assert_false(it.gate->shut(std::chrono::steady_clock::now()).has_value());
  assert_true(it.deliver(milliseconds(1000)).fate == Outcome::Fate::park);
  assert_true(it.gate->shut(std::chrono::steady_clock::now()).has_value());
}

void test_gate_wait_leaves_the_call_its_whole_time(void** state) {
  GateFixture& it = fixture(state);
  it.make("rate: 1 per 300ms\n");
  it.deliver(milliseconds(60'000));
  assert_true(it.deliver(milliseconds(60'000)).fate == Outcome::Fate::done);
  assert_true(it.left > milliseconds(59'900));
}

void test_gate_wait_ends_when_the_process_is_to_stop(void** state) {
  GateFixture& it = fixture(state);
  it.make("rate: 1 per 1h\n");
  it.deliver(milliseconds(1000));
  it.stop.request();
  assert_text(it.deliver(std::chrono::hours(2)).reason, "not tried yet: the host stops");
  assert_true(it.gate->sleep(std::chrono::hours(1)));
}

void test_gate_that_is_closed_lets_nothing_through_until_it_is_opened(void** state) {
  GateFixture& it = fixture(state);
  it.make("rate: 3 per 1h\nquota: 5 calls per day\n");
  assert_true(it.deliver(milliseconds(1000)).fate == Outcome::Fate::done);
  it.gate->close();
  const Outcome outcome = it.deliver(milliseconds(1000));
  assert_true(outcome.fate == Outcome::Fate::park && outcome.until.count() == 0);
  assert_text(outcome.reason, "not tried yet: it goes back to the queue");
  assert_int_equal(it.calls, 1);
  it.gate->open();
  assert_true(it.deliver(milliseconds(1000)).fate == Outcome::Fate::done);
  it.gate->look();
  assert_text(it.gate->quota_text(), "2 of 5");  // what was not made is not counted
}

void test_gate_wait_ends_when_it_is_closed(void** state) {
  GateFixture& it = fixture(state);
  it.make("rate: 1 per 1h\n");
  it.deliver(milliseconds(1000));
  Outcome outcome;
  std::thread lane([&] { outcome = it.deliver(std::chrono::hours(2)); });
  std::this_thread::sleep_for(milliseconds(200));  // it waits by then; an hour, if nobody told it
  it.gate->close();
  lane.join();
  assert_text(outcome.reason, "not tried yet: it goes back to the queue");
}

// ---- the configuration ----

std::string wrong_with(const std::string& options, const std::string& kind = "null") {
  const Folder folder;
  const Loaded loaded = load_endpoint(folder, kind, options);
  std::string all;
  for (const Problem& problem : loaded.problems) all += describe(problem) + "\n";
  return all;
}

void test_limits_wrong_values_are_named_with_their_lines(void**) {
  assert_holds(wrong_with("    lanes: 1\n    rate: fast\n"),
               ":7: error: endpoints.it: rate: \"fast\": expected an amount");
  assert_holds(wrong_with("    rate: [50/s, 100 per day]\n"),
               ":6: error: endpoints.it: rate: \"100 per day\": a rate's time");
  assert_holds(wrong_with("    rate: 100 per 2h\n"), "one hour at most");
  assert_holds(wrong_with("    quota: lots\n"), ":6: error: endpoints.it: quota: \"lots\": expected an amount");
  assert_holds(wrong_with("    quota: 50/s\n"), "what counts over less is a rate");
  assert_holds(wrong_with("    quota: 5 per day\n    quota_zone: America/Chigaco\n"),
               ":7: error: endpoints.it: quota_zone: the system knows no time zone \"America/Chigaco\"");
  assert_holds(wrong_with("    concurrency: 5\n"),
               ":6: warning: endpoints.it: concurrency: with lanes: 1 no more than 1");
  assert_holds(wrong_with("    concurrency: 0\n"), "from 1 to 64");
  assert_holds(wrong_with("    batch_bytes: 10\n"), "from 1KiB to 1GiB");
  assert_holds(wrong_with("    held_bytes: none\n"), "expected a size");
  assert_text(wrong_with("    rate: [50/s, 100 per 20s]\n    concurrency: 1\n    batch_bytes: 1MiB\n"
                         "    quota: 50000 calls per day\n    quota_zone: America/Chicago\n"),
              "");
}

HostOptions options_of(const std::string& kind, const std::string& options) {
  const Folder folder;
  const Loaded loaded = load_endpoint(folder, kind, options);
  return host_options(kind_named(kind), loaded.config.endpoints.front(), loaded.config.consumer);
}

void test_limits_batch_is_no_larger_than_what_may_go(void**) {
  assert_int_equal(options_of("null", "    rate: 30 records per 1s\n").batch_size, 30);
  assert_int_equal(options_of("null", "    rate: 30 calls per 1s\n").batch_size, 1000);
  const std::string http = "    url: http://localhost/\n    timeout: 40s\n    rate: 100 per 20s\n";
  assert_int_equal(options_of("http", http).batch_size, 25);  // of 4 lanes, in 20 s
  assert_int_equal(options_of("http", http + "    batch: array\n").batch_size, 1000);
  assert_int_equal(options_of("http", "    url: http://localhost/\n    rate: 1 per 1h\n").batch_size, 1);
}

void test_limits_batches_that_are_not_full_leave_room_in_the_rate_for_full_ones(void**) {
  const std::string marketo = "    url: http://localhost/\n    client_id: a\n    client_secret: ${HOME}\n";
  const HostOptions usual = options_of("marketo", marketo);
  assert_true(usual.batch_age == milliseconds(500) && usual.scarce_batch_age == milliseconds(2'000));
  assert_true(options_of("marketo", marketo + "    batch_age: 3s\n").scarce_batch_age == milliseconds(3'000));
  assert_true(options_of("marketo", marketo + "    batch_age: 0ms\n").scarce_batch_age == milliseconds(0));
  assert_true(options_of("marketo", marketo + "    rate: 1 per 1h\n").scarce_batch_age == milliseconds(60'000));
  assert_true(options_of("null", "    rate: 1/s\n").scarce_batch_age == milliseconds(0));
  const std::string http = "    url: http://localhost/\n    rate: 1/s\n";
  assert_true(options_of("http", http).scarce_batch_age == milliseconds(5));
  assert_true(options_of("http", http + "    batch: array\n").scarce_batch_age == milliseconds(4'000));
}

void test_limits_no_more_is_taken_than_can_go_before_it_is_given_back(void**) {
  const std::string http = "    url: http://localhost/\n    rate: 100 per 20s\n    give_back_after: 10m\n";
  assert_int_equal(options_of("http", http).prefetch, 1500);
  assert_int_equal(options_of("http", http + "    batch: array\n").prefetch, 3000);
  assert_int_equal(options_of("http", "    url: http://localhost/\n    rate: 1 per 1h\n").prefetch, 1);
}

void test_limits_held_bytes_are_half_of_those_in_hand_unless_told(void**) {
  assert_int_equal(options_of("null", "    in_hand_bytes: 8MiB\n").held_bytes, 4 << 20);
  assert_int_equal(options_of("null", "    held_bytes: 1MiB\n").held_bytes, 1 << 20);
  assert_int_equal(options_of("null", "    in_hand_bytes: 8MiB\n    held_bytes: 9MiB\n").held_bytes, 8 << 20);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_amount_is_read_as_people_write_it),
      checked(test_amount_that_says_nothing_is_refused_with_examples),
      checked(test_rate_window_lets_a_burst_through_and_then_one_for_each_that_left),
      checked(test_rate_window_piece_larger_than_the_rate_waits_for_an_empty_one),
      checked(test_rate_window_is_scarce_for_a_period_after_more_than_half_was_used),
      checked(test_rate_window_no_span_holds_more_than_the_count),
      checked_with(test_gate_without_limits_is_open, setup, teardown),
      checked_with(test_gate_used_up_beyond_the_deadline_leaves_the_batch_untried_at_once, setup, teardown),
      checked_with(test_gate_that_turned_a_batch_away_stays_shut_until_there_is_room_for_it, setup, teardown),
      checked_with(test_gate_wait_leaves_the_call_its_whole_time, setup, teardown),
      checked_with(test_gate_wait_ends_when_the_process_is_to_stop, setup, teardown),
      checked_with(test_gate_that_is_closed_lets_nothing_through_until_it_is_opened, setup, teardown),
      checked_with(test_gate_wait_ends_when_it_is_closed, setup, teardown),
      checked(test_limits_wrong_values_are_named_with_their_lines),
      checked(test_limits_batch_is_no_larger_than_what_may_go),
      checked(test_limits_batches_that_are_not_full_leave_room_in_the_rate_for_full_ones),
      checked(test_limits_no_more_is_taken_than_can_go_before_it_is_given_back),
      checked(test_limits_held_bytes_are_half_of_those_in_hand_unless_told),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
