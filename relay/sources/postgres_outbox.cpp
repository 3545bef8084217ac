#include "relay/sources/postgres_outbox.hpp"

#include <algorithm>

#include "common/database_dsn.hpp"
#include "relay/outbox_source.hpp"
#include "relay/sources/postgres_outbox_leader.hpp"

namespace muskrat::postgres_outbox {
namespace {

constexpr Option options[] = {
    {"dsn", OptionType::text, "", "",
     "Where the database is, as a libpq connection string or URI. Beyond this machine sslmode is verify-full unless it "
     "says otherwise.",
     true},
    {"password", OptionType::secret, "", "", "The role's password, read again at every connect."},
    {"window", OptionType::integer, "2000", "1..65535", "Most events between the first unconfirmed and the last read."},
    {"window_bytes", OptionType::bytes, "8MiB", "64KiB..1GiB", "Most bytes of events in the window."},
    {"max_body", OptionType::bytes, "16320KiB", "1KiB..128MiB",
     "Larger bodies are held without being sent; stay below the broker's max_message_size."},
    {"poll_interval", OptionType::duration, "1s", "10ms..1m", "Longest time between two looks at a quiet outbox."},
    {"notify", OptionType::boolean, "true", "",
     "Be woken by commits. Set it to false behind a pooler in transaction mode."},
    {"retention", OptionType::duration, "3d", "0s..365d", "How long delivered events stay in the outbox, for replay."},
    {"segment_bytes", OptionType::bytes, "64MiB", "64KiB..1TiB", "Size from which writers move to the next segment."},
    {"lease_time", OptionType::duration, "10s", "1s..5m",
     "How long a stand-by waits for a silent leader before it takes over. Neither logging in at the broker nor sending "
     "a large event is bounded by it."},
    {"drain_timeout", OptionType::duration, "30s", "1s..10m", "How long a stop waits for outstanding confirms."},
    {"held_max", OptionType::integer, "1000", "1..1000", "Most events held back before the source stops reading."},
    {"held_retry", OptionType::duration, "30s", "1s..1d", "How often held events are tried again."},
    {"nack_tries", OptionType::integer, "8", "1..100", "Times an event may be refused (nack) before it is held."},
};

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_postgres_dsn(settings, "dsn", problems);
  if (settings.has("max_body") && settings.has("window_bytes") &&
      settings.bytes("window_bytes") > (int64_t{256} << 20)) {
    problems.push_back(
        {settings.where("window_bytes"), "window_bytes above 256MiB: the relay may need twice as much memory", false});
  }
}

class PostgresOutbox : public OutboxSource {
 public:
  explicit PostgresOutbox(const SourceContext& from)
      : OutboxSource(from, from.component.settings.duration("lease_time")),
        options_(PostgresOptions::of(from.component.settings)) {}

 private:
  void connect(const Stop& stop) override;
  Db open(const Stop& stop) const;
  std::string place() const override { return db_->connection().place(); }
  Look look() override;
  std::optional<int64_t> lease_take(const LeaseView& seen, const std::string& holder) override {
    return db_->lease_take(seen, holder);
  }
  void lead(int64_t term, milliseconds asked, const Stop& stop) override {
    Leader(
        context(), options_, *db_, [this, &stop] { return open(stop); }, term, hello_, asked, meters(), stop)
        .run();
  }

  PostgresOptions options_;
  mutable std::optional<Db> db_;
  Hello hello_;
};

void PostgresOutbox::connect(const Stop& stop) {
  db_.reset();
  db_.emplace(open(stop));
}

Db PostgresOutbox::open(const Stop& stop) const {
  pg::Address address;
  const Settings& settings = context().component.settings;
  address.dsn = settings.fresh_secret("dsn");
  address.password = settings.fresh_secret("password");
  address.application_name = "muskrat relay " + name();
  // Statements are short, but for those that read, which have Db::Patience.
  return Db::open(address, std::max(options_.lease_time, milliseconds(10'000)), stop);
}

OutboxSource::Look PostgresOutbox::look() {
  hello_ = db_->hello();
  if (hello_.in_recovery) {
    throw Failure(Remedy::reconnect, place() +
                                         " is a standby server; let the DSN lead to the primary (several hosts and "
                                         "target_session_attrs=read-write find it by themselves)");
  }
  if (!hello_.history_problem.empty()) throw Misconfigured(hello_.history_problem, false);
  return {hello_.lease, hello_.epoch};
}

std::unique_ptr<Source> make(const SourceContext& context) { return std::make_unique<PostgresOutbox>(context); }

}  // namespace

PostgresOptions PostgresOptions::of(const Settings& settings) {
  PostgresOptions o;
  static_cast<OutboxLeader::Options&>(o) = OutboxLeader::Options::of(settings);
  o.segment_bytes = settings.bytes("segment_bytes");
  o.retention = settings.duration("retention");
  o.bell = settings.boolean("notify");
  return o;
}

const SourceKind kind{{"postgres", "The outbox that the extension keeps in a PostgreSQL database.",
                       muskrat::postgres_outbox::options, muskrat::postgres_outbox::validate},
                      muskrat::postgres_outbox::make};

}  // namespace muskrat::postgres_outbox
