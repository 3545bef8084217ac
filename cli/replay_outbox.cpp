// Events that the relay has published, from the outbox's retention, straight to one endpoint's queue again, or to the
// exchange.
//
// The same message_id, body, epoch and seq: the endpoint recognises what it has, and newer state stays. In order of id,
// with confirms; bounded memory. What the relay has yet to publish comes by itself and is left out.
#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "cli/agreement.hpp"
#include "cli/confirmed.hpp"
#include "cli/context.hpp"
#include "cli/event_text.hpp"
#include "cli/exit.hpp"
#include "cli/pace.hpp"
#include "cli/progress.hpp"
#include "cli/replay_source.hpp"
#include "cli/terminal.hpp"
#include "common/wire.hpp"

namespace muskrat::cli {
namespace {

class OutboxReplay {
 public:
  OutboxReplay(const Config& config, const Component& source, const ReplayOrder& order, const Stop& stop)
      : config_(config),
        order_(order),
        stop_(stop),
        source_(open_replay_source(source, order, stop)),
        history_(source_->history()),
        queue_(order.to_all ? "" : config.topology.queue(order.endpoint)),
        exchange_(config.topology.exchange()),
        pace_(order.rate, stop),
        progress_(order.json) {}

  int run() {
    try {
      return replay();
    } catch (const BrokenPipe&) {
      progress_.end();
      throw BrokenPipe{so_far_ + (so_far_.empty() ? how_to_go_on() : "")};
    }
  }

 private:
  int replay() {
    HistoryFilter filter = asked();
    const std::vector<HistoryCount> counts = meant(filter);
    show_plan(filter, counts);
    if (total_.events == 0) return exit_problems;
    amqp::Connection broker = open_broker(config_, "replay", &stop_);
    require_ways(broker, counts);
    if (order_.dry_run) return exit_ok;
    if (!order_.yes && !agreed()) {
      print("Nothing was sent.\n");
      return exit_usage;
    }
    history_.choose(std::move(filter));
    so_far_.clear();
    return publish(ConfirmedPublisher(std::move(broker), order_.to_all ? "the broker" : "the queue " + queue_));
  }

  HistoryFilter asked() {
    HistoryFilter filter;
    if (!order_.since.empty()) filter.since = source_->instant("--since", order_.since);
    if (!order_.until.empty()) filter.until = source_->instant("--until", order_.until);
    filter.keys = order_.keys;
    filter.message_ids = order_.message_ids;
    filter.after = order_.after;
    if (!order_.to_all) filter.addressees = {order_.endpoint};
    return filter;
  }

  // What there is of it, by routing key; chosen by the patterns, or by what the endpoint (or any) subscribes to. What
  // was for an endpoint alone goes to it whatever it subscribes to, unless there are patterns.
  std::vector<HistoryCount> meant(HistoryFilter& filter) {
    filter.addressed = order_.patterns.empty();
    std::vector<std::string> patterns = order_.patterns, known;
    for (const EndpointBinding& endpoint : endpoint_bindings(config_)) {
      if (!order_.to_all && endpoint.endpoint != order_.endpoint) continue;
      known.push_back(endpoint.endpoint);
      if (filter.addressed) patterns.insert(patterns.end(), endpoint.patterns.begin(), endpoint.patterns.end());
    }
    const auto bindings = checked_bindings(patterns);
    std::vector<HistoryCount> counts = history_.count(filter);
    std::erase_if(counts, [&](const HistoryCount& count) {
      const bool for_one = !count.addressee.empty();
      const bool stranger = for_one && std::find(known.begin(), known.end(), count.addressee) == known.end();
      if (stranger) strangers_ += count.events;
      return stranger || (!(for_one && filter.addressed) && !any_binding_matches(bindings, count.routing_key));
    });
    filter.addressees = known;
    filter.routing_keys.emplace();
    for (const HistoryCount& count : counts) {
      // By its key, those for all with the same one would come too.
      if (count.addressee.empty() || !filter.addressed) filter.routing_keys->push_back(count.routing_key);
      total_.oldest_us = total_.events == 0 ? count.oldest_us : std::min(total_.oldest_us, count.oldest_us);
      total_.newest_us = std::max(total_.newest_us, count.newest_us);
      total_.events += count.events;
      total_.bytes += count.bytes;
    }
    return counts;
  }

  void show_plan(const HistoryFilter& filter, const std::vector<HistoryCount>& counts) {
    const std::string oldest = total_.events > 0 ? "" : oldest_kept();
    if (order_.json) return print(plan_json(filter, counts).text() + "\n");
    if (total_.events == 0) return print(nothing_meant(oldest));
    Table table({"ROUTING KEY", "EVENTS", "BYTES", "FROM", "TO"});
    for (const HistoryCount& count : counts) {
      table.add({harmless(count.routing_key) + (count.addressee.empty() ? "" : " (for " + count.addressee + " alone)"),
                 std::to_string(count.events), bytes_text(count.bytes), iso_time(count.oldest_us),
                 iso_time(count.newest_us)});
    }
    print(fmt::format("Replay from {} ({}) to {}: {}, {}\n", order_.source, source_->place(), whom(),
                      counted(static_cast<size_t>(total_.events), "event"), bytes_text(total_.bytes)));
    if (filter.since) print("  captured since " + *filter.since + "\n");
    if (filter.until) print("  captured before " + *filter.until + "\n");
    print(table.text("  "));
    if (strangers_ > 0)
      print("  left out: " + counted(static_cast<size_t>(strangers_), "event") +
            " for endpoints that the configuration does not have\n");
  }

  std::string nothing_meant(const std::string& oldest) const {
    const std::string text = "Nothing that was published from " + order_.source + " is meant";
    if (!oldest.empty()) return text + "; the outbox goes back to " + oldest + ".\n";
    const std::string why = source_->why_none();
    return text + "; the outbox has no published events" + (why.empty() ? " any more.\n" : ": " + why + ".\n");
  }

  std::string whom() const {
    return order_.to_all ? "every queue that is bound to the exchange " + exchange_ : "the endpoint " + order_.endpoint;
  }

  bool agreed() const {
    return order_.to_all ? cli::agreed("\nIt goes to all of them. Type the source's name to go on: ", order_.source)
                         : cli::agreed("\nType the endpoint's name to go on: ", order_.endpoint);
  }

  // Before anything was sent: what is sent in vain would end the run in its middle.
  void require_ways(amqp::Connection& broker, const std::vector<HistoryCount>& counts) const {
    if (!order_.to_all) return require_way_to_queue(broker, queue_);
    if (!broker.exchange_exists(exchange_, Deadline::in(answer_time)))
      throw Failure(Remedy::stop, "the exchange " + exchange_ + " is not there; run muskrat setup");
    std::set<std::string> queues;
    for (const HistoryCount& count : counts)
      if (!count.addressee.empty()) queues.insert(config_.topology.queue(count.addressee));
    for (const std::string& queue : queues) require_way_to_queue(broker, queue);
  }

  json::Object plan_json(const HistoryFilter& filter, const std::vector<HistoryCount>& counts) const {
    std::vector<json::Object> keys;
    for (const HistoryCount& count : counts) {
      json::Object key;
      key.add("routing_key", count.routing_key).add("events", count.events).add("bytes", count.bytes);
      count.addressee.empty() ? key.add_null("for") : key.add("for", count.addressee);
      keys.push_back(std::move(key.add("from", iso_time(count.oldest_us)).add("to", iso_time(count.newest_us))));
    }
    json::Object plan, document;
    plan.add("source", order_.source).add("events", total_.events).add("bytes", total_.bytes);
    order_.to_all ? plan.add_null("to") : plan.add("to", order_.endpoint);
    filter.since ? plan.add("since", *filter.since) : plan.add_null("since");
    filter.until ? plan.add("until", *filter.until) : plan.add_null("until");
    return std::move(document.add("plan", plan.add("routing_keys", keys)));
  }

  // What could have been meant at most.
  std::string oldest_kept() {
    HistoryFilter everything;
    int64_t oldest = 0;
    for (const HistoryCount& count : history_.count(everything))
      oldest = oldest == 0 ? count.oldest_us : std::min(oldest, count.oldest_us);
    return iso_time(oldest);
  }

  // Page after page, each confirmed before the next: so a run that fails can say from where to go on.
  int publish(ConfirmedPublisher publisher) {
    const SteadyTime began = std::chrono::steady_clock::now();
    try {
      for (;;) {
        const std::vector<Event> events = stop_.requested() ? std::vector<Event>{} : history_.next();
        if (events.empty()) break;
        publish(publisher, events);
      }
      progress_.end();
      publisher.close();
    } catch (const Failure& failure) {
      progress_.end();
      throw Failure(Remedy::stop, failure.what() + ("\n" + how_to_go_on()));
    }
    if (!stop_.requested()) so_far_ = "All that was meant was sent.";
    if (order_.json) {
      print(figures(publisher, stop_.requested() ? "stopped" : "done").text() + "\n");
    } else {
      report(publisher, std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began));
    }
    return stop_.requested() ? exit_problems : exit_ok;
  }

  void publish(ConfirmedPublisher& publisher, const std::vector<Event>& events) {
    int64_t last = last_;
    for (const Event& event : events) {
      if (stop_.requested()) break;
      publish(publisher, event);
      last = event.seq;
      progress_.show([&] { return line(publisher); }, [&] { return figures(publisher, "running"); });
      pace_.done(1);
    }
    publisher.settle();
    last_ = last;
  }

  void publish(ConfirmedPublisher& publisher, const Event& event) const {
    if (event.to.empty() && order_.to_all) return publisher.send(wire::message_of(event, exchange_));
    const std::string queue = order_.to_all ? config_.topology.queue(event.to) : queue_;
    publisher.send(wire::message_to(event, queue));
  }

  std::string how_to_go_on() const {
    return last_ > 0 ? fmt::format("To go on: the same command with --after {}.", last_)
                     : "The same command may be given again: endpoints recognise what they have.";
  }

  std::string line(const ConfirmedPublisher& publisher) const {
    const auto confirmed = static_cast<int64_t>(publisher.confirmed());
    return fmt::format("{}  {} of {} events confirmed", percent_text(confirmed, total_.events), confirmed,
                       total_.events);
  }

  json::Object figures(const ConfirmedPublisher& publisher, const char* state) const {
    json::Object object;
    object.add("state", state).add("confirmed", publisher.confirmed()).add("events", total_.events);
    return std::move(object.add("gone", history_.gone()).add("last_seq", last_));
  }

  void report(const ConfirmedPublisher& publisher, milliseconds took) const {
    const bool stopped = stop_.requested();
    std::string text = fmt::format("{} in {}: {} sent to {} again.", stopped ? "Stopped" : "Done", span_text(took),
                                   counted(publisher.confirmed(), "event"), whom());
    if (history_.gone() > 0)
      text += "\n" + counted(static_cast<size_t>(history_.gone()), "event") +
              " went with the retention before they could be read.";
    if (stopped) text += "\n" + how_to_go_on();
    print(text + "\n");
  }

  const Config& config_;
  const ReplayOrder& order_;
  const Stop& stop_;
  const std::unique_ptr<ReplaySource> source_;
  OutboxHistory& history_;
  const std::string queue_, exchange_;
  HistoryCount total_;
  int64_t strangers_ = 0;                     // for endpoints of another configuration
  int64_t last_ = 0;                          // confirmed up to here
  std::string so_far_ = "Nothing was sent.";  // for when nobody reads the output any more; "": how_to_go_on()
  Pace pace_;
  Progress progress_;
};

}  // namespace

int replay_outbox(const Config& config, const Component& source, const ReplayOrder& order, const Stop& stop) {
  return OutboxReplay(config, source, order, stop).run();
}

}  // namespace muskrat::cli
