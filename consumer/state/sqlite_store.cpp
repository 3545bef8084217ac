// The state database in a SQLite file.
#include <algorithm>
#include <map>
#include <mutex>

#include "common/sqlite.hpp"
#include "consumer/state/store.hpp"

namespace muskrat::state {
namespace {

constexpr milliseconds patience{10'000};
constexpr int64_t layout = 3;

constexpr const char* tables = R"(
CREATE TABLE IF NOT EXISTS scope (id INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, source TEXT NOT NULL,
  object TEXT NOT NULL, target TEXT NOT NULL, truncated_epoch INTEGER, truncated_seq INTEGER,
  UNIQUE (endpoint, source, object, target));
CREATE TABLE IF NOT EXISTS guard (scope INTEGER NOT NULL REFERENCES scope, row_key TEXT NOT NULL,
  epoch INTEGER NOT NULL, seq INTEGER NOT NULL, deleted INTEGER NOT NULL, PRIMARY KEY (scope, row_key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (endpoint TEXT NOT NULL, message_id TEXT NOT NULL, forget_at INTEGER NOT NULL,
  PRIMARY KEY (endpoint, message_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_forget_at ON seen (forget_at);
CREATE TABLE IF NOT EXISTS paused (endpoint TEXT PRIMARY KEY, since_us INTEGER NOT NULL, by TEXT NOT NULL,
  why TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parked (endpoint TEXT PRIMARY KEY, until_us INTEGER NOT NULL, seen_us INTEGER NOT NULL,
  reason TEXT NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quota (endpoint TEXT NOT NULL, slot_us INTEGER NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (endpoint, slot_us)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS superseded (id INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL,
  message_id TEXT NOT NULL, key TEXT NOT NULL, routing_key TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
  by TEXT NOT NULL, at_us INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS superseded_endpoint ON superseded (endpoint, id);
CREATE TABLE IF NOT EXISTS under_way (place TEXT NOT NULL, id TEXT NOT NULL, until_us INTEGER NOT NULL,
  text TEXT NOT NULL, PRIMARY KEY (place, id)) WITHOUT ROWID;
PRAGMA user_version = 3;
)";

// SQLite has one writer at a time and waits for it by polling; the lanes of one process take turns without that.
std::mutex& writers_turn() {
  static std::mutex turn;
  return turn;
}

class SqliteStore : public Store {
 public:
  explicit SqliteStore(const std::string& path) : db_(prepared(path)) {}

  std::vector<Answer> ask(const std::string& endpoint, std::span<const Question> questions, Deadline) override {
    std::vector<Answer> answers(questions.size());
    std::map<Scope, std::optional<Standing>> standings;
    const sqlite::Reading snapshot(db_);
    for (size_t i = 0; i < questions.size(); ++i) {
      const Question& question = questions[i];
      if (!question.message_id.empty()) answers[i].seen = knows(endpoint, question.message_id);
      if (question.row_key.empty()) continue;
      const auto [found, is_new] = standings.try_emplace(question.scope);
      if (is_new) found->second = standing(endpoint, question.scope);
      if (found->second) answers[i].newest = newest(*found->second, question.row_key);
    }
    return answers;
  }

  void record(const std::string& endpoint, const Done& done, Deadline) override {
    std::lock_guard turn(writers_turn());
    sqlite::Transaction transaction(db_);
    for (const Mark& mark : done.marks) {
      set_mark_.bind(1, scope(endpoint, mark.scope)).bind(2, mark.row_key).bind(3, mark.version.epoch);
      set_mark_.bind(4, mark.version.seq).bind(5, int64_t{mark.deleted}).run();
    }
    for (const Mark& mark : done.truncates) {
      set_truncate_.bind(1, mark.version.epoch).bind(2, mark.version.seq).bind(3, scope(endpoint, mark.scope)).run();
    }
    const int64_t forget_at = wall_clock_us() + done.remember.count() * 1000;
    for (const std::string& id : done.message_ids) set_seen_.bind(1, endpoint).bind(2, id).bind(3, forget_at).run();
    try {
      transaction.commit();
    } catch (const Failure&) {
      ids_.clear();  // scopes made in this transaction are gone
      throw;
    }
  }

  size_t forget_seen(size_t most, Deadline) override {
    std::lock_guard turn(writers_turn());
    sqlite::Transaction transaction(db_);
    forget_.bind(1, wall_clock_us()).bind(2, static_cast<int64_t>(most)).run();
    const auto gone = static_cast<size_t>(db_.changes());
    transaction.commit();
    return gone;
  }

  std::vector<Pause> pauses(Deadline) override {
    std::vector<Pause> pauses;
    auto rows = db_.prepare("SELECT endpoint, since_us, by, why FROM paused ORDER BY endpoint");
    while (rows.step())
      pauses.push_back(
          {std::string(rows.text(0)), rows.integer(1), std::string(rows.text(2)), std::string(rows.text(3))});
    return pauses;
  }

  void pause(const Pause& pause, Deadline) override {
    std::lock_guard turn(writers_turn());
    auto insert = db_.prepare("INSERT INTO paused VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING");
    insert.bind(1, pause.endpoint).bind(2, pause.since_us).bind(3, pause.by).bind(4, pause.why).run();
  }

  bool resume(const std::string& endpoint, Deadline) override {
    std::lock_guard turn(writers_turn());
    db_.prepare("DELETE FROM paused WHERE endpoint = ?").bind(1, endpoint).run();
    return db_.changes() > 0;
  }

  std::vector<Parked> parked(Deadline) override {
    std::vector<Parked> parked;
    auto rows = db_.prepare("SELECT endpoint, until_us, seen_us, reason, why FROM parked ORDER BY endpoint");
    while (rows.step())
      parked.push_back({std::string(rows.text(0)), rows.integer(1), rows.integer(2), std::string(rows.text(3)),
                        std::string(rows.text(4))});
    return parked;
  }

  void set_parked(const Parked& parked, Deadline) override {
    std::lock_guard turn(writers_turn());
    auto set = db_.prepare("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)");
    set.bind(1, parked.endpoint).bind(2, parked.until_us).bind(3, parked.seen_us);
    set.bind(4, parked.reason).bind(5, parked.why).run();
  }

  void clear_parked(const std::string& endpoint, Deadline) override {
    std::lock_guard turn(writers_turn());
    db_.prepare("DELETE FROM parked WHERE endpoint = ?").bind(1, endpoint).run();
  }

  std::vector<limits::Spent> spent(const std::string& endpoint, Deadline) override {
    std::vector<limits::Spent> spent;
    auto rows = db_.prepare("SELECT slot_us, amount FROM quota WHERE endpoint = ?");
    rows.bind(1, endpoint);
    while (rows.step()) spent.push_back({rows.integer(0), rows.integer(1)});
    return spent;
  }

  void spend(const std::string& endpoint, const limits::Spent& spent, int64_t keep_from_us, Deadline) override {
    std::lock_guard turn(writers_turn());
    sqlite::Transaction transaction(db_);
    db_.prepare("DELETE FROM quota WHERE endpoint = ? AND slot_us < ?").bind(1, endpoint).bind(2, keep_from_us).run();
    auto add = db_.prepare(
        "INSERT INTO quota VALUES (?, ?, max(?, 0)) ON CONFLICT DO UPDATE SET amount = max(0, amount + ?3)");
    add.bind(1, endpoint).bind(2, spent.slot_us).bind(3, spent.amount).run();
    transaction.commit();
  }

  std::vector<Call> calls(const std::string& place, Deadline) override {
    std::vector<Call> calls;
    auto rows = db_.prepare("SELECT id, until_us FROM under_way WHERE place = ?");
    rows.bind(1, place);
    while (rows.step()) calls.push_back({std::string(rows.text(0)), rows.integer(1), ""});
    return calls;
  }

  std::optional<Call> call(const std::string& place, const std::string& id, Deadline) override {
    auto rows = db_.prepare("SELECT until_us, text FROM under_way WHERE place = ? AND id = ?");
    if (!rows.bind(1, place).bind(2, id).step()) return std::nullopt;
    return Call{id, rows.integer(0), std::string(rows.text(1))};
  }

  void note_call(const std::string& place, const Call& call, Deadline) override {
    std::lock_guard turn(writers_turn());
    auto set = db_.prepare("INSERT OR REPLACE INTO under_way VALUES (?, ?, ?, ?)");
    set.bind(1, place).bind(2, call.id).bind(3, call.until_us).bind(4, call.text).run();
  }

  void forget_call(const std::string& place, const std::string& id, Deadline) override {
    std::lock_guard turn(writers_turn());
    db_.prepare("DELETE FROM under_way WHERE place = ? AND id = ?").bind(1, place).bind(2, id).run();
  }

  void log_superseded(const std::string& endpoint, std::span<const Superseded> events, Deadline) override {
    if (events.empty()) return;
    std::lock_guard turn(writers_turn());
    sqlite::Transaction transaction(db_);
    auto insert = db_.prepare(
        "INSERT INTO superseded (endpoint, message_id, key, routing_key, epoch, seq, by, at_us) VALUES (?, ?, ?, ?, ?, "
        "?, ?, ?)");
    for (const Superseded& event : events) {
      insert.bind(1, endpoint).bind(2, event.message_id).bind(3, event.key).bind(4, event.routing_key);
      insert.bind(5, event.version.epoch).bind(6, event.version.seq).bind(7, event.by).bind(8, event.at_us).run();
    }
    auto trim = db_.prepare(
        "DELETE FROM superseded WHERE endpoint = ?1 AND id <= (SELECT id FROM superseded WHERE endpoint = ?1 ORDER BY "
        "id DESC LIMIT 1 OFFSET ?2)");
    trim.bind(1, endpoint).bind(2, static_cast<int64_t>(superseded_most)).run();
    transaction.commit();
  }

  std::vector<Superseded> superseded(const std::string& endpoint, size_t most, Deadline) override {
    std::vector<Superseded> events;
    auto rows = db_.prepare(
        "SELECT message_id, key, routing_key, epoch, seq, by, at_us FROM superseded WHERE endpoint = ? ORDER BY id "
        "DESC LIMIT ?");
    rows.bind(1, endpoint).bind(2, static_cast<int64_t>(most));
    while (rows.step())
      events.push_back({std::string(rows.text(0)),
                        std::string(rows.text(1)),
                        std::string(rows.text(2)),
                        {rows.integer(3), rows.integer(4)},
                        std::string(rows.text(5)),
                        rows.integer(6)});
    return events;
  }

  size_t superseded_of(std::span<const std::string> keys, Deadline) override {
    size_t count = 0;
    auto of_key = db_.prepare("SELECT count(*) FROM superseded WHERE key = ?");
    for (const std::string& key : keys) {
      of_key.bind(1, key).step();
      count += static_cast<size_t>(of_key.integer(0));
      of_key.reset();
    }
    return count;
  }

  size_t erase_superseded(std::span<const std::string> keys, Deadline) override {
    std::lock_guard turn(writers_turn());
    sqlite::Transaction transaction(db_);
    size_t gone = 0;
    auto of_key = db_.prepare("DELETE FROM superseded WHERE key = ?");
    for (const std::string& key : keys) {
      of_key.bind(1, key).run();
      gone += static_cast<size_t>(db_.changes());
    }
    transaction.commit();
    db_.empty_log();
    return gone;
  }

  std::string place() const override { return "SQLite file " + db_.path(); }

 private:
  struct Standing {
    int64_t scope;
    std::optional<Version> truncated;
  };

  static sqlite::Database prepared(const std::string& path) {
    std::lock_guard turn(writers_turn());
    sqlite::Database db = sqlite::Database::open(path, patience);
    auto version = db.prepare("PRAGMA user_version");
    version.step();
    const int64_t found = version.integer(0);
    version.reset();
    if (found > layout)
      throw Failure(Remedy::stop, path + " was written by a newer Muskrat (layout " + std::to_string(found) +
                                      "); run that one, or move the file away to start anew");
    if (found == layout) return db;
    sqlite::Transaction transaction(db);
    db.exec(tables);
    transaction.commit();
    return db;
  }

  bool knows(const std::string& endpoint, const std::string& message_id) {
    const bool found = get_seen_.bind(1, endpoint).bind(2, message_id).step();
    get_seen_.reset();
    return found;
  }

  // A scope as the database has it; nullopt: nothing of it was ever recorded.
  std::optional<Standing> standing(const std::string& endpoint, const Scope& scope) {
    get_scope_.bind(1, endpoint).bind(2, scope.source).bind(3, scope.object).bind(4, scope.target);
    if (!get_scope_.step()) return std::nullopt;
    Standing standing{get_scope_.integer(0), std::nullopt};
    if (get_scope_.integer(1) != 0) standing.truncated = Version{get_scope_.integer(2), get_scope_.integer(3)};
    get_scope_.reset();
    return standing;
  }

  std::optional<Version> newest(const Standing& standing, const std::string& row_key) {
    std::optional<Version> version = standing.truncated;
    if (!get_mark_.bind(1, standing.scope).bind(2, row_key).step()) return version;
    version = std::max(version.value_or(Version{}), {get_mark_.integer(0), get_mark_.integer(1)});
    get_mark_.reset();
    return version;
  }

  // The scope's id, made on first use; inside a transaction.
  int64_t scope(const std::string& endpoint, const Scope& scope) {
    if (const auto known = ids_.find({endpoint, scope}); known != ids_.end()) return known->second;
    make_scope_.bind(1, endpoint).bind(2, scope.source).bind(3, scope.object).bind(4, scope.target).run();
    get_scope_.bind(1, endpoint).bind(2, scope.source).bind(3, scope.object).bind(4, scope.target).step();
    const int64_t id = get_scope_.integer(0);
    get_scope_.reset();
    return ids_[{endpoint, scope}] = id;
  }

  sqlite::Database db_;
  std::map<std::pair<std::string, Scope>, int64_t> ids_;
  sqlite::Statement get_seen_ = db_.prepare("SELECT 1 FROM seen WHERE endpoint = ? AND message_id = ?");
  sqlite::Statement set_seen_ = db_.prepare(
      "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET forget_at = max(forget_at, excluded.forget_at)");
  sqlite::Statement forget_ = db_.prepare(
      "DELETE FROM seen WHERE (endpoint, message_id) IN (SELECT endpoint, message_id FROM seen WHERE forget_at < ? "
      "ORDER BY forget_at LIMIT ?)");
  sqlite::Statement make_scope_ =
      db_.prepare("INSERT INTO scope (endpoint, source, object, target) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING");
  sqlite::Statement get_scope_ = db_.prepare(
      "SELECT id, truncated_epoch IS NOT NULL, truncated_epoch, truncated_seq FROM scope "
      "WHERE endpoint = ? AND source = ? AND object = ? AND target = ?");
  sqlite::Statement get_mark_ = db_.prepare("SELECT epoch, seq FROM guard WHERE scope = ? AND row_key = ?");
  sqlite::Statement set_mark_ = db_.prepare(
      "INSERT INTO guard VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, "
      "deleted = excluded.deleted WHERE (guard.epoch, guard.seq) < (excluded.epoch, excluded.seq)");
  sqlite::Statement set_truncate_ = db_.prepare(
      "UPDATE scope SET truncated_epoch = ?1, truncated_seq = ?2 WHERE id = ?3 AND (truncated_epoch IS NULL OR "
      "(truncated_epoch, truncated_seq) < (?1, ?2))");
};

}  // namespace

std::unique_ptr<Store> open_sqlite(const std::string& path) { return std::make_unique<SqliteStore>(path); }

}  // namespace muskrat::state
