#include "common/field_convert.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace muskrat {
namespace {

struct Named {
  std::string_view name;
  As as;
};
constexpr std::array<Named, 7> names{{{"text", As::text},
                                      {"integer", As::integer},
                                      {"number", As::number},
                                      {"boolean", As::boolean},
                                      {"json", As::json},
                                      {"timestamp", As::timestamp},
                                      {"date", As::date}}};

bool digit(char c) { return c >= '0' && c <= '9'; }
bool all_digits(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), digit); }

std::string without_leading_zeros(std::string_view digits) {
  const size_t first = digits.find_first_not_of('0');
  return first == std::string_view::npos ? "0" : std::string(digits.substr(first));
}

bool to_integer(FieldValue& field, std::string& why) {
  std::string_view text = field.text;
  const bool minus = text.starts_with('-');
  if (minus) text.remove_prefix(1);
  const size_t dot = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, dot), fraction = text.substr(std::min(dot + 1, text.size()));
  const bool zeros = dot == text.size() || (!fraction.empty() && fraction.find_first_not_of('0') == fraction.npos);
  if (field.json || field.boolean || !all_digits(whole) || !zeros) return why = "is not a whole number", false;
  const std::string digits = without_leading_zeros(whole);
  field.text = (minus && digits != "0" ? "-" : "") + digits;
  field.number = true;
  return true;
}

bool to_number(FieldValue& field, std::string& why) {
  if (field.number) return true;
  why = "is not a number";
  if (!field.is_text()) return false;
  const bool minus = field.text.starts_with('-');
  const std::string_view text = std::string_view(field.text).substr(minus ? 1 : 0);
  const size_t whole = std::min(text.find_first_not_of("0123456789"), text.size());
  if (whole == 0) return false;
  const std::string tidy =
      (minus ? "-" : "") + without_leading_zeros(text.substr(0, whole)) + std::string(text.substr(whole));
  std::string ignored;
  const auto document = json::Document::parse(tidy, ignored);
  if (!document || document->root().type() != json::Type::number || document->root().number() != tidy) return false;
  field.text = tidy;
  return field.number = true;
}

bool to_boolean(FieldValue& field, std::string& why) {
  if (field.boolean) return true;
  why = "is not true or false";
  if (field.json) return false;
  std::string text = field.text;
  to_lower(text);
  constexpr std::array<std::string_view, 6> yes{"true", "t", "yes", "y", "on", "1"},
      no{"false", "f", "no", "n", "off", "0"};
  const bool is_yes = std::find(yes.begin(), yes.end(), text) != yes.end();
  if (!is_yes && std::find(no.begin(), no.end(), text) == no.end()) return false;
  field = FieldValue::bare(is_yes ? "true" : "false");
  return field.boolean = true;
}

bool to_json(FieldValue& field, std::string& why) {
  if (!field.is_text()) return true;
  std::string ignored;
  const auto document = json::Document::parse(field.text, ignored);
  if (!document) return why = "is a text that holds no JSON", false;
  field = FieldValue::from(document->root());
  return true;
}

// `count` digits at the front as a number, and taken off.
bool take(std::string_view& text, size_t count, int& out) {
  if (text.size() < count || !all_digits(text.substr(0, count))) return false;
  std::from_chars(text.data(), text.data() + count, out);
  text.remove_prefix(count);
  return true;
}

bool take(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

// What stands behind the time: nothing (UTC), Z, or +HH, +HHMM, +HH:MM, or +HH:MM:SS, as PostgreSQL writes local mean
// time; in seconds.
bool take_zone(std::string_view text, int& seconds) {
  seconds = 0;
  if (text.empty() || text == "Z" || text == "z") return true;
  const bool minus = text.front() == '-';
  if (!minus && text.front() != '+') return false;
  text.remove_prefix(1);
  int hour = 0, minute = 0, second = 0;
  if (!take(text, 2, hour)) return false;
  if (!text.empty()) {
    take(text, ':');
    if (!take(text, 2, minute)) return false;
  }
  if (take(text, ':') && !take(text, 2, second)) return false;
  seconds = ((hour * 60 + minute) * 60 + second) * (minus ? -1 : 1);
  return text.empty() && hour <= 15 && minute < 60 && second < 60;
}

std::string two(int n) { return (n < 10 ? "0" : "") + std::to_string(n); }

std::string iso_date(std::chrono::year_month_day day) {
  std::string year = std::to_string(static_cast<int>(day.year()));
  year.insert(0, 4 - std::min<size_t>(year.size(), 4), '0');
  return year + "-" + two(static_cast<int>(static_cast<unsigned>(day.month()))) + "-" +
         two(static_cast<int>(static_cast<unsigned>(day.day())));
}

bool to_time(FieldValue& field, bool date_alone, std::string& why) {
  const std::string utc = field.is_text() ? utc_timestamp(field.text) : "";
  if (utc.empty()) return why = date_alone ? "is not a date" : "is not a timestamp", false;
  field.text = date_alone ? utc.substr(0, 10) : utc;
  return true;
}

}  // namespace

As as_from_name(std::string_view name) {
  for (const Named& named : names) {
    if (named.name == name) return named.as;
  }
  return As::as_it_is;
}

bool convert(FieldValue& field, As as, std::string& why) {
  switch (as) {
    case As::as_it_is:
      return true;
    case As::text:
      field.json = field.number = field.boolean = false;
      return true;
    case As::integer:
      return to_integer(field, why);
    case As::number:
      return to_number(field, why);
    case As::boolean:
      return to_boolean(field, why);
    case As::json:
      return to_json(field, why);
    case As::timestamp:
    case As::date:
      return to_time(field, as == As::date, why);
  }
  return true;
}

void trim(std::string& text) {
  constexpr std::string_view space = " \t\r\n\f\v";
  const size_t start = text.find_first_not_of(space);
  if (start == std::string::npos) return text.clear();
  text = text.substr(start, text.find_last_not_of(space) - start + 1);
}

void to_lower(std::string& text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
}

std::string utc_timestamp(std::string_view text) {
  namespace ch = std::chrono;
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, zone = 0;
  const bool has_date =
      take(text, 4, year) && take(text, '-') && take(text, 2, month) && take(text, '-') && take(text, 2, day);
  const ch::year_month_day date{ch::year(year), ch::month(static_cast<unsigned>(month)),
                                ch::day(static_cast<unsigned>(day))};
  if (!has_date || year == 0 || !date.ok()) return {};
  std::string fraction;
  if (!text.empty()) {
    if (!take(text, 'T') && !take(text, ' ')) return {};
    if (!take(text, 2, hour) || !take(text, ':') || !take(text, 2, minute)) return {};
    const bool seconds = take(text, ':');
    if (seconds && !take(text, 2, second)) return {};
    if (seconds && take(text, '.')) {
      const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
      if (digits == 0) return {};
      fraction = "." + std::string(text.substr(0, digits));
      text.remove_prefix(digits);
    }
    if (!take_zone(text, zone) || hour > 23 || minute > 59 || second > 59) return {};
  }
  const auto moment = ch::sys_days(date) + ch::hours(hour) + ch::minutes(minute) + ch::seconds(second - zone);
  const auto midnight = ch::floor<ch::days>(moment);
  const ch::year_month_day utc(midnight);
  if (static_cast<int>(utc.year()) < 1 || static_cast<int>(utc.year()) > 9999) return {};
  const ch::hh_mm_ss clock(ch::duration_cast<ch::seconds>(moment - midnight));
  return iso_date(utc) + "T" + two(static_cast<int>(clock.hours().count())) + ":" +
         two(static_cast<int>(clock.minutes().count())) + ":" + two(static_cast<int>(clock.seconds().count())) +
         fraction + "Z";
}

}  // namespace muskrat
