// The endpoint kind marketo: answer → fate of each event.
#include <algorithm>
#include <sstream>

#include "consumer/endpoints/marketo/answer.hpp"
#include "consumer/endpoints/marketo/codes.hpp"
#include "test/unit/marketo_fixture.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

void test_marketo_every_code_of_a_whole_answer_has_its_fate(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  const std::string parked = "502 600 603 604 605 606 607 608 609 610 612 613 614 615 616 703 713 719 1018 1026 1029";
  const std::string again = "500 611 1016 1019 1020 9999";
  const std::string dead = "1001 1002 1003 1004 1006 1007 1008 1009 1010 1011 1013 1017 1021 1036 1042 1049 1077";
  for (const auto& [codes, fate] : {std::pair(parked, "p"), std::pair(again, "r"), std::pair(dead, "d")}) {
    std::istringstream words(codes);
    for (std::string code; words >> code;) {
      marketo.fails(code);
      // a key of its own, since some answers leave it taken
      const auto outcomes = marketo.made.deliver({of(1, code + "@example.com")});
      if (fates_of(outcomes) != fate) fail_msg("%s: %s", code.c_str(), fates_of(outcomes).c_str());
      assert_holds(outcomes[0].reason, code + ": ");
      assert_lacks(outcomes[0].reason, "secret@example.com");
      if (*fate == 'p') assert_true(outcomes[0].until > milliseconds(0));
    }
  }
}

void test_marketo_every_code_of_a_record_has_its_fate(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  const std::vector<std::pair<std::string, std::string>> table{
      {"1001 1002 1003 1004 1006 1007 1008 1009 1010 1011 1013 1017 1021 1036 1042 1049 1077", "d"},
      {"1016 1019 1020 9999", "r"},
      {"1005 1015 1037", "D"},
      {"607 1029 606 615", "p"}};
  for (const auto& [codes, fate] : table) {
    std::istringstream words(codes);
    for (std::string code; words >> code;) {
      marketo.answers(
          R"({"success":true,"result":[{"id":1,"status":"created"},{"status":"skipped","reasons":[{"code":")" + code +
          R"(","message":"x"}]},{"id":2,"status":"updated"}]})");
      const std::string fates = fates_of(marketo.made.deliver(events(3)));
      if (fates != "D" + fate + "D") fail_msg("%s: %s", code.c_str(), fates.c_str());
    }
  }
}

void test_marketo_reason_names_the_field_and_never_the_value(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.answers(
      R"({"success":true,"result":[{"status":"skipped","reasons":[{"code":1003,"message":"Invalid value for field 'email' and value 'bademail'"}]}]})");
  assert_text(marketo.made.deliver({of(1, "bademail")})[0].reason, "1003: invalid data (field email)");
}

// With a field table all records look alike: a field that is not there is nobody's own, and no call is halved for it.
void test_marketo_field_that_is_gone_parks_where_the_mapping_names_it(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    fields: [email, {to: nickName, value: x}]\n");
  const std::string reason = R"("code":"1006","message":"Field 'nickName' not found")";
  marketo.answers(R"({"success":false,"errors":[{)" + reason + "}]}");
  auto outcomes = marketo.made.deliver(events(4));
  assert_text(fates_of(outcomes), "pppp");
  assert_text(outcomes[3].reason,
              "1006: there is no such field (field nickName); look at the endpoint's fields, and at Marketo's");
  assert_int_equal(marketo.calls().size(), 1);
  const std::string skipped = R"({"status":"skipped","reasons":[{)" + reason + "}]}";
  marketo.answers(R"({"success":true,"result":[{"id":1,"status":"updated"},)" + skipped + "," + skipped + "]}");
  const milliseconds before = outcomes[0].until;
  outcomes = marketo.made.deliver(events(3));
  assert_text(fates_of(outcomes), "Dpp");
  assert_true(outcomes[1].until > before && outcomes[1].until == outcomes[2].until);  // longer each time, once a call
  assert_holds(outcomes[2].reason, "look at the endpoint's fields");
}

void test_marketo_missing_lead_can_be_tried_again(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    action: updateOnly\n    missing_lead: retry\n");
  marketo.answers(R"({"success":true,"result":[{"status":"skipped","reasons":[{"code":"1004","message":"x"}]}]})");
  assert_text(fates_of(marketo.made.deliver({of(1, "a@example.com")})), "r");
}

void test_marketo_throttling_parks_for_its_window_and_the_quota_until_its_reset(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.fails("606");
  assert_true(marketo.made.deliver(events(2))[1].until == milliseconds(20'000));
  marketo.fails("607");
  const milliseconds until = marketo.made.deliver(events(2))[1].until;
  const milliseconds expected = marketo::until_reset(wall_clock_us());
  assert_true(until >= expected && until <= expected + milliseconds(5'000));
}

// Days of 23, 25 and 24 hours in Chicago in 2026.
void test_marketo_quota_resets_at_midnight_in_the_middle_of_the_usa(void**) {
  const auto hours_until = [](int64_t now_s) {
    return marketo::until_reset(now_s * 1'000'000) / std::chrono::hours(1);
  };
  assert_int_equal(hours_until(1'772'949'600), 23);  // 2026-03-08 00:00 CST
  assert_int_equal(hours_until(1'793'509'200), 25);  // 2026-11-01 00:00 CDT
  assert_int_equal(hours_until(1'782'882'000), 24);  // 2026-07-01 00:00 CDT
}

void test_marketo_every_status_has_its_fate(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  const std::vector<std::pair<int, std::string>> table{{302, "p"}, {400, "d"}, {403, "p"}, {404, "p"}, {408, "p"},
                                                       {409, "d"}, {425, "p"}, {413, "d"}, {414, "d"}, {429, "p"},
                                                       {500, "r"}, {502, "p"}, {503, "p"}, {504, "p"}};
  for (const auto& [status, fate] : table) {
    marketo.answers("<html>gateway</html>", status, "text/html");
    const auto outcomes = marketo.made.deliver({of(1, std::to_string(status) + "@example.com")});
    if (fates_of(outcomes) != fate) fail_msg("%d: %s", status, outcomes[0].reason.c_str());
    assert_holds(outcomes[0].reason, "answer " + std::to_string(status));
  }
}

// Its records' keys rest: a second call for one of them would make a duplicate.
void test_marketo_call_that_may_go_on_there_is_known_by_its_status(void**) {
  for (const auto& [status, may] : {std::pair(408, true), std::pair(425, false), std::pair(502, true),
                                    std::pair(503, false), std::pair(504, true)}) {
    http::Response response;
    response.status = status;
    assert_int_equal(marketo::read_answer(response, {}).may_still_run, may);
  }
}

void test_marketo_answers_that_are_no_results_lose_nothing(void** state) {
  const std::vector<std::tuple<std::string, std::string, std::string>> table{
      {"<html>log in</html>", "text/html", "pp"},
      {"<error/>", "text/xml", "pp"},
      {"{\"success\":tr", "application/json", "rr"},
      {"", "application/json", "rr"},
      {"[]", "application/json", "rr"},
      {"{\"success\":true}", "application/json", "rr"},
      {"{\"success\":false}", "application/json", "rr"},
      {R"({"success":true,"result":[{"id":1,"status":"created"}]})", "application/json", "rr"},
      {R"({"success":true,"result":[{"status":"created"},{"status":"created"},{"status":"created"}]})",
       "application/json", "rr"},
      {R"({"success":true,"result":[{"status":"created"},{"status":"skipped"}]})", "application/json", "Dr"},
      {R"({"success":true,"result":[7,{"status":"odd"}]})", "application/json", "rr"},
      {R"({"success":true,"result":[{"seq":1,"status":"created"},{"seq":1,"status":"created"}]})", "application/json",
       "rr"},
      {R"({"success":true,"result":[{"seq":-1,"status":"created"},{"seq":2,"status":"created"}]})", "application/json",
       "rr"}};
  (void)state;
  for (const auto& [body, type, fates] : table) {
    Marketo marketo;
    marketo.make();
    marketo.answers(body, 200, type);
    const auto outcomes = marketo.made.deliver(events(2));
    if (fates_of(outcomes) != fates) fail_msg("%s: %s", body.c_str(), fates_of(outcomes).c_str());
    assert_lacks(outcomes[0].reason, "log in");
  }
}

void test_marketo_answers_that_stay_unreadable_are_the_endpoints_trouble(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.answers("{");
  std::string fates;
  for (int i = 0; i < 3; ++i) fates += fates_of(marketo.made.deliver(events(1)));
  assert_text(fates, "rrp");
}

void test_marketo_bad_record_of_a_refused_call_stands_alone(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  for (const auto& [code, fate] : {std::pair("1003", "d"), std::pair("611", "r")}) {
    marketo.leads = [code = code](const httplib::Request& request, httplib::Response& response) {
      const bool bad = request.body.find("\"c5@") != std::string::npos;
      response.set_content(
          bad ? std::string(R"({"success":false,"errors":[{"code":")") + code + "\"}]}" : updated(request),
          "application/json");
    };
    assert_text(fates_of(marketo.made.deliver(events(8))), std::string("DDDD") + fate + "DDD");
  }
  marketo.leads = [](const httplib::Request& request, httplib::Response& response) {
    if (count_of(request.body, "\"email\":") > 2)
      response.status = 413;
    else
      response.set_content(updated(request), "application/json");
  };
  assert_text(fates_of(marketo.made.deliver(events(7))), "DDDDDDD");
}

// Two halves would be two calls, and no attempt is used.
void test_marketo_error_that_passes_costs_one_more_call(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.leads = [calls = 0](const httplib::Request& request, httplib::Response& response) mutable {
    response.status = ++calls == 1 ? 500 : 200;
    response.set_content(updated(request), "application/json");
  };
  assert_text(fates_of(marketo.made.deliver(events(8))), "DDDDDDDD");
  const auto calls = marketo.calls();
  assert_int_equal(calls.size(), 2);
  assert_text(calls[0], calls[1]);
}

void test_marketo_that_fails_for_all_uses_few_attempts(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.fails("611");
  const std::string fates = fates_of(marketo.made.deliver(events(50)));
  assert_int_equal(std::count(fates.begin(), fates.end(), 'r'), 3);
  assert_int_equal(std::count(fates.begin(), fates.end(), 'p'), 47);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_marketo_every_code_of_a_whole_answer_has_its_fate, setup, teardown),
      checked_with(test_marketo_every_code_of_a_record_has_its_fate, setup, teardown),
      checked_with(test_marketo_reason_names_the_field_and_never_the_value, setup, teardown),
      checked_with(test_marketo_field_that_is_gone_parks_where_the_mapping_names_it, setup, teardown),
      checked_with(test_marketo_missing_lead_can_be_tried_again, setup, teardown),
      checked_with(test_marketo_throttling_parks_for_its_window_and_the_quota_until_its_reset, setup, teardown),
      checked(test_marketo_quota_resets_at_midnight_in_the_middle_of_the_usa),
      checked_with(test_marketo_every_status_has_its_fate, setup, teardown),
      checked(test_marketo_call_that_may_go_on_there_is_known_by_its_status),
      checked_with(test_marketo_answers_that_are_no_results_lose_nothing, setup, teardown),
      checked_with(test_marketo_answers_that_stay_unreadable_are_the_endpoints_trouble, setup, teardown),
      checked_with(test_marketo_bad_record_of_a_refused_call_stands_alone, setup, teardown),
      checked_with(test_marketo_error_that_passes_costs_one_more_call, setup, teardown),
      checked_with(test_marketo_that_fails_for_all_uses_few_attempts, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
