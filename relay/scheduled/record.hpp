// A record, and the event that it becomes: routing key from a template, ordering key, deterministic id, mapped body.
//
// Used by Run for each record that a kind has read; record_options() stand in each scheduled kind's table and
// check_record() in its validate. The same record makes the same event, whenever it is read: a repeat has the id and
// the bytes of the first. Failures name the rule and the record's number and never what is in the record.
// Neighbours: common/document_mapping.hpp (the body). Thread rule: immutable.
// What it does not do: numbers (seq); those are the state's to give.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/config.hpp"
#include "common/document_mapping.hpp"
#include "common/event.hpp"

namespace muskrat {

// routing_key, max_body and the mapping. Each kind declares its own `key`: the members that identify a record.
OptionTable record_options();
void check_record(const Settings& settings, std::vector<Problem>& problems);

struct Record {
  std::string body;     // a JSON object, before the mapping
  std::string version;  // two records with the same key, version and body are one
  int64_t rank = 0;     // its place along the cursor, for forgetting
  Op op = Op::record;   // remove: it is there no more
};

// No event can be made of a record, whatever is asked again: its own fault, or the mapping's.
class BadRecord : public Failure {
 public:
  explicit BadRecord(const std::string& why) : Failure(Remedy::reconnect, why) {}
};

// What tells a record from all others.
std::string digest_of(const Record& record);

class RecordShape {
 public:
  // Of settings that passed check_record().
  explicit RecordShape(const Component& component);

  // A record that has been looked into. BadRecord, here and below, when no event can be made of it.
  struct Read {
    json::Document body;
    std::string key;  // the canonical JSON array of its key
  };
  Read read(const Record& record) const;
  // nullopt: the mapping leaves it out.
  std::optional<Event> event_of(const Record& record, const Read& read, int64_t epoch, int64_t captured_us) const;
  // The ordering key that its event would have; "" where it makes none.
  std::string ordering_key(const Record& record) const;

 private:
  std::string source_, template_;
  std::vector<std::string> key_;
  Mapping mapping_;
  size_t most_bytes_;
};

// The template with each {path} replaced by that member of the record; nullopt + why.
std::optional<std::string> routing_key_of(const std::string& pattern, const json::Value& record, std::string& why);

// The canonical JSON array of the members that identify the record; nullopt + why.
std::optional<std::string> record_key_of(const std::vector<std::string>& paths, const json::Value& record,
                                         std::string& why);

// The ordering key of an event, as docs/event-format.md has it: the routing key's object and the record's key.
std::string ordering_key_of(std::string_view routing_key, const std::string& record_key);

// A hash of these, each by itself, as a UUID.
std::string id_of_parts(std::initializer_list<std::string_view> parts);

}  // namespace muskrat
