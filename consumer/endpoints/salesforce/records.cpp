#include "consumer/endpoints/salesforce/records.hpp"

#include <algorithm>

#include "consumer/endpoints/salesforce/look.hpp"

namespace muskrat::salesforce {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 80 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_version(std::string_view text) {
  return text.size() >= 4 && text.ends_with(".0") && text.find_first_not_of("0123456789.") == std::string_view::npos &&
         std::count(text.begin(), text.end(), '.') == 1 && text.size() <= 5;
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

// A custom relationship Plan__r goes to objects of the type Plan__c, if names were chosen well; where they were not, a
// parent has two keys, and a lock is met at Salesforce.
std::string key_of(std::string name, std::string_view field, const std::string& value) {
  if (name.ends_with("__r")) name.back() = 'c';
  return lower(std::move(name) + "." + std::string(field) + "=" + value);
}

// No parent, said by its external id, is said by the field that holds the parent's id.
bool is_no_parent(const json::Value& value) {
  if (value.type() != json::Type::object || value.size() == 0) return false;
  for (size_t i = 0; i < value.size(); ++i)
    if (value.member(i).type() != json::Type::null) return false;
  return true;
}

std::string member_text(std::string_view name, const json::Value& value) {
  if (!is_no_parent(value)) return json::quote(name) + ":" + value.dump();
  const bool custom = name.ends_with("__r");
  return json::quote(custom ? std::string(name.substr(0, name.size() - 1)) + "c" : std::string(name) + "Id") + ":null";
}

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

Records::Records(const Settings& settings)
    : mapping_(settings),
      object_(settings.text("object")),
      external_id_(settings.text("external_id")),
      base_("/services/data/v" + settings.text("api_version")),
      parents_(settings.texts("parents")),
      removes_(settings.text("deletes") == "delete") {}

std::optional<Record> Records::record(const Event& event, Outcome& outcome) const {
  std::string why;
  if (event.op == Op::truncate) return outcome = Outcome::dead("an sObject is not emptied by TRUNCATE"), std::nullopt;
  const auto body = json::Document::parse(event.body, why);
  if (!body) return outcome = Outcome::dead("the body is not JSON: " + why), std::nullopt;
  const Mapped mapped = mapping_.apply(event, body->root());
  if (mapped.state == Mapped::State::skipped) return outcome = Outcome::skipped(mapped.text), std::nullopt;
  if (mapped.state == Mapped::State::failed) return outcome = Outcome::dead(mapped.text), std::nullopt;
  Record record;
  record.event = &event;
  record.remove = event.op == Op::remove;
  if (record.remove && !removes_) return outcome = Outcome::skipped("by deletes: skip"), std::nullopt;
  const auto made = json::Document::parse(mapped.text, why);
  auto whole = made ? completed(made->root(), std::move(record), why) : std::nullopt;
  if (!whole) outcome = Outcome::dead(why);
  return whole;
}

std::optional<Record> Records::completed(const json::Value& made, Record record, std::string& why) const {
  if (made.type() != json::Type::object) return why = "the mapping makes no object", std::nullopt;
  std::string members;
  for (size_t i = 0; i < made.size(); ++i) {
    const auto name = made.member_name(i);
    if (same_name(name, "Id") && !same_name(external_id_, name))
      return why = "the mapping makes a member " + std::string(name) + ", which an upsert by external id must not have",
             std::nullopt;
    if (name == "attributes")
      return why = "the mapping makes a member attributes, which is Salesforce's own", std::nullopt;
    add_parents(name, made.member(i), record);
    members += "," + member_text(name, made.member(i));
  }
  const auto id = made.find(external_id_);
  const auto text =
      id && (id->type() == json::Type::string || id->type() == json::Type::number) ? id->scalar_text() : std::nullopt;
  if (!text || text->empty()) return why = "there is no external id: " + external_id_, std::nullopt;
  record.external_id = *text;
  record.key = key_of_external_id(record.external_id);
  if (!record.remove) record.text = R"({"attributes":{"type":)" + json::quote(object_) + "}" + members + "}";
  return record;
}

std::string Records::key_of_external_id(const std::string& external_id) const {
  return key_of(object_, external_id_, external_id);
}

// A relationship by external id, {"Account":{"Ext__c":"a-9"}}, or a field that the configuration names.
void Records::add_parents(std::string_view name, const json::Value& value, Record& record) const {
  if (value.type() == json::Type::object) {
    for (size_t i = 0; i < value.size(); ++i) {
      const auto text = value.member(i).scalar_text();
      if (!text || value.member_name(i) == "attributes") continue;
      record.parents.push_back(key_of(std::string(name), value.member_name(i), *text));
      record.names_by_external_id = true;
    }
  } else if (std::find(parents_.begin(), parents_.end(), name) != parents_.end()) {
    if (const auto text = value.scalar_text()) record.parents.push_back(lower(std::string(name) + "=" + *text));
  }
}

http::Request Records::upsert(std::span<const Record* const> records) const {
  std::string list;
  for (const Record* record : records) list += (list.empty() ? "" : ",") + record->text;
  return {"PATCH",
          base_ + "/composite/sobjects/" + object_ + "/" + external_id_,
          {{"Content-Type", "application/json; charset=UTF-8"}},
          R"({"allOrNone":false,"records":[)" + list + "]}"};
}

http::Request Records::removal(const Record& record) const {
  return {"DELETE",
          base_ + "/sobjects/" + object_ + "/" + external_id_ + "/" + http::percent_encode(record.external_id),
          {},
          ""};
}

http::Request Records::look(const Record& record, bool bare) const {
  return {"GET",
          base_ + "/query?q=" + http::percent_encode(look_for(object_, external_id_, record.external_id, bare)),
          {},
          ""};
}

http::Request Records::removal_of(const std::string& id) const {
  return {"DELETE", base_ + "/sobjects/" + object_ + "/" + id, {}, ""};
}

void check_records(const Settings& settings, std::vector<Problem>& problems) {
  const auto wrong = [&](const char* name, const std::string& what) {
    problems.push_back({settings.where(name), std::string(name) + ": " + what});
  };
  for (const char* name : {"object", "external_id"})
    if (!is_name(settings.text(name))) wrong(name, "expected an API name, such as Contact or Ext_Id__c");
  if (!is_version(settings.text("api_version")) || std::stoi(settings.text("api_version")) < 46)
    wrong("api_version", "expected a version from 46.0, such as 65.0");
  const auto& fields = settings.records("fields");
  if (same_name(settings.text("external_id"), "Id"))
    wrong("external_id", "a field marked as External ID is needed; Salesforce's own Id is not known to sources");
  if (fields.empty()) return;
  const bool there = std::any_of(fields.begin(), fields.end(), [&](const Settings& field) {
    return field.text("to") == settings.text("external_id");
  });
  if (!there) wrong("external_id", "no field goes to " + settings.text("external_id"));
}

}  // namespace muskrat::salesforce
