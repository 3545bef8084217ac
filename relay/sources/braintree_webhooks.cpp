#include "relay/sources/braintree_webhooks.hpp"

#include "common/http_listener.hpp"
#include "common/log.hpp"
#include "common/metrics.hpp"
#include "common/utc_text.hpp"
#include "relay/scheduled/state.hpp"
#include "relay/sources/braintree_notice.hpp"
#include "relay/sources/webhook_inbox.hpp"
#include "relay/sources/webhook_publisher.hpp"

namespace muskrat::braintree_webhooks {
namespace {

using braintree::Keys;

constexpr milliseconds tick{1000}, drain_time{3000};

constexpr Option key_options[] = {
    {"public", OptionType::text, "", "", "The public key.", true},
    {"private", OptionType::secret, "", "", "Its private key; read anew at each request.", true},
};

constexpr Option own_options[] = {
    {"listen", OptionType::text, "127.0.0.1:9400", "",
     "Where the listener is; plain HTTP, so let what ends TLS stand before it."},
    {"path", OptionType::text, "/braintree", "", "The path of the destination's URL."},
    {"keys", OptionType::records, "", "",
     "The merchant's API keys: a webhook that one of them signed is taken. While keys are rotated, old and new.", true,
     key_options},
    {"key", OptionType::text_list, "id", "", "The members that identify what a webhook is about; the ordering key."},
    {"body_bytes", OptionType::bytes, "1MiB", "1KiB..16MiB", "A longer request is refused."},
    {"max_age", OptionType::duration, "2d", "1h..366d",
     "An older notification is refused: Braintree sends for a day what was not taken."},
    {"patience", OptionType::duration, "20s", "1s..25s",
     "How long a request waits for the broker's confirm; Braintree waits for thirty seconds."},
};

// The routing key has a default here, and there are no runs.
std::vector<Option> record_options_of_webhooks() {
  const OptionTable all = record_options();
  std::vector<Option> table(all.begin(), all.end());
  for (Option& option : table) {
    if (option.name == "max_body")
      option.help = "A webhook with a larger event is not taken; stay below the broker's max_message_size.";
    if (option.name != "routing_key") continue;
    option.required = false;
    option.default_value = "Braintree.{object}.{kind}";
    option.help = "The events' routing key; {path} stands for that member of the record.";
  }
  return table;
}

OptionTable options() {
  static const std::vector<Option> record = record_options_of_webhooks();
  static const std::vector<Option> all = joined({own_options, record});
  return all;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_record(settings, problems);
  const auto wrong = [&](const char* option, const std::string& text) {
    problems.push_back({settings.where(option), std::string(option) + ": " + text});
  };
  if (!http::good_listen_address(settings.text("listen"))) wrong("listen", "give one of the form 127.0.0.1:9400");
  if (!settings.text("path").starts_with('/')) wrong("path", "it begins with /");
  if (settings.texts("key").empty()) wrong("key", "it names no member");
}

class WebhookSource : public Source {
 public:
  explicit WebhookSource(const SourceContext& context)
      : context_(context),
        settings_(context.component.settings),
        name_(context.component.name),
        board_name_("source " + name_),
        shape_(context.component) {
    // What an alert counts has to be there before it happens.
    for (const char* result : {"taken", "refused", "unavailable", "failed"}) counter(result);
  }
  void run(const Stop& stop) override;

 private:
  void session(const Stop& stop);
  void failed(const std::string& why);
  void show(const WebhookPublisher& publisher);

  http::Answered answer(const http::Asked& asked);
  http::Answered handle(const http::Asked& asked);
  http::Answered take(const std::string& body);
  http::Answered publish(const Record& record, int64_t made_us, Deadline deadline);
  http::Answered refused(int status, const std::string& why) const;
  http::Answered failed_at(const std::string& what, const std::string& why) const;
  std::vector<Keys> keys() const;
  metrics::Counter& counter(const char* result) const;
  void count(const char* result) const { counter(result).add(); }

  SourceContext context_;
  const Settings& settings_;
  std::string name_, board_name_;
  RecordShape shape_;
  WebhookInbox inbox_;
  std::string trouble_;
};

// ---- the source's thread ----

void WebhookSource::run(const Stop& stop) {
  context_.board.set(board_name_, false, "starting", "");
  while (!stop.requested()) {
    try {
      session(stop);
    } catch (const Failure& failure) {
      if (failure.remedy() == Remedy::stop) throw;
      failed(failure.what());
      stop.wait(tick);
    }
  }
}

// The publisher ends first: it tells all who wait, and the listener's end waits for them. Until there is one the inbox
// is closed.
void WebhookSource::session(const Stop& stop) {
  const auto state = ScheduledState::open(scheduled_state_path(context_.config.relay), name_, "webhooks");
  const http::Listener listener(settings_.text("listen"), static_cast<size_t>(settings_.bytes("body_bytes")),
                                [this](const http::Asked& asked) { return answer(asked); });
  WebhookPublisher publisher(
      context_.config,
      {name_, settings_.bytes("max_body"), settings_.duration("patience"), settings_.duration("max_age")}, inbox_,
      *state);
  log::info("relay", "listening for webhooks", {{"source", name_}, {"port", listener.port()}});
  trouble_.clear();
  while (!stop.requested()) {
    publisher.turn(Deadline::in(tick), stop);
    show(publisher);
  }
  publisher.drain(Deadline::in(drain_time));
}

void WebhookSource::failed(const std::string& why) {
  if (why != trouble_) log::error("relay", "webhooks are not taken", {{"source", name_}, {"why", why}});
  trouble_ = why;
  context_.board.set(board_name_, false, "failed", why);
}

void WebhookSource::show(const WebhookPublisher& publisher) {
  const bool well = publisher.connected() && publisher.trouble().empty();
  context_.board.set(board_name_, well, well ? "listening" : "waiting", publisher.trouble());
  context_.board.set_figures(board_name_, {{"under way", std::to_string(publisher.under_way())}});
}

// ---- the listener's threads ----

http::Answered WebhookSource::answer(const http::Asked& asked) {
  try {
    return handle(asked);
  } catch (const Failure& failure) {
    return failed_at("a webhook could not be looked into", failure.what());
  }
}

http::Answered WebhookSource::handle(const http::Asked& asked) {
  if (asked.path != settings_.text("path")) return {404, ""};
  if (asked.method == "POST") return take(asked.body);
  const auto challenge = asked.query.find("bt_challenge");
  if (asked.method != "GET" || challenge == asked.query.end()) return {405, ""};
  const auto text = braintree::answer_to(challenge->second, keys());
  return text ? http::Answered{200, *text} : refused(400, "its challenge is none");
}

http::Answered WebhookSource::take(const std::string& body) {
  const Deadline deadline = Deadline::in(settings_.duration("patience"));
  const auto form = braintree::form_of(body);
  if (!form || !form->contains("bt_signature") || !form->contains("bt_payload"))
    return refused(400, "it is no form with bt_signature and bt_payload");
  if (!braintree::is_signed(form->at("bt_signature"), form->at("bt_payload"), keys()))
    return refused(403, "none of our keys has signed it");
  std::string why;
  auto record = braintree::record_of(form->at("bt_payload"), why);
  if (!record) return refused(400, why);
  const auto sent = utc_from_text(record->version);
  if (!sent) return refused(400, "its timestamp is none");
  if (*sent < wall_clock_us() - settings_.duration("max_age").count() * 1000)
    return refused(403, "it is older than max_age");
  return publish(*record, *sent, deadline);
}

// The event's number and its epoch are the publisher's to give, the number by when it was made.
http::Answered WebhookSource::publish(const Record& record, int64_t made_us, Deadline deadline) {
  std::optional<Event> event;
  try {
    event = shape_.event_of(record, shape_.read(record), 0, wall_clock_us());
    if (event) event->seq = made_us;
  } catch (const Failure& failure) {
    return failed_at("no event can be made of a webhook", failure.what());
  }
  // Nothing is to be sent of what the mapping leaves out.
  const bool taken = !event || inbox_.deliver(std::move(*event), deadline);
  count(taken ? "taken" : "unavailable");
  return {taken ? 200 : 503, ""};
}

http::Answered WebhookSource::refused(int status, const std::string& why) const {
  log::warning("relay", "a webhook is refused", {{"source", name_}, {"why", why}, {"status", status}});
  count("refused");
  return {status, ""};
}

http::Answered WebhookSource::failed_at(const std::string& what, const std::string& why) const {
  log::error("relay", what, {{"source", name_}, {"why", why}});
  count("failed");
  return {500, ""};
}

std::vector<Keys> WebhookSource::keys() const {
  std::vector<Keys> all;
  for (const Settings& pair : settings_.records("keys"))
    all.push_back({pair.fresh_secret("public"), pair.fresh_secret("private")});
  return all;
}

metrics::Counter& WebhookSource::counter(const char* result) const {
  return metrics::counter("muskrat_webhooks_total",
                          "Webhooks by what became of them: taken, refused, unavailable, failed.",
                          {{"source", name_}, {"result", result}});
}

std::unique_ptr<Source> make(const SourceContext& context) { return std::make_unique<WebhookSource>(context); }

}  // namespace

const SourceKind kind{
    {"braintree-webhooks", "Notifications that Braintree sends, taken by a listener and confirmed by the broker.",
     muskrat::braintree_webhooks::options(), muskrat::braintree_webhooks::validate},
    muskrat::braintree_webhooks::make,
    nullptr};

}  // namespace muskrat::braintree_webhooks
