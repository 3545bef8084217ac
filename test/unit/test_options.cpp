// Option tables and sealed settings, without a file.
#include <array>

#include "common/config.hpp"
#include "common/failure.hpp"
#include "common/options.hpp"
#include "common/settings_builder.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_text;

namespace {

constexpr std::array<Option, 2> column_table{{
    {"name", OptionType::text, "", "", "", true, {}, true},
    {"width", OptionType::integer, "10", "1..100", ""},
}};
constexpr std::array<Option, 11> table{{
    {"host", OptionType::text, "localhost", "", ""},
    {"pass", OptionType::secret, "", "", ""},
    {"lanes", OptionType::integer, "4", "1..64", ""},
    {"ratio", OptionType::number, "0.5", "0..1", ""},
    {"fast", OptionType::boolean, "", "", ""},
    {"wait", OptionType::duration, "10s", "1s..1h", ""},
    {"most", OptionType::bytes, "16MiB", "1KiB..", ""},
    {"mode", OptionType::choice, "a", "a|b|long one", ""},
    {"tags", OptionType::text_list, "", "", ""},
    {"columns", OptionType::records, "", "", "", false, column_table},
    {"value", OptionType::scalar, "", "", ""},
}};

// One option set to a scalar; what is wrong with it, "" when nothing is.
std::string fault(std::string_view name, const std::string& text, bool quoted = false) {
  SettingsBuilder builder(table, {});
  ScalarText scalar;
  scalar.text = scalar.raw = text;
  scalar.quoted = quoted;
  for (const Option& option : table) {
    if (option.name == name) return builder.set(option, scalar);
  }
  return "no such option";
}

Settings read(const std::string& yaml) {
  std::vector<Problem> problems;
  Settings settings = parse_settings(table, yaml, "t.yaml", problems);
  for (const Problem& problem : problems) {
    if (problem.error) fail_msg("%s", describe(problem).c_str());
  }
  return settings;
}

void test_missing_section_has_the_defaults(void**) {
  const Settings settings = default_settings(table);
  assert_text(settings.text("host"), "localhost");
  assert_int_equal(settings.integer("lanes"), 4);
  assert_true(settings.number("ratio") > 0.49 && settings.number("ratio") < 0.51);
  assert_int_equal(settings.duration("wait").count(), 10'000);
  assert_int_equal(settings.bytes("most"), 16 << 20);
  assert_text(settings.text("mode"), "a");
  assert_true(settings.has("host"));
  assert_false(settings.given("host"));
  assert_false(settings.has("pass"));
}

void test_absent_texts_and_lists_are_empty(void**) {
  const Settings settings = default_settings(table);
  assert_text(settings.text("pass"), "");
  assert_text(settings.fresh_secret("pass"), "");
  assert_true(settings.texts("tags").empty());
  assert_true(settings.records("columns").empty());
  assert_text(settings.scalar("value"), "");
}

void test_programmers_mistakes_throw(void**) {
  const Settings settings = default_settings(table);
  int thrown = 0;
  for (const auto& mistake :
       {+[](const Settings& s) { s.text("nonsense"); }, +[](const Settings& s) { s.integer("host"); },
        +[](const Settings& s) { s.boolean("fast"); }, +[](const Settings& s) { s.texts("host"); }}) {
    try {
      mistake(settings);
    } catch (const std::logic_error&) {
      ++thrown;
    }
  }
  assert_int_equal(thrown, 4);
}

void test_values_of_each_type_are_read(void**) {
  const Settings settings = read(
      "host: h\npass: p\nlanes: 64\nratio: 1\nfast: yes\nwait: 250s\nmost: 3 KiB\nmode: long one\n"
      "tags: [a, b]\ncolumns: [id, {name: n, width: 3}]\nvalue: 1.50\n");
  assert_int_equal(settings.integer("lanes"), 64);
  assert_true(settings.boolean("fast"));
  assert_int_equal(settings.duration("wait").count(), 250'000);
  assert_int_equal(settings.bytes("most"), 3072);
  assert_text(settings.text("mode"), "long one");
  assert_int_equal(settings.texts("tags").size(), 2);
  assert_text(settings.records("columns")[0].text("name"), "id");
  assert_int_equal(settings.records("columns")[0].integer("width"), 10);
  assert_int_equal(settings.records("columns")[1].integer("width"), 3);
  assert_text(settings.scalar("value"), "1.50");
  assert_int_equal(settings.where("lanes").line, 3);
}

void test_one_text_stands_for_a_list_of_one(void**) { assert_text(read("tags: only").texts("tags").at(0), "only"); }

void test_durations_and_sizes_with_odd_units_are_refused(void**) {
  for (const char* text : {"10", "10 sec", "-1s", "1.5s", "s", "", "99999999999999999999s", "9223372036854775807d"}) {
    assert_holds(fault("wait", text), "expected a duration");
  }
  for (const char* text : {"10KB", "1 kib", "-1", "1.5MiB", "", "9999999999999TiB"}) {
    assert_holds(fault("most", text), "expected a size");
  }
  assert_text(fault("most", "2048"), "");
}

void test_values_outside_their_range_are_refused_at_the_edge(void**) {
  assert_text(fault("lanes", "1"), "");
  assert_text(fault("lanes", "64"), "");
  assert_holds(fault("lanes", "0"), "from 1 to 64");
  assert_holds(fault("lanes", "65"), "from 1 to 64");
  assert_holds(fault("lanes", "4x"), "expected a whole number");
  assert_holds(fault("lanes", " 4"), "expected a whole number");
  assert_holds(fault("ratio", "1.01"), "from 0 to 1");
  assert_holds(fault("ratio", "nan"), "expected a number");
  assert_holds(fault("wait", "999ms"), "from 1s to 1h");
  assert_text(fault("wait", "1h"), "");
  assert_holds(fault("wait", "3601s"), "from 1s to 1h");
  assert_holds(fault("most", "1023"), "at least 1KiB");
}

void test_choices_and_booleans_list_what_is_allowed(void**) {
  assert_holds(fault("mode", "c"), "one of a, b, long one");
  assert_holds(fault("mode", ""), "one of");
  assert_holds(fault("mode", "long"), "one of");
  assert_holds(fault("fast", "maybe"), "true or false");
}

void test_scalar_keeps_the_kind_of_what_was_written(void**) {
  const std::pair<const char*, const char*> cases[] = {
      {"value: 12345678901234567890.10", "12345678901234567890.10"},
      {"value: web", "\"web\""},
      {"value: \"12\"", "\"12\""},
      {"value: 'true'", "\"true\""},
      {"value: true", "true"},
      {"value: null", "null"},
      {"value: ~", "null"},
      {"value:", "null"},
      {"value: \"\"", "\"\""},
      {"value: 007", "\"007\""},
      {"value: 0x1f", "\"0x1f\""},
      {"value: -1e3", "-1e3"},
  };
  for (const auto& [yaml, json] : cases) assert_text(read(yaml).scalar("value"), json);
}

void test_fresh_secret_is_resolved_at_each_call(void**) {
  ::setenv("MUSKRAT_TEST_SECRET", "one", 1);
  const Settings settings = read("pass: a-${MUSKRAT_TEST_SECRET}");
  assert_text(settings.text("pass"), "a-one");
  ::setenv("MUSKRAT_TEST_SECRET", "two", 1);
  assert_text(settings.text("pass"), "a-one");
  assert_text(settings.fresh_secret("pass"), "a-two");
  ::unsetenv("MUSKRAT_TEST_SECRET");
  bool reconnect = false;
  try {
    settings.fresh_secret("pass");
  } catch (const Failure& failure) {
    reconnect = failure.remedy() == Remedy::reconnect;
    assert_holds(failure.what(), "t.yaml:1");
    assert_holds(failure.what(), "MUSKRAT_TEST_SECRET is not set");
  }
  assert_true(reconnect);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_missing_section_has_the_defaults),
      checked(test_absent_texts_and_lists_are_empty),
      checked(test_programmers_mistakes_throw),
      checked(test_values_of_each_type_are_read),
      checked(test_one_text_stands_for_a_list_of_one),
      checked(test_durations_and_sizes_with_odd_units_are_refused),
      checked(test_values_outside_their_range_are_refused_at_the_edge),
      checked(test_choices_and_booleans_list_what_is_allowed),
      checked(test_scalar_keeps_the_kind_of_what_was_written),
      checked(test_fresh_secret_is_resolved_at_each_call),
  };
  return cmocka_run_group_tests_name("options", tests, nullptr, nullptr);
}
