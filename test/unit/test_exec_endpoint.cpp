// The endpoint kind exec, over programs that keep to the rules and such that do not.
#include <algorithm>
#include <csignal>

#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

using Fate = Outcome::Fate;

// Python that has `events`, the parsed lines, and say(event, result, **more).
const std::string prelude = R"(
import json, os, sys, time
def say(event, result="done", **more):
    print(json.dumps({"message_id": event["message_id"], "result": result, **more}), flush=True)
events = (json.loads(line) for line in sys.stdin)
)";

int setup(void** state) {
  *state = new Made;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Made*>(*state);
  return 0;
}
Made& made_of(void** state) { return *static_cast<Made*>(*state); }

void make(Made& made, const std::string& program, const std::string& more = "") {
  const std::string path = made.folder / "program.py";
  std::ofstream(path) << prelude << program;
  made.make("exec", "    command: [/usr/bin/python3, '" + path + "', '" + (made.folder / "out") + "']\n" + more);
}

std::vector<Event> events(int64_t count) {
  std::vector<Event> made;
  for (int64_t i = 1; i <= count; ++i) made.push_back(event(i, i, "{\"id\":" + std::to_string(i) + "}"));
  return made;
}

std::vector<Outcome> deliver(Made& made, const std::vector<Event>& events, milliseconds span) {
  std::vector<const Event*> batch;
  batch.reserve(events.size());
  for (const Event& event : events) batch.push_back(&event);
  return made.endpoint->deliver(batch, Deadline::in(span));
}

std::string fates(const std::vector<Outcome>& outcomes) {
  std::string text;
  for (const Outcome& outcome : outcomes) text += "DRSrpd"[static_cast<size_t>(outcome.fate)];
  return text;
}

std::string trouble(Made& made, const std::vector<Event>& events, milliseconds span = milliseconds(10'000)) {
  try {
    return "no trouble: " + fates(deliver(made, events, span));
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == Remedy::reconnect);
    return failure.what();
  }
}

void test_exec_results_in_any_order_settle_each_event(void** state) {
  Made& made = made_of(state);
  make(made, R"(
first = [next(events) for _ in range(4)]
for event, result in zip(reversed(first), ["done", "retry", "park", "dead"]):
    say(event, result, reason="because", after=2)
)");
  const auto outcomes = made.deliver(events(4));
  assert_text(fates(outcomes), "dprD");
  assert_text(outcomes[0].reason, "because");
  assert_true(outcomes[1].until == milliseconds(2000));
}

void test_exec_event_is_one_line_with_its_facts(void** state) {
  Made& made = made_of(state);
  make(made, R"(
for event in events:
    open(sys.argv[1], "w").write(event["routing_key"] + event["op"] + str(event["seq"]) + str(event["body"]["id"]))
    say(event)
)");
  assert_text(fates(made.deliver({event(1, 42, "{\n \"id\": 12345678901234567890}")})), "D");
  assert_text(read_file(made.folder / "out"), "Frontend.Customer.Signupinsert4212345678901234567890");
}

void test_exec_large_batch_does_not_deadlock(void** state) {
  Made& made = made_of(state);
  make(made, "for event in events: say(event, reason='x' * 200)\n");
  auto many = events(2000);
  for (Event& event : many) event.body = "{\"x\":\"" + std::string(500, 'x') + "\"}";
  assert_text(fates(made.deliver(many)), std::string(2000, 'D'));
}

void test_exec_body_that_is_no_json_fails_alone(void** state) {
  Made& made = made_of(state);
  make(made, "for event in events: say(event)\n");
  assert_text(fates(made.deliver({event(1, 1, "{}"), event(2, 2, "no"), event(3, 3, "{}")})), "DdD");
}

void test_exec_program_that_dies_in_mid_batch_keeps_what_it_answered(void** state) {
  Made& made = made_of(state);
  make(made, R"(
for event in events:
    if event["body"]["id"] == 3 and not os.path.exists(sys.argv[1]):
        open(sys.argv[1], "w")
        os._exit(1)
    say(event)
)");
  const auto outcomes = made.deliver(events(4));
  assert_text(fates(outcomes), "DDpp");
  assert_holds(outcomes[2].reason, "ended or closed its output");
  assert_text(fates(made.deliver({events(4)[2], events(4)[3]})), "DD");
}

// Else one poisoned event would stop the endpoint for ever.
void test_exec_event_over_which_the_program_always_dies_fails_alone(void** state) {
  Made& made = made_of(state);
  make(made, R"(
for event in events:
    if event["body"]["id"] == 1: os._exit(1)
    say(event)
)");
  assert_holds(trouble(made, events(3)), "ended or closed its output");
  made.endpoint->connect(soon());
  assert_text(fates(made.deliver(events(3))), "rDD");
}

void test_exec_program_that_always_dies_is_in_trouble_and_uses_few_attempts(void** state) {
  Made& made = made_of(state);
  make(made, "os._exit(3)\n");
  assert_holds(trouble(made, events(6)), "restarted");
  assert_text(fates(made.deliver(events(6))), "rrrppp");
}

void test_exec_program_that_hangs_is_killed_with_its_group(void** state) {
  Made& made = made_of(state);
  make(made, R"(
if os.fork() == 0: time.sleep(1000)
open(sys.argv[1], "w").write(str(os.getpgrp()))
for event in events: time.sleep(1000)
)");
  assert_holds(trouble(made, events(2), milliseconds(1500)), "has not answered 2 events within the timeout");
  const pid_t group = std::stoi(read_file(made.folder / "out"));
  assert_true(group > 1 && group != getpgrp());
  // what is killed may take a moment to be gone, for nobody but init waits for a grandchild
  const Deadline deadline = soon();
  while (kill(-group, 0) == 0 && !deadline.passed()) usleep(10'000);
  assert_int_equal(kill(-group, 0), -1);
}

void test_exec_lines_that_are_no_results_are_named(void** state) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"print('secret garbage', flush=True)", "wrote a line that is no result"},
      {"print('[]', flush=True)", "wrote a line that is no result"},
      {"say(event, 'maybe')", "none of done, retry, park, dead"},
      {"say({'message_id': 'unknown'})", "a message_id that it was not asked about"},
      {"say(event); say(event)", "a message_id that it was not asked about"},
      {"print('x' * 3000000, flush=True)", "wrote a line of more than"}};
  for (const auto& [line, reason] : table) {
    Made& made = made_of(state);
    make(made, "for event in events:\n    " + line + "\n");
    const auto two = events(2);
    std::string why;
    try {
      for (const Outcome& outcome : made.deliver(two)) why += outcome.reason;
    } catch (const Failure& failure) {
      why = failure.what();
    }
    assert_holds(why, reason);
    assert_lacks(why, "secret garbage");
  }
}

void test_exec_program_that_is_missing_is_named(void** state) {
  Made& made = made_of(state);
  std::string why;
  try {
    made.make("exec", "    command: [/no/such/program]\n");
  } catch (const Failure& failure) {
    why = failure.what();
  }
  assert_holds(why, "cannot start /no/such/program");
}

void test_exec_child_has_the_environment_it_is_given_and_no_descriptors(void** state) {
  Made& made = made_of(state);
  setenv("MUSKRAT_TEST_GIVEN", "yes", 1);
  setenv("MUSKRAT_TEST_SECRET", "no", 1);
  const int open_descriptor = dup(1);  // not close-on-exec
  make(made, R"(
for event in events:
    names = [n for n in os.environ if n.startswith("MUSKRAT")]
    say(event, "dead", reason=" ".join(names + sorted(os.listdir("/proc/self/fd"))))
)",
       "    environment: [MUSKRAT_TEST_GIVEN]\n");
  const auto outcomes = made.deliver(events(1));
  close(open_descriptor);
  assert_text(outcomes[0].reason, "MUSKRAT_TEST_GIVEN 0 1 2 3");  // 3: the listing's own
}

void test_exec_child_is_told_goodbye_by_the_end_of_its_input(void** state) {
  Made& made = made_of(state);
  make(made, "for event in events: say(event)\nopen(sys.argv[1], 'w').write('bye')\n");
  made.deliver(events(1));
  made.endpoint.reset();
  assert_text(read_file(made.folder / "out"), "bye");
}

void test_exec_standard_error_does_not_block_the_program(void** state) {
  Made& made = made_of(state);
  make(made, "for event in events:\n    sys.stderr.write(('y' * 1000 + '\\n') * 1000)\n    say(event)\n");
  assert_text(fates(made.deliver(events(2))), "DD");
}

}  // namespace

int main() {
  if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) return 1;  // as main() does
  const CMUnitTest tests[] = {
      checked_with(test_exec_results_in_any_order_settle_each_event, setup, teardown),
      checked_with(test_exec_event_is_one_line_with_its_facts, setup, teardown),
      checked_with(test_exec_large_batch_does_not_deadlock, setup, teardown),
      checked_with(test_exec_body_that_is_no_json_fails_alone, setup, teardown),
      checked_with(test_exec_program_that_dies_in_mid_batch_keeps_what_it_answered, setup, teardown),
      checked_with(test_exec_event_over_which_the_program_always_dies_fails_alone, setup, teardown),
      checked_with(test_exec_program_that_always_dies_is_in_trouble_and_uses_few_attempts, setup, teardown),
      checked_with(test_exec_program_that_hangs_is_killed_with_its_group, setup, teardown),
      checked_with(test_exec_lines_that_are_no_results_are_named, setup, teardown),
      checked_with(test_exec_program_that_is_missing_is_named, setup, teardown),
      checked_with(test_exec_child_has_the_environment_it_is_given_and_no_descriptors, setup, teardown),
      checked_with(test_exec_child_is_told_goodbye_by_the_end_of_its_input, setup, teardown),
      checked_with(test_exec_standard_error_does_not_block_the_program, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
