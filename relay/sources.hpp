// The explicit list of source kinds, and what a source is.
//
// A new source is one file (or folder) in relay/sources/ and one line in
// relay/sources.cpp. Help, docs, validation and metric labels follow from the entry.
#pragma once

#include <memory>
#include <span>

#include "common/config.hpp"
#include "common/failure.hpp"
#include "common/health.hpp"
#include "common/stop.hpp"

namespace muskrat {

// A source has never worked, and cannot until a person has mended what it says: made anew, it may.
class CannotStart : public Failure {
 public:
  explicit CannotStart(const std::string& what) : Failure(Remedy::stop, what) {}
};

// A running source. run() returns when `stop` is requested and everything confirmed so far is marked; it reconnects by
// itself for ever and throws only Failure{stop}: what no retry can mend, and CannotStart. One thread, one database
// connection, one AMQP connection.
class Source {
 public:
  virtual ~Source() = default;
  virtual void run(const Stop& stop) = 0;
};

struct SourceContext {
  const Component& component;
  const Config& config;
  StatusBoard& board;
};

class RecordReader;  // relay/scheduled/reader.hpp

// One of the two: a kind that runs by itself, or one that wakes on a schedule and says how it reads its records.
struct SourceKind : Kind {
  std::unique_ptr<Source> (*make)(const SourceContext& context) = nullptr;
  std::unique_ptr<RecordReader> (*reader)(const Component& component) = nullptr;
};

std::span<const SourceKind> source_kinds();
// Failure{stop} for a kind that is none.
const SourceKind& kind_of(const Component& source);

}  // namespace muskrat
