#include "relay/publisher.hpp"

#include <utility>

#include <poll.h>

#include "common/log.hpp"
#include "common/wire.hpp"

namespace muskrat {
namespace {

constexpr int64_t pump_after_bytes = 65536;
// AMQP has a message's properties and headers in one frame; ours hold 131,072 bytes. The rest is for what is short.
constexpr size_t most_header_bytes = 120'000;

// Those that can be long: the ordering key stands in two places.
size_t header_bytes(const Event& event) {
  return event.omitted.size() + event.traceparent.size() + 2 * event.key.size();
}

SteadyTime now() { return std::chrono::steady_clock::now(); }

// Sleeps on the source's descriptor and `stop` when there is no broker to listen to.
void wait_without_broker(Deadline deadline, const Stop* stop, int fd) {
  pollfd fds[2] = {{fd, POLLIN, 0}, {stop != nullptr ? stop->fd() : -1, POLLIN, 0}};
  poll(fds, 2, deadline.poll_timeout());
}

// Those that speak about where we send or who we are, and never about one event. RabbitMQ's topic permissions do: they
// refuse a routing key, with the code that it has for a whole exchange too.
bool nobodys_event(const amqp::ChannelError& error) {
  if (error.code() == 403) return std::string_view(error.what()).find("access to topic '") == std::string_view::npos;
  return error.code() == 404 || error.code() == 320 || error.code() == 530;
}

}  // namespace

Publisher::Publisher(const Config& config, Settings settings, Window& window, Meters& meters)
    : config_(config),
      settings_(std::move(settings)),
      exchange_(config.topology.exchange()),
      window_(window),
      meters_(meters),
      backoff_(milliseconds(100), milliseconds(10'000)) {}

Publisher::~Publisher() = default;

void Publisher::connect(const Stop& stop) {
  if (connection_ || now() < next_attempt_) return;
  try {
    amqp::Address address = config_.broker_now();
    Deadline deadline = Deadline::in(settings_.connect_limit);
    connection_ = amqp::Connection::open(address, "muskrat relay " + settings_.source, deadline, &stop);
    require_exchange();
    connection_->confirm_select(deadline);
    log::info("relay", "broker connected",
              {{"source", settings_.source}, {"broker", address.place()}, {"server", connection_->server()}});
    trouble_.clear();
    meters_.connected->add();
  } catch (const Failure& failure) {
    if (failure.remedy() == Remedy::stop) throw;
    lost(failure.what());
  }
}

// A publish to an exchange that is not there closes the channel: better seen before than over somebody's event.
void Publisher::require_exchange() {
  if (connection_->exchange_exists(exchange_, Deadline::in(settings_.connect_limit))) return;
  throw Failure(Remedy::reconnect,
                "the exchange " + exchange_ + " does not exist on the broker; run `muskrat setup` to declare it");
}

template <typename Act>
void Publisher::guarded(Act act) {
  try {
    act();
  } catch (const amqp::ChannelError& error) {
    channel_failed(error);
  } catch (const Failure& failure) {
    if (failure.remedy() == Remedy::stop) throw;
    lost(failure.what());
  }
}

void Publisher::publish(const std::function<bool()>& permitted) {
  full_ = false;
  guarded([&] {
    while (connection_ && permitted()) {
      const Outgoing* out = window_.next(now());
      if (out == nullptr || !send_next(*out)) break;
      if (unpumped_bytes_ > pump_after_bytes) pump_now();
    }
    if (connection_) pump_now();
  });
}

// Empty for what goes to all who subscribe. The queue of the unrouted and not its exchange: to publish to an exchange
// that is missing closes the channel, over nobody's event.
std::string Publisher::queue_for(const Outgoing& out) const {
  if (out.event.to.empty()) return "";
  return out.astray ? config_.topology.unrouted() : config_.topology.queue(out.event.to);
}

bool Publisher::send_next(const Outgoing& out) {
  auto body_bytes = static_cast<int64_t>(out.event.body.size());
  if (body_bytes > settings_.max_body) {
    window_.refuse("its body of " + std::to_string(body_bytes) + " bytes is larger than max_body", now());
    return true;
  }
  if (const size_t bytes = header_bytes(out.event); bytes > most_header_bytes) {
    window_.refuse("its headers of " + std::to_string(bytes) +
                       " bytes do not fit into a frame (most of it names the "
                       "columns that muskrat.max_body left out)",
                   now());
    return true;
  }
  const std::string queue = queue_for(out);
  amqp::Message message = queue.empty() ? wire::message_of(out.event, exchange_) : wire::message_to(out.event, queue);
  if (out.astray) message.headers.push_back({wire::header_to, out.event.to});
#ifdef MUSKRAT_BUG_no_mandatory
  message.mandatory = false;
#endif
  Deadline deadline = Deadline::in(settings_.publish_limit);
  full_ = connection_->publish(message, deadline) == amqp::Sent::would_block;
  if (full_) return false;
  window_.sent(connection_->last_tag());
  meters_.published->add();
  unpumped_bytes_ += body_bytes + 512;
  return true;
}

// Between publishes too: so that "blocked" is heard before the socket's buffers are full.
void Publisher::pump_now() {
  unpumped_bytes_ = 0;
  while (connection_->pump(*this, Deadline::in(milliseconds(0)))) {
  }
}

void Publisher::wait(Deadline deadline, const Stop* stop, int fd) {
  if (!connection_) return wait_without_broker(deadline, stop, fd);
  guarded([&] { connection_->pump(*this, deadline, stop, fd); });
}

void Publisher::close(Deadline deadline) {
  if (connection_) connection_->close(deadline);
  connection_.reset();
  window_.connection_lost(now());
}

void Publisher::on_confirm(uint64_t tag, bool multiple, bool acked) {
  window_.confirm(tag, multiple, acked, now());
  backoff_.reset();
}

void Publisher::on_return(amqp::Returned&& returned) {
  window_.returned(returned.message_id,
                   "the broker returned it: " + std::to_string(returned.code) + " " + returned.text);
}

void Publisher::on_blocked(const std::string& reason) {
  trouble_ = "the broker blocks publishers (" + reason + "); free memory or disk there";
  meters_.blocked->set(1);
  log::warning("relay", "broker blocked", {{"source", settings_.source}, {"reason", reason}});
}

void Publisher::on_unblocked() {
  trouble_.clear();
  meters_.blocked->set(0);
  log::info("relay", "broker unblocked", {{"source", settings_.source}});
}

void Publisher::lost(const std::string& why) {
  connection_.reset();
  full_ = false;
  window_.connection_lost(now());
  meters_.blocked->set(0);
  meters_.reconnects->add();
  milliseconds pause = backoff_.next();
  next_attempt_ = now() + pause;
  if (why != trouble_) {
    log::warning("relay", "broker away",
                 {{"source", settings_.source}, {"why", why}, {"retry_ms", static_cast<int64_t>(pause.count())}});
  }
  trouble_ = why;
}

void Publisher::channel_failed(const amqp::ChannelError& error) {
  if (!nobodys_event(error)) window_.channel_failed(error.what(), now());
  lost(error.what());
}

}  // namespace muskrat
