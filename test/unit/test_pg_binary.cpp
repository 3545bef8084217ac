// PostgreSQL's binary formats: numbers, times, uuids, and the rows of a COPY however they are cut.
#include "common/failure.hpp"
#include "common/pg_binary.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_text;

namespace {

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

void test_integers_have_their_sign_in_every_width(void**) {
  assert_true(pg::binary_integer(bytes({0, 0, 0, 0, 0, 0, 1, 0})) == 256);
  assert_true(pg::binary_integer(bytes({0x80, 0, 0, 0, 0, 0, 0, 0})) == INT64_MIN);
  assert_true(pg::binary_integer(bytes({0xff, 0xff, 0xff, 0xfe})) == -2);
  assert_true(pg::binary_integer(bytes({0x7f, 0xff, 0xff, 0xff})) == INT32_MAX);
  assert_true(pg::binary_integer(bytes({0xff, 0xff})) == -1);
  assert_true(pg::binary_integer(bytes({1})) == 1);
  assert_true(pg::binary_integer(bytes({'u'})) == 'u');
  assert_true(pg::binary_integer("") == 0);
}

void test_times_count_from_1970(void**) {
  assert_true(pg::binary_time_us(bytes({0, 0, 0, 0, 0, 0, 0, 0})) == 946'684'800'000'000);  // 2000-01-01
  assert_true(pg::binary_time_us(bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})) == 946'684'799'999'999);
}

void test_uuid_is_written_as_the_server_writes_it(void**) {
  const std::string all =
      bytes({0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x7c, 0xef, 0x80, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde});
  assert_text(pg::binary_uuid(all), "01234567-89ab-7cef-8012-3456789abcde");
}

const std::string header = std::string("PGCOPY\n\377\r\n\0", 11) + bytes({0, 0, 0, 0, 0, 0, 0, 0});
// (258, "ab", NULL), ("")
const std::string two_rows =
    bytes({0, 3, 0, 0, 0, 2, 1, 2, 0, 0, 0, 2, 'a', 'b', 0xff, 0xff, 0xff, 0xff}) + bytes({0, 1, 0, 0, 0, 0});
const std::string end = bytes({0xff, 0xff});

// Rows as text: fields in brackets.
std::string rows_of(pg::CopyRows& rows) {
  std::string text;
  while (const auto* fields = rows.next()) {
    for (const auto& field : *fields) {
      if (!field)
        text += "[NULL]";
      else if (*field == bytes({1, 2}))
        text += "[" + std::to_string(pg::binary_integer(*field)) + "]";
      else
        text += "[" + std::string(*field) + "]";
    }
    text += ";";
  }
  return text;
}

void test_copy_is_read_wherever_it_is_cut(void**) {
  const std::string all = header + two_rows + end;
  for (size_t first = 0; first <= all.size(); ++first) {
    for (size_t second = first; second <= all.size(); ++second) {
      pg::CopyRows rows;
      std::string text;
      for (const std::string& part : {all.substr(0, first), all.substr(first, second - first), all.substr(second)}) {
        rows.add(part);
        text += rows_of(rows);
      }
      assert_text(text, "[258][ab][NULL];[];");
      assert_true(rows.ended());
    }
  }
}

void test_copy_without_its_end_has_not_ended(void**) {
  pg::CopyRows rows;
  rows.add(header + two_rows);
  assert_text(rows_of(rows), "[258][ab][NULL];[];");
  assert_false(rows.ended());
  rows.add(two_rows.substr(0, 9));
  assert_text(rows_of(rows), "");
  assert_false(rows.ended());
}

void test_copy_skips_what_a_header_may_hold(void**) {
  pg::CopyRows rows;
  rows.add(header.substr(0, 15) + bytes({0, 0, 0, 3}) + "xyz" + two_rows + end);
  assert_text(rows_of(rows), "[258][ab][NULL];[];");
}

void test_what_is_no_binary_copy_is_refused(void**) {
  pg::CopyRows rows;
  rows.add("1\tsomebody@example.com\n2\tanother\n");
  std::string why;
  try {
    rows.next();
  } catch (const Failure& failure) {
    why = failure.what();
  }
  assert_text(why, "the server's COPY is not in binary format");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_integers_have_their_sign_in_every_width), checked(test_times_count_from_1970),
      checked(test_uuid_is_written_as_the_server_writes_it), checked(test_copy_is_read_wherever_it_is_cut),
      checked(test_copy_without_its_end_has_not_ended),      checked(test_copy_skips_what_a_header_may_hold),
      checked(test_what_is_no_binary_copy_is_refused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
