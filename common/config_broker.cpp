// The broker section: its options, its rules, and the address made of it; and the rules of what the daemons listen on.
#include <algorithm>
#include <array>
#include <charconv>

#include <unistd.h>

#include "common/config.hpp"
#include "common/config_tables.hpp"

namespace muskrat {
namespace {

constexpr std::array<Option, 4> tls_options{{
    {.name = "ca",
     .type = OptionType::text,
     .default_value = "",
     .range = "",
     .help = "File with the certificates to trust (PEM); default: the system's."},
    {.name = "cert",
     .type = OptionType::text,
     .default_value = "",
     .range = "",
     .help = "File with our own certificate, where the broker asks for one."},
    {.name = "key", .type = OptionType::text, .default_value = "", .range = "", .help = "File with its private key."},
    {.name = "verify",
     .type = OptionType::boolean,
     .default_value = "true",
     .range = "",
     .help = "Check the broker's certificate and name; false only for a trial."},
}};

constexpr std::array<Option, 2> unrouted_options{{
    {.name = "bytes",
     .type = OptionType::bytes,
     .default_value = "1GiB",
     .range = "1MiB..",
     .help = "Most that the queue of events nobody subscribed to may hold; the oldest go first."},
    {.name = "age",
     .type = OptionType::duration,
     .default_value = "7d",
     .range = "1m..",
     .help = "How long such an event is kept."},
}};

constexpr std::array<Option, 6> broker_table{{
    {.name = "url",
     .type = OptionType::text,
     .default_value = "",
     .range = "",
     .help = "`amqp://user@host:port/vhost`, or `amqps://` for TLS.",
     .required = true},
    {.name = "password",
     .type = OptionType::secret,
     .default_value = "",
     .range = "",
     .help = "The user's password, instead of one inside the URL; read anew at each connect."},
    {.name = "prefix",
     .type = OptionType::text,
     .default_value = "muskrat",
     .range = "",
     .help = "First part of the names of exchanges and queues, so that staging and production can share a broker."},
    {.name = "heartbeat",
     .type = OptionType::duration,
     .default_value = "10s",
     .range = "1s..5m",
     .help = "A link that is silent for two of these is dead."},
    {.name = "tls",
     .type = OptionType::section,
     .default_value = "",
     .range = "",
     .help = "Files for `amqps://`.",
     .children = tls_options},
    {.name = "unrouted",
     .type = OptionType::section,
     .default_value = "",
     .range = "",
     .help = "Bound of the queue of unrouted events.",
     .children = unrouted_options},
}};

constexpr std::array<Option, 2> log_table{{
    {.name = "level",
     .type = OptionType::choice,
     .default_value = "info",
     .range = "debug|info|warning|error",
     .help = "The least that is logged."},
    {.name = "format",
     .type = OptionType::choice,
     .default_value = "auto",
     .range = "auto|text|json",
     .help = "`auto` is text on a terminal and JSON lines otherwise."},
}};

bool good_prefix(const std::string& prefix) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  return !prefix.empty() && prefix.size() <= 60 && !prefix.starts_with("amq.") &&
         std::all_of(prefix.begin(), prefix.end(), good);
}

void check_tls(const Settings& broker, std::vector<Problem>& problems) {
  const Settings& tls = broker.section("tls");
  for (const char* name : {"ca", "cert", "key"}) {
    const std::string& path = tls.text(name);
    if (!path.empty() && ::access(path.c_str(), R_OK) != 0) {
      problems.push_back({tls.where(name), std::string("broker.tls.") + name + ": cannot read the file " + path});
    }
  }
  if (tls.text("cert").empty() != tls.text("key").empty()) {
    problems.push_back({broker.where("tls"), "broker.tls: cert and key go together; one is missing"});
  }
  if (broker.given("tls") && broker.text("url").starts_with("amqp://")) {
    problems.push_back({broker.where("tls"), "broker.tls: the URL says amqp://, which is without TLS; write amqps://"});
  }
  if (!tls.boolean("verify")) {
    problems.push_back({tls.where("verify"), "broker.tls.verify: off, so that anyone may pose as the broker", false});
  }
}

// A URL that was right at load and is not any more was rotated by hand; the next look may find it mended.
amqp::Address fresh_address(const Settings& broker) {
  const std::string url = broker.fresh_secret("url");
  try {
    return amqp::parse_url(url);
  } catch (const Failure& failure) {
    throw Failure(Remedy::reconnect, failure.what());
  }
}

}  // namespace

OptionTable broker_options() { return broker_table; }
OptionTable log_options() { return log_table; }

Option kind_option() {
  return {.name = "kind",
          .type = OptionType::scalar,  // for there is one named null
          .default_value = "",
          .range = "",
          .help = "Which kind it is.",
          .required = true};
}

void check_broker(const Settings& broker, std::vector<Problem>& problems) {
  if (!good_prefix(broker.text("prefix"))) {
    problems.push_back({broker.where("prefix"),
                        "broker.prefix: may hold A-Z a-z 0-9 _ - . only, 60 at most, and not start with amq."});
  }
  check_tls(broker, problems);
}

void check_listen(const std::string& path, const Settings& section, std::vector<Problem>& problems) {
  const std::string& listen = section.text("listen");
  if (listen.empty()) return;
  const size_t colon = listen.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    const char* end = listen.data() + listen.size();
    const auto [last, error] = std::from_chars(listen.data() + colon + 1, end, port);
    if (error != std::errc() || last != end) port = -1;
  }
  if (port < 0 || port > 65535) {
    problems.push_back({section.where("listen"), path + ".listen: expected host:port, such as 127.0.0.1:9464"});
    return;
  }
  const std::string host = listen.substr(0, colon);
  const bool loopback = host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
  if (!loopback && section.text("token").empty()) {
    problems.push_back({section.where("listen"), path + ".listen: this is reachable from outside; set " + path +
                                                     ".token too, or listen on 127.0.0.1"});
  }
}

amqp::Address Config::broker_now() const {
  amqp::Address address = fresh_address(broker_settings);
  if (broker_settings.given("password")) address.password = broker_settings.fresh_secret("password");
  address.heartbeat = std::chrono::duration_cast<std::chrono::seconds>(broker_settings.duration("heartbeat"));
  const Settings& tls = broker_settings.section("tls");
  address.tls_verify = tls.boolean("verify");
  address.tls_ca = tls.text("ca");
  address.tls_cert = tls.text("cert");
  address.tls_key = tls.text("key");
  return address;
}

}  // namespace muskrat
