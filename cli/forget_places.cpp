#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/forget.hpp"
#include "cli/held_source.hpp"
#include "cli/state_place.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::cli {
namespace {

constexpr milliseconds scan_time = std::chrono::hours(1);  // whole segments, as replay reads them
constexpr const char* verb = "forget";

// A segment at a time, so that no snapshot is held for long.
class PostgresOutbox : public Place {
 public:
  PostgresOutbox(const Component& source, const std::vector<std::string>& keys, const std::string& dsn)
      : Place("outbox", source.name), db_(open_source(source, dsn)), keys_(pg::text_array(keys)) {}

  Found look() override { return all_segments("false").found; }
  int64_t erase() override { return all_segments("true").erased; }

 private:
  struct Outcome {
    Found found;
    int64_t erased = 0;
  };

  Outcome all_segments(std::string_view erase) {
    Outcome all;
    for (const std::string_view segment : {"1", "2", "3"}) {
      const pg::Param params[] = {segment, keys_, erase};
      const pg::Result row = ask(params);
      all.found.events += row.int64(0, 0);
      all.erased += row.int64(0, 1);
      all.found.waiting += row.int64(0, 2);
    }
    return all;
  }

  pg::Result ask(std::span<const pg::Param> params) {
    try {
      return db_.exec("SELECT published, erased, waiting FROM muskrat.forget($1::int, $2::text[], $3::boolean)", params,
                      Deadline::in(scan_time));
    } catch (const pg::SqlError& error) {
      if (error.sqlstate() != "42501" && error.sqlstate() != "3F000" && error.sqlstate() != "42883") throw;
      throw Failure(Remedy::stop, "events in " + db_.place() + " cannot be erased (" + error.what() +
                                      "): it takes the owner of the extension muskrat, or a user with USAGE on the "
                                      "schema muskrat and EXECUTE on muskrat.forget; give one with --dsn");
    }
  }

  pg::Connection db_;
  const std::string keys_;
};

// The outbox there deletes what is confirmed; what the retention keeps is in the history. Rows are found without a lock
// and deleted by id: a DELETE that searches would lock the whole table against the relay.
class MysqlHistory : public Place {
 public:
  MysqlHistory(const Component& source, const std::vector<std::string>& keys, const std::string& dsn)
      : Place("outbox", source.name), db_(open_mysql_source(source, dsn)), keys_(keys) {}

  Found look() override {
    Found found;
    for (const std::string& key : keys_) {
      found.events += number("SELECT COUNT(*) FROM muskrat.history WHERE ordering_key = ?", key);
      found.waiting += number("SELECT COUNT(*) FROM muskrat.outbox WHERE ordering_key = ?", key);
    }
    return found;
  }

  int64_t erase() override {
    int64_t erased = 0;
    for (const std::string& key : keys_) {
      const mysql::Result rows = ask("SELECT id FROM muskrat.history WHERE ordering_key = ?", key, scan_time);
      for (int row = 0; row < rows.rows(); ++row, ++erased)
        ask("DELETE FROM muskrat.history WHERE id = ?", rows.int64(row, 0), answer_time);
    }
    return erased;
  }

 private:
  int64_t number(const char* sql, const std::string& key) { return ask(sql, key, scan_time).int64(0, 0); }

  mysql::Result ask(const char* sql, const mysql::Param& param, milliseconds time) {
    constexpr int denied_database = 1044, denied_table = 1142, no_database = 1049, no_table = 1146;
    try {
      return db_.connection().exec(sql, std::span(&param, 1), Deadline::in(time));
    } catch (const mysql::SqlError& error) {
      if (error.code() != denied_database && error.code() != denied_table && error.code() != no_database &&
          error.code() != no_table)
        throw;
      throw Failure(Remedy::stop, std::string("events cannot be erased there (") + error.what() +
                                      "): it takes SELECT on muskrat.outbox, and SELECT and DELETE on "
                                      "muskrat.history; give a user who has them with --dsn");
    }
  }

  mysql_outbox::Db db_;
  const std::vector<std::string>& keys_;
};

class Queue : public Place {
 public:
  Queue(const Config& config, std::string its_kind, std::string its_name, std::string queue,
        const std::vector<std::string>& keys)
      : Place(std::move(its_kind), std::move(its_name)), config_(config), queue_(std::move(queue)) {
    filter_.of_keys(keys);
  }

  Found look() override {
    LetterWalk walk = open();
    Found found;
    walk.look(filter_, [&](const amqp::Delivery&, uint32_t) {
      ++found.events;
      return true;
    });
    walk.close();
    found.unseen = int64_t{walk.total()} - walk.looked_at();
    return found;
  }

  // Until a look finds none: an acknowledgement is answered by nobody, and one that was on its way when the channel
  // closed may have been lost.
  int64_t erase() override {
    int64_t erased = 0;
    for (int pass = 0; pass < most_passes_; ++pass) {
      LetterWalk walk = open();
      walk.each(filter_, [](const amqp::Delivery&) { return true; });
      walk.close();
      if (walk.taken_out() == 0) return erased;
      erased += static_cast<int64_t>(walk.taken_out());
    }
    throw Failure(Remedy::stop, "the queue " + queue_ +
                                    " keeps filling with such messages, or the broker gives them back; look at its "
                                    "log, and run it again");
  }

 private:
  LetterWalk open() const { return LetterWalk(config_, queue_, "the queue " + queue_, std::string(verb)); }

  static constexpr int most_passes_ = 100;
  const Config& config_;
  const std::string queue_;
  LetterFilter filter_;
};

// What the host notes of events that it passed over: no bodies, but keys. Its guards stay: without them an older event
// that is still on its way would bring the row back.
class Superseded : public Place {
 public:
  Superseded(const Settings& consumer, const std::vector<std::string>& keys)
      : Place("passed over", state_place(consumer)),
        store_(state::find_store(consumer, Deadline::in(connect_time))),
        keys_(keys) {}

  Found look() override {
    Found found;
    if (store_) found.events = static_cast<int64_t>(store_->superseded_of(keys_, Deadline::in(answer_time)));
    return found;
  }
  int64_t erase() override {
    return store_ ? static_cast<int64_t>(store_->erase_superseded(keys_, Deadline::in(answer_time))) : 0;
  }

 private:
  const std::unique_ptr<state::Store> store_;
  const std::vector<std::string>& keys_;
};

// Of a scheduled source: records of which no event could be made yet.
class HeldOf : public Place {
 public:
  HeldOf(std::string source, std::unique_ptr<ScheduledState> state, const std::vector<std::string>& keys)
      : Place("held records", std::move(source)), state_(std::move(state)), keys_(keys) {}

  Found look() override {
    Found found;
    for (const std::string& key : keys_) found.events += state_->held().count_of(key);
    return found;
  }
  int64_t erase() override {
    int64_t erased = 0;
    for (const std::string& key : keys_) erased += state_->held().remove_of(key);
    state_->leave_no_trace();
    return erased;
  }

 private:
  const std::unique_ptr<ScheduledState> state_;
  const std::vector<std::string>& keys_;
};

}  // namespace

std::vector<std::unique_ptr<Place>> places_of(const Config& config, const std::vector<std::string>& keys,
                                              const std::string& source, const std::string& dsn) {
  std::vector<std::unique_ptr<Place>> places;
  for (const Component& one : config.sources) {
    if (!source.empty() && one.name != source) continue;
    if (one.kind == "postgres") places.push_back(std::make_unique<PostgresOutbox>(one, keys, dsn));
    if (one.kind == "mysql") places.push_back(std::make_unique<MysqlHistory>(one, keys, dsn));
    if (!runs_on_a_schedule(one)) continue;
    if (auto state = held_state(config, one))
      places.push_back(std::make_unique<HeldOf>(one.name, std::move(state), keys));
  }
  const Topology& names = config.topology;
  places.push_back(std::make_unique<Queue>(config, "unrouted", names.unrouted(), names.unrouted(), keys));
  for (const Component& endpoint : config.endpoints)
    places.push_back(
        std::make_unique<Queue>(config, "dead letters", endpoint.name, names.dead_queue(endpoint.name), keys));
  places.push_back(std::make_unique<Superseded>(config.consumer, keys));
  return places;
}

}  // namespace muskrat::cli
