// Deadlines, the two clocks, and stopping.
#include <thread>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "common/clock.hpp"
#include "common/stop.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;

namespace {

void test_deadline_ahead_has_not_passed_and_rounds_up(void**) {
  auto deadline = Deadline::at(std::chrono::steady_clock::now() + std::chrono::microseconds(1'000'400));
  assert_false(deadline.passed());
  assert_in_range(deadline.poll_timeout(), 900, 1001);
  auto soon = Deadline::at(std::chrono::steady_clock::now() + std::chrono::microseconds(900));
  assert_true(soon.poll_timeout() == 1 || soon.passed());
}

void test_deadline_behind_has_passed_and_waits_nothing(void**) {
  auto deadline = Deadline::in(milliseconds(-5000));
  assert_true(deadline.passed());
  assert_int_equal(deadline.poll_timeout(), 0);
}

void test_deadline_sooner_takes_the_earlier_of_two(void**) {
  auto near = Deadline::in(milliseconds(10)), far = Deadline::in(milliseconds(10'000));
  assert_true(near.sooner(far).instant() == near.instant());
  assert_true(far.sooner(near).instant() == near.instant());
}

void test_boottime_goes_forward(void**) {
  auto before = boottime();
  std::this_thread::sleep_for(milliseconds(20));
  auto passed = boottime() - before;
  assert_in_range(passed.count(), 19, 2000);
}

void test_wall_clock_counts_microseconds_of_this_century(void**) {
  int64_t now = wall_clock_us();
  assert_true(now > 1'700'000'000'000'000 && now < 4'000'000'000'000'000);
}

void test_stop_wait_without_request_sleeps_the_span(void**) {
  Stop stop;
  auto began = std::chrono::steady_clock::now();
  assert_false(stop.wait(milliseconds(30)));
  assert_true(std::chrono::steady_clock::now() - began >= milliseconds(30));
}

void test_stop_requested_wakes_every_waiter_and_stays(void**) {
  Stop stop;
  std::thread asker([&] {
    std::this_thread::sleep_for(milliseconds(20));
    stop.request();
  });
  bool woken = stop.wait(std::chrono::seconds(20));
  asker.join();
  assert_true(woken);
  assert_true(stop.wait(milliseconds(0)));
  for (int i = 0; i < 2; ++i) {
    pollfd entry{stop.fd(), POLLIN, 0};
    assert_int_equal(::poll(&entry, 1, 0), 1);
  }
}

void count_call(void* context) { ++*static_cast<std::atomic<int>*>(context); }

void test_signals_stop_on_term_and_reload_on_hup(void**) {
  Stop stop;
  std::atomic<int> reloads{0};
  SignalThread thread(stop, count_call, &reloads);
  ::kill(::getpid(), SIGHUP);
  for (int i = 0; i < 500 && reloads == 0; ++i) std::this_thread::sleep_for(milliseconds(10));
  assert_int_equal(reloads, 1);
  assert_false(stop.requested());
  ::kill(::getpid(), SIGTERM);
  assert_true(stop.wait(std::chrono::seconds(5)));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_deadline_ahead_has_not_passed_and_rounds_up),
      checked(test_deadline_behind_has_passed_and_waits_nothing),
      checked(test_deadline_sooner_takes_the_earlier_of_two),
      checked(test_boottime_goes_forward),
      checked(test_wall_clock_counts_microseconds_of_this_century),
      checked(test_stop_wait_without_request_sleeps_the_span),
      checked(test_stop_requested_wakes_every_waiter_and_stays),
      checked(test_signals_stop_on_term_and_reload_on_hup),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
