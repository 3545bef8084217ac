#include "cli/event_file.hpp"

#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/exit.hpp"
#include "common/event_json.hpp"

namespace muskrat::cli {
namespace {

std::string text_of(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad()) throw UsageError("cannot read the event file " + path);
  return text;
}

Event event_of(const json::Document& document, const std::string& place) {
  std::string why;
  auto event = event_from_json(document.root(), why);
  if (!event) throw UsageError(place + ": " + why);
  return std::move(*event);
}

}  // namespace

std::vector<Event> read_events(const std::string& path) {
  const std::string text = text_of(path), name = path == "-" ? "standard input" : path;
  std::string why;
  if (const auto whole = json::Document::parse(text, why)) return {event_of(*whole, name)};
  std::vector<Event> events;
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at), place = name + ":" + std::to_string(++number);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto document = json::Document::parse(line, why);
    if (!document)
      throw UsageError(place + ": " + why +
                       "; an event is {\"routing_key\": …, \"op\": …, \"body\": …}, as muskrat tail --json prints it");
    events.push_back(event_of(*document, place));
  }
  if (events.empty()) throw UsageError(name + " holds no event");
  return events;
}

}  // namespace muskrat::cli
