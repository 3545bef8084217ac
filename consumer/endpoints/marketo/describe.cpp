#include "consumer/endpoints/marketo/describe.hpp"

#include <algorithm>
#include <charconv>
#include <map>

#include "common/json.hpp"
#include "common/suggest.hpp"
#include "consumer/described.hpp"
#include "consumer/endpoints/marketo/api.hpp"
#include "consumer/endpoints/marketo/target.hpp"

namespace muskrat::marketo {
namespace {

using Type = DescribedField::Type;

Type type_of(std::string_view name) {
  static const std::map<std::string_view, Type> types{
      {"string", Type::text},        {"text", Type::text},     {"email", Type::text},      {"url", Type::text},
      {"phone", Type::text},         {"integer", Type::whole}, {"score", Type::whole},     {"reference", Type::whole},
      {"percent", Type::whole},      {"float", Type::number},  {"currency", Type::number}, {"boolean", Type::boolean},
      {"datetime", Type::timestamp}, {"date", Type::date}};
  const auto found = types.find(name);
  return found == types.end() ? Type::any : found->second;
}

std::optional<json::Value> member(const std::optional<json::Value>& value, std::string_view name, json::Type type) {
  const auto found = value && value->type() == json::Type::object ? value->find(name) : std::nullopt;
  return found && found->type() == type ? found : std::nullopt;
}

std::string text(const std::optional<json::Value>& value, std::string_view name) {
  const auto found = member(value, name, json::Type::string);
  return found ? std::string(found->string()) : "";
}

// Of leads {"rest": {"name", "readOnly"}, …}, of custom objects {"name", "updateable", …}.
std::optional<DescribedField> field_of(const json::Value& value) {
  const auto rest = member(value, "rest", json::Type::object);
  const auto read_only = member(rest, "readOnly", json::Type::boolean);
  const auto updateable = member(value, "updateable", json::Type::boolean);
  const auto length = member(value, "length", json::Type::number);
  DescribedField field;
  field.name = rest ? text(rest, "name") : text(value, "name");
  field.type_name = text(value, "dataType");
  field.type = type_of(field.type_name);
  field.writable = !(read_only && read_only->boolean()) && !(updateable && !updateable->boolean());
  const std::string_view digits = length ? length->number() : std::string_view();
  std::from_chars(digits.data(), digits.data() + digits.size(), field.length);
  return field.name.empty() ? std::nullopt : std::optional(std::move(field));
}

std::vector<DescribedField> fields_of(const json::Value& list) {
  std::vector<DescribedField> fields;
  for (size_t i = 0; i < list.size(); ++i)
    if (auto field = field_of(list.at(i))) fields.push_back(std::move(*field));
  return fields;
}

// Its own key, which another would make a dead letter of every event.
void compare_key(const Settings& settings, const Target& target, const json::Value& described,
                 std::vector<Problem>& problems) {
  const auto list = member(described, "dedupeFields", json::Type::array);
  std::vector<std::string> names;
  for (size_t i = 0; list && i < list->size(); ++i) names.push_back(list->at(i).scalar_text().value_or(""));
  std::vector<std::string> given = target.key_fields();
  std::sort(given.begin(), given.end());
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  const std::vector<std::string_view> shown(names.begin(), names.end());
  if (!names.empty() && given != sorted)
    problems.push_back({settings.where("dedupe_fields"), "dedupe_fields: Marketo finds its " + target.object() +
                                                             " by " + listed(shown) + ", not by " + target.key_text()});
}

void compare_lookup(const Settings& settings, const std::vector<DescribedField>& fields,
                    std::vector<Problem>& problems) {
  std::vector<std::string_view> names;
  names.reserve(fields.size());
  for (const DescribedField& field : fields) names.emplace_back(field.name);
  const std::string& lookup = settings.text("lookup_field");
  if (std::find(names.begin(), names.end(), lookup) == names.end())
    problems.push_back(
        {settings.where("lookup_field"), "lookup_field: leads have no field " + lookup + did_you_mean(lookup, names)});
}

[[noreturn]] void fail(const std::string& why) {
  throw Failure(Remedy::reconnect, "Marketo was asked which fields there are: " + why);
}

}  // namespace

std::vector<Problem> describe(const Component& component, Deadline deadline) {
  const Settings& settings = component.settings;
  const Target target(settings);
  Api api(settings);
  api.connect(deadline);
  const auto reply = api.call(
      target.describe_path(), "", "", {}, [] { return true; }, deadline);
  std::vector<Problem> problems;
  if (reply->answer.whose == Whose::dead && !target.object().empty()) {
    problems.push_back({settings.where("object"), "object: Marketo answers " + reply->answer.reason});
    return problems;
  }
  if (reply->answer.unreadable || reply->answer.whose != Whose::none) fail(reply->answer.reason);
  std::string why;
  const auto document = json::Document::parse(reply->response.body, why);
  const auto list = document ? member(document->root(), "result", json::Type::array) : std::nullopt;
  if (!list || list->size() == 0) fail("the answer names none");
  const auto fields = target.object().empty() ? list : member(list->at(0), "fields", json::Type::array);
  if (!fields) fail("the answer names none");
  const auto described = fields_of(*fields);
  if (target.object().empty())
    compare_lookup(settings, described, problems);
  else
    compare_key(settings, target, list->at(0), problems);
  compare_mapping(settings, described,
                  target.object().empty() ? "Marketo's leads" : "Marketo's objects " + target.object(), problems);
  return problems;
}

}  // namespace muskrat::marketo
