#include "consumer/endpoints/marketo/target.hpp"

#include <algorithm>
#include <cctype>
#include <functional>

#include "common/mapping.hpp"

namespace muskrat::marketo {
namespace {

// Marketo finds "A@b.com " by "a@b.com".
std::string folded(std::string text) {
  const auto space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && space(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), space));
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

std::vector<std::string> key_fields_of(const Settings& settings) {
  if (settings.has("object")) return settings.texts("dedupe_fields");
  return {settings.text("lookup_field")};
}

std::string head_of(const Settings& settings) {
  std::string head = "{\"action\":\"" + settings.text("action") + "\"";
  if (settings.has("object"))
    head += ",\"dedupeBy\":\"dedupeFields\"";
  else
    head += ",\"lookupField\":" + json::quote(settings.text("lookup_field"));
  if (settings.has("partition")) head += ",\"partitionName\":" + json::quote(settings.text("partition"));
  return head + ",\"input\":[";
}

// What Record::key holds of one field.
std::string key_part(const std::string& name, const std::string& value) {
  return name + "=" + json::quote(folded(value)) + " ";
}

std::string joined(std::string head, const std::vector<std::string_view>& texts) {
  const size_t begin = head.size();
  for (const std::string_view text : texts) {
    if (head.size() > begin) head += ',';
    head += text;
  }
  return head + "]}";
}

}  // namespace

Target::Target(const Settings& settings)
    : mapping_(settings),
      object_(settings.text("object")),
      key_fields_(key_fields_of(settings)),
      deletes_(settings.text("deletes")),
      head_(head_of(settings)),
      delete_head_(object_.empty() ? "{\"input\":[" : "{\"deleteBy\":\"dedupeFields\",\"input\":[") {}

std::optional<Record> Target::record(const Event& event, Outcome& outcome) const {
  const auto no = [&](Outcome why) { return outcome = std::move(why), std::nullopt; };
  std::string why;
  const auto body = json::Document::parse(event.body, why);
  if (!body) return no(Outcome::dead("the body is not JSON: " + why));
  const Mapped mapped = mapping_.apply(event, body->root());
  if (mapped.state == Mapped::State::skipped) return no(Outcome::skipped(mapped.text));
  if (event.op == Op::remove && deletes_ == "skip") return no(Outcome::skipped("a delete, by `deletes: skip`"));
  if (event.op == Op::remove && deletes_ == "dead")
    return no(Outcome::dead("a delete: say `deletes: apply` or `skip`, or leave them out with `when`"));
  if (event.op == Op::truncate) return no(Outcome::dead("a TRUNCATE: nothing in Marketo is emptied"));
  if (mapped.state == Mapped::State::failed) return no(Outcome::dead(mapped.text));
  const auto document = json::Document::parse(mapped.text, why);
  Record record;
  record.removes = event.op == Op::remove;
  if (!document) return no(Outcome::dead("what the mapping makes is not JSON: " + why));
  if (!read(document->root(), record, why)) return no(Outcome::dead(why));
  if (record.text.size() > room()) return no(Outcome::dead("the record is larger than Marketo takes (1 MB)"));
  return record;
}

bool Target::read(const json::Value& value, Record& record, std::string& why) const {
  if (value.type() != json::Type::object) return why = "the record is no JSON object", false;
  for (size_t i = 0; i < value.size() && !record.removes; ++i) {
    const std::string name(value.member_name(i));
    const json::Type type = value.member(i).type();
    if (type == json::Type::object || type == json::Type::array)
      return why = "the record's field " + name + " is an object or a list; map what is in it with `fields`", false;
    if (name == "id" && object_.empty() && key_fields_.front() != "id")
      return why =
                 "the lead has a field id, which Marketo takes only with `lookup_field: id`; leave it out or name "
                 "another field of Marketo's with `fields`",
             false;
    record.fields.push_back(name);
  }
  if (!read_key(value, record, why)) return false;
  if (!record.removes) record.text = value.dump();
  return true;
}

// A record that removes is its key alone.
bool Target::read_key(const json::Value& value, Record& record, std::string& why) const {
  std::string alone;
  for (const std::string& name : key_fields_) {
    const auto member = value.find(name);
    const bool nested = member && (member->type() == json::Type::object || member->type() == json::Type::array);
    const std::string text = member && !nested ? member->scalar_text().value_or("") : "";
    if (!member || nested) return why = "the record has no " + name + ", by which Marketo finds it", false;
    if (folded(text).empty()) return why = "the record's " + name + ", by which Marketo finds it, is empty", false;
    // Marketo takes the values that it is to find as one list
    if (record.removes && finds_before_delete() && text.find(',') != std::string::npos)
      return why = "the record's " + name + " holds a comma, by which Marketo cannot be asked for a lead", false;
    record.key += key_part(name, text);
    record.found_by.push_back(text);
    alone += (alone.empty() ? "{" : ",") + json::quote(name) + ":" + member->dump();
  }
  if (record.removes) record.text = alone + "}";
  return true;
}

std::string Target::key_of(const std::vector<std::string>& values) const {
  std::string key;
  for (size_t i = 0; i < key_fields_.size(); ++i) key += key_part(key_fields_[i], values.at(i));
  return key;
}

std::string Target::key_text() const {
  std::string text;
  for (const std::string& name : key_fields_) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string Target::collection() const {
  return object_.empty() ? "/rest/v1/leads" : "/rest/v1/customobjects/" + object_;
}

std::string Target::path(bool removes) const { return collection() + (removes ? "/delete.json" : ".json"); }
std::string Target::describe_path() const { return collection() + "/describe.json"; }

std::string Target::request(std::span<const Record* const> records, bool removes) const {
  std::vector<std::string_view> texts;
  for (const Record* record : records) texts.push_back(record->text);
  return joined(removes ? delete_head_ : head_, texts);
}

std::string Target::find_request(std::span<const Record* const> records, const std::string& page) const {
  const std::string& field = key_fields_.front();
  std::string values;
  for (const Record* record : records) values += (values.empty() ? "" : ",") + record->found_by.front();
  std::string form = "filterType=" + http::percent_encode(field) + "&filterValues=" + http::percent_encode(values) +
                     "&fields=" + http::percent_encode("id," + field);
  if (!page.empty()) form += "&nextPageToken=" + http::percent_encode(page);
  return form;
}

bool Target::read_found(const http::Response& response, FoundLeads& found, std::string& page) const {
  std::string why;
  const auto document = json::Document::parse(response.body, why);
  if (!document || document->root().type() != json::Type::object) return false;
  const auto list = document->root().find("result");
  if (!list || list->type() != json::Type::array) return false;
  const std::string& field = key_fields_.front();
  for (size_t i = 0; i < list->size(); ++i) {
    const json::Value lead = list->at(i);
    const bool is_object = lead.type() == json::Type::object;
    const auto id = is_object ? lead.find("id") : std::nullopt, value = is_object ? lead.find(field) : std::nullopt;
    const auto text = value && value->type() != json::Type::object && value->type() != json::Type::array
                          ? value->scalar_text()
                          : std::nullopt;
    if (!id || id->type() != json::Type::number || !text) return false;
    found.emplace(key_part(field, *text), id->number());
  }
  const auto next = document->root().find("nextPageToken");
  page = next && next->type() == json::Type::string ? std::string(next->string()) : "";
  return true;
}

std::string delete_by_id(std::span<const std::string> ids) {
  std::vector<std::string> records;
  for (const std::string& id : ids) records.push_back("{\"id\":" + id + "}");
  return joined("{\"input\":[", {records.begin(), records.end()});
}

namespace {

using Wrong = std::function<void(const char* name, const std::string& what)>;

void check_object(const Settings& settings, const Wrong& wrong) {
  const std::string& object = settings.text("object");
  const auto in_a_name = [](char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; };
  if (!std::all_of(object.begin(), object.end(), in_a_name)) wrong("object", "it is no API name, such as car_c");
  if (settings.texts("dedupe_fields").empty())
    wrong("object", "say in dedupe_fields by which fields Marketo finds its objects");
  for (const char* name : {"lookup_field", "partition"})
    if (settings.given(name)) wrong(name, "it is for leads, and object names a custom object");
}

void check_lookup(const Settings& settings, const Wrong& wrong) {
  const std::string& lookup = settings.text("lookup_field");
  const bool update_only = settings.text("action") == "updateOnly";
  if (settings.given("dedupe_fields")) wrong("dedupe_fields", "they are for custom objects; name one with object");
  if (lookup.empty()) wrong("lookup_field", "it is empty");
  if (lookup == "id" && !update_only) wrong("lookup_field", "Marketo looks up by id only with action: updateOnly");
  if (settings.has("partition") && update_only)
    wrong("partition", "Marketo takes a partition with createOnly and createOrUpdate alone");
}

void check_fields(const Settings& settings, const Wrong& wrong) {
  if (settings.records("fields").empty()) return;
  std::vector<Problem> told;
  const FieldTable table(settings.records("fields"), told);
  const auto& names = table.names();
  const auto keys = key_fields_of(settings);
  for (const std::string& key : keys)
    if (std::find(names.begin(), names.end(), key) == names.end())
      wrong("fields", key + " is not among them, and Marketo finds each record by it");
  for (const std::string& name : names) {
    if (name.find('.') != std::string::npos) wrong("fields", "field " + name + ": a record is flat; leave the dot out");
    if (name == "id" && !settings.has("object") && keys.front() != "id")
      wrong("fields", "field id: Marketo gives ids itself, and takes one only with lookup_field: id");
  }
}

}  // namespace

void check_target(const Settings& settings, std::vector<Problem>& problems) {
  check_mapping(settings, problems);
  const Wrong wrong = [&](const char* name, const std::string& what) {
    problems.push_back({settings.where(name), std::string(name) + ": " + what});
  };
  if (settings.has("object"))
    check_object(settings, wrong);
  else
    check_lookup(settings, wrong);
  check_fields(settings, wrong);
}

}  // namespace muskrat::marketo
