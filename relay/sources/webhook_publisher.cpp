#include "relay/sources/webhook_publisher.hpp"

#include <utility>

#include "common/log.hpp"

namespace muskrat {
namespace {

constexpr milliseconds broker_time{5000}, close_time{1000};
constexpr int connections_in_patience = 3;

}  // namespace

// What is held leaves the list at once, so that its length and its retries do not matter.
WebhookPublisher::WebhookPublisher(const Config& config, const Settings& settings, WebhookInbox& inbox,
                                   ScheduledState& state)
    : source_(settings.source),
      max_age_(settings.max_age),
      inbox_(inbox),
      state_(state),
      meters_(settings.source),
      held_(Window::Limits().events, std::chrono::hours(24)),
      window_(Window::Limits(), held_),
      publisher_(
          config,
          {settings.source, settings.max_body, broker_time, broker_time, settings.patience / connections_in_patience},
          window_, meters_) {}

WebhookPublisher::~WebhookPublisher() {
  inbox_.open(false);
  inbox_.tell(inbox_.take(), false);
  for (const auto& [seq, each] : under_way_) inbox_.tell(each.waiting, false);
  publisher_.close(Deadline::in(close_time));
  meters_.rest();
}

void WebhookPublisher::turn(Deadline deadline, const Stop& stop) {
  publisher_.connect(stop);
  inbox_.open(connected() && trouble().empty());
  take();
  publisher_.publish([] { return true; });
  settle();
  Deadline wake = deadline;
  if (!connected()) wake = wake.sooner(Deadline::at(publisher_.next_attempt()));
  if (const auto due = window_.next_due()) wake = wake.sooner(Deadline::at(*due));
  publisher_.wait(wake, &stop, has_room() ? inbox_.fd() : -1);
  settle();
}

void WebhookPublisher::drain(Deadline deadline) {
  inbox_.open(false);
  take();
  while (!under_way_.empty() && connected() && !deadline.passed()) {
    publisher_.publish([] { return true; });
    publisher_.wait(deadline, nullptr, -1);
    settle();
  }
}

void WebhookPublisher::take() {
  if (!has_room()) return;
  const WebhookInbox::Batch batch = inbox_.take();
  if (batch.empty()) return;
  try {
    std::vector<ScheduledState::Notice> notices;
    notices.reserve(batch.size());
    for (const auto& item : batch) notices.push_back({item->event.message_id, item->event.seq});
    const auto seqs = state_.number(notices, wall_clock_us() - max_age_.count() * 1000);
    for (size_t i = 0; i < batch.size(); ++i)
      if (!joins(batch[i])) add(batch[i], seqs[i]);
  } catch (const Failure&) {
    inbox_.tell(batch, false);
    throw;
  }
}

// Whether what it brought is under way already.
bool WebhookPublisher::joins(const std::shared_ptr<WebhookInbox::Item>& item) {
  const auto known = seqs_.find(item->event.message_id);
  if (known == seqs_.end()) return false;
  under_way_.at(known->second).waiting.push_back(item);
  return true;
}

void WebhookPublisher::add(const std::shared_ptr<WebhookInbox::Item>& item, int64_t seq) {
  Outgoing out;
  out.event = std::move(item->event);
  out.event.epoch = state_.epoch();
  out.event.seq = seq;
  seqs_.emplace(out.event.message_id, seq);
  under_way_.emplace(seq, UnderWay{out.event.message_id, {item}});
  window_.add(static_cast<uint64_t>(seq), std::move(out), std::chrono::steady_clock::now());
}

void WebhookPublisher::settle() {
  for (const Window::Fate& fate : window_.take_fates()) settle(fate);
  meters_.in_flight->set(static_cast<double>(window_.in_flight()));
}

void WebhookPublisher::settle(const Window::Fate& fate) {
  if (fate.kind == Window::Fate::Kind::nacked) meters_.nacked->add();
  if (fate.kind == Window::Fate::Kind::returned) meters_.returned->add();
  if (fate.kind == Window::Fate::Kind::confirmed) {
    meters_.confirmed->add();
    tell(fate.id, true);
  }
  if (fate.kind == Window::Fate::Kind::held) {
    held_.release(fate.id, std::chrono::steady_clock::now());
    log::error("relay", "the broker did not take a webhook's event", {{"source", source_}, {"why", fate.why}});
    tell(fate.id, false);
  }
}

void WebhookPublisher::tell(int64_t seq, bool taken) {
  const auto found = under_way_.find(seq);
  if (found == under_way_.end()) return;
  inbox_.tell(found->second.waiting, taken);
  seqs_.erase(found->second.message_id);
  under_way_.erase(found);
}

}  // namespace muskrat
