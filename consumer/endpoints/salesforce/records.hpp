// From events to records of one sObject, told apart by an external id; and from records to requests.
//
// Used by salesforce/endpoint.cpp and bulk.cpp. Thread rule: immutable after construction. What it does not do: send.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/document_mapping.hpp"
#include "common/http.hpp"
#include "consumer/endpoint.hpp"

namespace muskrat::salesforce {

struct Record {
  const Event* event = nullptr;
  bool remove = false;
  std::string external_id;
  std::string key;                    // of the record, "Contact.Ext__c=c-1", as Salesforce compares: without case
  std::vector<std::string> parents;   // keys of the records that it names, which are locked with it
  bool names_by_external_id = false;  // one of them at least, so that it may not be there yet
  std::string text;                   // the record as JSON; "" of a removal
};

class Records {
 public:
  explicit Records(const Settings& settings);
  // nullopt where nothing is sent; then the outcome says why.
  std::optional<Record> record(const Event& event, Outcome& outcome) const;

  // Record::key of the record with this external id.
  std::string key_of_external_id(const std::string& external_id) const;
  http::Request upsert(std::span<const Record* const> records) const;
  http::Request removal(const Record& record) const;  // URLs begin after the instance's address
  // Is there such a record? See look.hpp.
  http::Request look(const Record& record, bool bare) const;
  // By Salesforce's own id.
  http::Request removal_of(const std::string& id) const;

 private:
  std::optional<Record> completed(const json::Value& made, Record record, std::string& why) const;
  void add_parents(std::string_view name, const json::Value& value, Record& record) const;

  const Mapping mapping_;
  const std::string object_, external_id_, base_;
  const std::vector<std::string> parents_;
  const bool removes_;
};

void check_records(const Settings& settings, std::vector<Problem>& problems);

}  // namespace muskrat::salesforce
