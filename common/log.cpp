#include "common/log.hpp"

#include <atomic>
#include <cstdlib>
#include <memory>

#include <spdlog/fmt/fmt.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include "common/json.hpp"

namespace muskrat::log {

namespace {

using Sink = spdlog::sinks::ansicolor_stderr_sink_mt;

spdlog::level::level_enum spdlog_level(Level level) {
  switch (level) {
    case Level::debug:
      return spdlog::level::debug;
    case Level::info:
      return spdlog::level::info;
    case Level::warning:
      return spdlog::level::warn;
    case Level::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

bool terminal() { return isatty(STDERR_FILENO) == 1; }

spdlog::color_mode colours() {
  // https://no-color.org: any value that is not empty says no
  const char* no_color = getenv("NO_COLOR");
  bool wanted = no_color == nullptr || *no_color == '\0';
  return wanted && terminal() ? spdlog::color_mode::always : spdlog::color_mode::never;
}

// One for the process; start() may be called again (SIGHUP) while others write.
struct Output {
  Output() : logger("muskrat", std::make_shared<Sink>(colours())) { start(Level::info, Format::automatic); }

  void start(Level level, Format format) {
    json = format == Format::json || (format == Format::automatic && !terminal());
    logger.set_level(spdlog_level(level));
    // The JSON object is opened here and closed by json_tail().
    logger.set_pattern(json ? R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v)" : "%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v",
                       json ? spdlog::pattern_time_type::utc : spdlog::pattern_time_type::local);
  }

  spdlog::logger logger;
  std::atomic<bool> json{false};
};

Output& output() {
  static Output instance;
  return instance;
}

std::string json_tail(std::string_view component, std::string_view event, Fields fields) {
  std::string tail =
      fmt::format(R"("component":{},"event":{})", muskrat::json::quote(component), muskrat::json::quote(event));
  for (const auto& field : fields) {
    tail += ',' + muskrat::json::quote(field.name) + ':';
    tail += field.quoted ? muskrat::json::quote(field.value) : field.value;
  }
  return tail + '}';
}

bool plain_word(std::string_view value) {
  return !value.empty() && value.find_first_of(" \t\r\n\"=\\\x1b") == std::string_view::npos;
}

std::string text_tail(std::string_view component, std::string_view event, Fields fields) {
  std::string tail = fmt::format("{}: {}", component, event);
  for (const auto& field : fields) {
    // Quoting also keeps control characters of the other side's texts off the terminal.
    tail +=
        fmt::format(" {}={}", field.name, plain_word(field.value) ? field.value : muskrat::json::quote(field.value));
  }
  return tail;
}

}  // namespace

Field::Field(std::string_view n, double v) : name(n), value(fmt::format("{}", v)), quoted(false) {
  // JSON knows no nan and inf
  if (value.find_first_not_of("0123456789.+-e") != std::string::npos) quoted = true;
}

void start(Level level, Format format) { output().start(level, format); }

void write(Level level, std::string_view component, std::string_view event, Fields fields) {
  auto& out = output();
  auto spd = spdlog_level(level);
  if (!out.logger.should_log(spd)) return;
  out.logger.log(spd, out.json ? json_tail(component, event, fields) : text_tail(component, event, fields));
}

}  // namespace muskrat::log
