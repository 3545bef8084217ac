// A pg_snapshot as text, "xmin:xmax:xip,xip": what the outbox reader needs of it.
//
// Used by the postgres source. Header only and pure. Thread rule: a plain value.
#pragma once

#include <cstdint>
#include <string>

#include "common/failure.hpp"

namespace muskrat {

struct PgSnapshot {
  std::string text;     // as PostgreSQL writes it
  uint64_t xmin = 0;    // every transaction below is over
  uint64_t xmax = 0;    // the first transaction that had not begun
  std::string running;  // those in progress, as an array literal: "{761,763}"

  static PgSnapshot parse(const std::string& text) {
    PgSnapshot snapshot;
    size_t first = text.find(':');
    size_t second = first == std::string::npos ? first : text.find(':', first + 1);
    if (second == std::string::npos) throw Failure(Remedy::stop, "not a pg_snapshot: " + text);
    snapshot.text = text;
    snapshot.xmin = std::stoull(text);
    snapshot.xmax = std::stoull(text.substr(first + 1));
    snapshot.running = "{" + text.substr(second + 1) + "}";
    return snapshot;
  }
  bool operator==(const PgSnapshot& other) const { return text == other.text; }
};

}  // namespace muskrat
