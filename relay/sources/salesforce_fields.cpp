#include "relay/sources/salesforce_fields.hpp"

#include <optional>

#include "common/field_convert.hpp"
#include "common/suggest.hpp"
#include "common/tame.hpp"
#include "relay/sources/salesforce_soql.hpp"

namespace muskrat::salesforce_source {
namespace {

std::string text_of(const json::Value& object, std::string_view name) {
  const auto value = object.find(name);
  return value && value->type() == json::Type::string ? std::string(value->string()) : "";
}

bool flag_of(const json::Value& object, std::string_view name) {
  const auto value = object.find(name);
  return value && value->type() == json::Type::boolean && value->boolean();
}

// An object's fields and what they lead to, asked for once.
class Objects {
 public:
  struct Object {
    std::string name;
    bool replicated = false;
    std::map<std::string, std::string> fields;                      // lower case: its own
    std::map<std::string, std::pair<std::string, std::string>> to;  // relationship, lower case: its own, an object
    std::map<std::string, std::string> types;                       // own name: type
  };

  explicit Objects(Api& api) : api_(api) {}
  const Object& of(const std::string& name) {
    const auto known = objects_.find(lower_name(name));
    return known != objects_.end() ? known->second : objects_.emplace(lower_name(name), asked(name)).first->second;
  }

 private:
  Object asked(const std::string& name) {
    if (!good_name(name, false)) throw Failure(Remedy::reconnect, "Salesforce names an object by no name");
    try {
      return read(api_.get("/sobjects/" + name + "/describe").root());
    } catch (const Refused& refused) {
      if (refused.code() != "NOT_FOUND") throw;
      throw Failure(Remedy::reconnect,
                    "object " + name + ": Salesforce has no such object, or this user may not see it");
    }
  }
  static Object read(const json::Value& root) {
    Object object;
    object.name = text_of(root, "name");
    object.replicated = flag_of(root, "replicateable");
    const auto list = root.find("fields");
    if (!good_name(object.name, false) || !list || list->type() != json::Type::array)
      throw Failure(Remedy::reconnect, "Salesforce's describe of an object has no name or no fields");
    for (size_t i = 0; i < list->size(); ++i)
      if (list->at(i).type() == json::Type::object) add(list->at(i), object);
    return object;
  }
  static void add(const json::Value& field, Object& to) {
    const std::string name = text_of(field, "name"), relationship = text_of(field, "relationshipName");
    if (!good_name(name, false)) return;
    to.fields[lower_name(name)] = name;
    to.types[name] = text_of(field, "type");
    const auto targets = field.find("referenceTo");
    if (!good_name(relationship, false) || !targets || targets->type() != json::Type::array || targets->size() == 0)
      return;
    // Of several only what all have may be asked for; Name is the first's as much as another's.
    to.to[lower_name(relationship)] = {relationship, targets->at(0).scalar_text().value_or("")};
  }

  Api& api_;
  std::map<std::string, Object> objects_;
};

class Comparison {
 public:
  Comparison(const Settings& settings, Api& api) : settings_(settings), objects_(api) {}

  Described run() {
    const Objects::Object& object = objects_.of(settings_.text("object"));
    Described made{object.name, {}, "", object.replicated, object.fields};
    for (const std::string& path : settings_.texts("select")) made.select.push_back(own(path, object));
    if (settings_.text("mode") == "incremental") made.stamp = stamp(object);
    if (troubles_.empty()) return made;
    throw Failure(Remedy::reconnect, "object " + object.name + ": " + troubles_ +
                                         "; look at the names, and at the user's rights on the fields");
  }

 private:
  void trouble(const std::string& text) { troubles_ += (troubles_.empty() ? "" : "; ") + text; }

  // The path in Salesforce's own spelling.
  std::string own(const std::string& path, const Objects::Object& object) {
    const size_t dot = path.find('.');
    const std::string head = path.substr(0, dot);
    if (dot == path.npos) {
      const auto found = object.fields.find(lower_name(head));
      if (found != object.fields.end()) return found->second;
      trouble("it has no readable field " + head + suggestion(head, object));
      return path;
    }
    const auto found = object.to.find(lower_name(head));
    if (found == object.to.end()) {
      trouble("it has no relationship " + head);
      return path;
    }
    return found->second.first + "." + own(path.substr(dot + 1), objects_.of(found->second.second));
  }

  static std::string suggestion(const std::string& name, const Objects::Object& object) {
    std::vector<std::string_view> names;
    for (const auto& [lower, own] : object.fields) names.push_back(own);
    return did_you_mean(name, names);
  }

  std::string stamp(const Objects::Object& object) {
    const std::string& wanted = settings_.text("stamp");
    const auto found = object.fields.find(lower_name(wanted));
    if (found == object.fields.end()) {
      trouble("it has no " + wanted + "; let stamp name a time that grows with every change, or give mode: snapshot");
      return wanted;
    }
    if (object.types.at(found->second) != "datetime") trouble("stamp: " + found->second + " is no datetime");
    return found->second;
  }

  const Settings& settings_;
  Objects objects_;
  std::string troubles_;
};

}  // namespace

std::string lower_name(std::string text) {
  to_lower(text);
  return text;
}

Described describe(const Settings& settings, Api& api) { return Comparison(settings, api).run(); }

}  // namespace muskrat::salesforce_source
