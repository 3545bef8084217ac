// The state database in PostgreSQL, in the schema muskrat_host.
#include <array>
#include <map>
#include <utility>

#include "common/pg.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::state {
namespace {

constexpr const char* tables = R"(
SELECT pg_advisory_xact_lock(7301, 1);
CREATE SCHEMA IF NOT EXISTS muskrat_host;
CREATE TABLE IF NOT EXISTS muskrat_host.scope (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, endpoint text NOT NULL,
  source text NOT NULL, object text NOT NULL, target text NOT NULL, truncated_epoch bigint, truncated_seq bigint,
  UNIQUE (endpoint, source, object, target));
CREATE TABLE IF NOT EXISTS muskrat_host.guard (scope int NOT NULL, row_key text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL, seq bigint NOT NULL, deleted boolean NOT NULL, PRIMARY KEY (scope, row_key))
  WITH (fillfactor = 80);
CREATE TABLE IF NOT EXISTS muskrat_host.seen (endpoint text NOT NULL, message_id text COLLATE "C" NOT NULL,
  forget_at timestamptz NOT NULL, PRIMARY KEY (endpoint, message_id));
CREATE INDEX IF NOT EXISTS seen_forget_at ON muskrat_host.seen (forget_at);
CREATE TABLE IF NOT EXISTS muskrat_host.paused (endpoint text PRIMARY KEY, since_us bigint NOT NULL, by text NOT NULL,
  why text NOT NULL);
CREATE TABLE IF NOT EXISTS muskrat_host.parked (endpoint text PRIMARY KEY, until_us bigint NOT NULL,
  seen_us bigint NOT NULL, reason text NOT NULL, why text NOT NULL);
CREATE TABLE IF NOT EXISTS muskrat_host.quota (endpoint text NOT NULL, slot_us bigint NOT NULL, amount bigint NOT NULL,
  PRIMARY KEY (endpoint, slot_us));
CREATE TABLE IF NOT EXISTS muskrat_host.superseded (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  endpoint text NOT NULL, message_id text NOT NULL, key text NOT NULL, routing_key text NOT NULL, epoch bigint NOT NULL,
  seq bigint NOT NULL, by text NOT NULL, at_us bigint NOT NULL);
CREATE INDEX IF NOT EXISTS superseded_endpoint ON muskrat_host.superseded (endpoint, id);
)";

constexpr const char* get_newest = R"(
SELECT q.i, (n.version).epoch, (n.version).seq
FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[]) AS q (i, source, object, target, row_key)
JOIN muskrat_host.scope s USING (source, object, target), LATERAL (
  SELECT v AS version FROM (
    SELECT g.epoch, g.seq FROM muskrat_host.guard g WHERE g.scope = s.id AND g.row_key = q.row_key
    UNION ALL SELECT s.truncated_epoch, s.truncated_seq WHERE s.truncated_epoch IS NOT NULL) v
  ORDER BY v.epoch DESC, v.seq DESC LIMIT 1) n
WHERE s.endpoint = $1)";

constexpr const char* get_seen =
    "SELECT message_id FROM muskrat_host.seen WHERE endpoint = $1 AND message_id = ANY ($2::text[])";

// One order for all who lock, or two hosts deadlock. Of a key that comes twice the newest counts.
constexpr const char* set_marks = R"(
INSERT INTO muskrat_host.guard AS g (scope, row_key, epoch, seq, deleted)
SELECT DISTINCT ON (scope, row_key COLLATE "C") * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[])
  AS m (scope, row_key, epoch, seq, deleted) ORDER BY scope, row_key COLLATE "C", epoch DESC, seq DESC
ON CONFLICT (scope, row_key) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, deleted = excluded.deleted
WHERE (g.epoch, g.seq) < (excluded.epoch, excluded.seq))";

constexpr const char* set_seen = R"(
INSERT INTO muskrat_host.seen AS s SELECT DISTINCT $1::text, id, now() + $3::bigint * interval '1 millisecond'
FROM unnest($2::text[]) AS ids (id) ORDER BY id
ON CONFLICT (endpoint, message_id) DO UPDATE SET forget_at = greatest(s.forget_at, excluded.forget_at))";

constexpr const char* set_truncate = R"(
UPDATE muskrat_host.scope SET truncated_epoch = $2, truncated_seq = $3
WHERE id = $1 AND (truncated_epoch IS NULL OR (truncated_epoch, truncated_seq) < ($2::bigint, $3::bigint)))";

constexpr const char* forget = R"(
DELETE FROM muskrat_host.seen WHERE ctid = ANY (ARRAY (SELECT ctid FROM muskrat_host.seen WHERE forget_at < now()
ORDER BY forget_at LIMIT $1 FOR UPDATE SKIP LOCKED)))";

constexpr const char* trim_superseded = R"(
DELETE FROM muskrat_host.superseded WHERE endpoint = $1 AND id <=
  (SELECT id FROM muskrat_host.superseded WHERE endpoint = $1 ORDER BY id DESC OFFSET $2 LIMIT 1))";

// The text of a PostgreSQL array.
class Array {
 public:
  void add(std::string_view text) {
    text_ += text_.size() > 1 ? ",\"" : "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += c;
    }
    text_ += '"';
  }
  void add(int64_t value) { add(std::string_view(std::to_string(value))); }
  std::string text() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

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
        work.push_back({set_marks, {marks.scope, marks.row_key, marks.epoch, marks.seq, marks.deleted}});
      Array ids;
      for (const std::string& id : done.message_ids) ids.add(id);
      const std::string id_text = ids.text(), span = std::to_string(done.remember.count());
      if (!done.message_ids.empty()) work.push_back({set_seen, {endpoint, id_text, span}});
      std::vector<std::array<std::string, 3>> truncates;
      for (const Mark& mark : done.truncates)
        truncates.push_back({std::to_string(scope(endpoint, mark.scope, deadline)), std::to_string(mark.version.epoch),
                             std::to_string(mark.version.seq)});
      for (const auto& [id, epoch, seq] : truncates) work.push_back({set_truncate, {id, epoch, seq}});
      db_.pipeline(work, deadline);  // one implicit transaction
    });
  }

  size_t forget_seen(size_t most, Deadline deadline) override {
    size_t gone = 0;
    const std::string limit = std::to_string(most);
    ask_for([&] {
      gone = static_cast<size_t>(db_.exec_prepared(forget, std::vector<pg::Param>{limit}, deadline).affected());
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

  void log_superseded(const std::string& endpoint, std::span<const Superseded> events, Deadline deadline) override {
    if (events.empty()) return;
    Array ids, keys, routing_keys, epochs, seqs, by, at;
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
          {trim_superseded, {endpoint, most}}};
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

  void prepare(Deadline deadline) {
    db_.exec("SET synchronous_commit = on; SET search_path = pg_catalog, pg_temp; SET client_min_messages = warning",
             deadline);
    const auto there = db_.exec(
        "SELECT to_regclass('muskrat_host.superseded_endpoint') IS NOT NULL AND "
        "to_regclass('muskrat_host.quota') IS NOT NULL",
        deadline);
    if (there.boolean(0, 0)) return;
    try {
      db_.exec(std::string("BEGIN;") + tables + "COMMIT", deadline);
    } catch (const pg::SqlError& error) {
      throw Failure(Remedy::reconnect,
                    "cannot make the host's tables in " + db_.place() + ": " + error.what() +
                        "; let this role own the schema: CREATE SCHEMA muskrat_host AUTHORIZATION …");
    }
  }

  void ask_newest(const std::string& endpoint, std::span<const Question> questions, std::vector<Answer>& answers,
                  Deadline deadline) {
    Array indexes, sources, objects, targets, keys;
    bool any = false;
    for (size_t i = 0; i < questions.size(); ++i) {
      const Question& question = questions[i];
      if (question.row_key.empty()) continue;
      any = true;
      indexes.add(static_cast<int64_t>(i)), sources.add(question.scope.source), objects.add(question.scope.object);
      targets.add(question.scope.target), keys.add(question.row_key);
    }
    if (!any) return;
    const std::array texts{indexes.text(), sources.text(), objects.text(), targets.text(), keys.text()};
    const auto rows = db_.exec_prepared(
        get_newest, std::vector<pg::Param>{endpoint, texts[0], texts[1], texts[2], texts[3], texts[4]}, deadline);
    for (int i = 0; i < rows.rows(); ++i)
      answers[static_cast<size_t>(rows.int64(i, 0))].newest = Version{rows.int64(i, 1), rows.int64(i, 2)};
  }

  void ask_seen(const std::string& endpoint, std::span<const Question> questions, std::vector<Answer>& answers,
                Deadline deadline) {
    Array ids;
    std::multimap<std::string_view, size_t> asked;
    for (size_t i = 0; i < questions.size(); ++i) {
      if (questions[i].message_id.empty()) continue;
      ids.add(questions[i].message_id);
      asked.emplace(questions[i].message_id, i);
    }
    if (asked.empty()) return;
    const std::string text = ids.text();
    const auto rows = db_.exec_prepared(get_seen, std::vector<pg::Param>{endpoint, text}, deadline);
    for (int row = 0; row < rows.rows(); ++row) {
      const auto [first, last] = asked.equal_range(rows.text(row, 0));
      for (auto it = first; it != last; ++it) answers[it->second].seen = true;
    }
  }

  Marks columns(const std::string& endpoint, const std::vector<Mark>& marks, Deadline deadline) {
    Array scopes, keys, epochs, seqs, deleted;
    for (const Mark& mark : marks) {
      scopes.add(int64_t{scope(endpoint, mark.scope, deadline)}), keys.add(mark.row_key);
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
