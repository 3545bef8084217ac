#include "relay/scheduled/page_publisher.hpp"

namespace muskrat {
namespace {

constexpr milliseconds broker_time{10'000}, tick{1000};

Window::Limits limits() {
  Window::Limits limits;
  limits.events = 4000;
  return limits;
}

}  // namespace

// What is held fails the run, so the list and its retries are never used.
PagePublisher::PagePublisher(const Config& config, const std::string& source, int64_t max_body, const Stop& stop,
                             std::function<void(const std::string&)> watch)
    : stop_(stop),
      watch_(std::move(watch)),
      meters_(source),
      held_(limits().events, std::chrono::hours(24)),
      window_(limits(), held_),
      publisher_(config, {source, max_body, broker_time, broker_time}, window_, meters_) {}

PagePublisher::~PagePublisher() {
  publisher_.close(Deadline::in(milliseconds(1000)));
  meters_.rest();
}

uint64_t PagePublisher::add(std::vector<Event>&& events) {
  ++page_;
  const SteadyTime now = std::chrono::steady_clock::now();
  for (Event& event : events) {
    for (; !has_room(); wait(Deadline::in(tick)))
      if (stop_.requested()) return 0;
    Outgoing out;
    out.event = std::move(event);
    window_.add(page_, std::move(out), now);
  }
  window_.close_read(page_);
  pump();
  return page_;
}

uint64_t PagePublisher::settled_pages() const {
  if (window_.empty()) return page_;
  const Window::Position position = window_.position();
  return position.closed || position.read == 0 ? position.read : position.read - 1;
}

void PagePublisher::pump() {
  throw_if_refused();
  publisher_.connect(stop_);
  watch_(publisher_.trouble());
  publisher_.publish([] { return true; });
  settle_accounts();
}

void PagePublisher::wait(Deadline deadline, bool despite_stop) {
  pump();
  if (window_.empty()) return;
  Deadline wake = deadline.sooner(Deadline::in(tick));
  if (!publisher_.connected()) wake = wake.sooner(Deadline::at(publisher_.next_attempt()));
  if (const auto due = window_.next_due()) wake = wake.sooner(Deadline::at(*due));
  publisher_.wait(wake, despite_stop ? nullptr : &stop_, -1);
  settle_accounts();
}

// To the window an event that is held is settled; to us it ends what may count as confirmed.
void PagePublisher::settle_accounts() {
  for (const Window::Fate& fate : window_.take_fates()) {
    if (fate.kind == Window::Fate::Kind::confirmed) meters_.confirmed->add();
    if (fate.kind == Window::Fate::Kind::nacked) meters_.nacked->add();
    if (fate.kind == Window::Fate::Kind::returned) meters_.returned->add();
    if (fate.kind == Window::Fate::Kind::held && refused_.empty()) refused_ = fate.why;
  }
  meters_.in_flight->set(static_cast<double>(window_.in_flight()));
  throw_if_refused();
  confirmed_ = settled_pages();
}

void PagePublisher::throw_if_refused() const {
  if (!refused_.empty()) throw Failure(Remedy::reconnect, "the broker did not take an event: " + refused_);
}

}  // namespace muskrat
