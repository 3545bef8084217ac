// Reading JSON with every digit, and writing it.
#include "common/json.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

json::Document parsed(std::string_view text) {
  std::string why;
  auto document = json::Document::parse(text, why);
  if (!document) fail_msg("%s", why.c_str());
  return std::move(*document);
}

std::string refusal(std::string_view text) {
  std::string why;
  assert_false(json::Document::parse(text, why).has_value());
  assert_holds(why, "at byte");
  return why;
}

void test_numbers_keep_every_digit(void**) {
  for (const char* digits : {"12345678901234567890.123", "99999999999999999999999999", "-0", "1.10", "1e300", "0.0",
                             "9223372036854775808", "1.0E+5"}) {
    const auto document = parsed(std::string("{\"n\":") + digits + "}");
    assert_text(document.root().find("n")->number(), digits);
    assert_text(document.root().dump(), std::string("{\"n\":") + digits + "}");
    assert_true(document.root().find("n")->type() == json::Type::number);
  }
}

void test_numbers_beyond_a_double_are_kept(void**) {
  for (const std::string& digits : {std::string(400, '7'), "-0." + std::string(400, '3'), std::string(5000, '7') + ".5",
                                    std::string("1e400"), std::string("-1.5E+99999"), std::string("1e-400")}) {
    assert_text(parsed(digits).root().number(), digits);
    const std::string text = "{\"a\":[1,\"" + digits + "\\\" 2\"," + digits + ",2.50],\"b\":3}";
    assert_text(parsed(text).root().dump(), text);
  }
}

void test_malformed_numbers_beyond_a_double_are_refused(void**) {
  refusal("[1e400,1e]");
  refusal("[1e400,01]");
  refusal("1e400.5");
  refusal("1e400 1");
  refusal("--1e400");
  refusal("[1e400,+1e400]");
  refusal("[1e400,\"1e400]");
  refusal("0" + std::string(400, '7'));
}

void test_a_string_of_digits_stays_a_string(void**) {
  const auto document = parsed(R"({"s":"123","n":123})");
  assert_true(document.root().find("s")->type() == json::Type::string);
  assert_true(document.root().find("n")->type() == json::Type::number);
  assert_text(document.root().dump(), R"({"s":"123","n":123})");
}

void test_dump_of_a_whole_document_is_tight_and_in_order(void**) {
  const auto document = parsed(" { \"b\" : [ 1 , true , null , { } , [ ] ] , \"a\" : \"x\" } ");
  assert_text(document.root().dump(), R"({"b":[1,true,null,{},[]],"a":"x"})");
}

void test_repeated_member_the_last_one_counts(void**) {
  const auto document = parsed(R"({"a":1,"a":2})");
  assert_text(document.root().find("a")->number(), "2");
  assert_int_equal(document.root().size(), 2);
}

void test_escapes_are_resolved_and_written_back(void**) {
  const auto document = parsed(R"({"s":"\u00e9\n\"\\\u0000\ud83d\ude00"})");
  const std::string_view text = document.root().find("s")->string();
  assert_true(text == std::string_view("\xc3\xa9\n\"\\\0\xf0\x9f\x98\x80", 10));
  assert_text(document.root().dump(), "{\"s\":\"\xc3\xa9\\n\\\"\\\\\\u0000\xf0\x9f\x98\x80\"}");
}

void test_paths_walk_members_elements_and_dotted_names(void**) {
  const auto document = parsed(R"({"a":{"b":{"c":1}},"items":[{"id":7}],"x.y":{"z":2},"x":{"y":3}})");
  const json::Value root = document.root();
  assert_text(root.path("a.b.c")->number(), "1");
  assert_text(root.path("items.0.id")->number(), "7");
  assert_text(root.path("x.y")->dump(), R"({"z":2})");
  assert_false(root.path("a.b.d").has_value());
  assert_false(root.path("items.1.id").has_value());
  assert_false(root.path("items.-1").has_value());
  assert_false(root.path("items.0x").has_value());
  assert_false(root.path("a.b.c.d").has_value());
  assert_false(root.path("").has_value());
}

void test_what_is_no_json_is_refused_with_its_place(void**) {
  assert_holds(refusal(""), "empty");
  assert_holds(refusal("{} {}"), "follows the document");
  assert_holds(refusal("{}x"), "follows the document");
  assert_holds(refusal("{\"a\":1,}"), "name");
  assert_holds(refusal("[1,]"), "value");
  assert_holds(refusal("{'a':1}"), "name");
  assert_holds(refusal("[1 2]"), "comma");
  assert_holds(refusal("\"abc"), "at byte");
  assert_holds(refusal("NaN"), "value");
  assert_holds(refusal("[Infinity]"), "value");
  refusal("01");
  refusal("1.");
  refusal("// comment\n1");
  assert_holds(refusal(std::string_view("1\0 2", 4)), "NUL byte (at byte 1)");
  assert_holds(refusal("\"a\tb\""), "control character");
}

void test_refusal_never_quotes_the_text(void**) {
  assert_lacks(refusal("{\"email\":\"secret@example.com\",}"), "secret");
}

void test_invalid_utf8_and_lone_surrogates_are_refused(void**) {
  for (const char* bytes : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82"}) {
    assert_holds(refusal("\"" + std::string(bytes) + "\""), "UTF-8");
  }
  refusal(R"("\ud800")");
  refusal(R"("\ud800x")");
  refusal(R"("\udc00")");
}

void test_nesting_up_to_512_and_no_deeper(void**) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  assert_text(parsed(nested(512)).root().dump(), nested(512));
  assert_holds(refusal(nested(513)), "512");
  assert_holds(refusal(nested(2'000'000)), "512");
}

void test_views_survive_a_move_of_the_document(void**) {
  auto document = parsed(R"({"s":"short","t":[1,2,3]})");
  const json::Value value = *document.root().find("s");
  const auto moved = std::move(document);
  assert_text(value.string(), "short");
  assert_text(moved.root().path("t.2")->number(), "3");
}

void test_scalar_text_is_what_sql_wants(void**) {
  const auto document = parsed(R"([null,"a",1.50,true,{"x":1},[1]])");
  const json::Value root = document.root();
  assert_false(root.at(0).scalar_text().has_value());
  const char* expected[] = {"a", "1.50", "true", R"({"x":1})", "[1]"};
  for (size_t i = 0; i < 5; ++i) assert_text(*root.at(i + 1).scalar_text(), expected[i]);
}

void test_out_of_range_access_is_null(void**) {
  const auto document = parsed("[1]");
  assert_true(document.root().at(1).type() == json::Type::null);
  assert_text(document.root().member_name(5), "");
  assert_text(document.root().string(), "");
}

void test_quote_replaces_what_is_not_utf8(void**) {
  assert_text(json::quote("a\"b\\\n\x01"), "\"a\\\"b\\\\\\n\\u0001\"");
  assert_text(json::quote("\xff ok \xc3"), "\"\xef\xbf\xbd ok \xef\xbf\xbd\"");
  assert_text(json::quote("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  assert_text(json::quote("\xe2\x82\xac\xf0\x9f\x98\x80"), "\"\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

void test_object_is_written_in_order_with_every_kind(void**) {
  json::Object inner, outer;
  inner.add("k", "v");
  std::vector<json::Object> list;
  list.emplace_back();
  outer.add("b", 1).add("a", "x\xff").add("t", true).add("d", 0.5).add_null("n").add("o", inner);
  outer.add("l", list).add("s", std::vector<std::string>{"p", "q"}).add("big", int64_t{9223372036854775807});
  assert_text(outer.text(),
              "{\"b\":1,\"a\":\"x\xef\xbf\xbd\",\"t\":true,\"d\":0.5,\"n\":null,\"o\":{\"k\":\"v\"},"
              "\"l\":[{}],\"s\":[\"p\",\"q\"],\"big\":9223372036854775807}");
  inner.add("later", 1);
  assert_text(outer.add("b", 2).text().substr(0, 6), "{\"b\":2");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_numbers_keep_every_digit),
      checked(test_numbers_beyond_a_double_are_kept),
      checked(test_malformed_numbers_beyond_a_double_are_refused),
      checked(test_a_string_of_digits_stays_a_string),
      checked(test_dump_of_a_whole_document_is_tight_and_in_order),
      checked(test_repeated_member_the_last_one_counts),
      checked(test_escapes_are_resolved_and_written_back),
      checked(test_paths_walk_members_elements_and_dotted_names),
      checked(test_what_is_no_json_is_refused_with_its_place),
      checked(test_refusal_never_quotes_the_text),
      checked(test_invalid_utf8_and_lone_surrogates_are_refused),
      checked(test_nesting_up_to_512_and_no_deeper),
      checked(test_views_survive_a_move_of_the_document),
      checked(test_scalar_text_is_what_sql_wants),
      checked(test_out_of_range_access_is_null),
      checked(test_quote_replaces_what_is_not_utf8),
      checked(test_object_is_written_in_order_with_every_kind),
  };
  return cmocka_run_group_tests_name("json", tests, nullptr, nullptr);
}
