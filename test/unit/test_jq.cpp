// jq expressions: what is refused at load, what they make, and what becomes of those that will not end.
//
// This program is its own evaluator: see main().
#include <csignal>

#include <sys/types.h>

#include "common/failure.hpp"
#include "common/jq.hpp"
#include "common/jq_evaluator.hpp"
#include "common/jq_numbers.hpp"
#include "common/jq_scan.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::jq::Expression;
using muskrat::jq::Result;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;
using State = muskrat::jq::Result::State;

namespace {

Event event(const std::string& message_id = "") {
  Event made;
  made.routing_key = "Frontend.Customer.Signup";
  made.message_id = message_id;
  made.op = Op::insert;
  made.epoch = 7;
  made.seq = 42;
  made.captured_us = 1'764'000'000'123'456;
  return made;
}

std::string fault_of(const std::string& text) {
  std::string fault;
  const Expression expression(text, fault);
  assert_int_equal(expression.given(), fault.empty());
  return fault;
}

Result run(const std::string& text, const std::string& input, const Event& of = event()) {
  std::string fault;
  const Expression expression(text, fault);
  assert_text(fault, "");
  return expression.apply(of, input);
}

std::string made(const std::string& text, const std::string& input) {
  const Result result = run(text, input);
  if (result.state == State::failed) fail_msg("%s: %s", text.c_str(), result.text.c_str());
  return result.state == State::value ? result.text : "nothing";
}

std::string failure(const std::string& text, const std::string& input) {
  const Result result = run(text, input);
  if (result.state != State::failed) fail_msg("%s made %s", text.c_str(), result.text.c_str());
  return result.text;
}

void test_jq_expression_makes_one_value_or_none(void**) {
  const std::string body = R"({"a":19.90,"b":"X","tags":["A","b"],"n":null})";
  assert_text(made(".b | ascii_downcase", body), "\"x\"");
  assert_text(made("[.tags[] | ascii_downcase] # a comment at the end", body), R"(["a","b"])");
  assert_text(made("{env: .a, now: .n, \"input\": 1}", body), R"({"env":19.9,"now":null,"input":1})");
  assert_text(made(".n", body), "null");
  assert_text(made("empty", body), "nothing");
  assert_text(made("select(.b == \"y\")", body), "nothing");
  assert_text(made("\"\\(.b) and \\(.tags | map(\"<\\(.)>\") | join(\"\\t\"))\"", body), R"("X and <A>\t<b>")");
  assert_text(made("[0.1 + 0.2, 1e-7, -0, 3.0, 1.1, 5e6, 0.0001]", body),
              "[0.30000000000000004,1e-07,0,3,1.1,5000000,0.0001]");
  assert_text(made("first(.tags[])", body), "\"A\"");
  assert_text(made(".tags | tojson | fromjson", body), R"(["A","b"])");
  assert_text(made("\"2015-03-05T23:51:47Z\" | strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime", "1"), "1425599507");
}

void test_jq_event_is_there_under_its_name(void**) {
  assert_text(made("[$event.action, $event.op, $event.seq, .a]", R"({"a":1})"), R"(["Signup","insert",42,1])");
  assert_text(made("$event.captured_at # why", "null"), "\"2025-11-24T16:00:00.123456Z\"");
}

void test_jq_syntax_errors_are_told_with_their_line(void**) {
  assert_holds(fault_of(".a |"), "syntax error");
  assert_holds(fault_of("\n.a | foo"), "foo/0 is not defined");
  assert_holds(fault_of("\n.a | foo"), "line 2");
  assert_lacks(fault_of(".a | }"), "jq: error");
  assert_lacks(fault_of("1 +* 2"), "shell");
  assert_text(fault_of(" \n"), "it is empty");
  assert_text(fault_of("1) | (2"), "a closing ) too many");
  assert_text(fault_of("$event) | (2"), "a closing ) too many");
  assert_holds(fault_of("(1"), "syntax error");
  assert_holds(fault_of("$other"), "$other is not defined");
}

// Every way to write a name; every name.
void test_jq_what_sees_more_than_the_event_is_refused(void**) {
  const std::string names[] = {"env",
                               "input",
                               "inputs",
                               "input_filename",
                               "input_line_number",
                               "modulemeta",
                               "get_search_list",
                               "get_jq_origin",
                               "now",
                               "localtime",
                               "strflocaltime",
                               "halt",
                               "halt_error",
                               "debug",
                               "stderr",
                               "$ENV",
                               "$ ENV",
                               "$__prog_args"};
  const std::string forms[] = {"@",
                               "1 | @",
                               ".a as $x | @",
                               "[@]",
                               "{a: @}",
                               "{(@): 1}",
                               ".[@:1]",
                               "\"x\\(@)\"",
                               "# c\n@",
                               "try @ catch .",
                               "def f: @; f",
                               "@ | .a",
                               "if @ then 1 else 2 end",
                               "{a: 1, b: (2, @)}",
                               "1 as [$a] ?// $a | @",
                               "\"a\\\"\\(\"b\\(@)\")\"",
                               "# c\\\r@",
                               "{env: 1, a: @}"};
  for (const std::string& name : names) {
    for (std::string form : forms) {
      form.replace(form.find('@'), 1, name);
      assert_holds(fault_of(form), " is refused: ");
    }
  }
  for (const char* text : {"import \"a\" as a; 1", "include \"a\"; 1", "module {}; 1", "import \"a\" as $a; 1"})
    assert_holds(fault_of(text), " is refused: ");
  for (const char* text : {"{t: if true then empty, now else 0 end}", "{a: 1, t: if . then 1 else empty, now end}",
                           "{t: if .a then {b: 1} else empty, now end}"})
    assert_holds(fault_of(text), "it needs parentheses");
}

void test_jq_members_and_texts_of_those_names_are_not_refused(void**) {
  for (const char* text :
       {".env", ".a.now", ".[\"env\"]", "{env: 1, now: 2}", "\"env\"", "# env\n1", ".a | .input?", "{now}",
        ". as {env: $e} | $e", "\"a # \\\"env\" | length", "@json \"env \\(.)\"", ".environment", "$event.op",
        "$__loc__", "{if: 1, a: .if}", "{t: (if true then empty, 1 else 0 end)}", "if . then {a: 1} else 2 end"})
    assert_text(fault_of(text), "");
}

void test_jq_evaluator_has_no_environment_and_no_files(void**) {
  // What a version of libjq may know beyond the list still sees nothing.
  assert_text(made("[paths] | length", "{}"), "0");
  const std::string fault = fault_of("def f: 1; f as $x | $x | . as $y | $__prog_args");
  assert_holds(fault, "$__prog_args is refused");
}

void test_jq_numbers_that_a_double_does_not_hold_fail_the_event(void**) {
  for (const char* kept :
       {"9007199254740991", "-9007199254740991", "0.1", "19.90", "1e3", "0.00000000000000000000", "1.5e-300",
        "123456789012345.6", "9007199254740991.000", "0.30000000000000004", "5e-324", "100000000000000000e-2"})
    if (!jq::exact_in_jq(kept)) fail_msg("%s is not kept", kept);
  for (const char* lost : {"9007199254740992", "-9007199254740992", "12345678901234567890", "1e16", "1e400", "-1e400",
                           "0.12345678901234567890", "123456789012345.678", "1e-400", "4503599627370496.25"})
    if (jq::exact_in_jq(lost)) fail_msg("%s is kept", lost);
  assert_text(made(".id", R"({"id":9007199254740991,"t":"99999999999999999999"})"), "9007199254740991");
  for (const char* body :
       {R"({"id":9007199254740993})", R"({"a":["x\"",-12345678901234567890]})", "0.12345678901234567890"})
    assert_holds(failure("1", body), "what jq reads holds a number of 2^53");
  assert_holds(failure(". + 1", "9007199254740991"), "jq made a number of 2^53");
  assert_holds(failure(". * -2", "9007199254740991"), "jq made a number of 2^53");
  assert_holds(failure("[{a: infinite}]", "1"), "nan or infinite");
  assert_holds(failure("nan", "1"), "nan or infinite");
  assert_holds(fault_of(".id == 12345678901234567890"), "a number of 2^53 or beyond");
}

void test_jq_more_than_one_value_is_a_failure(void**) {
  assert_holds(failure(".[]", "[1,2]"), "jq made more than one value");
  assert_holds(failure("repeat(.)", "1"), "jq made more than one value");
  assert_text(made(".[]", "[1]"), "1");
}

void test_jq_errors_tell_no_value_of_the_event(void**) {
  const std::string body = R"({"s":"secret) (secret","n":4711,"o":{"secret":4711}})";
  for (const char* text : {".s + 1", ".n + .s", ".o - 1", ".s | fromjson", ".s | tonumber", ".n[\"x\"]", ".o | .[0]",
                           ".s[0]", ".s | strptime(\"%Y\")", "\"a\" | test($event.seq | tostring | \"(\" + .)",
                           "error(.o)", "{(.o | tostring | tojson): 1} | .[4711]", ".s | .[\"secret\"]", ".n | keys",
                           "[.s] | @csv | error(\"x (\" + . + \")\")", ".[.o]", ".s | ltrimstr(1) | implode"}) {
    const std::string why = failure(text, body);
    assert_lacks(why, "secret");
    assert_lacks(why, "4711");
  }
  assert_holds(failure(".s + 1", body), "string (…) and number (…) cannot be added");
  assert_text(failure("error(\"plan unknown\")", body), "plan unknown");
  assert_text(failure(".s | test(\"(\")", body), "Regex failure: end pattern with unmatched parenthesis");
}

// libjq 1.6 takes it for nothing: the event would be skipped without a word.
void test_jq_error_that_is_null_fails_the_event(void**) {
  for (const char* text : {"error(null)", "error(.x)", "null | error", ".x | error", "1, error(null)",
                           "if .plan == null then error(.why) else .plan end", "error(null, 1)", "[error(.x)]",
                           "$event.nothing | error", "try error(null) catch error"})
    assert_text(failure(text, "{}"), "jq raised an error that is null");
  assert_text(failure("error(\"x\")", "{}"), "x");
  assert_text(failure("\"x\" | error", "{}"), "x");
  assert_text(failure("error({a: 1})", "{}"), "jq raised an error that is no text");
  assert_text(made("error(empty)", "{}"), "nothing");
  assert_text(made("try error(\"x\") catch .", "{}"), "\"x\"");
  assert_text(made("try error({a: 1}) catch .a", "{}"), "1");
  assert_text(made("[.[] | .a?]", R"([3,{"a":1}])"), "[1]");
  assert_text(made("error(null)?", "{}"), "nothing");
  assert_text(made("first(.[])", "[1,2]"), "1");
  assert_text(made("[label $out | .[] | if . > 1 then ., break $out else . end]", "[1,2,3]"), "[1,2]");
  assert_text(made("try (label $out | 1, break $out) catch 2", "{}"), "1");
  assert_text(made("def error: \"mine\"; error", "{}"), "\"mine\"");
  assert_text(made("def f: error(\"x\"); try f catch .", "{}"), "\"x\"");
  assert_holds(fault_of("error(1; 2)"), "error/2 is not defined");
}

void test_jq_deep_and_large_things_are_failures(void**) {
  assert_holds(failure("reduce range(300) as $i (1; [.])", "1"), "deeper than 256");
  assert_holds(failure(".", std::string(300, '[') + std::string(300, ']')), "nested deeper than 256");
  assert_holds(failure("reduce range(22) as $i (\"xxxxxxxx\"; . + .)", "1"), "more than 16 MiB");
  assert_text(made("length", "\"" + std::string(5'000'000, 'x') + "\""), "5000000");
}

void test_jq_runaways_are_stopped_each_with_its_reason(void**) {
  assert_holds(failure("def f: f; f", "1"), " s of processor time and was stopped");
  assert_holds(failure("last(range(1e12))", "1"), " s of processor time and was stopped");
  if (jq::memory_is_bounded) {
    assert_holds(failure("[range(1e12)]", "1"), " and was stopped");
    const std::string why = failure("reduce range(40) as $i (\"xxxxxxxx\"; . + .)", "1");
    assert_holds(why, "jq took more than 256 MiB of memory");
  }
  // Oniguruma gives up by itself, or the child does.
  failure("test(\"^(a|a|aa)*$\")", "\"" + std::string(200, 'a') + "b\"");
  assert_text(made(".", "1"), "1");
}

void test_jq_event_that_ran_away_is_known_and_several_on_end_make_the_endpoint_wait(void**) {
  const std::string endless = "if . then 1 else def f: f; f end";
  assert_holds(run(endless, "false", event("a")).text, "processor time");
  assert_holds(run(endless, "false", event("b")).text, "processor time");
  bool waits = false;
  try {
    run(endless, "false", event("c"));
  } catch (const Failure& failure) {
    waits = failure.remedy() == Remedy::reconnect;
    assert_holds(failure.what(), "event after event");
  }
  assert_true(waits);
  // When the batch comes back they cost nothing, and what is behind them is reached.
  for (const char* id : {"a", "b", "c"}) assert_holds(run(endless, "false", event(id)).text, "processor time");
  assert_text(run(endless, "true", event("d")).text, "1");
}

void test_jq_evaluator_that_is_killed_is_started_again_and_the_event_is_evaluated(void**) {
  assert_text(made(".a", R"({"a":1})"), "1");
  const pid_t before = jq::evaluator_pid();
  assert_true(before > 0);
  assert_int_equal(kill(before, SIGKILL), 0);
  assert_text(made(".a", R"({"a":2})"), "2");
  assert_true(jq::evaluator_pid() > 0 && jq::evaluator_pid() != before);
}

void test_jq_names_of_members_in_its_errors_are_hidden(void**) {
  assert_text(jq::without_values("Cannot index string with \"Ann\""), "Cannot index string with \"…\"");
  assert_text(jq::without_values("date \"a (b\" does not match format \"%Y\""), "date \"…\"");
  assert_text(jq::without_values("object ({\"a\":\")\"}) and array ([\"(\"]) cannot be added"),
              "object (…) and array (…) cannot be added");
  assert_text(jq::without_values("x) and string ( (a) is not a valid regex: y"), "a regular expression is not valid");
}

}  // namespace

int main(int argc, char** argv) {
  if (jq::asked_to_evaluate(argc, argv)) return jq::serve_jq();
  const CMUnitTest tests[] = {
      checked(test_jq_expression_makes_one_value_or_none),
      checked(test_jq_event_is_there_under_its_name),
      checked(test_jq_syntax_errors_are_told_with_their_line),
      checked(test_jq_what_sees_more_than_the_event_is_refused),
      checked(test_jq_members_and_texts_of_those_names_are_not_refused),
      checked(test_jq_evaluator_has_no_environment_and_no_files),
      checked(test_jq_numbers_that_a_double_does_not_hold_fail_the_event),
      checked(test_jq_more_than_one_value_is_a_failure),
      checked(test_jq_errors_tell_no_value_of_the_event),
      checked(test_jq_error_that_is_null_fails_the_event),
      checked(test_jq_deep_and_large_things_are_failures),
      checked(test_jq_runaways_are_stopped_each_with_its_reason),
      checked(test_jq_event_that_ran_away_is_known_and_several_on_end_make_the_endpoint_wait),
      checked(test_jq_evaluator_that_is_killed_is_started_again_and_the_event_is_evaluated),
      checked(test_jq_names_of_members_in_its_errors_are_hidden),
  };
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
