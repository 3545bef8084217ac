#include "consumer/options.hpp"

#include <algorithm>
#include <array>

#include "consumer/consumer.hpp"
#include "consumer/mapping_cases.hpp"

namespace muskrat {
namespace {

constexpr std::array consumer_table{
    Option{"listen", OptionType::text, "127.0.0.1:9465", "",
           "Where /metrics, /healthz, /readyz and the status page are served, host:port; an address beyond loopback "
           "needs a token, and \"\" serves nothing."},
    Option{"token", OptionType::secret, "", "",
           "The bearer token that the status page and the metrics ask for; needed when listen is not loopback."},
    Option{"drain", OptionType::duration, "30s", "100ms..10m",
           "How long a stop (SIGTERM) waits for deliveries under way; what is unfinished then goes back to its queue."},
    Option{"state", OptionType::text, "muskrat-state.sqlite", "",
           "The SQLite file in which the host remembers what it did for endpoints without transactions of their own, "
           "which endpoints are paused, and which events were superseded; a relative path counts from $STATE_DIRECTORY "
           "(systemd sets it) or else "
           "from the working directory."},
    Option{"state_dsn", OptionType::text, "", "",
           "A PostgreSQL database to keep that in instead (schema muskrat_host), as a libpq connection string: for "
           "hosts on several machines that stand by for each other."},
    Option{"state_password", OptionType::secret, "", "", "The password for state_dsn."},
};

constexpr std::array endpoint_table{
    Option{
        "subscribe", OptionType::text_list, "", "",
        "The patterns of routing keys that this endpoint takes, such as Frontend.Customer.* or Frontend.*; a final * "
        "means \"the rest\".",
        true},
    Option{
        "lanes", OptionType::integer, "", "1..64",
        "How many deliveries run at once; an ordering key always keeps to one lane. Default: the kind's own (postgres "
        "4, http 4, exec 1, file 1, null 1); file takes no more than 1."},
    Option{"prefetch", OptionType::integer, "4000", "1..65535",
           "How many events the broker hands over before it waits for acknowledgements."},
    Option{"in_hand_bytes", OptionType::bytes, "64MiB", "1MiB..16GiB",
           "How many bytes of events may be in hand; when large events pass it, the prefetch is lowered by itself."},
    Option{"batch_size", OptionType::integer, "1000", "1..10000",
           "How many events one delivery holds at most; it never holds two of one ordering key."},
    Option{"batch_age", OptionType::duration, "", "0ms..1m",
           "How long an event waits at most for others to fill its batch. Default: the kind's own (http 5ms, the "
           "others 0ms: an idle lane delivers at once, and batches form while it is busy)."},
    Option{"timeout", OptionType::duration, "30s", "100ms..10m",
           "How long one delivery may take before it counts as the endpoint's failure."},
    Option{"retry_attempts", OptionType::integer, "10", "1..1000",
           "How often an event is tried before it becomes a dead letter; outages of the endpoint use up no attempt."},
    Option{"retry_first", OptionType::duration, "200ms", "1ms..10m",
           "The wait before an event's second attempt; each further wait doubles, with jitter."},
    Option{"retry_most", OptionType::duration, "1m", "1ms..1h", "The longest wait between two attempts of an event."},
    Option{"held_most", OptionType::integer, "1000", "1..65535",
           "How many events may wait for a retry or behind one; beyond it the circuit opens and the endpoint stops "
           "consuming."},
    Option{
        "on_dead", OptionType::choice, "continue", "continue|hold",
        "What later events of a dead letter's ordering key do: go on (they carry newer state), or follow it into the "
        "dead letters until it is dealt with."},
    Option{
        "dead_retry_every", OptionType::duration, "", "1s..30d",
        "How long after its death a dead letter of class transient is sent to the endpoint again by the host; those "
        "that were refused for good stay. Default: never. The host's user on the broker needs write on amq.default."},
    Option{"dead_retry_times", OptionType::integer, "10", "1..100000",
           "How often a dead letter is sent again that way before it stays for a person."},
    Option{"on_truncate", OptionType::choice, "dead", "dead|apply",
           "What a TRUNCATE at the source does: become a dead letter, or empty the endpoint's table in queue order."},
    Option{"give_back_after", OptionType::duration, "10m", "100ms..12h",
           "After how long an unfinished event is given back to the queue (and taken again, in order); keep it below a "
           "third of the broker's consumer_timeout, which is 30 minutes by default."},
    Option{"circuit_after", OptionType::integer, "3", "1..1000",
           "After how many failed batches on end the circuit opens: the endpoint stops consuming for a while."},
    Option{"circuit_first", OptionType::duration, "1s", "10ms..1h",
           "How long the circuit stays open the first time; each further time doubles it, with jitter."},
    Option{"circuit_most", OptionType::duration, "1m", "10ms..6h", "The longest time the circuit stays open at once."},
};

unsigned lanes_of(const EndpointKind& kind, const Settings& settings) {
  return settings.has("lanes") ? static_cast<unsigned>(settings.integer("lanes")) : kind.default_lanes;
}

milliseconds batch_age_of(const EndpointKind& kind, const Settings& settings) {
  return settings.has("batch_age") ? settings.duration("batch_age") : kind.default_batch_age;
}

void read_retry(const Settings& settings, HostOptions& options) {
  options.retry_attempts = static_cast<unsigned>(settings.integer("retry_attempts"));
  options.retry_first = settings.duration("retry_first");
  options.retry_most = std::max(settings.duration("retry_most"), options.retry_first);
  options.circuit_after = static_cast<unsigned>(settings.integer("circuit_after"));
  options.circuit_first = settings.duration("circuit_first");
  options.circuit_most = std::max(settings.duration("circuit_most"), options.circuit_first);
}

}  // namespace

OptionTable consumer_options() { return consumer_table; }
OptionTable endpoint_common_options() {
  static const std::vector<Option> all = joined({endpoint_table, mapping_case_options()});
  return all;
}

void check_endpoint(const Settings& settings, std::vector<Problem>& problems) {
  read_mapping_cases(settings.records("tests"), problems);
}

HostOptions host_options(const EndpointKind& kind, const Component& component, const Settings& consumer) {
  const Settings& settings = component.settings;
  HostOptions options;
  options.subscribe = settings.texts("subscribe");
  options.lanes = lanes_of(kind, settings);
  options.prefetch = static_cast<uint16_t>(settings.integer("prefetch"));
  options.in_hand_bytes = static_cast<size_t>(settings.bytes("in_hand_bytes"));
  options.batch_size = static_cast<size_t>(settings.integer("batch_size"));
  options.batch_age = batch_age_of(kind, settings);
  options.timeout = settings.duration("timeout");
  options.held_most = static_cast<size_t>(settings.integer("held_most"));
  options.on_dead = settings.text("on_dead") == "hold" ? OnDead::hold : OnDead::go_on;
  options.dead_retry = {settings.has("dead_retry_every") ? settings.duration("dead_retry_every") : milliseconds(0),
                        settings.integer("dead_retry_times"), options.on_dead == OnDead::hold};
  options.on_truncate = settings.text("on_truncate") == "apply" ? OnTruncate::apply : OnTruncate::dead;
  options.give_back_after = settings.duration("give_back_after");
  options.drain = consumer.duration("drain");
  read_retry(settings, options);
  return options;
}

}  // namespace muskrat
