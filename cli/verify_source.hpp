// A source's database as `muskrat verify` sees it: rows as the events that they would be, without telling them.
//
// Used by verify.cpp, verify_run.cpp and verify_delivery.cpp. PostgreSQL implements it in verify_postgres.cpp, MySQL in
// verify_mysql.cpp. Every read is a statement of its own over a bounded number of rows: no transaction stays open,
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
#include "consumer/mirror.hpp"

namespace muskrat::cli {

struct VerifyPlan {
  struct Part {  // an attachment
    std::string name, object, words, on_update, on_delete;
    bool conditional = false;
    std::map<std::string, std::string> columns;  // path in the body → column
  };
  std::string table;
  int64_t rows = 0;              // by the server's estimate
  std::vector<std::string> key;  // by which the rows are walked
  std::vector<Part> parts;
};

// What a row of this attachment would be told as, without a body.
Event event_of(const VerifyPlan::Part& part, const std::string& source);

// A row, and the body that each attachment of the plan would give it; none where it does not mean the row.
struct SourceRow {
  struct Body {
    std::string text, omitted;
  };
  KeyTexts key;         // the walking key's columns, as the source knows them again
  std::string shown;    // the same for people: a JSON array
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
  virtual ~VerifySource() = default;

  virtual const VerifyPlan& plan() const = 0;
  // Goes on with these attachments of the plan alone.
  virtual void keep(const std::function<bool(const VerifyPlan::Part&)>& meant) = 0;

  // The first rows of the range, at most so many, in the order of the key; how many there were.
  virtual int64_t walk(const KeyRange& range, int64_t most, const std::function<void(SourceRow&&)>& row) = 0;
  // Those of these rows that are there, in no order.
  virtual std::vector<SourceRow> again(std::span<const KeyTexts> keys) = 0;
  // How often a row must be found as it was before it counts as one that did not change: more than once where a version
  // may come again.
  virtual int looks() const { return 1; }

  // Whether rows can be found by these columns through an index, and how a value of the endpoint's type becomes one of
  // theirs. nullopt + why.
  virtual std::optional<Finder> finder(const std::vector<std::string>& columns,
                                       const std::vector<std::string>& endpoint_types, std::string& why) = 0;
  // For which of these no row is there that an attachment means.
  virtual std::vector<bool> absent(const Finder& finder, std::span<const KeyTexts> values) = 0;

  // As which types both databases can hash these columns and find equal what a delivery makes equal; nullopt where one
  // is of no such type, or the key has not the same order in every database.
  virtual std::optional<Finder> digestible(const std::vector<std::string>& columns,
                                           const std::vector<std::string>& endpoint_types) = 0;
  // The key of the row that is so many behind `after`; empty when there are not so many.
  virtual KeyTexts range_end(const KeyTexts& after, int64_t rows) = 0;
  // Over these columns, each cast to its type.
  virtual RangeDigest digest(const Finder& columns, const KeyRange& range) = 0;

  // What has been committed by now, to be asked about later.
  virtual std::string position() = 0;
  virtual Passed passed(const std::string& position) = 0;
  // Tells the rows to one endpoint, each locked first. Per row: 't' told, 'l' locked by somebody, 'g' gone, 'n' not
  // meant.
  virtual std::string repair(const std::string& endpoint, std::span<const KeyTexts> keys) = 0;
};

// UsageError for a kind of source whose tables cannot be verified.
std::unique_ptr<VerifySource> open_verify_source(const Component& source, const std::string& dsn,
                                                 const std::string& table, const std::string& attachment);

}  // namespace muskrat::cli
