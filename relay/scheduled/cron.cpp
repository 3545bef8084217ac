#include "relay/scheduled/cron.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>
#include <vector>

namespace muskrat {
namespace {

constexpr int64_t minutes_a_day = 1440, minute_us = 60'000'000, day_us = minutes_a_day * minute_us;
constexpr int64_t days_ahead = 3294;  // nine years

constexpr std::array<std::string_view, 12> month_names{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> weekday_names{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Field {
  std::string_view name;
  int first, last;
  std::span<const std::string_view> names = {};
};

constexpr std::array<Field, 5> fields{{{"minute", 0, 59},
                                       {"hour", 0, 23},
                                       {"day of the month", 1, 31},
                                       {"month", 1, 12, month_names},
                                       {"day of the week", 0, 7, weekday_names}}};

std::vector<std::string_view> split(std::string_view text, std::string_view at) {
  std::vector<std::string_view> parts;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find_first_of(at, from), text.size());
    parts.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<int> value_of(std::string_view text, const Field& field) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  const auto named = std::find(field.names.begin(), field.names.end(), lower);
  if (named != field.names.end()) return static_cast<int>(named - field.names.begin()) + field.first;
  const auto value = number(text);
  return value && *value >= field.first && *value <= field.last ? value : std::nullopt;
}

// One element of a list: `*`, `7`, `1-5`, each with a step or without.
bool add(std::string_view element, const Field& field, std::bitset<64>& into) {
  const auto parts = split(element, "/");
  const auto ends = split(parts[0], "-");
  const auto step = parts.size() == 1 ? std::optional(1) : number(parts[1]);
  if (parts.size() > 2 || ends.size() > 2 || !step || *step < 1) return false;
  const bool all = parts[0] == "*";
  const auto first = all ? std::optional(field.first) : value_of(ends[0], field);
  if (!first) return false;
  // `5/10` is "from 5 on", as most crons read it
  const bool open = all || (ends.size() == 1 && parts.size() == 2);
  const auto last = open ? std::optional(field.last) : value_of(ends.back(), field);
  if (!last || *last < *first) return false;
  for (int value = *first; value <= *last; value += *step) into.set(static_cast<size_t>(value));
  return true;
}

std::vector<std::string_view> words(std::string_view text) {
  auto parts = split(text, " \t");
  std::erase(parts, std::string_view());
  return parts;
}

}  // namespace

std::optional<Cron> Cron::parse(std::string_view text, std::string& why) {
  const auto given = words(text);
  if (given.size() != fields.size()) {
    why = "a cron expression has five fields (minute, hour, day of the month, month, day of the week); this one has " +
          std::to_string(given.size());
    return std::nullopt;
  }
  Cron cron;
  const std::array<Set*, 5> sets{&cron.minutes_, &cron.hours_, &cron.days_, &cron.months_, &cron.weekdays_};
  for (size_t i = 0; i < fields.size(); ++i) {
    for (const std::string_view element : split(given[i], ",")) {
      if (add(element, fields[i], *sets[i])) continue;
      why = "\"" + std::string(element) + "\" is no " + std::string(fields[i].name) + "; give " +
            std::to_string(fields[i].first) + " to " + std::to_string(fields[i].last) + ", a range, a step or *";
      return std::nullopt;
    }
  }
  if (cron.weekdays_.test(7)) cron.weekdays_.set(0);
  cron.every_hour_ = given[1].front() == '*';
  cron.any_day_ = given[2].front() == '*';
  cron.any_weekday_ = given[4].front() == '*';
  return cron;
}

std::optional<int64_t> Cron::after(int64_t us, const TimeZone& zone) const {
  const auto wall = std::chrono::microseconds(zone.wall(us));
  const int64_t today = std::chrono::floor<std::chrono::days>(wall).count();
  // A day earlier: where clocks go back over midnight, yesterday's times may still come.
  for (int64_t day = today - 1; day < today + days_ahead; ++day) {
    if (!takes(day)) continue;
    if (const auto found = of_day(day, us, zone)) return found;
  }
  return std::nullopt;
}

bool Cron::takes(int64_t day) const {
  const std::chrono::sys_days date{std::chrono::days(day)};
  const std::chrono::year_month_day ymd{date};
  if (!months_.test(static_cast<unsigned>(ymd.month()))) return false;
  const bool by_day = days_.test(static_cast<unsigned>(ymd.day()));
  const bool by_weekday = weekdays_.test(std::chrono::weekday(date).c_encoding());
  // crontab(5): a field that begins with * restricts nothing by itself
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<int64_t> Cron::of_day(int64_t day, int64_t after, const TimeZone& zone) const {
  std::optional<int64_t> best;
  const auto offer = [&](int64_t instant) {
    if (instant > after && (!best || instant < *best)) best = instant;
  };
  for (int64_t minute = 0; minute < minutes_a_day; ++minute) {
    if (!hours_.test(static_cast<size_t>(minute / 60)) || !minutes_.test(static_cast<size_t>(minute % 60))) continue;
    const TimeZone::Instants at = zone.instants(day * day_us + minute * minute_us);
    if (!every_hour_) {
      offer(at.first);
    } else if (at.shown) {
      offer(at.first);
      offer(at.last);
    }
  }
  return best;
}

}  // namespace muskrat
