#include "consumer/described.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include "common/field_convert.hpp"
#include "common/json.hpp"
#include "common/suggest.hpp"

namespace muskrat {
namespace {

using Type = DescribedField::Type;

// Whether a field of this type can take what `as` makes, as far as can be said without a value.
bool takes(Type type, As as) {
  if (as == As::as_it_is || as == As::text || type == Type::any || type == Type::text) return true;
  switch (type) {
    case Type::whole:
    case Type::number:
      return as == As::integer || as == As::number;
    case Type::boolean:
      return as == As::boolean || as == As::integer;
    case Type::date:
      return as == As::date;
    default:
      return as == As::timestamp || as == As::date;
  }
}

bool is_number(std::string_view text, bool whole) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  const auto belongs = [whole](char c) {
    return (c >= '0' && c <= '9') || (!whole && (c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'));
  };
  return !digits.empty() && std::all_of(digits.begin(), digits.end(), belongs);
}

bool takes(Type type, const json::Value& value) {
  if (type == Type::any || value.type() == json::Type::null) return true;
  const auto text = value.scalar_text();
  if (!text) return false;  // an object or a list
  const bool truth = value.type() == json::Type::boolean;
  switch (type) {
    case Type::whole:
    case Type::number:
      return !truth && is_number(*text, type == Type::whole);
    case Type::boolean:
      return truth || *text == "true" || *text == "false" || *text == "0" || *text == "1";
    case Type::date:
    case Type::timestamp:
      return value.type() == json::Type::string;
    default:
      return true;
  }
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

class Rule {
 public:
  Rule(const Settings& settings, const DescribedField& field, std::vector<Problem>& problems)
      : settings_(settings), field_(field), problems_(problems) {}

  void check() {
    if (!field_.writable) wrong("to", "it is read-only");
    if (settings_.has("as") && !takes(field_.type, as_from_name(settings_.text("as"))))
      wrong("as", settings_.text("as") + " does not fit its type " + field_.type_name);
    for (const char* option : {"value", "default"})
      if (settings_.given(option)) constant(option, settings_.scalar(option));
    if (settings_.given("lookup")) lookup();
  }

 private:
  void wrong(const char* option, const std::string& text) {
    problems_.push_back({settings_.where(option), "field " + field_.name + ": " + text});
  }

  void constant(const char* option, const std::string& text) {
    std::string why;
    const auto document = json::Document::parse(text, why);
    if (document) constant(option, document->root());
  }

  void constant(const char* option, const json::Value& value) {
    if (!takes(field_.type, value))
      wrong(option, std::string(option) + " does not fit its type " + field_.type_name);
    else if (field_.length > 0 && characters(value.scalar_text().value_or("")) > field_.length)
      wrong(option, std::string(option) + " is longer than its " + std::to_string(field_.length) + " characters");
  }

  void lookup() {
    std::string why;
    const auto document = json::Document::parse(settings_.scalar("lookup"), why);
    if (!document || document->root().type() != json::Type::object) return;
    for (size_t i = 0; i < document->root().size(); ++i) constant("lookup", document->root().member(i));
  }

  const Settings& settings_;
  const DescribedField& field_;
  std::vector<Problem>& problems_;
};

// Records that are changed alone do without.
void name_missing(const Settings& settings, std::span<const DescribedField> fields, const std::string& owner,
                  std::vector<Problem>& problems) {
  const auto& rules = settings.records("fields");
  for (const DescribedField& field : fields) {
    const auto makes_it = [&](const Settings& rule) { return rule.text("to") == field.name; };
    if (field.required && std::none_of(rules.begin(), rules.end(), makes_it))
      problems.push_back(
          {settings.where("fields"),
           "field " + field.name + ": " + owner + " cannot be made without it, and the mapping leaves it out", false});
  }
}

}  // namespace

void compare_mapping(const Settings& settings, std::span<const DescribedField> fields, const std::string& owner,
                     std::vector<Problem>& problems) {
  std::vector<std::string_view> names;
  names.reserve(fields.size());
  for (const DescribedField& field : fields) names.emplace_back(field.name);
  for (const Settings& record : settings.records("fields")) {
    const std::string& name = record.text("to");
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      problems.push_back(
          {record.where("to"), "field " + name + ": " + owner + " have no such field" + did_you_mean(name, names)});
    else
      Rule(record, fields[static_cast<size_t>(found - names.begin())], problems).check();
  }
  if (!settings.records("fields").empty()) name_missing(settings, fields, owner, problems);
}

}  // namespace muskrat
