#include "consumer/trail.hpp"

#include <algorithm>

#include <fmt/chrono.h>

namespace muskrat::trail {
namespace {

constexpr std::ptrdiff_t most_lines = 10;
constexpr size_t most_columns = 160;

}  // namespace

void add(std::string& trail, int64_t at_us, std::string_view what) {
  if (std::count(trail.begin(), trail.end(), '\n') >= most_lines - 1) {
    const size_t second = trail.find('\n') + 1;
    trail.erase(second, trail.find('\n', second) + 1 - second);
  }
  std::string line(what.substr(0, most_columns));
  while (!line.empty() && line.size() < what.size() && (static_cast<unsigned char>(what[line.size()]) & 0xC0) == 0x80)
    line.pop_back();  // not in the middle of a character
  std::replace(line.begin(), line.end(), '\n', ' ');
  if (!trail.empty()) trail += '\n';
  trail += fmt::format("{:%Y-%m-%dT%H:%M:%SZ} {}", fmt::gmtime(static_cast<std::time_t>(at_us / 1'000'000)), line);
}

}  // namespace muskrat::trail
