#include "consumer/figures.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace muskrat {
namespace {

constexpr milliseconds quiet_span{2'000};
constexpr std::array fate_names{"done", "repeated", "superseded", "retry", "park", "dead", "skipped", "wait"};

metrics::Labels of(const std::string& endpoint) { return {{"endpoint", endpoint}}; }

metrics::Counter& count(const char* name, const char* help, const std::string& endpoint) {
  return metrics::counter(std::string("muskrat_endpoint_") + name, help, of(endpoint));
}

metrics::Gauge& level(const char* name, const char* help, const std::string& endpoint) {
  return metrics::gauge(std::string("muskrat_endpoint_") + name, help, of(endpoint));
}

metrics::Histogram& spread(const char* name, const char* help, const std::string& endpoint) {
  return metrics::histogram(std::string("muskrat_endpoint_") + name, help, of(endpoint));
}

}  // namespace

Figures::Figures(const std::string& endpoint)
    : retries_(count("retries_total", "Events that will be tried again.", endpoint)),
      dead_(count("dead_total", "Events in the dead letters, confirmed by the broker.", endpoint)),
      superseded_(count("superseded_total", "Events passed over because newer state is in place.", endpoint)),
      repeated_(count("repeated_total", "Events recognised as delivered before.", endpoint)),
      unsubscribed_(count("unsubscribed_total",
                          "Events that came by a binding of which the configuration knows nothing.", endpoint)),
      batches_(count("batches_total", "Batches delivered, whatever became of them.", endpoint)),
      in_flight_(level("in_flight", "Events in the lanes now.", endpoint)),
      held_back_(level("held_back", "Events that wait for a retry or behind one.", endpoint)),
      parked_until_(
          level("parked_until_seconds",
                "Until when the endpoint is parked, or was before it is tried again, as Unix time; 0 when it is not.",
                endpoint)),
      paused_(level("paused", "1 while the endpoint does not consume because an operator paused it.", endpoint)),
      circuit_open_(level("circuit_open",
                          "1 while the endpoint is down: from when it is parked for trouble until it takes something.",
                          endpoint)),
      lag_(level("lag_seconds",
                 "Capture to effect, of the newest event done, or how long the oldest unfinished one has been in hand, "
                 "where that is longer; 0 when nothing is in hand.",
                 endpoint)),
      jobs_(level("jobs", "Bulk imports and bulk jobs that are under way at the endpoint's server.", endpoint)),
      batch_seconds_(spread("batch_seconds", "How long a batch took.", endpoint)) {
  for (size_t i = 0; i < parked_.size(); ++i)
    parked_[i] = &metrics::gauge(
        "muskrat_endpoint_parked",
        "1 while the endpoint takes nothing for this reason, and while it is tried whether that is over.",
        {{"endpoint", endpoint}, {"reason", std::string(park_reasons[i])}});
  for (size_t i = 0; i < fates; ++i)
    delivered_[i] = &metrics::counter("muskrat_endpoint_delivered_total", "Events delivered, by outcome.",
                                      {{"endpoint", endpoint}, {"outcome", fate_names[i]}});
}

Figures::~Figures() {
  not_parked();
  for (metrics::Gauge* gauge : {&in_flight_, &held_back_, &paused_, &lag_, &jobs_}) gauge->set(0);
}

void Figures::parked(ParkReason reason, int64_t until_us) {
  park_ = reason;
  parked_until_.set(static_cast<double>(until_us) / 1e6);
  show_park();
}

void Figures::not_parked() {
  park_.reset();
  parked_until_.set(0);
  show_park();
}

void Figures::paused(bool yes) {
  is_paused_ = yes;
  paused_.set(yes ? 1 : 0);
  show_park();
}

void Figures::show_park() {
  const auto shows = [&](ParkReason reason) {
    return park_ == reason && !(is_paused_ && reason == ParkReason::trouble) ? 1 : 0;
  };
  for (size_t i = 0; i < parked_.size(); ++i) parked_[i]->set(shows(static_cast<ParkReason>(i)));
  circuit_open_.set(shows(ParkReason::trouble));
}

void Figures::settled(const Outcome& outcome, const Event& event) {
  delivered_[static_cast<size_t>(outcome.fate)]->add();
  if (outcome.fate == Outcome::Fate::superseded) superseded_.add(), ++superseded_count_;
  if (outcome.fate == Outcome::Fate::repeated) repeated_.add(), ++repeated_count_;
  if (outcome.fate != Outcome::Fate::done) return;
  ++done_;
  if (event.captured_us > 0) settled_lag_ = static_cast<double>(wall_clock_us() - event.captured_us) / 1e6;
  settled_at_ = std::chrono::steady_clock::now();
}

void Figures::batch(milliseconds took) {
  batches_.add();
  batch_seconds_.observe(static_cast<double>(took.count()) / 1e3);
}

void Figures::refresh(const Schedule& schedule, std::optional<SteadyTime> oldest, SteadyTime now) {
  in_flight_.set(static_cast<double>(schedule.under_way()));
  held_back_.set(static_cast<double>(schedule.held()));
  if (schedule.in_hand() == 0 && now - settled_at_ > quiet_span) settled_lag_ = 0;
  // Where nothing is done any more, the newest one's says less and less.
  const double waits = oldest ? std::chrono::duration<double>(now - *oldest).count() : 0;
  lag_seconds_ = std::max({settled_lag_, waits, 0.0});
  lag_.set(lag_seconds_);
  const double span = std::chrono::duration<double>(now - refreshed_).count();
  if (span > 0) rate_ = static_cast<double>(done_ - done_before_) / span;
  done_before_ = done_;
  refreshed_ = now;
}

std::vector<std::pair<std::string, std::string>> Figures::rows(const Schedule& schedule) const {
  return {{"delivered", std::to_string(done_)},
          {"rate", fmt::format("{:.0f}/s", rate_)},
          {"lag", fmt::format("{:.1f} s", lag_seconds_)},
          {"in hand", std::to_string(schedule.in_hand())},
          {"held back", std::to_string(schedule.held())},
          {"retries", std::to_string(retried_)},
          {"superseded", std::to_string(superseded_count_)},
          {"repeated", std::to_string(repeated_count_)},
          {"dead letters", std::to_string(died_)}};
}

}  // namespace muskrat
