// The rabbitmq-c wrapper while the broker misbehaves: alarms, stalls, silence, hang-ups.
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "test/integration/broker.hpp"

using namespace muskrat;
using namespace muskrat::integration;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_text;

namespace {

// ---- a memory alarm ----

int raise_alarm(void**) {
  broker_ctl("set_vm_memory_high_watermark 0");
  return 0;
}

int clear_alarm(void**) {
  broker_ctl("set_vm_memory_high_watermark 0.6");
  return 0;
}

// The broker says that it blocks a connection when that one first publishes.
void become_blocked(amqp::Connection& broker, Recorder& recorder, const std::string& queue) {
  publish(broker, queue, "first");
  pump_until(broker, recorder, [&] { return broker.blocked(); });
}

void test_alarm_is_announced_and_publishing_refuses(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker.confirm_select(soon());
  Recorder recorder;
  become_blocked(broker, recorder, queue);
  assert_holds(recorder.blocked, "memory");
  assert_text(broker.blocked_reason(), recorder.blocked);
  assert_true(publish(broker, queue, "b") == amqp::Sent::would_block);
  assert_int_equal(broker.last_tag(), 1);
}

void test_alarm_over_resumes_with_the_same_connection(void**) {
  auto broker = connect(std::chrono::seconds(2));
  auto queue = broker.declare_temporary_queue(soon());
  broker.confirm_select(soon());
  Recorder recorder;
  become_blocked(broker, recorder, queue);
  // Longer than two heartbeats: a blocked broker must not be taken for a dead one, nor take us for dead.
  auto until = Deadline::in(std::chrono::seconds(6));
  while (!until.passed()) broker.pump(recorder, until);
  broker_ctl("set_vm_memory_high_watermark 0.6");
  pump_until(broker, recorder, [&] { return recorder.unblocked && recorder.confirmed.size() == 1; });
  assert_false(broker.blocked());
  assert_true(publish(broker, queue, "b") == amqp::Sent::sent);
  pump_until(broker, recorder, [&] { return recorder.confirmed.size() == 2; });
}

void test_alarm_lets_close_end_at_once(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  Recorder recorder;
  become_blocked(broker, recorder, queue);
  Stopwatch watch;
  broker.close(Deadline::in(std::chrono::seconds(2)));
  assert_in_range(watch.ms(), 0, 2300);
}

void test_alarm_not_yet_heard_of_keeps_every_deadline(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  publish(broker, queue, "first");
  std::this_thread::sleep_for(std::chrono::seconds(1));
  // Nobody pumps, so nobody hears of the alarm: the socket's buffers fill up.
  std::string body(1'000'000, 'x');
  amqp::Message message;
  message.routing_key = queue;
  message.body = body;
  Stopwatch watch;
  bool refused = false;
  std::string text;
  try {
    for (int i = 0; i < 100 && !refused; ++i)
      refused = broker.publish(message, Deadline::in(milliseconds(500))) == amqp::Sent::would_block;
  } catch (const Failure& error) {
    text = error.what();
  }
  assert_true(watch.ms() < 5000);
  if (!refused) assert_holds(text, "no answer in time (while publishing)");
}

void test_alarm_makes_a_request_fail_at_its_deadline(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  Recorder recorder;
  become_blocked(broker, recorder, queue);
  Stopwatch watch;
  auto text = failure([&] { (void)broker.queue_state(queue, Deadline::in(milliseconds(500))); });
  assert_in_range(watch.ms(), 450, 1500);
  assert_holds(text, "no answer in time");
}

// ---- a broker that stands still ----

// kill() returns before every thread has stopped: one that still runs may answer.
bool stands_still(const std::string& pid) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + pid + "/task")) {
    std::ifstream file(task.path() / "stat");
    std::string stat((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    auto state = stat.rfind(") ");
    if (state != std::string::npos && stat[state + 2] != 'T') return false;
  }
  return true;
}

void stop_broker(int signal) {
  std::string pid = setting("MUSKRAT_TEST_BROKER_PID");
  ::kill(std::stoi(pid), signal);
  auto patience = Deadline::in(std::chrono::seconds(5));
  while (signal == SIGSTOP && !stands_still(pid) && !patience.passed()) {
    std::this_thread::sleep_for(milliseconds(1));
  }
}

int resume_broker(void**) {
  stop_broker(SIGCONT);
  return 0;
}

void test_silent_broker_is_noticed_within_two_heartbeats(void**) {
  auto broker = connect(std::chrono::seconds(1));
  Recorder recorder;
  auto quiet = Deadline::in(std::chrono::seconds(4));
  while (!quiet.passed()) broker.pump(recorder, quiet);  // idle, but alive
  stop_broker(SIGSTOP);
  Stopwatch watch;
  auto text = failure([&] { pump_until(broker, recorder, [] { return false; }); });
  assert_in_range(watch.ms(), 500, 3500);
  assert_holds(text, "nothing was heard from it for 2 s");
  stop_broker(SIGCONT);
}

void test_silent_broker_keeps_the_deadline_of_a_request(void**) {
  auto broker = connect();
  stop_broker(SIGSTOP);
  Stopwatch watch;
  auto text = failure([&] { (void)broker.queue_state("q", Deadline::in(milliseconds(400))); });
  assert_in_range(watch.ms(), 350, 1500);
  assert_holds(text, "no answer in time (while looking for a queue)");
  stop_broker(SIGCONT);
}

void test_silent_broker_keeps_the_deadline_of_close(void**) {
  auto broker = connect();
  stop_broker(SIGSTOP);
  Stopwatch watch;
  broker.close(Deadline::in(milliseconds(400)));
  assert_in_range(watch.ms(), 350, 1500);
  stop_broker(SIGCONT);
}

void test_silent_broker_keeps_the_deadline_of_open(void**) {
  stop_broker(SIGSTOP);
  auto address = amqp::parse_url(setting("MUSKRAT_TEST_AMQP_URL"));
  Stopwatch watch;
  auto text = failure([&] { amqp::Connection::open(address, "test", Deadline::in(milliseconds(500))); });
  assert_in_range(watch.ms(), 450, 1500);
  assert_holds(text, "no answer in time");
  stop_broker(SIGCONT);
}

void test_open_obeys_stop_in_the_middle_of_a_login(void**) {
  stop_broker(SIGSTOP);
  Stop stop;
  std::thread asker([&] {
    std::this_thread::sleep_for(milliseconds(200));
    stop.request();
  });
  auto address = amqp::parse_url(setting("MUSKRAT_TEST_AMQP_URL"));
  Stopwatch watch;
  auto text = failure([&] { amqp::Connection::open(address, "test", soon(), &stop); });
  asker.join();
  assert_in_range(watch.ms(), 150, 1500);
  assert_holds(text, "asked to stop");
  stop_broker(SIGCONT);
}

// ---- hang-ups ----

void test_connection_closed_by_the_operator_says_why(void**) {
  auto broker = connect();
  Recorder recorder;
  broker_ctl("close_all_connections maintenance");
  auto text = failure([&] { pump_until(broker, recorder, [] { return false; }); });
  assert_holds(text, "closed by the broker: 320 CONNECTION_FORCED - maintenance");
  assert_holds(failure([&] { (void)broker.declare_temporary_queue(soon()); }), "has failed before");
}

void test_connection_closed_while_publishing_fails_and_does_not_kill(void**) {
  auto broker = connect();
  auto queue = broker.declare_temporary_queue(soon());
  broker_ctl("close_all_connections maintenance");
  auto text = failure([&] {
    Recorder recorder;
    for (int i = 1; i < 100'000; ++i) {
      bool full = publish(broker, queue, std::string(1000, 'x')) == amqp::Sent::would_block;
      // The broker reads on and throws away until its goodbye is answered: only who listens learns of it.
      if (full || i % 100 == 0) broker.pump(recorder, full ? soon() : Deadline::in(milliseconds(0)));
    }
  });
  assert_holds(text, "lost the connection");
}

void test_pump_returns_for_stop_and_for_the_other_descriptor(void**) {
  auto broker = connect();
  Recorder recorder;
  Stop stop, other;
  other.request();
  Stopwatch watch;
  assert_false(broker.pump(recorder, soon(), &stop, other.fd()));
  stop.request();
  assert_false(broker.pump(recorder, soon(), &stop));
  assert_false(broker.pump(recorder, Deadline::in(milliseconds(200))));
  assert_in_range(watch.ms(), 190, 1000);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_alarm_is_announced_and_publishing_refuses, raise_alarm, clear_alarm),
      checked_with(test_alarm_over_resumes_with_the_same_connection, raise_alarm, clear_alarm),
      checked_with(test_alarm_lets_close_end_at_once, raise_alarm, clear_alarm),
      checked_with(test_alarm_not_yet_heard_of_keeps_every_deadline, raise_alarm, clear_alarm),
      checked_with(test_alarm_makes_a_request_fail_at_its_deadline, raise_alarm, clear_alarm),
      checked_with(test_silent_broker_is_noticed_within_two_heartbeats, nullptr, resume_broker),
      checked_with(test_silent_broker_keeps_the_deadline_of_a_request, nullptr, resume_broker),
      checked_with(test_silent_broker_keeps_the_deadline_of_close, nullptr, resume_broker),
      checked_with(test_silent_broker_keeps_the_deadline_of_open, nullptr, resume_broker),
      checked_with(test_open_obeys_stop_in_the_middle_of_a_login, nullptr, resume_broker),
      checked(test_connection_closed_by_the_operator_says_why),
      checked(test_connection_closed_while_publishing_fails_and_does_not_kill),
      checked(test_pump_returns_for_stop_and_for_the_other_descriptor),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
