#include "relay/sources/mysql_outbox.hpp"

#include <algorithm>

#include "common/database_dsn.hpp"
#include "relay/outbox_source.hpp"
#include "relay/sources/mysql_outbox_leader.hpp"

namespace muskrat::mysql_outbox {
namespace {

constexpr Option options[] = {
    {"dsn", OptionType::text, "", "",
     "Where the server is: mysql://user@host:port/database, or mysql://user@localhost/database?socket=/path.", true},
    {"password", OptionType::secret, "", "", "The user's password, read again at every connect."},
    {"window", OptionType::integer, "2000", "1..65535", "Most events between the first unconfirmed and the last read."},
    {"window_bytes", OptionType::bytes, "8MiB", "64KiB..1GiB", "Most bytes of events in the window."},
    {"max_body", OptionType::bytes, "16320KiB", "1KiB..128MiB",
     "Larger bodies are held without being sent; stay below the broker's max_message_size."},
    {"poll_interval", OptionType::duration, "100ms", "10ms..1m",
     "Longest time between two looks at a quiet outbox; nothing can wake the relay in between."},
    {"retention", OptionType::duration, "0s", "0s..365d",
     "How long delivered events stay in muskrat.history, for replay; 0s deletes them at once."},
    {"lease_time", OptionType::duration, "10s", "1s..5m",
     "How long a stand-by waits for a silent leader before it takes over. Neither logging in at the broker nor sending "
     "a large event is bounded by it."},
    {"drain_timeout", OptionType::duration, "30s", "1s..10m", "How long a stop waits for outstanding confirms."},
    {"held_max", OptionType::integer, "1000", "1..1000", "Most events held back before the source stops reading."},
    {"held_retry", OptionType::duration, "30s", "1s..1d", "How often held events are tried again."},
    {"nack_tries", OptionType::integer, "8", "1..100", "Times an event may be refused (nack) before it is held."},
};

constexpr size_t most_trimmed = 5000;  // rows of the history, by one statement

void validate(const Settings& settings, std::vector<Problem>& problems) {
  if (settings.has("window_bytes") && settings.bytes("window_bytes") > (int64_t{256} << 20)) {
    problems.push_back(
        {settings.where("window_bytes"), "window_bytes above 256MiB: the relay may need twice as much memory", false});
  }
  check_mysql_dsn(settings, "dsn", problems);
}

class MysqlOutbox : public OutboxSource {
 public:
  explicit MysqlOutbox(const SourceContext& from)
      : OutboxSource(from, from.component.settings.duration("lease_time")),
        options_(MysqlOptions::of(from.component.settings)),
        batches_{BatchSize(options_.window), BatchSize(most_trimmed)} {}

 private:
  void connect(const Stop& stop) override;
  std::string place() const override { return db_->connection().place(); }
  Look look() override;
  std::optional<int64_t> lease_take(const LeaseView& seen, const std::string& holder) override;
  void lead(int64_t term, milliseconds asked, const Stop& stop) override {
    Leader(context(), options_, *db_, batches_, term, hello_, asked, meters(), stop).run();
  }

  MysqlOptions options_;
  Batches batches_;
  std::optional<Db> db_;
  Hello hello_;
  bool privileged_ = false;  // on this connection
};

void MysqlOutbox::connect(const Stop& stop) {
  const Settings& settings = context().component.settings;
  mysql::Address address;
  address.dsn = settings.fresh_secret("dsn");
  address.password = settings.fresh_secret("password");
  address.application_name = "muskrat relay " + name();
  db_.reset();
  privileged_ = false;
  db_.emplace(Db::open(address, std::max(options_.lease_time, milliseconds(10'000)), &stop));
}

OutboxSource::Look MysqlOutbox::look() {
  hello_ = db_->hello();
  if (hello_.read_only) {
    throw Failure(Remedy::reconnect, place() +
                                         " is read-only: a replica, or a primary that was stopped; let the dsn "
                                         "lead to the primary");
  }
  if (!privileged_) db_->try_privileges();
  privileged_ = true;
  if (!hello_.history_problem.empty()) throw Misconfigured(hello_.history_problem, false);
  return {hello_.lease, hello_.epoch};
}

std::optional<int64_t> MysqlOutbox::lease_take(const LeaseView& seen, const std::string& holder) {
  Hello as_seen = hello_;
  as_seen.lease = seen;
  return db_->lease_take(as_seen, holder);
}

std::unique_ptr<Source> make(const SourceContext& context) { return std::make_unique<MysqlOutbox>(context); }

}  // namespace

MysqlOptions MysqlOptions::of(const Settings& settings) {
  MysqlOptions o;
  static_cast<OutboxLeader::Options&>(o) = OutboxLeader::Options::of(settings);
  o.retention = settings.duration("retention");
  return o;
}

const SourceKind kind{{"mysql", "The outbox that sql/mysql keeps in a MySQL or MariaDB server.",
                       muskrat::mysql_outbox::options, muskrat::mysql_outbox::validate},
                      muskrat::mysql_outbox::make};

}  // namespace muskrat::mysql_outbox
