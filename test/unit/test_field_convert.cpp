// `as`, `trim`, `lower`: exact conversions of one field.
#include "common/field_convert.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_text;

namespace {

// `json` converted, as JSON; what is wrong where it cannot be.
std::string converted(const std::string& json, const char* as) {
  FieldValue field = FieldValue::from_json_text(json);
  std::string why;
  return convert(field, as_from_name(as), why) ? field.json_text() : why;
}

struct Case {
  const char *json, *as, *result;
};

void expect(std::initializer_list<Case> cases) {
  for (const Case& one : cases) assert_text(converted(one.json, one.as), one.result);
}

void test_convert_integer_is_exact_or_refused(void**) {
  const char* no = "is not a whole number";
  expect({{"12345678901234567890123", "integer", "12345678901234567890123"},
          {"\"007\"", "integer", "7"},
          {"\"-0\"", "integer", "0"},
          {"12.000", "integer", "12"},
          {"12.5", "integer", no},
          {"1e3", "integer", no},
          {"\"\"", "integer", no},
          {"\"12 \"", "integer", no},
          {"\"-\"", "integer", no},
          {"\"1.\"", "integer", no},
          {"true", "integer", no},
          {"[1]", "integer", no}});
}

void test_convert_number_keeps_every_digit(void**) {
  const char* no = "is not a number";
  expect({{"\"12345678901234567890.1230\"", "number", "12345678901234567890.1230"},
          {"0.10", "number", "0.10"},
          {"\"-007.50\"", "number", "-7.50"},
          {"\"1e400\"", "number", "1e400"},
          {"\"1,5\"", "number", no},
          {"\".5\"", "number", no},
          {"\"5.\"", "number", no},
          {"\"0x10\"", "number", no},
          {"\"NaN\"", "number", no},
          {"\"\"", "number", no},
          {"\"1 \"", "number", no},
          {"false", "number", no},
          {"{}", "number", no}});
}

void test_convert_boolean_takes_the_usual_words(void**) {
  expect({{"\"Yes\"", "boolean", "true"},
          {"\"off\"", "boolean", "false"},
          {"1", "boolean", "true"},
          {"false", "boolean", "false"},
          {"\"maybe\"", "boolean", "is not true or false"},
          {"2", "boolean", "is not true or false"}});
}

void test_convert_text_and_json(void**) {
  expect({{"1.50", "text", "\"1.50\""},
          {"true", "text", "\"true\""},
          {"{\"a\":[1]}", "text", "\"{\\\"a\\\":[1]}\""},
          {"\"{\\\"a\\\": 1.0}\"", "json", "{\"a\":1.0}"},
          {"[1]", "json", "[1]"},
          {"\"{a\"", "json", "is a text that holds no JSON"}});
}

void test_convert_timestamp_becomes_utc_with_its_own_fraction(void**) {
  const std::pair<const char*, const char*> cases[] = {
      {"2026-11-23T21:12:14.000042Z", "2026-11-23T21:12:14.000042Z"},
      {"2026-11-23 21:12:14.5+02", "2026-11-23T19:12:14.5Z"},
      {"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"},
      {"2024-02-28T23:00:00-0530", "2024-02-29T04:30:00Z"},
      {"1890-01-01T00:00:00+00:53:28", "1889-12-31T23:06:32Z"},
      {"1890-01-01T00:00:00.5-00:53:28", "1890-01-01T00:53:28.5Z"},
      {"1890-01-01T00:00:00+00:53:", ""},
      {"1890-01-01T00:00:00+00:53:60", ""},
      {"2026-11-23", "2026-11-23T00:00:00Z"},
      {"2026-11-23T21:12", "2026-11-23T21:12:00Z"},
      {"2026-02-29", ""},
      {"2026-11-23T24:00:00Z", ""},
      {"2026-11-23T21:12:14 CET", ""},
      {"2026-11-23T21:12:14.Z", ""},
      {"2026-11-23T21:12.5Z", ""},
      {"0001-01-01T00:00:00+05:00", ""},
      {"9999-12-31T23:59:59-01:00", ""},
      {"infinity", ""},
      {"", ""},
  };
  for (const auto& [text, utc] : cases) assert_text(utc_timestamp(text), utc);
  expect({{"\"2026-01-01T00:30:00+01:00\"", "date", "\"2025-12-31\""},
          {"20260101", "date", "is not a date"},
          {"\"yesterday\"", "timestamp", "is not a timestamp"}});
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_convert_integer_is_exact_or_refused),
      checked(test_convert_number_keeps_every_digit),
      checked(test_convert_boolean_takes_the_usual_words),
      checked(test_convert_text_and_json),
      checked(test_convert_timestamp_becomes_utc_with_its_own_fraction),
  };
  return cmocka_run_group_tests_name("field_convert", tests, nullptr, nullptr);
}
