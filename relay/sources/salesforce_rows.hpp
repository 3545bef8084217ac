// A row of an answer of Salesforce, and the record that it becomes.
//
// Used by salesforce.cpp. The record is {"object": "Contact", "change": "Updated", "Id": …} and the fields that were
// asked for, without Salesforce's `attributes` and without what was asked for beside them. Failures name what is
// missing and never what is there. Pure: no sockets. Thread rule: plain values and free functions.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "common/json.hpp"

namespace muskrat::salesforce_source {

struct RowShape {
  std::string object, stamp;         // stamp "" = the row has none
  std::set<std::string> hidden;      // asked for, and not part of the record
  std::set<std::string> own;         // fields, in lower case, that an endpoint of ours writes
  std::optional<std::string> as_of;  // of a snapshot
};

struct Row {
  std::string id, body, stamp_text;
  int64_t stamp = 0;  // microseconds since 1970
  bool deleted = false, created = false;
  std::string changed_by, created_by;
  std::string others;  // a hash of what is neither ours to write nor a stamp; "" = there is nothing else
};

Row row_of(const json::Value& record, const RowShape& shape);

// Of an entry of the resource `deleted`.
Row deletion_of(const json::Value& entry, const std::string& object);

}  // namespace muskrat::salesforce_source
