#include "cli/progress.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/terminal.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds redraw_every{200}, object_every{1000}, line_every{10'000};

}  // namespace

Progress::Progress(bool json) : json_(json), drawn_(!json && ::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { end(); }

void Progress::show(const std::function<std::string()>& line, const std::function<json::Object()>& object) {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + (json_ ? object_every : drawn_ ? redraw_every : line_every);
  if (json_) return print(object().text() + "\n");
  if (!drawn_) return complain(line() + "\n");
  complain("\r" + shortened(line(), std::max<size_t>(terminal_width(), 40) - 1) + "\033[K");
  open_ = true;
}

void Progress::end() {
  if (open_) complain("\n");
  open_ = false;
}

std::string bytes_text(int64_t bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < units.size(); ++unit) value /= 1000;
  return fmt::format("{:.{}f} {}", value, unit > 0 && value < 10 ? 1 : 0, units[unit]);
}

std::string span_text(milliseconds span) {
  const int64_t seconds = span.count() / 1000;
  if (seconds < 1) return fmt::format("{} ms", span.count());
  if (seconds < 60) return fmt::format("{} s", seconds);
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

std::string percent_text(int64_t part, int64_t whole) {
  if (whole <= 0 || part >= whole) return "99.9 %";  // an estimate that was too low
  return fmt::format("{:.1f} %", std::min(99.9, 100.0 * static_cast<double>(part) / static_cast<double>(whole)));
}

}  // namespace muskrat::cli
