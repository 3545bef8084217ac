#include "consumer/limits/call_gate.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace muskrat {
namespace {

using limits::Amount;
using limits::RateWindow;
using limits::Unit;
using std::chrono::steady_clock;

// What the configuration's check let through.
std::vector<Amount> rates_of(const Settings& settings) {
  std::vector<Amount> rates;
  std::string why;
  for (const std::string& text : settings.texts("rate"))
    if (const auto amount = limits::parse_amount(text, why)) rates.push_back(*amount);
  return rates;
}

std::string wrong_with_rate(const std::string& text) {
  std::string why;
  const auto amount = limits::parse_amount(text, why);
  if (!amount) return why;
  if (amount->period.count() == 0 || amount->period > std::chrono::hours(1))
    return "a rate's time is one hour at most; what counts over a day is a quota";
  return {};
}

std::optional<limits::Quota> quota_of(const Settings& settings) {
  if (!settings.has("quota")) return std::nullopt;
  std::string why;
  const auto amount = limits::parse_amount(settings.text("quota"), why);
  const std::string& name = settings.text("quota_zone");
  const auto zone = TimeZone::find(name);
  return amount && zone ? std::optional(limits::Quota(*amount, *zone, name)) : std::nullopt;
}

std::string wrong_with_quota(const std::string& text) {
  std::string why;
  const auto amount = limits::parse_amount(text, why);
  if (!amount) return "expected an amount in a time, such as 50000 calls per day or 100000 per 24h";
  const bool calendar = amount->period.count() == 0;
  if (!calendar && (amount->period < std::chrono::hours(1) || amount->period > std::chrono::hours(31 * 24)))
    return "a quota's time is a day, or from 1h to 31d; what counts over less is a rate";
  return {};
}

constexpr milliseconds closed_look{500};

}  // namespace

CallGate::CallGate(const Component& component, const Settings& consumer, const Stop& stop)
    : stop_(stop),
      calls_(metrics::counter("muskrat_endpoint_calls_total", "Calls made to the endpoint, whatever came of them.",
                              {{"endpoint", component.name}})) {
  for (const Amount& rate : rates_of(component.settings)) rates_.emplace_back(rate);
  const auto quota = quota_of(component.settings);
  if (!quota) return;
  book_ = std::make_unique<limits::QuotaBook>(component.name, *quota, consumer);
  const metrics::Labels labels{{"endpoint", component.name}};
  quota_used_ = &metrics::gauge("muskrat_endpoint_quota_used", "What of the endpoint's quota is used now.", labels);
  metrics::gauge("muskrat_endpoint_quota", "The endpoint's quota.", labels)
      .set(static_cast<double>(quota->amount().count));
}

std::string CallGate::enter(size_t records, Deadline deadline) {
  std::string why = await_rate(static_cast<int64_t>(records), deadline);
  if (why.empty() && book_ && !closed_) why = take_quota(static_cast<int64_t>(records));
  // last: rate and quota may have taken their time
  if (why.empty() && closed_) why = "not tried yet: it goes back to the queue";
  if (why.empty()) calls_.add();
  return why;
}

std::string CallGate::await_rate(int64_t records, Deadline deadline) {
  while (!rates_.empty() && !closed_) {
    milliseconds wait{0};
    {
      std::lock_guard lock(mutex_);
      const SteadyTime now = steady_clock::now();
      const auto shut = rate_shut(records, now);
      if (!shut) {
        for (RateWindow& rate : rates_) rate.take(rate.amount().unit == Unit::calls ? 1 : records, now);
        return {};
      }
      if (shut->until > deadline.instant()) {
        turned_away_ = shut;
        return "not tried yet: " + shut->why;
      }
      wait = std::chrono::ceil<milliseconds>(shut->until - now);
    }
    if (stop_.wait(std::min(wait, closed_look))) return "not tried yet: the host stops";
  }
  return {};
}

std::string CallGate::take_quota(int64_t records) {
  std::lock_guard lock(book_mutex_);
  const int64_t now_us = wall_clock_us();
  const auto opens = book_->take(book_->quota().amount().unit == Unit::calls ? 1 : records, now_us);
  if (!opens) return {};
  quota_out_from_us_ = now_us;
  quota_out_until_us_ = *opens;
  return "not tried yet: " + book_->quota().text() + " is used up";
}

void CallGate::look() {
  if (!book_) return;
  std::lock_guard lock(book_mutex_);
  const int64_t now_us = wall_clock_us();
  book_->look(now_us);
  quota_out_from_us_ = now_us;
  quota_out_until_us_ = book_->out_until(now_us).value_or(0);
}

std::optional<Park> CallGate::shut(SteadyTime now) {
  auto park = quota_shut(now);
  if (rates_.empty() || park) return park;
  std::lock_guard lock(mutex_);
  if (turned_away_ && turned_away_->until > now) return turned_away_;
  return rate_shut(1, now);
}

bool CallGate::calls_are_scarce(SteadyTime now) {
  std::lock_guard lock(mutex_);
  return std::any_of(rates_.begin(), rates_.end(),
                     [&](const RateWindow& rate) { return rate.amount().unit == Unit::calls && rate.scarce(now); });
}

// By the wall clock, as it is now: where that was set, the quota opens when it says so.
std::optional<Park> CallGate::quota_shut(SteadyTime now) const {
  if (!book_) return std::nullopt;
  const int64_t now_us = wall_clock_us(), until_us = quota_out_until_us_;
  if (now_us >= until_us || now_us < quota_out_from_us_) return std::nullopt;
  const SteadyTime until = now + std::chrono::microseconds(until_us - now_us);
  return Park{ParkReason::quota, until, book_->quota().text() + " is used up"};
}

std::string CallGate::quota_text() {
  if (!book_) return {};
  const std::unique_lock lock(book_mutex_, std::try_to_lock);
  const double limit = static_cast<double>(book_->quota().amount().count);
  if (lock.owns_lock()) quota_used_->set(static_cast<double>(book_->used(wall_clock_us())));
  return fmt::format("{:.0f} of {:.0f}", quota_used_->value(), limit);
}

std::optional<Park> CallGate::rate_shut(int64_t records, SteadyTime now) {
  const RateWindow* slowest = nullptr;
  SteadyTime until = now;
  for (RateWindow& rate : rates_) {
    const SteadyTime opens = rate.opens_at(rate.amount().unit == Unit::calls ? 1 : records, now);
    if (opens <= until) continue;
    until = opens;
    slowest = &rate;
  }
  if (slowest == nullptr) return std::nullopt;
  return Park{ParkReason::rate, until, "the rate of " + describe(slowest->amount()) + " is used up"};
}

void check_limits(const Settings& settings, std::vector<Problem>& problems) {
  for (const std::string& text : settings.texts("rate"))
    if (const std::string wrong = wrong_with_rate(text); !wrong.empty())
      problems.push_back({settings.where("rate"), "rate: \"" + text + "\": " + wrong});
  if (settings.has("quota"))
    if (const std::string wrong = wrong_with_quota(settings.text("quota")); !wrong.empty())
      problems.push_back({settings.where("quota"), "quota: \"" + settings.text("quota") + "\": " + wrong});
  if (const std::string& zone = settings.text("quota_zone"); !TimeZone::find(zone))
    problems.push_back({settings.where("quota_zone"), "quota_zone: the system knows no time zone \"" + zone +
                                                          "\"; write it as America/Chicago (package tzdata)"});
}

bool has_quota(const Settings& settings) { return settings.has("quota"); }

std::string describe_limits(const Settings& settings) {
  std::string out;
  for (const Amount& rate : rates_of(settings)) out += (out.empty() ? "" : "; ") + describe(rate);
  if (const auto quota = quota_of(settings)) out += (out.empty() ? "" : "; ") + quota->text();
  return out;
}

size_t records_most(const Settings& settings) {
  size_t most = SIZE_MAX;
  for (const Amount& rate : rates_of(settings))
    if (rate.unit == Unit::records) most = std::min(most, static_cast<size_t>(rate.count));
  const auto quota = quota_of(settings);
  if (quota && quota->amount().unit == Unit::records) most = std::min(most, static_cast<size_t>(quota->amount().count));
  return most;
}

size_t events_within(const Settings& settings, milliseconds span, size_t per_call) {
  size_t most = SIZE_MAX;
  for (const Amount& rate : rates_of(settings)) {
    const double periods = static_cast<double>(span.count()) / static_cast<double>(rate.period.count());
    const double events =
        periods * static_cast<double>(rate.count) * (rate.unit == Unit::calls ? static_cast<double>(per_call) : 1.0);
    most = std::min(most, static_cast<size_t>(std::clamp(events, 1.0, 1e15)));
  }
  return most;
}

milliseconds call_interval(const Settings& settings) {
  milliseconds longest{0};
  for (const Amount& rate : rates_of(settings))
    if (rate.unit == Unit::calls)
      longest = std::max(longest, std::chrono::ceil<milliseconds>(rate.period / rate.count));
  return longest;
}

}  // namespace muskrat
