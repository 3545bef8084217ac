// What an endpoint's tables hold, compared with what events would make of them.
//
// Used by `muskrat verify`; implemented by the kinds of endpoint that keep tables equal to a source's (EndpointKind's
// `mirror`). It goes through the same routes, field tables and casts as a delivery does, and lets the target's own
// database say whether two values are equal. It reads in small statements of its own, locks nothing and writes nothing.
// Thread rule: one thread at a time. It does not know the source, nor whether an event is still under way.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/clock.hpp"
#include "common/event.hpp"

namespace muskrat {

// A table that the endpoint keeps equal to the source's rows.
struct MirroredTable {
  std::string table;                   // as the configuration writes it
  std::vector<std::string> key;        // its columns
  std::vector<std::string> key_paths;  // of each the path in the body that it copies as it is; "" when it does not
  std::vector<std::string> key_types;  // as the target names them
  std::vector<size_t> walk;            // the key's columns in the order of the index that walks them: indexes into key
  // The path and the target's type of every compared column, the key's too, in one order; empty when one of them is no
  // plain copy or a condition chooses rows. Then both databases can add up digests of the same values.
  std::vector<std::pair<std::string, std::string>> copies;
  std::vector<std::string> uncompared;  // columns that say something of the event and not of the row
  std::string shared_with;              // rows of other origin come into it: which, or ""
};

struct Discrepancy {
  enum class Kind { missing, different, refused } kind = Kind::missing;
  size_t event = 0;  // index in what was compared
  size_t table = 0;  // index in tables()
  std::string key;   // JSON array of the target's key, as text
  std::vector<std::string> columns;
  std::string why;  // refused: what the endpoint would say
  std::vector<std::pair<std::optional<std::string>, std::optional<std::string>>>
      values;  // expected and found, if asked
};

using KeyTexts = std::vector<std::string>;

// The rows behind `after` up to and with `upto`; an empty one is no bound.
struct KeyRange {
  KeyTexts after, upto;
};

// Equal for equal rows, whichever PostgreSQL adds it up.
struct RangeDigest {
  int64_t rows = 0;
  std::string sum;
  bool operator==(const RangeDigest&) const = default;
};

class Mirror {
 public:
  virtual ~Mirror() = default;
  // `told`: one event of each kind of row that will be compared, without a body; which routes take them is settled
  // here. Failure when there is none, or the tables are not as they must be.
  virtual void connect(std::span<const Event> told, Deadline deadline) = 0;
  virtual const std::vector<MirroredTable>& tables() const = 0;
  // Whether any of the tables takes such an event; whatever its body.
  virtual bool takes(const Event& event) const = 0;
  // Whether an event with this routing key would come to the endpoint and into this table.
  virtual bool reached_by(size_t table, const std::string& routing_key) const = 0;
  virtual std::vector<Discrepancy> compare(std::span<const Event> events, bool with_values, Deadline deadline) = 0;
  // The first keys of a table's rows in the range, in the order of its index.
  virtual std::vector<KeyTexts> keys(size_t table, const KeyRange& range, int64_t most, Deadline deadline) = 0;
  // The number of rows in the range and a sum over the hashes of their `copies`, each cast to its entry of `as`.
  virtual RangeDigest digest(size_t table, const std::vector<std::string>& as, const KeyRange& range,
                             Deadline deadline) = 0;
  // Of each row a text that changes when the row is written; nullopt: it is not there.
  virtual std::vector<std::optional<std::string>> versions(size_t table, std::span<const KeyTexts> keys,
                                                           Deadline deadline) = 0;
  // How often a row must be found as it was before it counts as one that did not change: more than once where a version
  // may come again.
  virtual int looks() const { return 1; }
};

}  // namespace muskrat
