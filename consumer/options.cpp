#include "consumer/options.hpp"

#include <algorithm>
#include <array>

#include "consumer/consumer.hpp"
#include "consumer/limits/call_gate.hpp"
#include "consumer/mapping_cases.hpp"

namespace muskrat {
namespace {

constexpr std::array consumer_table{
    Option{"listen", OptionType::text, "127.0.0.1:9465", "",
           "Where /metrics, /healthz, /readyz and the status page are served, host:port; an address beyond loopback "
           "needs a token, and \"\" serves nothing."},
    Option{
        "token", OptionType::secret, "", "",
        "The bearer token that the status page and the metrics ask for; needed when listen is not loopback. /healthz "
        "and /readyz answer without it too, with yes or no."},
    Option{
        "drain", OptionType::duration, "30s", "100ms..10m",
        "How long a stop (SIGTERM) waits for deliveries under way; what is unfinished then goes back to its queue. A "
        "call that hangs still ends first, within the endpoint's timeout."},
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
        "means \"the rest\". A pattern that is taken out stays bound until muskrat setup --unbind.",
        true},
    Option{
        "lanes", OptionType::integer, "", "1..64",
        "How many deliveries run at once; an ordering key always keeps to one lane. Default: the kind's own (postgres "
        "4, mysql 4, http 4, exec 1, marketo 5, salesforce 2, file 1, null 1); file takes no more than 1."},
    Option{"prefetch", OptionType::integer, "3000", "1..65535",
           "How many events the broker hands over before it waits for acknowledgements."},
    Option{"in_hand_bytes", OptionType::bytes, "64MiB", "1MiB..16GiB",
           "How many bytes of events may be in hand; when large events pass it, the prefetch is lowered by itself."},
    Option{"batch_size", OptionType::integer, "1000", "1..10000",
           "How many events one delivery holds at most; it never holds two of one ordering key."},
    Option{"batch_bytes", OptionType::bytes, "8MiB", "1KiB..1GiB",
           "How many bytes of events one delivery holds at most; a larger event goes alone."},
    Option{
        "batch_age", OptionType::duration, "", "0ms..1m",
        "How long an event waits at most for others to fill its batch; where it is longer than 0 and more than half of "
        "a "
        "rate in calls is used, so long that what is not full cannot use up the rate (lanes x time / calls). Default: "
        "the kind's own (http 5ms, marketo and salesforce 500ms, the others 0ms: an idle lane delivers at once, and "
        "batches form while it is busy)."},
    Option{"rate", OptionType::text_list, "", "",
           "How much may go to the endpoint in any span of time, such as 100 per 20s, 50/s or 1000 records per 1m; of "
           "several rates each is kept. A call is one request (http, marketo, salesforce) or one delivery (the other "
           "kinds), a record is one event in it; what is tried again counts again. Default: no limit."},
    Option{"quota", OptionType::text, "", "",
           "How much may go to the endpoint in a day, such as 50000 calls per day, or in any so many hours, such as "
           "100000 per 24h; counted as for rate, and kept in the host's state database. Default: no limit."},
    Option{"quota_zone", OptionType::text, "UTC", "",
           "The time zone at whose midnight a quota per day begins anew, such as America/Chicago."},
    Option{"concurrency", OptionType::integer, "", "1..64",
           "How many calls may be under way at once. Default: one in each lane, of which each makes one at a time."},
    Option{"hold_for", OptionType::duration, "30s", "0ms..10m",
           "How long events are kept in hand while the endpoint may have no calls (rate, quota, Retry-After); where it "
           "is longer they are given back, and the endpoint is parked: it consumes nothing until then."},
    Option{"timeout", OptionType::duration, "30s", "100ms..10m",
           "How long one delivery may take before it counts as the endpoint's failure."},
    Option{"retry_attempts", OptionType::integer, "10", "1..1000",
           "How often an event is tried before it becomes a dead letter; outages that show as such use up no attempt."},
    Option{"retry_first", OptionType::duration, "200ms", "1ms..10m",
           "The wait before an event's second attempt; each further wait doubles, with jitter."},
    Option{"retry_most", OptionType::duration, "1m", "1ms..1h", "The longest wait between two attempts of an event."},
    Option{"held_most", OptionType::integer, "1000", "1..65535",
           "How many events may wait for a retry or behind one; beyond it the circuit opens and the endpoint stops "
           "consuming."},
    Option{"held_bytes", OptionType::bytes, "", "64KiB..16GiB",
           "The same bound in bytes of events. Default: half of in_hand_bytes."},
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

constexpr milliseconds batch_age_most{60'000};

unsigned lanes_of(const EndpointKind& kind, const Settings& settings) {
  return settings.has("lanes") ? static_cast<unsigned>(settings.integer("lanes")) : kind.default_lanes;
}

unsigned concurrency_of(const EndpointKind& kind, const Settings& settings) {
  return settings.has("concurrency") ? static_cast<unsigned>(settings.integer("concurrency"))
                                     : lanes_of(kind, settings);
}

// One call carries no more than the limits let through at once; and where each event is a call, no more events wait in
// a lane than it can send in its time.
size_t batch_size_of(const EndpointKind& kind, const Settings& settings) {
  const size_t most = std::min(static_cast<size_t>(settings.integer("batch_size")), records_most(settings));
  if (!each_event_is_a_call(kind, settings)) return most;
  const size_t within = events_within(settings, settings.duration("timeout") / 2, 1);
  return std::min(most, std::max<size_t>(1, within / concurrency_of(kind, settings)));
}

// Batches that are not full go no more often, over all lanes, than the rate bears: else they use up what full ones need
// later. A kind that never waits does not wait then either.
milliseconds scarce_batch_age_of(const EndpointKind& kind, const Settings& settings) {
  const milliseconds usual = batch_age(kind, settings);
  if (!calls_are_dear(kind, settings)) return usual;
  return std::clamp(call_interval(settings) * lanes_of(kind, settings), usual, std::max(usual, batch_age_most));
}

// No more is taken than can go before it would be given back.
uint16_t prefetch_of(const EndpointKind& kind, const Settings& settings) {
  const size_t per_call = each_event_is_a_call(kind, settings) ? 1 : batch_size_of(kind, settings);
  const size_t within = events_within(settings, settings.duration("give_back_after") / 2, per_call);
  return static_cast<uint16_t>(std::min(static_cast<size_t>(settings.integer("prefetch")), within));
}

// Kept as JSON, for there is a kind named null.
bool is_kind(const Settings& settings, std::string_view name) {
  const std::string& text = settings.scalar("kind");
  return text == name || text == "\"" + std::string(name) + "\"";
}

void check_concurrency(const EndpointKind& kind, const Settings& settings, std::vector<Problem>& problems) {
  const unsigned lanes = lanes_of(kind, settings);
  if (concurrency_of(kind, settings) <= lanes) return;
  problems.push_back({settings.where("concurrency"),
                      "concurrency: with lanes: " + std::to_string(lanes) + " no more than " + std::to_string(lanes) +
                          " calls are ever under way, one in each lane; give it as many lanes",
                      false});
}

size_t held_bytes_of(const Settings& settings) {
  const auto in_hand = static_cast<size_t>(settings.bytes("in_hand_bytes"));
  return settings.has("held_bytes") ? std::min(static_cast<size_t>(settings.bytes("held_bytes")), in_hand)
                                    : in_hand / 2;
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
  check_limits(settings, problems);
  for (const EndpointKind& kind : endpoint_kinds())
    if (is_kind(settings, kind.name)) check_concurrency(kind, settings, problems);
}

HostOptions host_options(const EndpointKind& kind, const Component& component, const Settings& consumer) {
  const Settings& settings = component.settings;
  HostOptions options;
  options.lanes = lanes_of(kind, settings);
  options.prefetch = prefetch_of(kind, settings);
  options.in_hand_bytes = static_cast<size_t>(settings.bytes("in_hand_bytes"));
  options.batch_size = batch_size_of(kind, settings);
  options.batch_bytes = static_cast<size_t>(settings.bytes("batch_bytes"));
  options.concurrency = concurrency_of(kind, settings);
  options.hold_for = settings.duration("hold_for");
  options.held_bytes = held_bytes_of(settings);
  options.batch_age = batch_age(kind, settings);
  options.scarce_batch_age = scarce_batch_age_of(kind, settings);
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
