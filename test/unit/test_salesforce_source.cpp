// The source kind salesforce: the text of queries, times, rows, and its stored cursor.
#include "common/config.hpp"
#include "common/soql.hpp"
#include "relay/sources/salesforce.hpp"
#include "relay/sources/salesforce_reader.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::salesforce_source;
using unit::assert_holds;
using unit::assert_lacks;
using unit::assert_text;

namespace {

constexpr int64_t noon = 1'772'366'400'250'000;  // 2026-03-01T12:00:00.25Z

std::vector<Problem> problems_of(const std::string& yaml) {
  std::vector<Problem> problems;
  const Settings settings = parse_settings(kind.options,
                                           "{login_url: 'https://x.my.salesforce.com', client_id: k, login: "
                                           "client_credentials, client_secret: '${PATH}', every: 1h, " +
                                               yaml + "}",
                                           "x.yaml", problems);
  if (problems.empty()) kind.validate(settings, problems);
  return problems;
}

std::string problem_of(const std::string& yaml) {
  const auto problems = problems_of(yaml);
  return problems.empty() ? "" : problems.front().text;
}

void test_soql_of_a_first_run_asks_for_all_in_order(void**) {
  const Query query{"Contact", {"Id", "Email", "SystemModstamp"}, "", "SystemModstamp"};
  assert_text(soql(query, {}), "SELECT Id, Email, SystemModstamp FROM Contact ORDER BY SystemModstamp, Id");
}

void test_soql_goes_on_behind_a_record_among_its_equals(void**) {
  const Query query{"Contact", {"Id"}, "A = 'x' OR B = 'y'", "SystemModstamp"};
  assert_text(
      soql(query, {noon, ""}),
      "SELECT Id FROM Contact WHERE (A = 'x' OR B = 'y') AND SystemModstamp >= 2026-03-01T12:00:00.250Z ORDER BY "
      "SystemModstamp, Id");
  assert_text(soql(query, {noon, "003000000000001AAA"}),
              "SELECT Id FROM Contact WHERE (A = 'x' OR B = 'y') AND (SystemModstamp > 2026-03-01T12:00:00.250Z OR "
              "(SystemModstamp = 2026-03-01T12:00:00.250Z AND Id > '003000000000001AAA')) ORDER BY SystemModstamp, Id");
}

void test_soql_by_another_stamp_leaves_out_records_without_it(void**) {
  assert_text(soql({"Log", {"Id"}, "", "Seen__c"}, {noon, ""}),
              "SELECT Id FROM Log WHERE Seen__c != null AND Seen__c >= 2026-03-01T12:00:00.250Z ORDER BY Seen__c, Id");
}

void test_soql_of_a_snapshot_goes_on_by_id_alone(void**) {
  const Query query{"Contact", {"Id"}, "", ""};
  assert_text(soql(query, {}), "SELECT Id FROM Contact ORDER BY Id");
  assert_text(soql(query, {std::nullopt, "003000000000001"}),
              "SELECT Id FROM Contact WHERE Id > '003000000000001' ORDER BY Id");
}

void test_soql_literals_hold_whatever_text(void**) {
  assert_text(salesforce::text_literal("O'Neill\\\n' OR Id != '"), R"('O\'Neill\\\n\' OR Id != \'')");
  assert_text(time_literal(noon + 999), "2026-03-01T12:00:00.250Z");
  assert_text(time_literal(-1), "1969-12-31T23:59:59.999Z");
}

void test_soql_names_and_ids_are_words_alone(void**) {
  for (const char* good : {"Email", "Level__c", "a1"}) assert_true(good_name(good, false));
  for (const char* bad : {"", "1a", "a b", "a.b", "a'", "(SELECT Id FROM Cases)", "a,b", "Ünder"})
    assert_false(good_name(bad, false));
  assert_true(good_name("Account.Owner.Name", true));
  for (const char* bad : {".a", "a.", "a..b", "a.b c"}) assert_false(good_name(bad, true));
  assert_true(is_id("003000000000001") && is_id("003000000000001AAA"));
  for (const char* bad : {"", "00300000000000", "0030000000000'1", "003000000000001AA", "003000000000_01"})
    assert_false(is_id(bad));
  assert_true(same_id("003000000000001", "003000000000001AAA"));
  assert_false(same_id("003000000000001", "003000000000002AAA") || same_id("", ""));
}

void test_soql_condition_that_leaves_its_brackets_is_found(void**) {
  for (const char* good : {"", "A = 'x'", "(A = 1) AND (B IN ('(', 'y'))", R"(A = 'O\'Neill (')"})
    assert_text(condition_fault(good), "");
  for (const char* bad : {"A = 1) OR (B = 2", "(A = 1", "A = 1)"})
    assert_text(condition_fault(bad), "a ( or ) without the other");
  for (const char* bad : {"A = 'x", R"(A = 'x\')"}) assert_text(condition_fault(bad), "a ' without the other");
}

void test_salesforce_times_are_read_in_their_own_form(void**) {
  assert_int_equal(time_of("2026-03-01T12:00:00.250+0000").value_or(0), noon);
  assert_int_equal(time_of("2026-03-01T13:00:00.250+0100").value_or(0), noon);
  assert_int_equal(time_of("2026-03-01T12:00:00.250Z").value_or(0), noon);
  for (const char* bad : {"", "yesterday", "2026-03-01T12:00:00", "+0000"}) assert_false(time_of(bad).has_value());
}

Row row(const std::string& text, const RowShape& shape) {
  std::string why;
  return row_of(json::Document::parse(text, why)->root(), shape);
}

constexpr const char* contact =
    R"({"attributes":{"type":"Contact"},"Id":"003000000000001AAA","Email":"a@example.com","Account":{"attributes":{},
        "Name":"A"},"Amount":1.50,"IsDeleted":false,"CreatedDate":"2026-03-01T12:00:00.000+0000",
        "SystemModstamp":"2026-03-01T12:00:00.000+0000","LastModifiedById":"005000000000001"})";

void test_row_becomes_a_record_without_what_is_salesforces(void**) {
  const Row made =
      row(contact, {"Contact", "SystemModstamp", {"IsDeleted", "CreatedDate", "LastModifiedById"}, {}, {}});
  assert_text(made.body,
              R"({"object":"Contact","change":"Created","Id":"003000000000001AAA","Email":"a@example.com","Account":)"
              R"({"Name":"A"},"Amount":1.50,"SystemModstamp":"2026-03-01T12:00:00.000+0000"})");
  assert_true(made.created && !made.deleted);
  assert_text(made.changed_by, "005000000000001");
}

void test_row_without_id_or_stamp_is_refused_without_its_values(void**) {
  const RowShape shape{"Contact", "SystemModstamp", {}, {}, {}};
  for (const char* bad : {R"({"Id":"secret","SystemModstamp":"2026-03-01T12:00:00.000+0000"})",
                          R"({"Id":"003000000000001AAA","SystemModstamp":"secret"})", R"(["secret"])", "7"}) {
    std::string why;
    try {
      row(bad, shape);
    } catch (const Failure& failure) {
      why = failure.what();
    }
    assert_holds(why, "Salesforce's answer has a record without");
    assert_lacks(why, "secret");
  }
}

std::string others(const std::string& members, const std::set<std::string>& own) {
  return row(R"({"Id":"003000000000001AAA","SystemModstamp":"2026-03-01T12:00:00.000+0000",)" + members + "}",
             {"Contact", "SystemModstamp", {}, own, {}})
      .others;
}

void test_row_differs_by_what_an_endpoint_does_not_write_and_not_by_what_it_does(void**) {
  const std::set<std::string> own{"email", "account.ext_id__c"};
  const std::string before = others(R"("Email":"a","Phone":"1","Account":{"Ext_Id__c":"x"})", own);
  assert_text(others(R"("Email":"b","Phone":"1","Account":{"attributes":{},"Ext_Id__c":"y"})", own), before);
  assert_text(others(R"("Email":"b","Phone":"1","Account":null)", own), before);
  assert_text(others(R"("Email":"b","Phone":"1","Account":null,"LastModifiedDate":"x")", own), before);
  assert_false(others(R"("Email":"a","Phone":"2","Account":null)", own) == before);
  assert_text(others(R"("Email":"a")", own), "");
}

void test_cursor_is_read_as_it_was_written_and_another_is_refused(void**) {
  const Cursor cursor{{noon, "003000000000001AAA"}, noon + 1};
  const std::string text = text_of(cursor);
  assert_text(text, R"(["2026-03-01T12:00:00.25Z","003000000000001AAA","2026-03-01T12:00:00.250001Z"])");
  assert_text(text_of(cursor_of(text)), text);
  assert_false(cursor_of("").known.has_value());
  for (const char* bad : {"x", "{}", "[]", R"(["2026-03-01"])"}) {
    bool refused = false;
    try {
      cursor_of(bad);
    } catch (const Failure&) {
      refused = true;
    }
    assert_true(refused);
  }
}

void test_options_that_cannot_work_are_found_by_check(void**) {
  assert_text(problem_of("object: Contact, select: [Email, Account.Name]"), "");
  assert_holds(problem_of("object: 'Contact WHERE Id', select: Email"), "object: it is no name of an object");
  assert_holds(problem_of("object: Contact, select: [Email, 'Id FROM User']"), "select: Id FROM User is no name");
  assert_holds(problem_of("object: Contact, select: Email, where: \"A = 'x\""), "where: a ' without the other");
  assert_holds(problem_of("object: Contact, select: Email, start: soon"), "start: give a duration");
  assert_holds(problem_of("object: Contact, select: Email, own_users: [me]"), "own_users: an id of a user has 15");
  assert_holds(problem_of("object: Contact, select: Email, key: Email, deletes: log"), "deletes: Salesforce's list");
  assert_holds(problem_of("object: Contact, select: Email, api_version: '65'"), "api_version: give one such as 65.0");
}

// As long as it is on the wire, where a space or a quote is three characters.
void test_options_that_make_too_long_a_query_are_found_by_check(void**) {
  assert_text(problem_of("object: Contact, select: " + std::string(15'000, 'a')), "");
  assert_holds(problem_of("object: Contact, select: " + std::string(16'300, 'a')), "select: Salesforce takes no query");
  std::string list;
  for (int i = 0; i < 1'100; ++i) list += std::string(list.empty() ? "'" : ",'") + std::to_string(100'000 + i) + "'";
  assert_holds(problem_of("object: Contact, select: Email, where: \"Ext__c IN (" + list + ")\""),
               "select: Salesforce takes no query");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_soql_of_a_first_run_asks_for_all_in_order),
      checked(test_soql_goes_on_behind_a_record_among_its_equals),
      checked(test_soql_by_another_stamp_leaves_out_records_without_it),
      checked(test_soql_of_a_snapshot_goes_on_by_id_alone),
      checked(test_soql_literals_hold_whatever_text),
      checked(test_soql_names_and_ids_are_words_alone),
      checked(test_soql_condition_that_leaves_its_brackets_is_found),
      checked(test_salesforce_times_are_read_in_their_own_form),
      checked(test_row_becomes_a_record_without_what_is_salesforces),
      checked(test_row_without_id_or_stamp_is_refused_without_its_values),
      checked(test_row_differs_by_what_an_endpoint_does_not_write_and_not_by_what_it_does),
      checked(test_cursor_is_read_as_it_was_written_and_another_is_refused),
      checked(test_options_that_cannot_work_are_found_by_check),
      checked(test_options_that_make_too_long_a_query_are_found_by_check),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
