// Records as CSV, as Bulk API 2.0 takes them, and its results.
#include <array>

#include "consumer/endpoints/api/csv.hpp"
#include "consumer/endpoints/salesforce/csv.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::salesforce;
using namespace muskrat::unit;

namespace {

Record record(const std::string& text) {
  Record made;
  made.text = text;
  return made;
}

void test_salesforce_csv_has_every_column_and_tells_null_from_left_out(void**) {
  const Record a = record(
      R"({"attributes":{"type":"Contact"},"Ext__c":"1","Name":"Löwe, \"&\"\nSöhne","Account":{"Ext__c":"a-1"}})");
  const Record b =
      record(R"({"attributes":{"type":"Contact"},"Ext__c":"2","Rate":1.50,"Vip":true,"AccountId":null,"Name":""})");
  const std::array both{&a, &b};
  assert_text(csv_of(both),
              "Ext__c,Name,Account.Ext__c,Rate,Vip,AccountId\n"
              "1,\"Löwe, \"\"&\"\"\nSöhne\",a-1,,,\n"
              "2,#N/A,,1.50,true,#N/A\n");
}

void test_salesforce_csv_is_not_for_lists_and_for_text_that_means_something_else(void**) {
  assert_true(fits_in_csv(record(R"({"Ext__c":"1","Account":{"Ext__c":"a"}})")));
  assert_false(fits_in_csv(record(R"({"Ext__c":"1","Tags":["a"]})")));
  assert_false(fits_in_csv(record(R"({"Ext__c":"1","Account":{"Ext__c":{"x":1}}})")));
  assert_false(fits_in_csv(record(R"({"Ext__c":"1","Name":"#N/A"})")));
}

void test_salesforce_csv_is_not_for_what_is_longer_than_a_job_takes(void**) {
  const auto with = [](size_t fields, size_t length) {
    std::string text = R"({"Ext__c":"1")";
    for (size_t i = 0; i < fields; ++i) text += ",\"F" + std::to_string(i) + "\":\"" + std::string(length, 'x') + "\"";
    return record(text + "}");
  };
  assert_true(fits_in_csv(with(1, 32'000)));
  assert_false(fits_in_csv(with(1, 32'001)));
  assert_true(fits_in_csv(with(12, 32'000)));
  assert_false(fits_in_csv(with(13, 32'000)));
}

void test_salesforce_csv_results_are_read_as_they_are_quoted(void**) {
  const auto table =
      api::read_csv("\"sf__Id\",\"sf__Error\",\"Ext__c\"\r\n\"\",\"A:say \"\"no\"\",\nplease:--\",\"1\"\r\n,,2\n");
  assert_true(table.has_value());
  assert_int_equal(table->rows.size(), 2);
  assert_text(table->rows[0][*table->column("SF__error")], "A:say \"no\",\nplease:--");
  assert_text(table->rows[1][2], "2");
  assert_false(table->column("none").has_value());
  assert_int_equal(api::read_csv("a,b\n")->rows.size(), 0);
  for (const char* odd : {"", "a,b\n1\n", "a\n\"never closed", "<html>\n<a,b>"})
    assert_false(api::read_csv(odd).has_value());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_salesforce_csv_has_every_column_and_tells_null_from_left_out),
      checked(test_salesforce_csv_is_not_for_lists_and_for_text_that_means_something_else),
      checked(test_salesforce_csv_is_not_for_what_is_longer_than_a_job_takes),
      checked(test_salesforce_csv_results_are_read_as_they_are_quoted),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
