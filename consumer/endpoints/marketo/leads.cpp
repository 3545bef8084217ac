#include "consumer/endpoints/marketo/leads.hpp"

#include <algorithm>

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

std::string head_of(const Settings& settings) {
  std::string head =
      "{\"action\":\"" + settings.text("action") + "\",\"lookupField\":" + json::quote(settings.text("lookup_field"));
  if (settings.has("partition")) head += ",\"partitionName\":" + json::quote(settings.text("partition"));
  return head + ",\"input\":[";
}

}  // namespace

Leads::Leads(const Settings& settings)
    : mapping_(settings),
      lookup_field_(settings.text("lookup_field")),
      skips_deletes_(settings.text("deletes") == "skip"),
      head_(head_of(settings)) {}

std::optional<Lead> Leads::lead(const Event& event, Outcome& outcome) const {
  const auto no = [&](Outcome why) { return outcome = std::move(why), std::nullopt; };
  std::string why;
  const auto body = json::Document::parse(event.body, why);
  if (!body) return no(Outcome::dead("the body is not JSON: " + why));
  const Mapped mapped = mapping_.apply(event, body->root());
  if (mapped.state == Mapped::State::skipped) return no(Outcome::skipped(mapped.text));
  if (event.op == Op::remove && skips_deletes_) return no(Outcome::skipped("a delete, by `deletes: skip`"));
  if (event.op == Op::remove)
    return no(
        Outcome::dead("a delete: this kind deletes no leads; say `deletes: skip`, or leave them out with `when`"));
  if (event.op == Op::truncate) return no(Outcome::dead("a TRUNCATE: this kind deletes no leads"));
  if (mapped.state == Mapped::State::failed) return no(Outcome::dead(mapped.text));
  const auto document = json::Document::parse(mapped.text, why);
  Lead lead;
  if (!document) return no(Outcome::dead("what the mapping makes is not JSON: " + why));
  if (!read(document->root(), lead, why)) return no(Outcome::dead(why));
  if (lead.text.size() > room()) return no(Outcome::dead("the lead is larger than Marketo takes (1 MB)"));
  return lead;
}

bool Leads::read(const json::Value& record, Lead& lead, std::string& why) const {
  if (record.type() != json::Type::object) return why = "the lead is no JSON object", false;
  for (size_t i = 0; i < record.size(); ++i) {
    const std::string name(record.member_name(i));
    const json::Type type = record.member(i).type();
    if (type == json::Type::object || type == json::Type::array)
      return why = "the lead's field " + name + " is an object or a list; map what is in it with `fields`", false;
    if (name == "id" && lookup_field_ != "id")
      return why =
                 "the lead has a field id, which Marketo takes only with `lookup_field: id`; leave it out or name "
                 "another field of Marketo's with `fields`",
             false;
    lead.fields.push_back(name);
  }
  const auto lookup = record.find(lookup_field_);
  if (!lookup) return why = "the lead has no lookup field " + lookup_field_, false;
  lead.key = folded(lookup->scalar_text().value_or(""));
  if (lead.key.empty()) return why = "the lead's lookup field " + lookup_field_ + " is empty", false;
  lead.text = record.dump();
  return true;
}

std::string Leads::request(std::span<const Lead* const> leads) const {
  std::string body = head_;
  for (const Lead* lead : leads) {
    if (body.size() > head_.size()) body += ',';
    body += lead->text;
  }
  return body + "]}";
}

void check_leads(const Settings& settings, std::vector<Problem>& problems) {
  check_mapping(settings, problems);
  const auto wrong = [&](const char* name, const std::string& what) {
    problems.push_back({settings.where(name), std::string(name) + ": " + what});
  };
  const std::string& lookup = settings.text("lookup_field");
  const bool update_only = settings.text("action") == "updateOnly";
  if (lookup.empty()) wrong("lookup_field", "it is empty");
  if (lookup == "id" && !update_only) wrong("lookup_field", "Marketo looks up by id only with action: updateOnly");
  if (settings.has("partition") && update_only)
    wrong("partition", "Marketo takes a partition with createOnly and createOrUpdate alone");
  if (settings.records("fields").empty()) return;
  std::vector<Problem> told;
  const FieldTable table(settings.records("fields"), told);
  const auto& names = table.names();
  if (std::find(names.begin(), names.end(), lookup) == names.end())
    wrong("fields", "the lookup field " + lookup + " is not among them, and Marketo needs it in every lead");
  for (const std::string& name : names) {
    if (name.find('.') != std::string::npos) wrong("fields", "field " + name + ": a lead is flat; leave the dot out");
    if (name == "id" && lookup != "id")
      wrong("fields", "field id: Marketo gives ids itself, and takes one only with lookup_field: id");
  }
}

}  // namespace muskrat::marketo
