#include "common/utc_text.hpp"

#include <charconv>
#include <chrono>
#include <ctime>

namespace muskrat {
namespace {

constexpr int64_t second_us = 1'000'000;

// Takes fixed-width numbers and single characters off the front; stays failed once it is.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  int number(size_t digits) {
    int value = 0;
    const std::string_view part = text_.substr(0, digits);
    good_ = good_ && part.size() == digits && part.find_first_not_of("0123456789") == part.npos;
    if (good_) std::from_chars(part.data(), part.data() + part.size(), value);
    text_.remove_prefix(part.size());
    return value;
  }
  bool take(std::string_view one_of) {
    if (text_.empty() || one_of.find(text_.front()) == one_of.npos) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(std::string_view one_of) { good_ = take(one_of) && good_; }
  // Digits behind a point, cut after the sixth.
  int64_t micros() {
    int64_t value = 0, unit = second_us / 10;
    size_t digits = 0;
    for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits, unit /= 10)
      value += (text_[digits] - '0') * unit;
    good_ = good_ && digits > 0;
    text_.remove_prefix(digits);
    return value;
  }
  bool done() const { return good_ && text_.empty(); }
  bool empty() const { return text_.empty(); }
  char front() const { return text_.empty() ? '\0' : text_.front(); }

 private:
  std::string_view text_;
  bool good_ = true;
};

int64_t offset_seconds(Reader& reader) {
  if (reader.take("Zz")) return 0;
  const int sign = reader.front() == '-' ? -1 : 1;
  reader.expect("+-");
  const int hours = reader.number(2);
  reader.expect(":");
  return sign * (int64_t{3600} * hours + int64_t{60} * reader.number(2));
}

}  // namespace

std::string utc_text(int64_t us) {
  const auto seconds = static_cast<std::time_t>(us / second_us);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[sizeof "2026-11-25T12:00:00Z" + 16];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

std::string utc_text_exact(int64_t us) {
  const int64_t part = ((us % second_us) + second_us) % second_us;
  std::string text = utc_text(us - part);
  if (part == 0) return text;
  std::string digits = std::to_string(second_us + part).substr(1);
  digits.erase(digits.find_last_not_of('0') + 1);
  return text.insert(text.size() - 1, "." + digits);
}

std::optional<int64_t> utc_from_text(std::string_view text) {
  using namespace std::chrono;
  Reader reader(text);
  const year y(reader.number(4));
  reader.expect("-");
  const month m(static_cast<unsigned>(reader.number(2)));
  reader.expect("-");
  const year_month_day date(y, m, day(static_cast<unsigned>(reader.number(2))));
  int64_t seconds = 0, micros = 0;
  if (!reader.empty()) {
    reader.expect("Tt ");
    const int hours = reader.number(2);
    reader.expect(":");
    const int minutes = reader.number(2);
    reader.expect(":");
    const int whole = reader.number(2);
    if (hours > 23 || minutes > 59 || whole > 60) return std::nullopt;
    if (reader.take(".")) micros = reader.micros();
    seconds = int64_t{3600} * hours + int64_t{60} * minutes + whole - offset_seconds(reader);
  }
  if (!reader.done() || !date.ok()) return std::nullopt;
  const int64_t days = sys_days(date).time_since_epoch().count();
  return (days * 86400 + seconds) * second_us + micros;
}

}  // namespace muskrat
