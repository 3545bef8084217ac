#include "relay/sources/braintree_records.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "common/json.hpp"

namespace muskrat::braintree {
namespace {

// As JSON has them: no sign but -, no leading zero.
bool whole_number(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const bool zero_first = text.size() > 1 && text.front() == '0';
  return !text.empty() && !zero_first && text.find_first_not_of("0123456789") == text.npos;
}

std::string scalar(const xml::Element& element) {
  const std::string_view type = element.attribute("type");
  if (type == "integer" && whole_number(element.text)) return element.text;
  if (type == "boolean" && (element.text == "true" || element.text == "1")) return "true";
  if (type == "boolean" && (element.text == "false" || element.text == "0")) return "false";
  return json::quote(element.text);
}

std::string array_of(const std::vector<const xml::Element*>& elements) {
  std::string text = "[";
  for (const xml::Element* each : elements) text += (text.size() > 1 ? "," : "") + json_of(*each);
  return text + "]";
}

// What has one name twice and is no array by its type is one all the same.
std::string object_of(const xml::Element& element) {
  std::vector<std::string> order;
  std::map<std::string, std::vector<const xml::Element*>> members;
  for (const xml::Element& child : element.children) {
    const std::string name = member_name(child.name);
    if (!members.contains(name)) order.push_back(name);
    members[name].push_back(&child);
  }
  std::string text = "{";
  for (const std::string& name : order) {
    const auto& same = members[name];
    text += (text.size() > 1 ? "," : "") + json::quote(name) + ":" +
            (same.size() == 1 ? json_of(*same.front()) : array_of(same));
  }
  return text + "}";
}

}  // namespace

std::string member_name(std::string_view element) {
  std::string name(element);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string json_of(const xml::Element& element) {
  const std::string_view type = element.attribute("type");
  if (element.attribute("nil") == "true") return "null";
  if (type == "array" || type == "collection") {
    std::vector<const xml::Element*> all;
    for (const xml::Element& child : element.children) all.push_back(&child);
    return array_of(all);
  }
  return element.children.empty() ? scalar(element) : object_of(element);
}

std::string_view text_in(const xml::Element& element, std::string_view child) {
  const xml::Element* found = element.child(child);
  return found == nullptr ? std::string_view() : std::string_view(found->text);
}

}  // namespace muskrat::braintree
