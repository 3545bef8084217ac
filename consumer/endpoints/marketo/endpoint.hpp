// Marketo's Endpoint: events become leads or custom objects; see docs/endpoints.md.
//
// Made by the kind's entry (kind.cpp). Records travel many in a call, and answers are matched to them by their place.
// Concurrent upserts with one key make duplicates in Marketo: no two calls under way carry one key, over all lanes and
// endpoints of this process (api/keys_in_use.hpp), nor one of an earlier life's, which are noted in the state database.
// Its parts: which records go in which call (endpoint.cpp), calls (endpoint_calls.cpp), what an answer means for each
// record (endpoint_answers.cpp), large deliveries as imports (endpoint_imports.cpp). Thread rule: the lane's.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/backoff.hpp"
#include "common/config.hpp"
#include "common/metrics.hpp"
#include "consumer/endpoint.hpp"
#include "consumer/endpoints/api/call_notes.hpp"
#include "consumer/endpoints/api/keys_in_use.hpp"
#include "consumer/endpoints/marketo/api.hpp"
#include "consumer/endpoints/marketo/bulk.hpp"
#include "consumer/endpoints/marketo/imports.hpp"
#include "consumer/endpoints/marketo/target.hpp"

namespace muskrat::marketo {

constexpr unsigned failures_most = 3;  // on end, until it is Marketo's trouble

struct Pending {
  Record record;
  const Event* event = nullptr;
  std::string key;  // digest of the record's, told apart by object
  Outcome* outcome = nullptr;
};
using Pendings = std::span<const Pending* const>;

class MarketoEndpoint : public Endpoint {
 public:
  explicit MarketoEndpoint(const Component& component);
  void connect(Deadline deadline) override;
  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline deadline) override;

 private:
  // endpoint.cpp: which records go in which call
  void send_all(std::vector<const Pending*> waiting);
  std::vector<const Pending*> next_call(std::vector<const Pending*>& waiting, api::HeldKeys& keys) const;
  bool take_key(const Pending& pending, api::HeldKeys& keys) const;
  static void settle(Pendings records, const Outcome& outcome);
  void halt(Pendings records, Outcome outcome);

  // endpoint_imports.cpp: imports, and what an earlier life, or another host, has under way
  void read_notes();
  static std::string version_of(const Pending& pending);
  std::vector<const Pending*> import(const std::vector<const Pending*>& waiting);
  std::string csv_of(const std::vector<const Pending*>& waiting, std::vector<const Pending*>& rows,
                     std::vector<const Pending*>& others, api::HeldKeys& keys) const;
  bool begin_import(const std::string& csv, const std::vector<const Pending*>& rows);
  void note_import(const std::string& import, const std::vector<const Pending*>& rows);
  void list_import(const std::string& import, const std::string& state) const;
  std::vector<const Pending*> settle_imported(const std::vector<const Pending*>& waiting, bool just_begun);
  void await(const std::string& import, const std::vector<const Pending*>& records, bool just_begun);
  void end_import(const std::string& import, const Bulk::Look& look, const std::vector<const Pending*>& records);

  // endpoint_calls.cpp: a call
  void send(Pendings records);
  void change(Pendings records, const std::string& path, const std::string& body);
  void remove_leads(Pendings records);
  void remove_by_themselves(Pendings records, bool was_alone);
  bool find(Pendings records, FoundLeads& found);
  std::optional<Reply> call(Pendings records, const std::string& path, const std::string& body,
                            const std::string& content_type);
  bool may_call(Pendings records, Deadline patience, milliseconds span);
  bool may_look();
  std::string enter(size_t records, Deadline patience);
  bool sleep(milliseconds span) const;  // true: the host stops

  // endpoint_answers.cpp: what came of it
  void judge(Pendings records, const Answer& answer);
  void halve(Pendings records, const Outcome& alone);
  void again(Pendings records);
  void later(Pendings records, const Answer& answer);
  void unreadable(Pendings records, const Answer& answer);
  void match(Pendings records, const Answer& answer);
  bool is_the_mappings(const std::string& code) const;
  Outcome park_for_the_mapping(const std::string& reason);
  bool so_already(const Record& record, const std::string& code) const;
  Outcome outcome_of(const Record& record, const RecordAnswer& answer);
  milliseconds wait_of(Whose whose);
  void works();

  const std::string name_;
  const Target target_;
  const bool missing_lead_again_, create_only_;
  const bool one_shape_;  // all records have the same fields
  const milliseconds rest_, bulk_look_;
  const size_t bulk_from_;
  Api api_;
  Bulk bulk_;
  const std::shared_ptr<api::KeysInUse> keys_;
  const std::shared_ptr<Imports> imports_;
  api::CallNotes notes_;
  metrics::Counter &imported_, &import_warnings_;
  Backoff down_{milliseconds(1'000), milliseconds(60'000)}, crowded_{milliseconds(1'000), milliseconds(20'000)},
      setup_{milliseconds(5'000), milliseconds(300'000)};
  unsigned unreadable_ = 0;

  // of one delivery
  Deadline deadline_ = Deadline::distant(), patience_ = Deadline::distant();
  std::optional<Outcome> halt_;    // what the rest gets
  api::HeldKeys* held_ = nullptr;  // of the call under way
  unsigned answers_ = 0, failures_ = 0;
  bool again_ = false;  // a call was made a second time
};

// `component` outlives it.
std::unique_ptr<Endpoint> make_endpoint(const Component& component);

}  // namespace muskrat::marketo
