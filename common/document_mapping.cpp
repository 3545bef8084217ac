#include "common/document_mapping.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace muskrat {
namespace {

OptionTable table() {
  static const std::array options{
      Option{"when", OptionType::records, "", "", "Events for which this does not hold are skipped: done, and counted.",
             false, condition_options()},
      Option{"jq", OptionType::text, "", "",
             "A jq expression that makes the whole document of the body, instead of `fields`; `$event` holds the "
             "event's facts. An event of which it makes nothing is skipped."},
      Option{"fields", OptionType::records, "", "",
             "The members of the document, as a field table; a dot in `to` nests. Without it the body is sent as it "
             "came.",
             false, field_options()},
  };
  return options;
}

}  // namespace

OptionTable mapping_options() { return table(); }

Mapping::Mapping(const Settings& settings, std::vector<Problem>& problems)
    : when_(settings.records("when"), problems),
      fields_(settings.records("fields"), problems),
      as_it_is_(settings.records("fields").empty()) {
  if (settings.given("fields") && as_it_is_)
    problems.push_back(
        {settings.where("fields"), "fields: the table is empty; leave it out to send the body as it is"});
  std::string fault;
  if (settings.given("jq")) jq_ = jq::Expression(settings.text("jq"), fault);
  if (!fault.empty()) problems.push_back({settings.where("jq"), "jq: " + fault});
  if (settings.given("jq") && settings.given("fields"))
    problems.push_back({settings.where("jq"), "jq: it makes the whole document, and fields does too; leave one out"});
  lay_out(settings, problems);
}

Mapping::Mapping(const Settings& settings) {
  std::vector<Problem> problems;
  *this = Mapping(settings, problems);
  if (!problems.empty()) throw std::logic_error("a mapping that was not checked: " + problems.front().text);
}

void Mapping::lay_out(const Settings& settings, std::vector<Problem>& problems) {
  for (size_t field = 0; field < fields_.names().size(); ++field) {
    const std::string& name = fields_.names()[field];
    const auto wrong = [&](const std::string& text) {
      for (const Settings& record : settings.records("fields"))
        if (record.text("to") == name) return problems.push_back({record.where("to"), "field " + name + ": " + text});
    };
    if (name.empty() || name.starts_with('.') || name.ends_with('.') || name.find("..") != name.npos) {
      wrong("the target has an empty step");
      continue;
    }
    Node* node = &tree_;
    for (size_t start = 0; node && start <= name.size();) {
      const size_t dot = std::min(name.find('.', start), name.size());
      const std::string step = name.substr(start, dot - start);
      start = dot + 1;
      auto& children = node->children;
      auto child = std::find_if(children.begin(), children.end(), [&](const Node& one) { return one.name == step; });
      const bool leaf = start > name.size(), fresh = child == children.end();
      if (!fresh && (leaf || child->children.empty())) {
        wrong("it cannot be both a value and an object: another field's target is " +
              (leaf ? "inside it" : name.substr(0, dot)));
        node = nullptr;
        continue;
      }
      if (fresh) {
        children.push_back({step, field, {}});
        child = children.end() - 1;
      }
      node = &*child;
    }
  }
}

// False where nothing in it is present: then it is left out as a whole.
bool Mapping::write(const Node& node, const MappedRecord& record, std::string& out) {
  if (node.children.empty()) {
    const FieldValue& field = record.fields[node.field];
    if (field.state == FieldValue::State::absent) return false;
    out += field.json_text();
    return true;
  }
  bool any = false;
  out += '{';
  for (const Node& child : node.children) {
    const size_t before = out.size();
    if (any) out += ',';
    out += json::quote(child.name);
    out += ':';
    if (write(child, record, out))
      any = true;
    else
      out.resize(before);
  }
  out += '}';
  return any;
}

Mapped Mapping::apply(const Event& event) const {
  std::string why;
  const auto body = json::Document::parse(event.body, why);
  if (!body) return {Mapped::State::failed, "the body is not JSON: " + why};
  return apply(event, body->root());
}

Mapped Mapping::apply(const Event& event, const json::Value& body) const {
  std::string why;
  const FieldSource source(event, body);
  const auto wanted = when_.holds(source, why);
  if (!wanted) return {Mapped::State::failed, "when: " + why};
  if (!*wanted) return {Mapped::State::skipped, "by the endpoint's `when`"};
  return document(source);
}

Mapped Mapping::document(const FieldSource& source) const {
  std::string why;
  if (jq_.given()) return computed(source);
  if (as_it_is_) return {Mapped::State::document, source.event.body};
  const auto record = fields_.apply(source, why);
  if (!record) return {Mapped::State::failed, why};
  std::string document;
  if (!write(tree_, *record, document)) document = "{}";
  return {Mapped::State::document, std::move(document)};
}

Mapped Mapping::computed(const FieldSource& source) const {
  if (source.omitted.any())
    return {Mapped::State::failed, "jq makes the document of the whole body, and capture left parts of that out"};
  jq::Result made = jq_.apply(source.event, source.body.dump());
  if (made.state == jq::Result::State::nothing) return {Mapped::State::skipped, "its jq makes nothing of it"};
  if (made.state == jq::Result::State::value) return {Mapped::State::document, std::move(made.text)};
  return {Mapped::State::failed, "the document cannot be computed: " + made.text};
}

void check_mapping(const Settings& settings, std::vector<Problem>& problems) { Mapping(settings, problems); }

}  // namespace muskrat
