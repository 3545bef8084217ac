// XML as a tree, what is refused of it, and Braintree's XML as JSON and as bounds of a search.
#include "common/utc_text.hpp"
#include "common/xml.hpp"
#include "relay/sources/braintree_reader.hpp"
#include "relay/sources/braintree_records.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using unit::assert_holds;
using unit::assert_text;

namespace {

std::string why_not(const std::string& text, const xml::Limits& limits = {}) {
  std::string why;
  return xml::parse(text, why, limits) ? "" : why;
}

std::string as_json(const std::string& text) {
  std::string why;
  const auto root = xml::parse(text, why);
  return root ? braintree::json_of(*root) : why;
}

void test_xml_becomes_a_tree_with_attributes_and_text(void**) {
  std::string why;
  const auto root = xml::parse("<?xml version=\"1.0\"?>\n<a b='1'>x&lt;<c/>y<c>z&#65;</c><![CDATA[<&]]></a>", why);
  assert_true(root.has_value());
  assert_text(root->text, "x<y<&");
  assert_text(root->attribute("b"), "1");
  assert_int_equal(root->children.size(), 2);
  assert_text(root->children[1].text, "zA");
  assert_null(root->child("d"));
}

void test_xml_that_is_not_well_formed_is_refused_without_its_text(void**) {
  for (const char* bad :
       {"", "secret", "<a>secret", "<a></b>", "<a/><b/>", "<a>&secret;</a>", "<a b=1/>", "<a>\x01</a>"})
    assert_true(!why_not(bad).empty() && why_not(bad).find("secret") == std::string::npos);
}

void test_xml_with_a_document_type_is_refused_before_its_entities_are_looked_at(void**) {
  assert_holds(why_not(R"(<!DOCTYPE a [<!ENTITY e "e">]><a>&e;</a>)"), "it has a document type");
  assert_holds(why_not(R"(<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>)"), "it has a document type");
  assert_holds(why_not(R"(<!DOCTYPE a><a/>)"), "it has a document type");
}

void test_xml_that_is_too_deep_or_too_wide_is_refused(void**) {
  std::string deep;
  for (int i = 0; i < 100; ++i) deep.insert(0, "<a>").append("</a>");
  assert_holds(why_not(deep), "it is nested too deep");
  assert_holds(why_not("<a><b/><b/><b/></a>", {64, 3}), "it has too many elements");
  assert_holds(why_not("<a><b/></a>", {1, 9}), "it is nested too deep");
}

void test_xml_text_is_escaped(void**) { assert_text(xml::escape("a&<>\"\x01\n"), "a&amp;&lt;&gt;&quot;\n"); }

void test_braintree_xml_becomes_json_by_its_types(void**) {
  assert_text(
      as_json("<t><id>7</id><created-at type=\"datetime\">2026-03-01T00:00:00Z</created-at><order-id nil=\"true\"/>"
              "<amount>12.50</amount><n type=\"integer\">-3</n><bad type=\"integer\">007</bad>"
              "<yes type=\"boolean\">true</yes><none type=\"boolean\" nil=\"true\"/><empty></empty>"
              "<list type=\"array\"><item>a</item><item><b>1</b></item></list><no type=\"array\"/>"
              "<x><y>1</y><y>2</y></x></t>"),
      R"({"id":"7","created_at":"2026-03-01T00:00:00Z","order_id":null,"amount":"12.50","n":-3,"bad":"007",)"
      R"("yes":true,"none":null,"empty":"","list":["a",{"b":"1"}],"no":[],"x":{"y":["1","2"]}})");
}

void test_braintree_bounds_of_a_search_leave_out_the_last_minute_which_the_gateway_adds(void**) {
  const auto at = [](const char* text) { return utc_from_text(text).value_or(0); };
  assert_text(braintree::criteria_text({"settled-at"}, at("2026-03-01T00:00:00Z"), at("2026-03-01T00:01:00Z")),
              "<settled-at><min type=\"datetime\">2026-03-01T00:00:00Z</min><max "
              "type=\"datetime\">2026-03-01T00:00:00Z</max></settled-at>");
  assert_text(braintree::criteria_text({"dispute-date", true}, at("2026-03-01"), at("2026-03-03")),
              "<dispute-date><min type=\"date\">2026-03-01</min><max type=\"date\">2026-03-02</max></dispute-date>");
}

void test_braintree_cursor_is_read_as_it_was_written(void**) {
  const std::string text = R"(["2026-03-01T00:00:00Z","","2026-03-02T00:00:00Z",""])";
  assert_text(text_of(braintree::cursor_of(text)), text);
  assert_text(text_of(braintree::cursor_of("")), R"(["","","",""])");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_xml_becomes_a_tree_with_attributes_and_text),
      checked(test_xml_that_is_not_well_formed_is_refused_without_its_text),
      checked(test_xml_with_a_document_type_is_refused_before_its_entities_are_looked_at),
      checked(test_xml_that_is_too_deep_or_too_wide_is_refused),
      checked(test_xml_text_is_escaped),
      checked(test_braintree_xml_becomes_json_by_its_types),
      checked(test_braintree_bounds_of_a_search_leave_out_the_last_minute_which_the_gateway_adds),
      checked(test_braintree_cursor_is_read_as_it_was_written),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
