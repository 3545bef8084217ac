// A source's published events as `muskrat replay` reads them, and how its server understands an instant.
//
// Used by replay_outbox.cpp. PostgreSQL implements it in replay_source.cpp, MySQL in replay_mysql.cpp. Neighbour:
// relay/outbox_history.hpp. Thread rule: the main thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/replay.hpp"
#include "relay/outbox_history.hpp"

namespace muskrat::cli {

class ReplaySource {
 public:
  virtual ~ReplaySource() = default;
  virtual OutboxHistory& history() = 0;
  // What a person wrote for `option`, as HistoryFilter takes it. UsageError for what is no time.
  virtual std::string instant(const std::string& option, const std::string& text) = 0;
  virtual const std::string& place() const = 0;
  // Why there may be no published events at all; "" where nothing but their age explains it.
  virtual std::string why_none() const { return ""; }
};

// UsageError for a kind of source that keeps no published events.
std::unique_ptr<ReplaySource> open_replay_source(const Component& source, const ReplayOrder& order, const Stop& stop);

// "2h" as a number and the unit's word in the singular; nullopt for what is no span.
struct Span {
  std::string number, unit;
};
std::optional<Span> span_of(const std::string& text);
[[noreturn]] void refuse_instant(const std::string& option, const std::string& text);

}  // namespace muskrat::cli
