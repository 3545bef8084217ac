#include "relay/publisher.hpp"

#include <algorithm>
#include <utility>

#include <poll.h>

#include "common/log.hpp"
#include "common/wire.hpp"

namespace muskrat {
namespace {

constexpr int64_t pump_after_bytes = 65536;
constexpr milliseconds longest_confirm_patience{30'000};
constexpr milliseconds binding_time{2'000};  // in which a setup binds its queues
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

std::string larger_than_max_body(int64_t bytes) {
  return "its body of " + std::to_string(bytes) + " bytes is larger than max_body";
}

Publisher::Publisher(const Config& config, Settings settings, Window& window, Meters& meters)
    : config_(config),
      settings_(std::move(settings)),
      exchange_(config.topology.exchange()),
      window_(window),
      meters_(meters),
      backoff_(milliseconds(100), milliseconds(10'000)),
      confirm_patience_(settings_.confirm_limit) {}

Publisher::~Publisher() = default;

void Publisher::connect(const Stop& stop) {
  if (connection_ || now() < next_attempt_) return;
  try {
    amqp::Address address = config_.broker_now();
    Deadline deadline = Deadline::in(settings_.connect_limit);
    connection_ = amqp::Connection::open(address, "muskrat relay " + settings_.source, deadline, &stop);
    require_exchange(deadline);
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
void Publisher::require_exchange(Deadline deadline) {
  if (!connection_->exchange_exists(exchange_, deadline)) {
    exchange_was_missing_ = true;
    throw Failure(Remedy::reconnect,
                  "the exchange " + exchange_ + " does not exist on the broker; run `muskrat setup` to declare it");
  }
  // Whoever declares it binds the queues after it: until then events would go to the unrouted.
  if (!std::exchange(exchange_was_missing_, false)) return;
  not_before_ = now() + binding_time;
  throw Failure(Remedy::reconnect,
                "the exchange " + exchange_ + " has only just been declared; its queues are awaited");
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
    window_.refuse(larger_than_max_body(body_bytes), now());
    return true;
  }
  const std::string queue = queue_for(out);
  amqp::Message message = queue.empty() ? wire::message_of(out.event, exchange_) : wire::message_to(out.event, queue);
  if (out.astray) message.headers.push_back({wire::header_to, out.event.to});
  if (const std::string why = amqp::too_long(message); !why.empty()) {
    window_.refuse("its " + why, now());
    return true;
  }
  if (const size_t bytes = amqp::properties_frame_bytes(message); bytes > connection_->frame_most()) {
    window_.refuse(
        "its headers of " + std::to_string(bytes) + " bytes do not fit into a frame of " +
            std::to_string(connection_->frame_most()) +
            ", as the broker has it (frame_max); most of it names the columns that muskrat.max_body left out",
        now());
    return true;
  }
#ifdef MUSKRAT_BUG_no_mandatory
  message.mandatory = false;
#endif
  Deadline deadline = Deadline::in(settings_.send_limit);
  full_ = connection_->publish(message, deadline) == amqp::Sent::would_block;
  if (full_) return false;
  window_.sent(connection_->last_tag());
  meters_.published->add();
  unpumped_bytes_ += body_bytes + 512;
  published_bytes_ += body_bytes + 512;
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
  give_up_on_silence();
}

// Under an alarm the broker may well be silent.
void Publisher::give_up_on_silence() {
  const auto oldest = connection_ && !blocked() ? window_.oldest_tag() : std::nullopt;
  if (oldest != awaited_ || !oldest) {
    awaited_ = oldest;
    awaited_since_ = now();
    awaited_bytes_ = published_bytes_;
  } else if (goes_out()) {
    awaited_since_ = now();
  } else if (now() - awaited_since_ > confirm_patience_) {
    lost("the broker has not confirmed an event for " + std::to_string(confirm_patience_.count() / 1000) +
         " s; what is unconfirmed is sent again over a new connection");
    // A broker that is only slow would otherwise never have the time that it needs.
    confirm_patience_ = std::min(confirm_patience_ * 2, std::max(settings_.confirm_limit, longest_confirm_patience));
  }
}

// Whether more of what was published up to the awaited event has gone out since the last look.
bool Publisher::goes_out() {
  if (gone_bytes_ >= awaited_bytes_) return false;
  const int64_t gone = published_bytes_ - connection_->unsent_bytes();
  return gone > std::exchange(gone_bytes_, std::max(gone, gone_bytes_));
}

void Publisher::close(Deadline deadline) {
  if (connection_) connection_->close(deadline);
  connection_.reset();
  window_.connection_lost(now());
}

void Publisher::on_confirm(uint64_t tag, bool multiple, bool acked) {
  window_.confirm(tag, multiple, acked, now());
  backoff_.reset();
  confirm_patience_ = settings_.confirm_limit;
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
  awaited_.reset();  // tags begin anew
  published_bytes_ = awaited_bytes_ = gone_bytes_ = 0;
  full_ = false;
  window_.connection_lost(now());
  meters_.blocked->set(0);
  meters_.reconnects->add();
  milliseconds pause = backoff_.next();
  next_attempt_ = std::max(now() + pause, not_before_);
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
