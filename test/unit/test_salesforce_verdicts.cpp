// The endpoint kind salesforce: answer → fate of each event.
#include <array>

#include "test/unit/salesforce_fixture.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

// Each code of a record's result → the fate of its event; its neighbour is done whatever it is.
void test_salesforce_record_errors_have_their_fates(void** state) {
  struct Row {
    std::string code, message, fate;
  };
  const std::array rows{
      Row{"REQUIRED_FIELD_MISSING", "m", "d"},
      Row{"INVALID_EMAIL_ADDRESS", "m", "d"},
      Row{"STRING_TOO_LONG", "m", "d"},
      Row{"FIELD_CUSTOM_VALIDATION_EXCEPTION", "m", "d"},
      Row{"DUPLICATE_VALUE", "m", "d"},
      Row{"DUPLICATES_DETECTED", "m", "d"},
      Row{"MALFORMED_ID", "m", "d"},
      Row{"CANNOT_UPDATE_CONVERTED_LEAD", "m", "d"},
      Row{"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "a trigger failed", "d"},
      Row{"CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "UNABLE_TO_LOCK_ROW, unable", "r"},
      Row{"UNABLE_TO_LOCK_ROW", "m", "r"},
      Row{"QUERY_TIMEOUT", "m", "r"},
      Row{"TXN_SECURITY_METERING_ERROR", "m", "r"},
      Row{"PROCESSING_HALTED", "m", "r"},
      Row{"ALL_OR_NONE_OPERATION_ROLLED_BACK", "m", "r"},
      Row{"LIMIT_EXCEEDED", "Too many SOQL queries: 101", "r"},
      Row{"INVALID_FIELD", "Foreign key external ID: a not found for field Ext__c", "r"},
      Row{"INVALID_FIELD", "参照先の外部 ID が見つかりません", "r"},  // each names a parent
      Row{"INVALID_FIELD_FOR_INSERT_UPDATE", "m", "p"},
      Row{"STORAGE_LIMIT_EXCEEDED", "m", "p"},
      Row{"API_DISABLED_FOR_ORG", "m", "p"},
      Row{"API_CURRENTLY_DISABLED", "m", "p"},
      Row{"INVALID_AUTH_HEADER", "m", "p"},
      Row{"INVALID_TYPE", "m", "p"},
      Row{"NOT_FOUND", "m", "p"},
      Row{"SERVER_UNAVAILABLE", "m", "p"},
      Row{"INVALID_SESSION_ID", "m", "p"},
      Row{"UNKNOWN_EXCEPTION", "m", "r"},
      Row{"REQUEST_LIMIT_EXCEEDED", "m", "p"},  // the last: fewer calls at once may be made from then on
  };
  Org& org = org_of(state);
  org.answers(200, "[]");
  org.make();
  for (const Row& row : rows) {
    org.answers(200, "[" + bad(row.code, row.message) + "," + good + "]");
    const auto outcomes = org.made.deliver({at(1), at(2)});
    assert_fates(outcomes, row.fate + "D");
    assert_holds(outcomes[0].reason, row.code + " on LastName");
    assert_lacks(outcomes[0].reason, "not found for field");
  }
}

void test_salesforce_field_that_a_record_without_a_parent_is_refused_for_parks(void** state) {
  Org& org = org_of(state);
  org.fields = "    fields: [{to: Ext__c, from: id, as: text}]\n";
  org.answers(200, "[" + bad("INVALID_FIELD") + "]");
  org.make();
  assert_fates(org.made.deliver({at(1)}), "p");
}

// Each answer to a whole request → the fates of its two events.
void test_salesforce_answers_have_their_fates(void** state) {
  struct Row {
    int status;
    std::string body, fates, reason;
  };
  const auto error = [](const std::string& code) { return R"([{"message":"m","errorCode":")" + code + R"("}])"; };
  const std::array rows{
      Row{400, error("INVALID_FIELD"), "pp", "INVALID_FIELD; look at the endpoint's object"},
      Row{400, R"({"message":"m","errorCode":"INVALID_FIELD"})", "pp", "INVALID_FIELD"},
      Row{400, error("JSON_PARSER_ERROR"), "dd", "JSON_PARSER_ERROR, though it was sent alone"},
      Row{403, error("API_DISABLED_FOR_ORG"), "pp", "API Enabled"},
      Row{404, error("NOT_FOUND"), "pp", "NOT_FOUND"},
      Row{400, error("INVALID_AUTH_HEADER"), "pp", "INVALID_AUTH_HEADER"},
      Row{405, error("METHOD_NOT_ALLOWED"), "pp", "METHOD_NOT_ALLOWED"},
      Row{409, error("CONFLICT"), "dd", "though it was sent alone"},
      Row{410, "", "pp", "answer 410"},
      Row{412, "", "pp", "answer 412"},
      Row{413, "<html>", "dd", "though it was sent alone"},
      Row{415, error("UNSUPPORTED_MEDIA_TYPE"), "pp", "UNSUPPORTED_MEDIA_TYPE"},
      Row{400, error("QUERY_TIMEOUT"), "rr", "QUERY_TIMEOUT"},
      Row{400, error("REQUEST_RUNNING_TOO_LONG"), "rr", "REQUEST_RUNNING_TOO_LONG"},
      Row{406, "", "pp", "answer 406"},
      Row{420, "setting things up", "pp", "answer 420"},
      Row{429, "", "pp", "answer 429"},
      Row{500, "<Errors/>", "rr", "answer 500 without an error of Salesforce's"},
      Row{502, "<html>", "pp", "answer 502"},
      Row{503, error("SERVER_UNAVAILABLE"), "pp", "SERVER_UNAVAILABLE"},
      Row{503, "", "pp", "answer 503"},
      Row{504, "", "pp", "answer 504"},
      Row{300, "[]", "dd", "several records"},
      Row{302, "", "pp", "login_url"},
      Row{200, "<html>", "pp", "no JSON"},
      Row{200, "[" + good + "]", "rr", "one result for each of the 2"},
      Row{200, "[1," + good + "]", "rD", "cannot be read"},
  };
  Org& org = org_of(state);
  org.answers(200, "[]");
  org.make();
  for (const Row& row : rows) {
    org.answers(row.status, row.body);
    const auto outcomes = org.made.deliver({at(1), at(2)});
    assert_fates(outcomes, row.fates);
    assert_holds(outcomes[0].reason, row.reason);
  }
}

// A server error of a whole call: made again, then halved until the bad record stands alone, and all others are done.
void test_salesforce_server_error_is_halved_to_the_record(void** state) {
  Org& org = org_of(state);
  org.call = [](const auto& request, auto& response) {
    if (request.body.find("\"Ext__c\":\"7\"") != std::string::npos) {
      response.status = 500;
      return response.set_content("<html>oops</html>", "text/html");
    }
    response.set_content(all_good(request), "application/json");
  };
  org.make();
  std::string expected(32, 'D');
  expected[6] = 'r';
  assert_fates(org.made.deliver(many(32)), expected);
  assert_int_equal(org.calls().size(), 12);  // 2, and 2 for each of five halvings
}

void test_salesforce_server_that_is_down_uses_no_more_attempts_than_it_takes_to_see_it(void** state) {
  Org& org = org_of(state);
  org.answers(500, "<html>");
  org.make();
  const auto outcomes = org.made.deliver(many(64));
  size_t tried = 0;
  for (const Outcome& outcome : outcomes) tried += outcome.fate == Outcome::Fate::retry;
  assert_int_equal(tried, 3);
  assert_holds(outcomes.back().reason, "to several events on end");
}

// Without a field table each event makes fields of its own: one strange one is found, and stops nobody else.
void test_salesforce_field_that_one_event_makes_is_that_event_s(void** state) {
  Org& org = org_of(state);
  org.fields = "";
  org.call = [](const auto& request, auto& response) {
    if (request.body.find("Odd") == std::string::npos)
      return response.set_content(all_good(request), "application/json");
    response.status = 400;
    response.set_content(
        R"([{"message":"No such column 'Odd' on sobject of type Contact","errorCode":"INVALID_FIELD"}])",
        "application/json");
  };
  org.make();
  const auto outcomes = org.made.deliver({event(1, 1, R"({"Ext__c":"1"})"), event(2, 2, R"({"Ext__c":"2","Odd":1})"),
                                          event(3, 3, R"({"Ext__c":"3"})"), event(4, 4, R"({"Ext__c":"4"})")});
  assert_fates(outcomes, "DrDD");
  assert_holds(outcomes[1].reason, "INVALID_FIELD on Odd");
}

void test_salesforce_field_that_is_gone_from_the_org_parks_and_is_named(void** state) {
  Org& org = org_of(state);
  org.answers(400,
              R"([{"message":"No such column 'Account' on sobject of type Contact","errorCode":"INVALID_FIELD"}])");
  org.make();
  const auto outcomes = org.made.deliver({at(1), at(2)});
  assert_fates(outcomes, "pp");
  assert_holds(outcomes[0].reason, "INVALID_FIELD on Account; look at the endpoint's object");
  assert_int_equal(org.calls().size(), 1);
}

void test_salesforce_odd_answers_on_end_park(void** state) {
  Org& org = org_of(state);
  org.answers(200, "[]");
  org.make();
  assert_fates(org.made.deliver({at(1)}), "r");
  assert_fates(org.made.deliver({at(1)}), "r");
  assert_fates(org.made.deliver({at(1)}), "p");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_salesforce_record_errors_have_their_fates, setup, teardown),
      checked_with(test_salesforce_field_that_a_record_without_a_parent_is_refused_for_parks, setup, teardown),
      checked_with(test_salesforce_answers_have_their_fates, setup, teardown),
      checked_with(test_salesforce_server_error_is_halved_to_the_record, setup, teardown),
      checked_with(test_salesforce_server_that_is_down_uses_no_more_attempts_than_it_takes_to_see_it, setup, teardown),
      checked_with(test_salesforce_field_that_one_event_makes_is_that_event_s, setup, teardown),
      checked_with(test_salesforce_field_that_is_gone_from_the_org_parks_and_is_named, setup, teardown),
      checked_with(test_salesforce_odd_answers_on_end_park, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
