// What the verbs print. The command line is not part of the library, so its sources are taken in here.
#include "cli/event_text.cpp"  // NOLINT(bugprone-suspicious-include)
#include "cli/terminal.cpp"    // NOLINT(bugprone-suspicious-include)
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

Event signup() {
  Event event;
  event.routing_key = "Frontend.Customer.Signup";
  event.key = "Frontend.Customer:[48239]";
  event.op = Op::insert;
  event.captured_us = 1'764'000'000'123'456;
  event.body = "{ \"id\" : 48239.10,\n \"email\":\"a@b\" }";
  return event;
}

void test_harmless_takes_out_what_a_terminal_obeys(void**) {
  assert_text(cli::harmless("a\x1b[31mb\r\n\x7f"), "a?[31mb???");
  assert_text(cli::harmless("\xc2\x9b"
                            "31m \xc2\xa0 \xc3\xa9 \xe2\x82\xac"),
              "?31m \xc2\xa0 \xc3\xa9 \xe2\x82\xac");
}

void test_shortened_counts_characters_and_keeps_them_whole(void**) {
  assert_text(cli::shortened("abcdef", 4), "abc…");
  assert_text(cli::shortened("abcd", 4), "abcd");
  assert_text(cli::shortened("ééééé", 3), "éé…");
  assert_text(cli::shortened("abcdef", 0), "abcdef");
}

void test_counted_knows_one_and_many(void**) {
  assert_text(cli::counted(1, "error") + ", " + cli::counted(0, "error") + ", " + cli::counted(2, "error"),
              "1 error, 0 errors, 2 errors");
}

void test_table_pads_columns_and_ends_lines_clean(void**) {
  cli::Table table({"NAME", "N"});
  table.add({"é", "1"});
  table.add({"longer", ""});
  assert_text(table.text("> "), "> NAME    N\n> é       1\n> longer\n");
}

void test_event_line_is_one_line_without_colours_in_a_pipe(void**) {
  const std::string line = cli::event_line(signup());
  assert_lacks(line, "\033");
  assert_holds(line, "Frontend.Customer.Signup    insert    [48239]   {");
  assert_int_equal(line.find('\n'), line.size() - 1);
}

void test_event_json_is_one_line_with_every_digit(void**) {
  const std::string text = cli::event_json(signup());
  assert_holds(text, R"({"time":"2025-11-24T16:00:00.123Z","routing_key":"Frontend.Customer.Signup",)");
  assert_holds(text, R"("body":{"id":48239.10,"email":"a@b"}})");
  assert_lacks(text, "\n");
}

void test_event_json_of_a_body_that_is_none_is_text(void**) {
  Event event = signup();
  event.body = "\xff not json";
  assert_holds(cli::event_json(event), "\"text\":\"\xef\xbf\xbd not json\"}");
  assert_lacks(cli::event_json(event), "\"body\"");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_harmless_takes_out_what_a_terminal_obeys),
      checked(test_shortened_counts_characters_and_keeps_them_whole),
      checked(test_counted_knows_one_and_many),
      checked(test_table_pads_columns_and_ends_lines_clean),
      checked(test_event_line_is_one_line_without_colours_in_a_pipe),
      checked(test_event_json_is_one_line_with_every_digit),
      checked(test_event_json_of_a_body_that_is_none_is_text),
  };
  return cmocka_run_group_tests_name("cli_text", tests, nullptr, nullptr);
}
