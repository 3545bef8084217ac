// The explicit list of source kinds, and what a source is.
//
// A new source is one file (or folder) in relay/sources/ and one line in
// relay/sources.cpp. Help, docs, validation and metric labels follow from the entry.
#pragma once

#include <memory>
#include <span>

#include "common/config.hpp"
#include "common/health.hpp"
#include "common/stop.hpp"

namespace muskrat {

// A running source. run() returns when `stop` is requested and everything confirmed so far is marked; it reconnects by
// itself for ever and throws only Failure{stop}: what no retry can mend. One thread, one database connection, one AMQP
// connection.
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

struct SourceKind : Kind {
  std::unique_ptr<Source> (*make)(const SourceContext& context);
};

std::span<const SourceKind> source_kinds();

}  // namespace muskrat
