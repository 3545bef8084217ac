#include "relay/sources/postgres_outbox.hpp"

#include <algorithm>

#include "common/backoff.hpp"
#include "common/log.hpp"
#include "relay/sources/postgres_outbox_leader.hpp"

namespace muskrat::postgres_outbox {
namespace {

constexpr Option options[] = {
    {"dsn", OptionType::text, "", "", "Where the database is, as a libpq connection string or URI.", true},
    {"password", OptionType::secret, "", "", "The role's password, read again at every connect."},
    {"window", OptionType::integer, "2000", "1..65535", "Most events between the first unconfirmed and the last read."},
    {"window_bytes", OptionType::bytes, "8MiB", "64KiB..1GiB", "Most bytes of events in the window."},
    {"max_body", OptionType::bytes, "16320KiB", "1KiB..128MiB",
     "Larger bodies are held without being sent; stay below the broker's max_message_size."},
    {"poll_interval", OptionType::duration, "1s", "10ms..1m", "Longest time between two looks at a quiet outbox."},
    {"notify", OptionType::boolean, "true", "",
     "Be woken by NOTIFY. Set it to false behind a pooler in transaction mode."},
    {"retention", OptionType::duration, "3d", "0s..365d", "How long delivered events stay in the outbox, for replay."},
    {"segment_bytes", OptionType::bytes, "64MiB", "64KiB..1TiB", "Size from which writers move to the next segment."},
    {"lease_time", OptionType::duration, "10s", "1s..5m",
     "How long a stand-by waits for a silent leader before it takes over."},
    {"drain_timeout", OptionType::duration, "30s", "1s..10m", "How long a stop waits for outstanding confirms."},
    {"held_max", OptionType::integer, "1000", "1..1000", "Most events held back before the source stops reading."},
    {"held_retry", OptionType::duration, "30s", "1s..1d", "How often held events are tried again."},
    {"nack_tries", OptionType::integer, "8", "1..100", "Times an event may be refused (nack) before it is held."},
};

void validate(const Settings& settings, std::vector<Problem>& problems) {
  if (settings.has("max_body") && settings.has("window_bytes") &&
      settings.bytes("window_bytes") > (int64_t{256} << 20)) {
    problems.push_back(
        {settings.where("window_bytes"), "window_bytes above 256MiB: the relay may need twice as much memory", false});
  }
}

class PostgresOutbox : public Source {
 public:
  explicit PostgresOutbox(const SourceContext& context)
      : context_(context),
        options_(Options::of(context.component.settings)),
        meters_(context.component.name),
        name_(context.component.name),
        board_name_("source " + name_),
        holder_(this_holder() + " " + name_),
        backoff_(milliseconds(100), milliseconds(10'000)) {}

  void run(const Stop& stop) override;

 private:
  void attempt(const Stop& stop);
  void session(const Stop& stop);
  std::optional<Hello> stand_by(Db& db, const Stop& stop);
  bool try_to_lead(Db& db, const Hello& seen, const Stop& stop);
  Hello checked_hello(Db& db);
  void away(const std::string& why, const Stop& stop);
  void stopped(const Misconfigured& problem, const Stop& stop);
  void rest(milliseconds span, const Stop& stop);

  SourceContext context_;
  Options options_;
  Meters meters_;
  std::string name_, board_name_, holder_;
  Backoff backoff_;
  bool proven_ = false;      // it has worked once: from then on it waits for a repair instead of giving up
  std::string stopped_why_;  // the sentence of the state "stopped"
  std::string last_trouble_;
};

void PostgresOutbox::run(const Stop& stop) {
  context_.board.set(board_name_, false, "connecting", "");
  while (!stop.requested()) {
    attempt(stop);
    meters_.rest();
  }
  if (!stopped_why_.empty()) throw Failure(Remedy::stop, stopped_why_);
}

void PostgresOutbox::attempt(const Stop& stop) {
  try {
    session(stop);
  } catch (const LeaseLost& lost) {
    log::warning("relay", "lease lost", {{"source", name_}, {"why", lost.what()}});
    context_.board.set(board_name_, true, "standby", lost.what());
  } catch (const Misconfigured& problem) {
    stopped(problem, stop);
  } catch (const Failure& failure) {
    if (failure.remedy() == Remedy::stop) throw;
    away(failure.what(), stop);
  }
}

void PostgresOutbox::session(const Stop& stop) {
  pg::Address address;
  const Settings& settings = context_.component.settings;
  address.dsn = settings.fresh_secret("dsn");
  address.password = settings.fresh_secret("password");
  address.application_name = "muskrat relay " + name_;
  // Statements are short; one that takes half a lease's time has lost the lease anyway.
  Db db = Db::open(address, std::max(options_.lease_time, milliseconds(10'000)), stop);
  while (!stop.requested()) {
    std::optional<Hello> seen = stand_by(db, stop);
    if (seen && try_to_lead(db, *seen, stop)) return;
  }
}

// Until the lease may be taken; empty when asked to stop.
std::optional<Hello> PostgresOutbox::stand_by(Db& db, const Stop& stop) {
  LeaseWatch watch(options_.lease_time);
  milliseconds pause = std::min(options_.lease_time / 10, milliseconds(1000));
  for (std::string leader; !stop.requested(); stop.wait(pause)) {
    context_.board.beat(board_name_);
    Hello hello = checked_hello(db);
    // Our own lease of before a lost connection: we know that we publish no more.
    if (hello.lease.holder == holder_ || watch.observe(hello.lease, boottime())) return hello;
    if (leader != hello.lease.holder) {
      leader = hello.lease.holder;
      std::string name = leader.substr(0, leader.find(' '));
      log::info("relay", "standing by", {{"source", name_}, {"leader", name}, {"term", hello.lease.term}});
      context_.board.set(board_name_, true, "standby", "the leader is " + name);
    }
  }
  return std::nullopt;
}

// Leads until a drained stop (true); false when somebody else was faster.
bool PostgresOutbox::try_to_lead(Db& db, const Hello& seen, const Stop& stop) {
  milliseconds asked = boottime();
  std::optional<int64_t> term = db.lease_take(seen.lease, holder_);
  if (!term) return false;
  Hello hello = checked_hello(db);
  if (hello.lease.term != *term) return false;
  log::info("relay", "leading",
            {{"source", name_}, {"term", *term}, {"epoch", hello.epoch}, {"database", db.connection().place()}});
  backoff_.reset();
  last_trouble_.clear();
  Leader(context_, options_, db, *term, hello, asked, meters_, stop).run();
  return true;
}

Hello PostgresOutbox::checked_hello(Db& db) {
  Hello hello = db.hello();
  if (hello.in_recovery) {
    throw Failure(Remedy::reconnect, db.connection().place() +
                                         " is a standby server; let the DSN lead to the primary (several hosts and "
                                         "target_session_attrs=read-write find it by themselves)");
  }
  if (!hello.history_problem.empty()) throw Misconfigured(hello.history_problem, false);
  proven_ = true;
  stopped_why_.clear();
  return hello;
}

void PostgresOutbox::away(const std::string& why, const Stop& stop) {
  milliseconds pause = backoff_.next();
  meters_.source_reconnects->add();
  context_.board.set(board_name_, false, "connecting", why);
  if (why != last_trouble_ && !stop.requested()) {
    log::warning("relay", "source away",
                 {{"source", name_}, {"why", why}, {"retry_ms", static_cast<int64_t>(pause.count())}});
  }
  last_trouble_ = why;
  rest(pause, stop);
}

void PostgresOutbox::stopped(const Misconfigured& problem, const Stop& stop) {
  if (problem.fatal_at_start && !proven_) throw Failure(Remedy::stop, "source " + name_ + ": " + problem.what());
  if (stopped_why_ != problem.what()) {
    log::error("relay", "source stopped", {{"source", name_}, {"why", problem.what()}});
  }
  stopped_why_ = problem.what();
  context_.board.set(board_name_, false, "stopped", stopped_why_);
  rest(milliseconds(5000), stop);
}

void PostgresOutbox::rest(milliseconds span, const Stop& stop) {
  Deadline deadline = Deadline::in(span);
  while (!deadline.passed() && !stop.requested()) {
    context_.board.beat(board_name_);
    stop.wait(std::min(milliseconds(5000), milliseconds(deadline.poll_timeout())));
  }
}

std::unique_ptr<Source> make(const SourceContext& context) { return std::make_unique<PostgresOutbox>(context); }

}  // namespace

Options Options::of(const Settings& settings) {
  Options o;
  o.window = static_cast<size_t>(settings.integer("window"));
  o.window_bytes = settings.bytes("window_bytes");
  o.max_body = settings.bytes("max_body");
  o.segment_bytes = settings.bytes("segment_bytes");
  o.poll_interval = settings.duration("poll_interval");
  o.retention = settings.duration("retention");
  o.lease_time = settings.duration("lease_time");
  o.drain_timeout = settings.duration("drain_timeout");
  o.held_retry = settings.duration("held_retry");
  o.held_max = static_cast<size_t>(settings.integer("held_max"));
  o.nack_tries = static_cast<int>(settings.integer("nack_tries"));
  o.notify = settings.boolean("notify");
  return o;
}

const SourceKind kind{{"postgres", "The outbox that the extension keeps in a PostgreSQL database.",
                       muskrat::postgres_outbox::options, muskrat::postgres_outbox::validate},
                      muskrat::postgres_outbox::make};

}  // namespace muskrat::postgres_outbox
