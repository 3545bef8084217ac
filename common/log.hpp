// Logs: text on a terminal, JSON lines otherwise (or as log.format says), on
// standard error. Never a payload, never a secret.
//
// spdlog is included in log.cpp alone: its headers cost two seconds a file.
// Usage: log::info("relay", "connected", {{"source", "frontend"}, {"server", version}});
// `component` says who speaks, `event` is a short constant phrase one can grep,
// fields carry the rest. Thread rule: free from any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace muskrat::log {

enum class Level { debug, info, warning, error };
enum class Format { automatic, text, json };

struct Field {
  Field(std::string_view n, std::string_view v) : name(n), value(v), quoted(true) {}
  Field(std::string_view n, const char* v) : name(n), value(v), quoted(true) {}
  Field(std::string_view n, const std::string& v) : name(n), value(v), quoted(true) {}
  Field(std::string_view n, int64_t v) : name(n), value(std::to_string(v)), quoted(false) {}
  Field(std::string_view n, int v) : name(n), value(std::to_string(v)), quoted(false) {}
  Field(std::string_view n, uint64_t v) : name(n), value(std::to_string(v)), quoted(false) {}
  Field(std::string_view n, double v);
  Field(std::string_view n, bool v) : name(n), value(v ? "true" : "false"), quoted(false) {}
  std::string_view name;
  std::string value;
  bool quoted;
};
using Fields = std::initializer_list<Field>;

void start(Level level, Format format);
void write(Level level, std::string_view component, std::string_view event, Fields fields);
inline void debug(std::string_view c, std::string_view e, Fields f = {}) { write(Level::debug, c, e, f); }
inline void info(std::string_view c, std::string_view e, Fields f = {}) { write(Level::info, c, e, f); }
inline void warning(std::string_view c, std::string_view e, Fields f = {}) { write(Level::warning, c, e, f); }
inline void error(std::string_view c, std::string_view e, Fields f = {}) { write(Level::error, c, e, f); }

}  // namespace muskrat::log
