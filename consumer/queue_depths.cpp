#include "consumer/queue_depths.hpp"

#include <limits>

#include "common/log.hpp"
#include "common/threads.hpp"

namespace muskrat {
namespace {

constexpr milliseconds look_every{5'000};
constexpr milliseconds connect_span{15'000}, goodbye_span{1'000};
constexpr milliseconds answer_span{3'000};  // a stop waits for an answer
constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

metrics::Gauge& of_endpoint(const std::string& endpoint, const char* name, const char* help) {
  return metrics::gauge(std::string("muskrat_endpoint_") + name, help, {{"endpoint", endpoint}});
}

}  // namespace

QueueDepths::QueueDepths(const Config& config) : config_(config) {
  const Topology& names = config.topology;
  for (const Component& endpoint : config.endpoints) {
    watched_.push_back({names.queue(endpoint.name),
                        &of_endpoint(endpoint.name, "queue_messages",
                                     "Messages in the endpoint's queue, without those in its host's hands.")});
    watched_.push_back({names.dead_queue(endpoint.name),
                        &of_endpoint(endpoint.name, "dead_letters", "Messages in the endpoint's dead letters.")});
  }
  watched_.push_back({names.unrouted(), &metrics::gauge("muskrat_unrouted_messages",
                                                        "Messages that nothing subscribed to, in the unrouted.", {})});
  unknown();
  thread_ = std::thread([this] {
    name_this_thread("queue depths");
    run();
  });
}

// A reload may have taken an endpoint out: its gauges say nothing any more.
QueueDepths::~QueueDepths() {
  quit_.request();
  thread_.join();
  unknown();
}

void QueueDepths::unknown() {
  for (const Watched& each : watched_) each.depth->set(not_known);
}

void QueueDepths::run() {
  for (std::string trouble; !quit_.requested(); quit_.wait(look_every)) {
    try {
      broker_.emplace(amqp::Connection::open(config_.broker_now(), "muskrat consume (depths of queues)",
                                             Deadline::in(connect_span), &quit_));
      trouble.clear();
      look_until_stopped();
    } catch (const Failure& failure) {
      unknown();
      if (trouble != failure.what() && !quit_.requested())
        log::info("consumer", "depths of queues are unknown", {{"why", failure.what()}});
      trouble = failure.what();
    }
  }
  broker_.reset();
}

void QueueDepths::look_until_stopped() {
  amqp::Handler nobody;
  while (!quit_.requested()) {
    look();
    // the pump answers heartbeats meanwhile
    for (const Deadline next = Deadline::in(look_every); !next.passed() && !quit_.requested();)
      broker_->pump(nobody, next, &quit_);
  }
  broker_->close(Deadline::in(goodbye_span));
}

void QueueDepths::look() {
  for (const Watched& each : watched_) {
    if (quit_.requested()) return;
    each.depth->set(depth_of(each.queue));
  }
}

double QueueDepths::depth_of(const std::string& queue) {
  try {
    if (const auto state = broker_->queue_state(queue, Deadline::in(answer_span))) return state->messages;
  } catch (const amqp::ChannelError&) {  // of this queue alone
    broker_->open_channel(Deadline::in(answer_span));
  }
  return not_known;
}

}  // namespace muskrat
