#include "cli/event_text.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include "cli/terminal.hpp"
#include "common/json.hpp"

namespace muskrat::cli {
namespace {

std::string formatted(int64_t us, const char* format, bool local) {
  const auto seconds = static_cast<std::time_t>(us / 1'000'000);
  std::tm parts{};
  if (local) {
    ::localtime_r(&seconds, &parts);
  } else {
    ::gmtime_r(&seconds, &parts);
  }
  std::array<char, 32> text{};
  const size_t length = std::strftime(text.data(), text.size(), format, &parts);
  const std::string ms = std::to_string(us / 1000 % 1000);
  return std::string(text.data(), length) + "." + std::string(3 - std::min<size_t>(ms.size(), 3), '0') + ms;
}

Colour colour_of(Op op) {
  switch (op) {
    case Op::insert:
      return Colour::green;
    case Op::update:
      return Colour::blue;
    case Op::remove:
    case Op::truncate:
      return Colour::red;
    default:
      return Colour::plain;
  }
}

std::string padded(std::string text, size_t columns) {
  if (text.size() < columns) text.append(columns - text.size(), ' ');
  return text;
}

// The row's part of an ordering key: "[48239]" of "Frontend.Customer:[48239]".
std::string row_of(const std::string& key) {
  const size_t colon = key.find(':');
  return harmless(colon == std::string::npos ? key : key.substr(colon + 1));
}

}  // namespace

std::string iso_time(int64_t us) { return us <= 0 ? "" : formatted(us, "%Y-%m-%dT%H:%M:%S", false) + "Z"; }

std::string event_line(const Event& event) {
  const std::string time = event.captured_us > 0 ? formatted(event.captured_us, "%H:%M:%S", true) : padded("-", 12);
  const std::string key = padded(harmless(event.routing_key), 26), op = padded(std::string(op_name(event.op)), 8);
  const std::string row = padded(row_of(event.key), 8);
  std::string body = harmless(event.body);
  if (const size_t width = terminal_width(); width > 0) {
    const size_t used = time.size() + key.size() + op.size() + row.size() + 8;
    body = shortened(body, width > used + 20 ? width - used : 20);
  }
  return coloured(Colour::faint, time) + "  " + coloured(Colour::bold, key) + "  " + coloured(colour_of(event.op), op) +
         "  " + row + "  " + body + "\n";
}

std::string event_json(const Event& event) {
  json::Object object;
  object.add("time", iso_time(event.captured_us)).add("routing_key", event.routing_key).add("key", event.key);
  object.add("op", op_name(event.op)).add("source", event.source).add("epoch", event.epoch).add("seq", event.seq);
  object.add("message_id", event.message_id);
  if (!event.omitted.empty()) object.add("omitted", event.omitted);
  std::string why;
  const auto body = json::Document::parse(event.body, why);
  if (!body) return object.add("text", event.body).text();
  std::string text = object.text();
  // Dumped from the parsed tree: one line, whatever white space the body has, and every digit as it was.
  text.back() = ',';
  return text + "\"body\":" + body->root().dump() + "}";
}

}  // namespace muskrat::cli
