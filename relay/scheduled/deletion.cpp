#include "relay/scheduled/deletion.hpp"

#include <algorithm>

#include "relay/scheduled/record.hpp"

namespace muskrat {
namespace {

// So few may be gone, whatever part of all they are.
constexpr int64_t few = 100;

constexpr Option own_options[] = {
    {"deleted", OptionType::text, "Delete", "",
     "With mode diff: the action word, in the place of routing_key's last word, of the events that tell of deleted "
     "rows."},
};

bool among(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The template up to its last dot outside of braces, that dot included.
std::string object_of(const std::string& pattern) {
  size_t end = 0;
  bool open = false;
  for (size_t at = 0; at < pattern.size(); ++at) {
    if (pattern[at] == '{' || pattern[at] == '}') open = pattern[at] == '{';
    if (pattern[at] == '.' && !open) end = at + 1;
  }
  return pattern.substr(0, end);
}

std::vector<std::string> members_in(const std::string& pattern) {
  std::vector<std::string> members;
  for (size_t at = 0; (at = pattern.find('{', at)) != pattern.npos; ++at)
    members.push_back(pattern.substr(at + 1, pattern.find('}', at) - at - 1));
  return members;
}

// The sources of a rule of `fields`.
std::vector<std::string> sources_of(const Settings& rule) {
  if (rule.given("value")) return {};
  if (rule.given("from")) return rule.texts("from");
  if (rule.given("jq")) return {"$body"};
  return {rule.text("to")};
}

bool of_key_or_event(const std::vector<std::string>& key, const std::string& path) {
  return among(key, path) || (path.starts_with('$') && path != "$body");
}

// A rule that a deletion would fail at, over members which it does not have.
std::string fault_of(const Settings& rule, const std::vector<std::string>& key) {
  const auto known = [&](const std::string& path) { return of_key_or_event(key, path); };
  const auto sources = sources_of(rule);
  if (rule.boolean("required") && !std::all_of(sources.begin(), sources.end(), known)) return "it is required";
  for (const Settings& term : rule.records("when")) {
    const bool whole = term.given("jq") && term.text("field").empty();
    if (whole || (!term.text("field").empty() && !known(term.text("field")))) return "its condition looks at more";
  }
  return "";
}

// As x-muskrat-omitted has it; "" when there is none.
std::string omitted_text(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "[" : ",") + json::quote(name);
  return list.empty() ? "" : list + "]";
}

std::vector<std::string> absent_of(const std::vector<std::string>& names, const std::string& text) {
  std::string why;
  const auto document = json::Document::parse(text, why);
  std::vector<std::string> absent;
  for (const std::string& name : names)
    if (!document->root().path(name)) absent.push_back(name);
  return absent;
}

}  // namespace

OptionTable deletion_options() { return own_options; }

void check_deletion(const Settings& settings, std::vector<Problem>& problems) {
  const auto wrong = [&](const std::string& where, const Settings& at, const std::string& text) {
    problems.push_back({at.where(where), text});
  };
  const std::vector<std::string>& key = settings.texts("key");
  const std::string object = object_of(settings.text("routing_key"));
  std::string why;
  if (!parse_routing_key("A.B." + settings.text("deleted"), &why)) wrong("deleted", settings, "deleted: " + why);
  for (const std::string& member : members_in(object))
    if (!among(key, member))
      wrong("routing_key", settings,
            "routing_key: before the last dot only columns of the key may stand in mode diff, and " + member +
                " is none: of a deleted row nothing else is known");
  if (settings.given("jq"))
    wrong("jq", settings,
          "jq: in mode diff it would have to make a document of a deleted row, of which only the key is known; give "
          "fields, or compute in the query");
  for (const Settings& rule : settings.records("fields"))
    if (const std::string fault = fault_of(rule, key); !fault.empty())
      wrong("to", rule,
            "field " + rule.text("to") + ": " + fault + ", and in mode diff of a deleted row only the key is known");
}

void refuse_many_gone(int64_t gone, int64_t all, int64_t most, const std::string& look) {
  if (gone < few || gone * 100 <= all * most) return;
  throw Failure(Remedy::reconnect, "most_deleted: " + std::to_string(gone) + " of " + std::to_string(all) +
                                       " known rows are gone, more than " + std::to_string(most) +
                                       " %, and none was told as deleted; look whether " + look +
                                       " still sees all it should. If they are deleted, raise most_deleted");
}

DeletionShape::DeletionShape(const Component& component)
    : source_(component.name),
      template_(object_of(component.settings.text("routing_key")) + component.settings.text("deleted")),
      key_(component.settings.texts("key")),
      mapping_(component.settings) {}

Event DeletionShape::event_of(const std::string& key, const std::string& version,
                              const std::vector<std::string>& beside_key, int64_t epoch, int64_t captured_us) const {
  const auto refuse = [](const std::string& why) { throw BadRecord("a deleted row, told by its key: " + why); };
  std::string why;
  const auto values = json::Document::parse(key, why);
  if (!values || values->root().size() != key_.size()) refuse("what is remembered of it is of another key");
  std::string body = "{";
  for (size_t part = 0; part < key_.size(); ++part)
    body += (part > 0 ? "," : "") + json::quote(key_[part]) + ":" + values->root().at(part).dump();
  body += "}";
  const auto document = json::Document::parse(body, why);
  const auto routing_key = routing_key_of(template_, document->root(), why);
  if (!routing_key) refuse(why);
  Event event;
  event.routing_key = *routing_key;
  event.source = source_;
  event.op = Op::remove;
  event.epoch = epoch;
  event.captured_us = captured_us;
  event.key = ordering_key_of(*routing_key, key);
  event.body = body;
  event.omitted = omitted_text(beside_key);
  Mapped mapped = mapping_.document(event, document->root());
  if (mapped.state != Mapped::State::document) refuse(mapped.text);
  if (!mapping_.targets().empty()) event.omitted = omitted_text(absent_of(mapping_.targets(), mapped.text));
  event.body = std::move(mapped.text);
  event.message_id = id_of_parts({source_, event.key, version, event.routing_key, event.body});
  return event;
}

}  // namespace muskrat
