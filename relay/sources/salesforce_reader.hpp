// One run of the kind salesforce: deletions, pages of a query, and how far they have come.
//
// Used by salesforce.cpp. The cursor is (stamp, Id) of what was read, and up to when deletions are known. Neighbours:
// Api (calls), salesforce_soql.hpp (texts), salesforce_rows.hpp (records). Thread rule: the run's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/scheduled/reader.hpp"
#include "relay/sources/salesforce_api.hpp"
#include "relay/sources/salesforce_fields.hpp"
#include "relay/sources/salesforce_rows.hpp"
#include "relay/sources/salesforce_soql.hpp"

namespace muskrat::salesforce_source {

// Where a source stands between runs.
struct Cursor {
  Place place;
  std::optional<int64_t> known;  // deletions up to then are told; microseconds
};
std::string text_of(const Cursor& cursor);
// Of what text_of() wrote, or ""; Failure for another.
Cursor cursor_of(const std::string& text);

class Reading {
 public:
  Reading(const Settings& settings, Session& session, const Described& described, Run& run);
  void incremental();
  void snapshot();

 private:
  // Where the run stands.
  struct Way {
    Place place;    // behind this the next query begins
    Cursor cursor;  // what is remembered
    int64_t now = 0;
    std::optional<int64_t> covered;  // of no transaction that began earlier anything is still to come
    int64_t calm = 0;                // rows with an older stamp stay where they are in the order
  };
  Way begin();
  void check_gap(const Way& way) const;
  [[noreturn]] void refuse_gap(const std::string& why) const;
  std::optional<int64_t> covered();
  json::Document updated();
  bool deletions(Way& way);
  bool deletions_between(int64_t start, int64_t end, Way& way);
  bool pages(Way& way, const Query& query);
  std::string next_of(const json::Value& answer, const std::string& path) const;
  bool hand_over(const json::Value& rows, Way& way);
  bool deliver(std::vector<Row>&& rows, Way& way);
  std::string mark_of(const Row& row) const;
  bool is_echo(const Row& row) const;
  bool ours(const std::string& user) const;
  bool finish(Way& way);
  Query query() const;
  bool deleted_by_query() const;

  const Settings& settings_;
  const Described& described_;
  Run& run_;
  Api api_;
  RowShape shape_;
  std::vector<std::string> users_;  // whose changes are those of our endpoints
  const int64_t overlap_;
};

}  // namespace muskrat::salesforce_source
