#include "relay/sources/salesforce_rows.hpp"

#include <array>

#include "common/digest.hpp"
#include "common/failure.hpp"
#include "relay/sources/salesforce_fields.hpp"
#include "relay/sources/salesforce_soql.hpp"

namespace muskrat::salesforce_source {
namespace {

// They change with each write, whoever makes it.
constexpr std::array<std::string_view, 5> stamps{"Id", "SystemModstamp", "LastModifiedDate", "LastModifiedById",
                                                 "LastModifiedBy"};

std::string text_of(const json::Value& object, std::string_view name) {
  const auto value = object.find(name);
  return value && value->type() == json::Type::string ? std::string(value->string()) : "";
}

[[noreturn]] void missing(std::string_view name) {
  throw Failure(Remedy::reconnect, "Salesforce's answer has a record without " + std::string(name));
}

std::string id_of(const json::Value& record, std::string_view name) {
  std::string id = text_of(record, name);
  if (!is_id(id)) missing(name);
  return id;
}

// JSON of a value, without the `attributes` that every record of Salesforce's has.
std::string bare(const json::Value& value) {
  if (value.type() != json::Type::object) return value.dump();
  std::string text = "{";
  for (size_t i = 0; i < value.size(); ++i) {
    if (value.member_name(i) == "attributes") continue;
    text += (text.size() > 1 ? "," : "") + json::quote(value.member_name(i)) + ":" + bare(value.member(i));
  }
  return text + "}";
}

bool is_stamp(std::string_view name, const RowShape& shape) {
  if (name == shape.stamp) return true;
  for (const std::string_view each : stamps)
    if (each == name) return true;
  return false;
}

std::string head_of(Row& row, const RowShape& shape) {
  const char* change = shape.as_of ? "Snapshot" : row.deleted ? "Deleted" : row.created ? "Created" : "Updated";
  std::string text = R"({"object":)" + json::quote(shape.object) + R"(,"change":")" + change + "\"";
  if (shape.as_of) text += ",\"as_of\":" + json::quote(*shape.as_of);
  return text;
}

// Of Account.Ext_Id__c and Account.Name one may be ours to write and the other not.
// A parent that is not there is null as a whole.
bool ours(const std::string& path, const RowShape& shape) {
  const std::string name = lower_name(path);
  const auto below = shape.own.lower_bound(name + ".");
  return shape.own.contains(name) || (below != shape.own.end() && below->starts_with(name + "."));
}

void add_others(const std::string& path, const json::Value& value, const RowShape& shape, std::string& others) {
  if (value.type() != json::Type::object) {
    if (!ours(path, shape)) others += json::quote(path) + ":" + value.dump() + ",";
    return;
  }
  for (size_t i = 0; i < value.size(); ++i)
    if (value.member_name(i) != "attributes")
      add_others(path + "." + std::string(value.member_name(i)), value.member(i), shape, others);
}

}  // namespace

Row row_of(const json::Value& record, const RowShape& shape) {
  Row row;
  if (record.type() != json::Type::object) missing("members");
  row.id = id_of(record, "Id");
  row.stamp_text = shape.stamp.empty() ? "" : text_of(record, shape.stamp);
  const auto stamp = shape.stamp.empty() ? std::optional<int64_t>(0) : time_of(row.stamp_text);
  if (!stamp) missing("a time in " + shape.stamp);
  row.stamp = *stamp;
  row.created = text_of(record, "CreatedDate") == row.stamp_text;
  row.changed_by = text_of(record, "LastModifiedById");
  row.created_by = text_of(record, "CreatedById");
  const auto deleted = record.find("IsDeleted");
  row.deleted = deleted && deleted->type() == json::Type::boolean && deleted->boolean();
  row.body = head_of(row, shape);
  std::string others;
  for (size_t i = 0; i < record.size(); ++i) {
    const std::string name(record.member_name(i));
    if (name == "attributes" || shape.hidden.contains(name)) continue;
    row.body += "," + json::quote(name) + ":" + bare(record.member(i));
    if (!shape.own.empty() && !is_stamp(name, shape)) add_others(name, record.member(i), shape, others);
  }
  row.body += "}";
  if (!others.empty()) row.others = hex(sha256(others).substr(0, 16));
  return row;
}

Row deletion_of(const json::Value& entry, const std::string& object) {
  Row row;
  if (entry.type() != json::Type::object) missing("members");
  row.id = id_of(entry, "id");
  row.stamp_text = text_of(entry, "deletedDate");
  const auto stamp = time_of(row.stamp_text);
  if (!stamp) missing("deletedDate");
  row.stamp = *stamp;
  row.deleted = true;
  row.body = R"({"object":)" + json::quote(object) + R"(,"change":"Deleted","Id":)" + json::quote(row.id) +
             ",\"deletedDate\":" + json::quote(row.stamp_text) + "}";
  return row;
}

}  // namespace muskrat::salesforce_source
