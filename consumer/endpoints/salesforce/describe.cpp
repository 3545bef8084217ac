#include "consumer/endpoints/salesforce/describe.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include "common/field_convert.hpp"
#include "common/json.hpp"
#include "consumer/described.hpp"
#include "consumer/endpoints/salesforce/calls.hpp"
#include "consumer/endpoints/salesforce/verdict.hpp"

namespace muskrat::salesforce {
namespace {

using Type = DescribedField::Type;

constexpr size_t answer_bytes = size_t{64} << 20;  // of an object with 800 fields some two megabytes

struct TypeName {
  std::string_view name;
  Type type;
};
constexpr std::array types{
    TypeName{"string", Type::text},
    TypeName{"textarea", Type::text},
    TypeName{"email", Type::text},
    TypeName{"phone", Type::text},
    TypeName{"url", Type::text},
    TypeName{"picklist", Type::text},
    TypeName{"multipicklist", Type::text},
    TypeName{"combobox", Type::text},
    TypeName{"reference", Type::text},
    TypeName{"id", Type::text},
    TypeName{"encryptedstring", Type::text},
    TypeName{"int", Type::whole},
    TypeName{"long", Type::whole},
    TypeName{"double", Type::number},
    TypeName{"currency", Type::number},
    TypeName{"percent", Type::number},
    TypeName{"boolean", Type::boolean},
    TypeName{"date", Type::date},
    TypeName{"datetime", Type::timestamp},
};

Type type_of(std::string_view name) {
  const auto found = std::find_if(types.begin(), types.end(), [&](const TypeName& one) { return one.name == name; });
  return found == types.end() ? Type::any : found->type;
}

std::string text_of(const json::Value& object, std::string_view name) {
  const auto value = object.find(name);
  return value && value->type() == json::Type::string ? std::string(value->string()) : "";
}
bool flag_of(const json::Value& object, std::string_view name) {
  const auto value = object.find(name);
  return value && value->type() == json::Type::boolean && value->boolean();
}
size_t count_of(const json::Value& object, std::string_view name) {
  const auto value = object.find(name);
  size_t count = 0;
  if (value && value->type() == json::Type::number)
    std::from_chars(value->number().data(), value->number().data() + value->number().size(), count);
  return count;
}

std::string lower(std::string text) {
  to_lower(text);
  return text;
}

// What the mapping's fields and relationships are called, in its own spelling: Salesforce does not tell Email from
// email.
class Spelling {
 public:
  explicit Spelling(const Settings& settings) {
    for (const Settings& rule : settings.records("fields")) {
      const std::string& to = rule.text("to");
      names_.emplace(lower(to), to);
      if (const size_t dot = to.find('.'); dot != std::string::npos) relationships_.insert(lower(to.substr(0, dot)));
    }
  }
  std::string of(const std::string& name) const {
    const auto found = names_.find(lower(name));
    return found == names_.end() ? name : found->second;
  }
  bool has_relationship(const std::string& name) const { return relationships_.contains(lower(name)); }

 private:
  std::map<std::string, std::string> names_;
  std::set<std::string> relationships_;
};

class Describer {
 public:
  Describer(const Component& component, Deadline deadline)
      : settings_(component.settings), spelling_(settings_), calls_(settings_), deadline_(deadline) {
    calls_.connect(nullptr, deadline, answer_bytes);
  }

  std::vector<Problem> run() {
    const std::string& object = settings_.text("object");
    const json::Document document = ask(object);
    bool key = false;
    for (const json::Value& field : fields_of(document)) {
      const std::string name = text_of(field, "name");
      DescribedField made = described_field(field);
      // a parent that is named by relationship is named
      made.required = is_required(field) && !spelling_.has_relationship(text_of(field, "relationshipName"));
      add(std::move(made));
      if (lower(name) == lower(settings_.text("external_id"))) key = check_key(field);
      if (spelling_.has_relationship(text_of(field, "relationshipName"))) add_parent(field);
    }
    if (!key) wrong_key("it has no such field");
    compare_mapping(settings_, described_, "Salesforce's objects " + object, problems_);
    return std::move(problems_);
  }

 private:
  json::Document ask(const std::string& object) {
    const http::Request request{
        "GET", "/services/data/v" + settings_.text("api_version") + "/sobjects/" + object + "/describe", {}, ""};
    const auto reply = calls_.send(request, 0, deadline_, deadline_);
    if (!reply.response) fail(object, reply.not_now.reason);
    const http::Response& response = *reply.response;
    if (response.status == 404) fail(object, "Salesforce has no such object, or this user may not see it");
    if (response.status != 200) fail(object, reason_of(response.status, read_error(response.body)));
    std::string why;
    auto document = response.cut ? std::nullopt : json::Document::parse(response.body, why);
    if (!document || document->root().type() != json::Type::object) fail(object, "its describe is no JSON object");
    return std::move(*document);
  }

  [[noreturn]] static void fail(const std::string& object, const std::string& why) {
    throw Failure(Remedy::reconnect, "object " + object + ": " + why);
  }

  static std::vector<json::Value> fields_of(const json::Document& document) {
    std::vector<json::Value> fields;
    const auto list = document.root().find("fields");
    for (size_t i = 0; list && list->type() == json::Type::array && i < list->size(); ++i)
      if (list->at(i).type() == json::Type::object) fields.push_back(list->at(i));
    return fields;
  }

  static bool is_required(const json::Value& field) {
    const auto nillable = field.find("nillable");
    return flag_of(field, "createable") && nillable && !flag_of(field, "nillable") &&
           !flag_of(field, "defaultedOnCreate") && text_of(field, "type") != "boolean";
  }

  static DescribedField described_field(const json::Value& field) {
    DescribedField made;
    made.name = text_of(field, "name");
    made.type_name = text_of(field, "type");
    made.type = type_of(made.type_name);
    made.writable = flag_of(field, "createable") && flag_of(field, "updateable");
    if (made.type == Type::text) made.length = count_of(field, "length");
    return made;
  }

  void add(DescribedField field) {
    field.name = spelling_.of(field.name);
    described_.push_back(std::move(field));
  }

  void wrong_key(const std::string& why) {
    problems_.push_back({settings_.where("external_id"), "external_id " + settings_.text("external_id") + ": " + why});
  }

  bool check_key(const json::Value& field) {
    if (!flag_of(field, "externalId") && !flag_of(field, "idLookup")) wrong_key("it is not marked as External ID");
    return true;
  }

  // What a parent may be named by.
  void add_parent(const json::Value& reference) {
    const auto objects = reference.find("referenceTo");
    for (size_t i = 0; objects && objects->type() == json::Type::array && i < objects->size(); ++i) {
      const json::Document document = ask(objects->at(i).scalar_text().value_or(""));
      for (const json::Value& field : fields_of(document)) {
        if (!flag_of(field, "externalId") && !flag_of(field, "idLookup")) continue;
        DescribedField made = described_field(field);
        made.name.insert(0, text_of(reference, "relationshipName") + ".");
        made.writable = flag_of(reference, "createable") && flag_of(reference, "updateable");
        add(std::move(made));
      }
    }
  }

  const Settings& settings_;
  const Spelling spelling_;
  Calls calls_;
  const Deadline deadline_;
  std::vector<DescribedField> described_;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> describe(const Component& component, Deadline deadline) {
  return Describer(component, deadline).run();
}

}  // namespace muskrat::salesforce
