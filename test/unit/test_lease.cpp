// Lease: when a stand-by takes over, when a leader falls silent, whom it may call dead.
#include <sys/wait.h>
#include <unistd.h>

#include "relay/lease.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_text;

namespace {

milliseconds at(int ms) { return milliseconds(1'000'000 + ms); }

void test_lease_watch_standing_still_for_the_lease_time_may_be_taken(void**) {
  LeaseWatch watch(milliseconds(1000));
  assert_false(watch.observe({3, 17, "other:1"}, at(0)));
  assert_false(watch.observe({3, 17, "other:1"}, at(999)));
  assert_true(watch.observe({3, 17, "other:1"}, at(1000)));
}

void test_lease_watch_a_beat_begins_the_wait_anew(void**) {
  LeaseWatch watch(milliseconds(1000));
  assert_false(watch.observe({3, 17, "other:1"}, at(0)));
  assert_false(watch.observe({3, 18, "other:1"}, at(900)));
  assert_false(watch.observe({3, 18, "other:1"}, at(1899)));
  assert_false(watch.observe({4, 18, "third:1"}, at(1900)));
  assert_true(watch.observe({4, 18, "third:1"}, at(2900)));
}

void test_lease_watch_released_may_be_taken_at_once(void**) {
  LeaseWatch watch(milliseconds(1000));
  assert_true(watch.observe({3, 17, ""}, at(0)));
}

void test_lease_leader_is_silent_before_a_standby_takes_over(void**) {
  Lease lease(milliseconds(1000));
  lease.renewed(at(0));
  assert_true(lease.may_publish(at(499)));
  assert_false(lease.may_publish(at(500)));
  assert_true(lease.renewal_due(at(167)));
  assert_false(lease.renewal_due(at(100)));
}

// The pid of a process that has ended.
pid_t no_process() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

void test_lease_holder_of_this_process_is_not_dead(void**) { assert_false(holder_is_dead(this_holder())); }

// A word that is missing must not give its place to the next one, nor to the source's name behind them.
void test_lease_holder_of_which_proc_tells_nothing_keeps_its_words_and_is_in_doubt(void**) {
  assert_text(holder_of("box:999999", "", "12345"), "box:999999 - 12345");
  assert_text(holder_of("box:999999", "", ""), "box:999999 - -");
  const std::string ours = this_holder();
  const size_t space = ours.find(' ');
  const std::string place = ours.substr(space + 1, ours.rfind(' ') - space - 1);
  const std::string dead = "box:" + std::to_string(no_process());
  assert_true(holder_is_dead(holder_of(dead, place, "12345") + " frontend"));
  assert_false(holder_is_dead(holder_of(dead, "", "12345") + " frontend"));
  assert_false(holder_is_dead(holder_of(dead, place, "") + " frontend"));
  assert_false(holder_is_dead(holder_of(dead, "", "") + " frontend"));
}

void test_lease_holder_of_another_place_or_words_is_in_doubt(void**) {
  assert_false(holder_is_dead("elsewhere:999999"));
  assert_false(holder_is_dead("elsewhere:999999 0000-boot/pid:[1] 12345"));
  assert_false(holder_is_dead(""));
}

void test_lease_holder_that_ended_on_this_machine_is_dead(void**) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    std::string holder = this_holder();
    ssize_t n = write(ends[1], holder.data(), holder.size());
    _exit(n > 0 ? 0 : 1);
  }
  char text[512];
  ssize_t n = read(ends[0], text, sizeof text);
  assert_true(n > 0);
  waitpid(child, nullptr, 0);
  assert_true(holder_is_dead(std::string(text, static_cast<size_t>(n)) + " frontend"));
}

void test_lease_holder_whose_pid_is_another_process_now_is_dead(void**) {
  std::string holder = this_holder();
  assert_true(holder_is_dead(holder.substr(0, holder.rfind(' ')) + " 1"));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_lease_watch_standing_still_for_the_lease_time_may_be_taken),
      checked(test_lease_watch_a_beat_begins_the_wait_anew),
      checked(test_lease_watch_released_may_be_taken_at_once),
      checked(test_lease_leader_is_silent_before_a_standby_takes_over),
      checked(test_lease_holder_of_this_process_is_not_dead),
      checked(test_lease_holder_of_which_proc_tells_nothing_keeps_its_words_and_is_in_doubt),
      checked(test_lease_holder_of_another_place_or_words_is_in_doubt),
      checked(test_lease_holder_that_ended_on_this_machine_is_dead),
      checked(test_lease_holder_whose_pid_is_another_process_now_is_dead),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
