// Lookups of names while the resolver does not answer: this program has a getaddrinfo() of its own, which hangs for
// some.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <dlfcn.h>
#include <netdb.h>

#include "common/http.hpp"
#include "common/lookup.hpp"
#include "common/mysql.hpp"
#include "common/pg.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

// A name server that says nothing of *.hole until it is told to, or nobody can be waiting in earnest any more.
struct Hole {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  int asked = 0, answered = 0;

  bool waits(const char* host, const addrinfo* hints) {
    const bool numeric = hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0;
    if (host == nullptr || numeric || !std::string_view(host).ends_with(".hole")) return false;
    std::unique_lock lock(mutex);
    ++asked;
    changed.notify_all();
    changed.wait_for(lock, std::chrono::seconds(20), [this] { return open; });
    ++answered;
    changed.notify_all();
    return true;
  }
  void await(int Hole::*count, int value) {
    std::unique_lock lock(mutex);
    if (!changed.wait_for(lock, std::chrono::seconds(10), [&] { return this->*count == value; }))
      fail_msg("waited in vain for %d calls", value);
  }
  void set_open(bool now) {
    std::lock_guard lock(mutex);
    open = now;
    changed.notify_all();
  }
  // Until nobody is in it, closed, and with its counts at nothing.
  void reset() {
    set_open(true);
    int in = 0;
    {
      std::lock_guard lock(mutex);
      in = asked;
    }
    await(&Hole::answered, in);
    std::lock_guard lock(mutex);
    open = false;
    asked = answered = 0;
  }
};
Hole hole;

int setup(void**) {
  hole.reset();
  return 0;
}
int teardown(void**) {
  hole.reset();
  return 0;
}

Deadline at_once() { return Deadline::in(milliseconds(20)); }

void test_lookup_of_a_number_asks_nobody(void**) {
  for (const std::string number : {"127.0.0.1", "::1"}) {
    const Lookup found = look_up(number, soon());
    assert_int_equal(found.addresses.size(), 1);
    assert_text(found.addresses[0], number);
  }
  assert_int_equal(hole.asked, 0);
}

void test_lookup_of_a_name_that_is_none_says_why(void**) {
  const Lookup found = look_up("no such host", soon());
  assert_true(found.in_time && found.addresses.empty() && !found.why.empty());
}

void test_lookup_without_an_answer_ends_at_its_deadline_and_at_a_stop(void**) {
  Lookup found = look_up("a.hole", at_once());
  assert_false(found.in_time);
  assert_text(found.why, "no answer from the name server in time");
  Stop stop;
  stop.request();
  found = look_up("a.hole", soon(), &stop);
  assert_false(found.in_time);
  assert_text(found.why, "asked to stop");
}

void test_lookup_of_a_name_that_is_asked_for_already_waits_for_the_same_answer(void**) {
  for (int n = 0; n < 3; ++n) look_up("b.hole", at_once());
  hole.await(&Hole::asked, 1);
  look_up("c.hole", at_once());
  hole.await(&Hole::asked, 2);
  std::thread later([] { hole.set_open(true); });
  const Lookup found = look_up("b.hole", soon());
  later.join();
  assert_true(found.in_time);
  assert_text(found.addresses.at(0), "127.0.0.1");
  hole.await(&Hole::answered, 2);
  assert_int_equal(hole.asked, 2);
}

template <typename Open>
std::string failure_of(Open open) {
  try {
    open();
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == Remedy::reconnect);
    return failure.what();
  }
  return "no failure";
}

void test_connections_to_a_host_without_an_answer_are_given_up_in_time(void**) {
  assert_holds(failure_of([] {
                 pg::Connection::open({"host=d.hole password=hunter2", ""}, at_once());
               }),
               "the address of its host d.hole: no answer from the name server in time");
  assert_holds(failure_of([] {
                 mysql::Connection::open({"mysql://me@e.hole/db", "hunter2"}, at_once());
               }),
               "no answer from the name server in time");
  assert_int_equal(hole.answered, 0);
}

void test_http_request_to_a_host_without_an_answer_is_given_up_in_time(void**) {
  http::Client client({});
  failure_of([&] { client.send({"GET", "http://h.hole/", {}, ""}, at_once()); });
  hole.await(&Hole::asked, 1);
  assert_int_equal(hole.answered, 0);
}

// libpq would wait for the first name, however many other hosts there are.
void test_postgres_connection_goes_on_to_the_hosts_of_which_there_is_an_answer(void**) {
  const std::string text = failure_of([] {
    pg::Connection::open({"host=f.hole,127.0.0.1,g.hole port=5,1,7 dbname=x", ""}, Deadline::in(milliseconds(200)));
  });
  assert_holds(text, "database x on 127.0.0.1:1");
}

}  // namespace

extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  static const auto real = reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  return real(hole.waits(host, hints) ? "127.0.0.1" : host, service, hints, found);
}

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_lookup_of_a_number_asks_nobody, setup, teardown),
      checked_with(test_lookup_of_a_name_that_is_none_says_why, setup, teardown),
      checked_with(test_lookup_without_an_answer_ends_at_its_deadline_and_at_a_stop, setup, teardown),
      checked_with(test_lookup_of_a_name_that_is_asked_for_already_waits_for_the_same_answer, setup, teardown),
      checked_with(test_connections_to_a_host_without_an_answer_are_given_up_in_time, setup, teardown),
      checked_with(test_http_request_to_a_host_without_an_answer_is_given_up_in_time, setup, teardown),
      checked_with(test_postgres_connection_goes_on_to_the_hosts_of_which_there_is_an_answer, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
