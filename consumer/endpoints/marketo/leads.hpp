// Events as Marketo's leads, and many leads as one request.
//
// Used by the marketo endpoint and its explanation. It keeps what Marketo demands of a record before Marketo is asked:
// flat, with the lookup field in it, `id` only where it is looked up by. Thread rule: immutable after loading.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/document_mapping.hpp"
#include "consumer/endpoint.hpp"

namespace muskrat::marketo {

struct Lead {
  std::string text;                 // the record, as JSON
  std::string key;                  // what Marketo finds the lead by, as it compares: without case
  std::vector<std::string> fields;  // names alone
};

class Leads {
 public:
  static constexpr size_t most_records = 300, most_bytes = 1'000'000;

  // Of settings that have passed check_leads().
  explicit Leads(const Settings& settings);

  // nullopt: `outcome` says why there is none.
  std::optional<Lead> lead(const Event& event, Outcome& outcome) const;
  // The request's body.
  std::string request(std::span<const Lead* const> leads) const;
  // How many bytes of records fit into a request.
  size_t room() const { return most_bytes - head_.size() - 2; }

 private:
  bool read(const json::Value& record, Lead& lead, std::string& why) const;

  const Mapping mapping_;
  const std::string lookup_field_;
  const bool skips_deletes_;
  std::string head_;
};

void check_leads(const Settings& settings, std::vector<Problem>& problems);

}  // namespace muskrat::marketo
