// What events become in Marketo: leads, or objects of one custom type; and many of them as one request.
//
// Used by the marketo endpoint, its explanation and its describe check. It keeps what Marketo demands of a record
// before Marketo is asked: flat, with what it is found by in it, `id` only where that is it. Thread rule: immutable
// after loading.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/document_mapping.hpp"
#include "common/http.hpp"
#include "consumer/endpoint.hpp"

namespace muskrat::marketo {

struct Record {
  std::string text;                   // as JSON
  std::string key;                    // what Marketo finds it by, as it compares: without case
  std::vector<std::string> found_by;  // the same as it was given, a value for each of Target::key_fields()
  std::vector<std::string> fields;    // names alone
  bool removes = false;               // `text` then holds no more than the key
};

// Record::key → the lead's id
using FoundLeads = std::multimap<std::string, std::string>;
// A POST, since addresses of many leads are longer than a URL may be.
constexpr const char* find_path = "/rest/v1/leads.json?_method=GET";

class Target {
 public:
  static constexpr size_t most_records = 300, most_bytes = 1'000'000;

  // Of settings that have passed check_target().
  explicit Target(const Settings& settings);

  // nullopt: `outcome` says why there is none.
  std::optional<Record> record(const Event& event, Outcome& outcome) const;

  // "" for leads
  const std::string& object() const { return object_; }
  // The lookup field, or the custom object's dedupe fields.
  const std::vector<std::string>& key_fields() const { return key_fields_; }
  // "email", "vin, owner"
  std::string key_text() const;
  // A lead is deleted by its id, which has to be found first where leads are found by another field.
  bool finds_before_delete() const { return object_.empty() && key_fields_.front() != "id"; }

  // Record::key of what is found by these values, one for each of key_fields().
  std::string key_of(const std::vector<std::string>& values) const;

  std::string path(bool removes) const;
  std::string describe_path() const;
  std::string request(std::span<const Record* const> records, bool removes) const;
  // The form that asks find_path for the leads that records which remove speak of; `page` is "" for the first.
  std::string find_request(std::span<const Record* const> records, const std::string& page) const;
  // Adds to `found` what an answer holds; `page` becomes the next one, or "". False where a lead cannot be read: what
  // is not found counts as deleted, so that nothing may be passed over.
  bool read_found(const http::Response& response, FoundLeads& found, std::string& page) const;
  // How many bytes of records fit into a request.
  size_t room() const { return most_bytes - head_.size() - 2; }

 private:
  std::string collection() const;
  bool read(const json::Value& value, Record& record, std::string& why) const;
  bool read_key(const json::Value& value, Record& record, std::string& why) const;

  const Mapping mapping_;
  const std::string object_;
  const std::vector<std::string> key_fields_;
  const std::string deletes_;
  const std::string head_, delete_head_;
};

// `{"input":[{"id":1},…]}`: leads are deleted so.
std::string delete_by_id(std::span<const std::string> ids);

void check_target(const Settings& settings, std::vector<Problem>& problems);

}  // namespace muskrat::marketo
