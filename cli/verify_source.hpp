// A source's database as `muskrat verify` sees it: rows as the events that they would be, without telling them.
//
// Used by verify.cpp and verify_run.cpp. PostgreSQL implements it, by muskrat.row_as_event and the functions of
// sql/verify.sql. Every read is a statement of its own over a bounded number of rows: no transaction stays open,
// nothing is locked. Thread rule: the main thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/event.hpp"
#include "common/pg.hpp"
#include "consumer/mirror.hpp"

namespace muskrat::cli {

struct VerifyPlan {
  struct Part {  // an attachment
    std::string name, object, words, on_update, on_delete;
    bool conditional = false;
    std::map<std::string, std::string> columns;  // path in the body → column
  };
  std::string oid, table;
  bool partitioned = false;
  int64_t rows = 0;  // by the server's estimate
  std::vector<std::string> key;
  std::vector<Part> parts;
};

// What a row of this attachment would be told as, without a body.
Event event_of(const VerifyPlan::Part& part, const std::string& source);

// A row, and the body that each attachment of the plan would give it; none where it does not mean the row.
struct SourceRow {
  struct Body {
    std::string text, omitted;
  };
  KeyTexts key;         // the walking key's columns
  std::string version;  // changes when the row does
  std::vector<std::optional<Body>> bodies;
};

// How rows are looked up by values of other columns than the walking key's.
struct Finder {
  std::vector<std::string> columns, types;  // the texts are cast to these
};

struct Passed {
  bool passed = false;  // the relay has published what was committed before
  int64_t held = 0;     // events that the broker would not take
  bool relay = false;   // one runs
};

class VerifySource {
 public:
  VerifySource(const Component& source, const std::string& dsn, const std::string& table,
               const std::string& attachment);

  const VerifyPlan& plan() const { return plan_; }
  // Goes on with these attachments of the plan alone.
  void keep(const std::function<bool(const VerifyPlan::Part&)>& meant);
  const std::string& place() const { return place_; }

  // The first rows of the range, at most so many, in the order of the key; how many there were.
  int64_t walk(const KeyRange& range, int64_t most, const std::function<void(SourceRow&&)>& row);
  // The key of the row that is so many behind `after`; empty when there are not so many.
  KeyTexts range_end(const KeyTexts& after, int64_t rows);
  // Over these columns, each cast to its entry of `as`.
  RangeDigest digest(const Finder& columns, const KeyRange& range);
  // Those of these rows that are there, in no order.
  std::vector<SourceRow> again(std::span<const KeyTexts> keys);
  // Whether rows can be found by these columns through an index, and how a value of the endpoint's type becomes one of
  // theirs. nullopt + why.
  std::optional<Finder> finder(const std::vector<std::string>& columns, const std::vector<std::string>& endpoint_types,
                               std::string& why);
  // As which types both databases can hash these columns and find equal what a delivery makes equal; nullopt where one
  // is of no such type.
  std::optional<Finder> digestible(const std::vector<std::string>& columns,
                                   const std::vector<std::string>& endpoint_types);
  // Whether the key has the same order in every database.
  bool key_has_one_order();
  // For which of these no row is there that an attachment means.
  std::vector<bool> absent(const Finder& finder, std::span<const KeyTexts> values);

  // What has been committed by now, to be asked about later.
  std::string position();
  Passed passed(const std::string& position);
  // Tells the rows to one endpoint, each locked first. Per row: 't' told, 'l' locked by somebody, 'g' gone, 'n' not
  // meant.
  std::string repair(const std::string& endpoint, std::span<const KeyTexts> keys);

 private:
  void read_plan(const std::string& table, const std::string& attachment);
  std::string type_of(const std::string& column);
  // The parameters view the range's texts.
  std::string in_range(const KeyRange& range, std::vector<pg::Param>& params) const;
  std::string key_list(const char* cast) const;
  std::string again_sql() const;
  std::string row_sql(const std::string& rows) const;
  std::string relation() const { return (plan_.partitioned ? "" : "ONLY ") + plan_.table; }
  std::string means(const std::string& alias) const;
  SourceRow read(const pg::Result& rows, int i) const;
  pg::Result ask(const std::string& sql, std::span<const pg::Param> params);

  const Component& source_;
  pg::Connection db_;
  const std::string place_;
  VerifyPlan plan_;
  std::vector<std::string> key_types_;  // quoted, for casts
};

}  // namespace muskrat::cli
