#include "relay/lease.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

#include <signal.h>
#include <unistd.h>

namespace muskrat {
namespace {

constexpr std::string_view unknown = "-";  // a word of a holder

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The machine's boot and our pid namespace: within one such place pids mean the same thing.
std::string place_of_pids() {
  char target[64];
  ssize_t n = readlink("/proc/self/ns/pid", target, sizeof target);
  std::string boot = first_line("/proc/sys/kernel/random/boot_id");
  if (n <= 0 || boot.empty()) return "";
  return boot + "/" + std::string(target, static_cast<size_t>(n));
}

// Start time in ticks since boot: field 22 of /proc/<pid>/stat, after the name in parentheses.
std::string start_of(pid_t pid) {
  std::string stat = first_line("/proc/" + std::to_string(pid) + "/stat");
  size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream fields(stat.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= 22; i++) fields >> field;
  return fields ? field : "";
}

char state_of(pid_t pid) {
  std::string stat = first_line("/proc/" + std::to_string(pid) + "/stat");
  size_t name_end = stat.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= stat.size() ? '?' : stat[name_end + 2];
}

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

}  // namespace

bool LeaseWatch::observe(const LeaseView& view, milliseconds now) {
  if (view.holder.empty() || holder_is_dead(view.holder)) return true;
  if (!seen_ || view.term != term_ || view.beat != beat_) {
    seen_ = true;
    term_ = view.term;
    beat_ = view.beat;
    still_since_ = now;
    return false;
  }
  return now - still_since_ >= lease_time_;
}

std::string holder_of(const std::string& host_and_pid, const std::string& place, const std::string& start) {
  // Each in its place: more words may follow.
  const auto word = [](const std::string& text) { return " " + (text.empty() ? std::string(unknown) : text); };
  return host_and_pid + word(place) + word(start);
}

std::string this_holder() {
  return holder_of(host_name() + ":" + std::to_string(getpid()), place_of_pids(), start_of(getpid()));
}

bool holder_is_dead(const std::string& holder) {
  std::istringstream words(holder);
  std::string name, place, start;
  words >> name >> place >> start;
  size_t colon = name.rfind(':');
  if (start.empty() || start == unknown || colon == std::string::npos || place != place_of_pids()) return false;
  auto pid = static_cast<pid_t>(std::strtol(name.c_str() + colon + 1, nullptr, 10));
  if (pid <= 0) return false;
  if (kill(pid, 0) != 0) return errno == ESRCH;
  // The pid lives, but as another process, or it is dead and not yet reaped.
  std::string now = start_of(pid);
  return (!now.empty() && now != start) || state_of(pid) == 'Z';
}

}  // namespace muskrat
