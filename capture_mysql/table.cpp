#include "capture_mysql/table.hpp"

#include <algorithm>
#include <cctype>

#include "common/json.hpp"

namespace muskrat::capture_mysql {
namespace {

bool same_name(const std::string& a, const std::string& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return x < 0x80 && y < 0x80 ? std::tolower(x) == std::tolower(y) : x == y;
  });
}

std::string quoted_with(const std::string& text, char quote, bool backslashes) {
  std::string out(1, quote);
  for (char c : text) {
    if (c == quote || (backslashes && c == '\\')) out += c;
    out += c;
  }
  return out + quote;
}

std::vector<std::string> texts(const std::optional<json::Value>& list) {
  std::vector<std::string> out;
  for (size_t i = 0; list && i < list->size(); ++i) out.emplace_back(list->at(i).string());
  return out;
}

std::string text(const std::optional<json::Value>& value) { return value ? value->scalar_text().value_or("") : ""; }

std::optional<std::string> word(const std::optional<json::Value>& value) {
  if (!value) return std::nullopt;
  return value->scalar_text();
}

void add_word(json::Object& to, const char* name, const std::optional<std::string>& word) {
  if (word) {
    to.add(name, *word);
  } else {
    to.add_null(name);
  }
}

}  // namespace

const Column* Table::find(const std::string& column) const {
  for (const Column& c : columns) {
    if (same_name(c.name, column)) return &c;
  }
  return nullptr;
}

std::string Table::quoted() const { return quote_identifier(schema) + "." + quote_identifier(name); }

std::string Options::to_json() const {
  json::Object out;
  out.add("object", object).add("columns", columns);
  add_word(out, "on_insert", on_insert);
  add_word(out, "on_update", on_update);
  add_word(out, "on_delete", on_delete);
  out.add("key", key).add("condition", condition).add("changes_of", changes_of).add("name", name);
  return out.text();
}

Options Options::from_json(const std::string& stored) {
  std::string why;
  const auto document = json::Document::parse(stored, why);
  if (!document) throw Refused("muskrat.attachments holds options that are " + why + "; attach anew");
  const json::Value root = document->root();
  Options o;
  o.object = text(root.find("object"));
  o.columns = text(root.find("columns"));
  o.on_insert = word(root.find("on_insert"));
  o.on_update = word(root.find("on_update"));
  o.on_delete = word(root.find("on_delete"));
  o.key = texts(root.find("key"));
  o.condition = text(root.find("condition"));
  o.changes_of = texts(root.find("changes_of"));
  o.name = text(root.find("name"));
  return o;
}

std::string quote_identifier(const std::string& name) { return quoted_with(name, '`', false); }
std::string quote_literal(const std::string& text) { return quoted_with(text, '\'', true); }

}  // namespace muskrat::capture_mysql
