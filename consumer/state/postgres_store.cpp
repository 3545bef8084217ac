// The state database in PostgreSQL, in the schema muskrat_host.
#include <array>
#include <map>
#include <utility>

#include "common/digest.hpp"
#include "common/pg.hpp"
#include "common/pg_array.hpp"
#include "consumer/state/postgres_store_sql.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::state {
namespace {

constexpr size_t longest_row_key = 1024;

// An index of PostgreSQL's holds some 2,700 bytes of a value. Row keys begin with no #, so that none is another's.
std::string kept(const std::string& row_key) {
  return row_key.size() > longest_row_key ? "#" + hex(sha256(row_key)) : row_key;
}

class PostgresStore : public Store {
 public:
  PostgresStore(const std::string& dsn, const std::string& password, Deadline deadline)
      : db_(pg::Connection::open({dsn, password, "muskrat state"}, deadline)) {
    ask_for([&] { prepare(deadline); });
  }

  std::vector<Answer> ask(const std::string& endpoint, std::span<const Question> questions,
                          Deadline deadline) override {
    std::vector<Answer> answers(questions.size());
    ask_for([&] {
      ask_newest(endpoint, questions, answers, deadline);
      ask_seen(endpoint, questions, answers, deadline);
    });
    return answers;
  }

  void record(const std::string& endpoint, const Done& done, Deadline deadline) override {
    ask_for([&] {
      const Marks marks = columns(endpoint, done.marks, deadline);
      std::vector<pg::Connection::Statement> work;
      if (!done.marks.empty())
        work.push_back({sql::set_marks, {marks.scope, marks.row_key, marks.epoch, marks.seq, marks.deleted}});
      const std::string id_text = pg::text_array(done.message_ids), span = std::to_string(done.remember.count());
      if (!done.message_ids.empty()) work.push_back({sql::set_seen, {endpoint, id_text, span}});
      std::vector<std::array<std::string, 3>> truncates;
      for (const Mark& mark : done.truncates)
        truncates.push_back({std::to_string(scope(endpoint, mark.scope, deadline)), std::to_string(mark.version.epoch),
                             std::to_string(mark.version.seq)});
      for (const auto& [id, epoch, seq] : truncates) work.push_back({sql::set_truncate, {id, epoch, seq}});
      db_.pipeline(work, deadline);  // one implicit transaction
    });
  }

  size_t forget_seen(size_t most, Deadline deadline) override {
    size_t gone = 0;
    const std::string limit = std::to_string(most);
    ask_for([&] {
      gone = static_cast<size_t>(db_.exec_prepared(sql::forget, std::vector<pg::Param>{limit}, deadline).affected());
    });
    return gone;
  }

  std::vector<Pause> pauses(Deadline deadline) override {
    std::vector<Pause> pauses;
    ask_for([&] {
      const auto rows =
          db_.exec("SELECT endpoint, since_us, by, why FROM muskrat_host.paused ORDER BY endpoint", deadline);
      for (int i = 0; i < rows.rows(); ++i)
        pauses.push_back({std::string(rows.text(i, 0)), rows.int64(i, 1), std::string(rows.text(i, 2)),
                          std::string(rows.text(i, 3))});
    });
    return pauses;
  }

  void pause(const Pause& pause, Deadline deadline) override {
    const std::string since = std::to_string(pause.since_us);
    ask_for([&] {
      db_.exec("INSERT INTO muskrat_host.paused VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
               std::vector<pg::Param>{pause.endpoint, since, pause.by, pause.why}, deadline);
    });
  }

  bool resume(const std::string& endpoint, Deadline deadline) override {
    bool was = false;
    ask_for([&] {
      was = db_.exec("DELETE FROM muskrat_host.paused WHERE endpoint = $1", std::vector<pg::Param>{endpoint}, deadline)
                .affected() > 0;
    });
    return was;
  }

  std::vector<Parked> parked(Deadline deadline) override {
    std::vector<Parked> parked;
    ask_for([&] {
      const auto rows = db_.exec(
          "SELECT endpoint, until_us, seen_us, reason, why FROM muskrat_host.parked ORDER BY endpoint", deadline);
      for (int i = 0; i < rows.rows(); ++i)
        parked.push_back({std::string(rows.text(i, 0)), rows.int64(i, 1), rows.int64(i, 2),
                          std::string(rows.text(i, 3)), std::string(rows.text(i, 4))});
    });
    return parked;
  }

  void set_parked(const Parked& parked, Deadline deadline) override {
    const std::string until = std::to_string(parked.until_us), seen = std::to_string(parked.seen_us);
    ask_for([&] {
      db_.exec(
          "INSERT INTO muskrat_host.parked VALUES ($1, $2, $3, $4, $5) ON CONFLICT (endpoint) DO UPDATE SET until_us = "
          "excluded.until_us, seen_us = excluded.seen_us, reason = excluded.reason, why = excluded.why",
          std::vector<pg::Param>{parked.endpoint, until, seen, parked.reason, parked.why}, deadline);
    });
  }

  void clear_parked(const std::string& endpoint, Deadline deadline) override {
    ask_for([&] {
      db_.exec("DELETE FROM muskrat_host.parked WHERE endpoint = $1", std::vector<pg::Param>{endpoint}, deadline);
    });
  }

  std::vector<limits::Spent> spent(const std::string& endpoint, Deadline deadline) override {
    std::vector<limits::Spent> spent;
    ask_for([&] {
      const auto rows = db_.exec("SELECT slot_us, amount FROM muskrat_host.quota WHERE endpoint = $1",
                                 std::vector<pg::Param>{endpoint}, deadline);
      for (int i = 0; i < rows.rows(); ++i) spent.push_back({rows.int64(i, 0), rows.int64(i, 1)});
    });
    return spent;
  }

  void spend(const std::string& endpoint, const limits::Spent& spent, int64_t keep_from_us,
             Deadline deadline) override {
    const std::string slot = std::to_string(spent.slot_us), amount = std::to_string(spent.amount);
    const std::string keep_from = std::to_string(keep_from_us);
    ask_for([&] {
      const std::vector<pg::Connection::Statement> work{
          {"DELETE FROM muskrat_host.quota WHERE endpoint = $1 AND slot_us < $2", {endpoint, keep_from}},
          {"INSERT INTO muskrat_host.quota AS q VALUES ($1, $2, greatest(0, $3::bigint)) ON CONFLICT (endpoint, "
           "slot_us) "
           "DO UPDATE SET amount = greatest(0, q.amount + $3::bigint)",
           {endpoint, slot, amount}}};
      db_.pipeline(work, deadline);
    });
  }

  std::vector<Call> calls(const std::string& place, Deadline deadline) override {
    std::vector<Call> calls;
    ask_for([&] {
      const auto rows = db_.exec("SELECT id, until_us FROM muskrat_host.under_way WHERE place = $1",
                                 std::vector<pg::Param>{place}, deadline);
      for (int i = 0; i < rows.rows(); ++i) calls.push_back({std::string(rows.text(i, 0)), rows.int64(i, 1), ""});
    });
    return calls;
  }

  std::optional<Call> call(const std::string& place, const std::string& id, Deadline deadline) override {
    std::optional<Call> call;
    ask_for([&] {
      const auto rows = db_.exec("SELECT until_us, text FROM muskrat_host.under_way WHERE place = $1 AND id = $2",
                                 std::vector<pg::Param>{place, id}, deadline);
      if (rows.rows() > 0) call = Call{id, rows.int64(0, 0), std::string(rows.text(0, 1))};
    });
    return call;
  }

  void note_call(const std::string& place, const Call& call, Deadline deadline) override {
    const std::string until = std::to_string(call.until_us);
    ask_for([&] {
      db_.exec(
          "INSERT INTO muskrat_host.under_way VALUES ($1, $2, $3, $4) ON CONFLICT (place, id) DO UPDATE SET until_us = "
          "excluded.until_us, text = excluded.text",
          std::vector<pg::Param>{place, call.id, until, call.text}, deadline);
    });
  }

  void forget_call(const std::string& place, const std::string& id, Deadline deadline) override {
    ask_for([&] {
      db_.exec("DELETE FROM muskrat_host.under_way WHERE place = $1 AND id = $2", std::vector<pg::Param>{place, id},
               deadline);
    });
  }

  void log_superseded(const std::string& endpoint, std::span<const Superseded> events, Deadline deadline) override {
    if (events.empty()) return;
    pg::ArrayText ids, keys, routing_keys, epochs, seqs, by, at;
    for (const Superseded& event : events) {
      ids.add(event.message_id), keys.add(event.key), routing_keys.add(event.routing_key);
      epochs.add(event.version.epoch), seqs.add(event.version.seq), by.add(event.by), at.add(event.at_us);
    }
    const std::array texts{ids.text(), keys.text(), routing_keys.text(), epochs.text(), seqs.text(),
                           by.text(),  at.text()};
    const std::string most = std::to_string(superseded_most);
    ask_for([&] {
      const std::vector<pg::Connection::Statement> work{
          {"INSERT INTO muskrat_host.superseded (endpoint, message_id, key, routing_key, epoch, seq, by, at_us) SELECT "
           "$1, e.* FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], "
           "$8::bigint[]) AS e",
           {endpoint, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6]}},
          {sql::trim_superseded, {endpoint, most}}};
      db_.pipeline(work, deadline);
    });
  }

  std::vector<Superseded> superseded(const std::string& endpoint, size_t most, Deadline deadline) override {
    std::vector<Superseded> events;
    const std::string limit = std::to_string(most);
    ask_for([&] {
      const auto rows = db_.exec(
          "SELECT message_id, key, routing_key, epoch, seq, by, at_us FROM muskrat_host.superseded WHERE endpoint = $1 "
          "ORDER BY id DESC LIMIT $2",
          std::vector<pg::Param>{endpoint, limit}, deadline);
      for (int i = 0; i < rows.rows(); ++i)
        events.push_back({std::string(rows.text(i, 0)),
                          std::string(rows.text(i, 1)),
                          std::string(rows.text(i, 2)),
                          {rows.int64(i, 3), rows.int64(i, 4)},
                          std::string(rows.text(i, 5)),
                          rows.int64(i, 6)});
    });
    return events;
  }

  size_t superseded_of(std::span<const std::string> keys, Deadline deadline) override {
    return number("SELECT count(*) FROM muskrat_host.superseded WHERE key = ANY ($1::text[])", keys, deadline);
  }

  size_t erase_superseded(std::span<const std::string> keys, Deadline deadline) override {
    return number(
        "WITH gone AS (DELETE FROM muskrat_host.superseded WHERE key = ANY ($1::text[]) RETURNING 1) SELECT count(*) "
        "FROM gone",
        keys, deadline);
  }

  std::string place() const override { return "PostgreSQL database " + db_.place(); }

 private:
  struct Marks {
    std::string scope, row_key, epoch, seq, deleted;
  };

  // A statement that was refused spoils nothing that another Store would not mend: the host backs off and asks again.
  template <typename Work>
  static void ask_for(const Work& work) {
    try {
      work();
    } catch (const pg::SqlError& error) {
      throw Failure(Remedy::reconnect, std::string("the host's state database: ") + error.what());
    }
  }

  size_t number(const char* sql, std::span<const std::string> keys, Deadline deadline) {
    const std::string text = pg::text_array({keys.begin(), keys.end()});
    size_t count = 0;
    ask_for([&] { count = static_cast<size_t>(db_.exec(sql, std::vector<pg::Param>{text}, deadline).int64(0, 0)); });
    return count;
  }

  void prepare(Deadline deadline) {
    db_.exec("SET synchronous_commit = on; SET search_path = pg_catalog, pg_temp; SET client_min_messages = warning",
             deadline);
    const auto there = db_.exec(
        "SELECT to_regclass('muskrat_host.superseded_endpoint') IS NOT NULL AND "
        "to_regclass('muskrat_host.under_way') IS NOT NULL",
        deadline);
    if (there.boolean(0, 0)) return;
    try {
      db_.exec(std::string("BEGIN;") + sql::tables + "COMMIT", deadline);
    } catch (const pg::SqlError& error) {
      throw Failure(Remedy::reconnect,
                    "cannot make the host's tables in " + db_.place() + ": " + error.what() +
                        "; let this role own the schema: CREATE SCHEMA muskrat_host AUTHORIZATION …");
    }
  }

  void ask_newest(const std::string& endpoint, std::span<const Question> questions, std::vector<Answer>& answers,
                  Deadline deadline) {
    pg::ArrayText indexes, sources, objects, targets, keys;
    bool any = false;
    for (size_t i = 0; i < questions.size(); ++i) {
      const Question& question = questions[i];
      if (question.row_key.empty()) continue;
      any = true;
      indexes.add(static_cast<int64_t>(i)), sources.add(question.scope.source), objects.add(question.scope.object);
      targets.add(question.scope.target), keys.add(kept(question.row_key));
    }
    if (!any) return;
    const std::array texts{indexes.text(), sources.text(), objects.text(), targets.text(), keys.text()};
    const auto rows = db_.exec_prepared(
        sql::get_newest, std::vector<pg::Param>{endpoint, texts[0], texts[1], texts[2], texts[3], texts[4]}, deadline);
    for (int i = 0; i < rows.rows(); ++i)
      answers[static_cast<size_t>(rows.int64(i, 0))].newest = Version{rows.int64(i, 1), rows.int64(i, 2)};
  }

  void ask_seen(const std::string& endpoint, std::span<const Question> questions, std::vector<Answer>& answers,
                Deadline deadline) {
    pg::ArrayText ids;
    std::multimap<std::string_view, size_t> asked;
    for (size_t i = 0; i < questions.size(); ++i) {
      if (questions[i].message_id.empty()) continue;
      ids.add(questions[i].message_id);
      asked.emplace(questions[i].message_id, i);
    }
    if (asked.empty()) return;
    const std::string text = ids.text();
    const auto rows = db_.exec_prepared(sql::get_seen, std::vector<pg::Param>{endpoint, text}, deadline);
    for (int row = 0; row < rows.rows(); ++row) {
      const auto [first, last] = asked.equal_range(rows.text(row, 0));
      for (auto it = first; it != last; ++it) answers[it->second].seen = true;
    }
  }

  Marks columns(const std::string& endpoint, const std::vector<Mark>& marks, Deadline deadline) {
    pg::ArrayText scopes, keys, epochs, seqs, deleted;
    for (const Mark& mark : marks) {
      scopes.add(int64_t{scope(endpoint, mark.scope, deadline)}), keys.add(kept(mark.row_key));
      epochs.add(mark.version.epoch), seqs.add(mark.version.seq), deleted.add(mark.deleted ? "t" : "f");
    }
    return {scopes.text(), keys.text(), epochs.text(), seqs.text(), deleted.text()};
  }

  // The scope's id, made on first use.
  int64_t scope(const std::string& endpoint, const Scope& scope, Deadline deadline) {
    if (const auto known = ids_.find({endpoint, scope}); known != ids_.end()) return known->second;
    const std::vector<pg::Param> name{endpoint, scope.source, scope.object, scope.target};
    db_.exec(
        "INSERT INTO muskrat_host.scope (endpoint, source, object, target) VALUES ($1, $2, $3, $4) ON CONFLICT DO "
        "NOTHING",
        name, deadline);
    const auto rows = db_.exec(
        "SELECT id FROM muskrat_host.scope WHERE endpoint = $1 AND source = $2 AND object = $3 AND target = $4", name,
        deadline);
    return ids_[{endpoint, scope}] = rows.int64(0, 0);
  }

  pg::Connection db_;
  std::map<std::pair<std::string, Scope>, int64_t> ids_;
};

}  // namespace

std::unique_ptr<Store> open_postgres(const std::string& dsn, const std::string& password, Deadline deadline) {
  return std::make_unique<PostgresStore>(dsn, password, deadline);
}

}  // namespace muskrat::state
