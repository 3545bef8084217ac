#include "consumer/endpoints/mysql/applier.hpp"

#include <algorithm>

namespace muskrat::mysql_target {
namespace {

using sql::Effect;
using sql::Route;
using sql::Row;
using Fate = Outcome::Fate;

// What was passed over by one route may have been applied by another: the event counts as done then.
int weight(Fate fate) {
  if (fate == Fate::done) return 2;
  return fate == Fate::superseded ? 1 : 0;
}

std::string source_object(const Event& event) { return event.routing_key.substr(0, event.routing_key.rfind('.')); }

std::string tuple(std::initializer_list<std::string> parts) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "(" : ", ") + part;
  return all + ")";
}

void add(std::string& list, const std::string& item) { list += (list.empty() ? "" : ", ") + item; }

}  // namespace

template <typename Act>
auto Applier::in_transaction(Act act, Deadline deadline) {
  try {
    return act();
  } catch (const mysql::SqlError&) {
    connection_.exec("ROLLBACK", deadline);
    throw;
  }
}

// The upsert routes of the same table: a delete or a TRUNCATE is one for all of them.
std::vector<size_t> Applier::siblings_of(size_t route) const {
  std::vector<size_t> siblings;
  for (size_t i = 0; i < routes_.size(); ++i)
    if (routes_[i].mode == Route::Mode::upsert && targets_[i].identity == targets_[route].identity)
      siblings.push_back(i);
  return siblings;
}

std::vector<int64_t> Applier::scopes_of(const Event& event, const Row& row, Deadline deadline) {
  const auto scope = [&](size_t route, const std::string& source, const std::string& object) {
    return state_.scope(connection_, targets_[route].identity, source, object, routes_[route].name, deadline);
  };
  if (!row.guarded) return {};
  if (row.effect == Effect::append) return {scope(row.route, "", "")};
  if (row.effect == Effect::upsert) return {scope(row.route, event.source, source_object(event))};
  std::vector<int64_t> scopes;
  for (const size_t sibling : siblings_of(row.route))
    scopes.push_back(scope(sibling, event.source, source_object(event)));
  return scopes;
}

// Begins the transaction. Marks that are not there are made, all are locked, in one order, so that lanes do not
// deadlock.
Applier::Marks Applier::lock_marks(const std::vector<const Row*>& rows, const std::vector<std::vector<int64_t>>& scopes,
                                   Deadline deadline) {
  std::set<GuardKey> guarded;
  std::map<int64_t, std::string> keys, messages;
  std::string ids;
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const int64_t scope : scopes[i]) {
      if (rows[i]->effect == Effect::append) {
        add(messages[scope], text(rows[i]->identity));
      } else if (guarded.emplace(scope, rows[i]->identity).second) {
        add(keys[scope], text(rows[i]->identity));
      }
    }
  }
  std::string statements = "START TRANSACTION", made;
  for (const auto& [scope, key] : guarded) add(made, tuple({std::to_string(scope), text(key), "0", "0", "0"}));
  for (const auto& [scope, list] : keys) add(ids, std::to_string(scope));
  if (!made.empty()) {
    statements += "; INSERT INTO " + state_.guard() + " (scope, row_key, epoch, seq, deleted) VALUES " + made +
                  " ON DUPLICATE KEY UPDATE scope = VALUES(scope); SELECT 't', id, '', truncated_epoch, truncated_seq "
                  "FROM " +
                  state_.scopes() + " WHERE id IN (" + ids + ")";
  }
  for (const auto& [scope, list] : keys)
    statements += "; SELECT 'g', scope, row_key, epoch, seq FROM " + state_.guard() +
                  " WHERE scope = " + std::to_string(scope) + " AND row_key IN (" + list + ")";
  for (const auto& [scope, list] : messages)
    statements += "; SELECT 's', scope, message_id, 0, 0 FROM " + state_.seen() +
                  " WHERE scope = " + std::to_string(scope) + " AND message_id IN (" + list + ")";
  Marks marks;
  for (const mysql::Result& result : connection_.exec_all(statements, {}, deadline)) {
    for (int row = 0; row < result.rows(); ++row) {
      const GuardKey key{result.int64(row, 1), std::string(result.text(row, 2))};
      const Mark mark{result.int64(row, 3), result.int64(row, 4)};
      const std::string_view what = result.text(row, 0);
      if (what == "t") marks.truncated[key.first] = mark;
      if (what == "g") marks.rows[key] = mark;
      if (what == "s") marks.seen.insert(key);
    }
  }
  return marks;
}

// What is newer than its mark and than the table's last TRUNCATE passes, and moves the mark for those behind it. A
// delete must be newer than what every route of the table has.
Outcome::Fate Applier::judge(const Event& event, const Row& row, const std::vector<int64_t>& scopes, Marks& marks) {
  if (!row.guarded) return Fate::done;
  if (row.effect == Effect::append) {
    const GuardKey key{scopes.front(), row.identity};
    if (!marks.seen.insert(key).second) return Fate::repeated;
    marks.fresh.insert(key);
    return Fate::done;
  }
  const Mark now{event.epoch, event.seq};
  Fate fate = Fate::done;
  for (const int64_t scope : scopes) {
    const GuardKey key{scope, row.identity};
    Mark& mark = marks.rows[key];
    if (mark == now) {
      fate = Fate::repeated;
    } else if (now < mark || now <= marks.truncated[scope]) {
      fate = fate == Fate::repeated ? fate : Fate::superseded;
      continue;
    } else {
      mark = now;
      marks.moved[key] = now;
      marks.deleted[key] = row.effect == Effect::remove;
    }
  }
  return fate;
}

std::string Applier::value(const Row& row, size_t column) const {
  if (!row.values[column]) return "NULL";
  return targets_[row.route].columns[column].from_text(text(*row.values[column]));
}

std::string Applier::same_key(const Row& row, const char* alias) const {
  std::string condition;
  for (const size_t column : routes_[row.route].key)
    condition += (condition.empty() ? "" : " AND ") + std::string(alias) + "." +
                 targets_[row.route].columns[column].quoted + " = " + value(row, column);
  return condition;
}

// A standing row is updated, else one is inserted. Not ON DUPLICATE KEY UPDATE, which would write over another row that
// has the same value in another unique index.
void Applier::write_row(const Row& row, std::string& statements, Deadline deadline) {
  const Target& target = targets_[row.route];
  const auto& key = routes_[row.route].key;
  if (row.effect == Effect::remove) {
    statements += "DELETE t FROM " + target.quoted + " AS t WHERE " + same_key(row, "t") + "; ";
    return;
  }
  std::string names, values, sets;
  for (size_t column = 0; column < row.present.size(); ++column) {
    if (!row.present[column]) continue;
    const std::string& name = target.columns[column].quoted;
    const std::string sent = value(row, column);
    add(names, name);
    add(values, sent);
    if (std::find(key.begin(), key.end(), column) == key.end()) add(sets, "t." + name + " = " + sent);
  }
  const std::string insert = "INSERT INTO " + target.quoted + " (" + names + ")";
  const std::string update = "UPDATE " + target.quoted + " AS t SET " + sets + " WHERE ";
  const bool partial = std::find(row.present.begin(), row.present.end(), false) != row.present.end();
  if (row.effect == Effect::append) {
    statements += insert + " VALUES (" + values + "); ";
  } else if (partial) {
    // The server refuses an INSERT that leaves out a NOT NULL column, even where it would insert nothing.
    statements += sets.empty() ? "SELECT 1 FROM " + target.quoted + " AS t WHERE " + same_key(row, "t")
                               : update + same_key(row, "t");
    const auto results = connection_.exec_all(statements, {}, deadline);
    statements.clear();
    const bool stands = sets.empty() ? results.back().rows() > 0 : results.back().affected() > 0;
    if (!stands) statements = insert + " VALUES (" + values + "); ";
  } else {
    if (!sets.empty()) statements += update + same_key(row, "t") + "; ";
    statements += insert + " SELECT " + values + " FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM " + target.quoted +
                  " AS x WHERE " + same_key(row, "x") + "); ";
  }
}

std::string Applier::marks_written(const Marks& marks) const {
  std::string moved, fresh;
  for (const auto& [key, mark] : marks.moved)
    add(moved, tuple({std::to_string(key.first), text(key.second), std::to_string(mark.first),
                      std::to_string(mark.second), marks.deleted.at(key) ? "1" : "0"}));
  for (const GuardKey& key : marks.fresh)
    add(fresh, tuple({std::to_string(key.first), text(key.second), "UTC_TIMESTAMP()"}));
  std::string statements;
  if (!moved.empty())
    statements += "INSERT INTO " + state_.guard() + " (scope, row_key, epoch, seq, deleted) VALUES " + moved +
                  " ON DUPLICATE KEY UPDATE epoch = VALUES(epoch), seq = VALUES(seq), deleted = VALUES(deleted); ";
  if (!fresh.empty())
    statements += "INSERT INTO " + state_.seen() + " (scope, message_id, seen_at) VALUES " + fresh + "; ";
  return statements;
}

void Applier::apply(std::span<const Event* const> batch, const std::vector<const Row*>& rows,
                    std::vector<Outcome>& outcomes, Deadline deadline) {
  std::vector<std::vector<int64_t>> scopes;
  scopes.reserve(rows.size());
  for (const Row* row : rows) scopes.push_back(scopes_of(*batch[row->event], *row, deadline));
  std::vector<std::optional<Fate>> fates(batch.size());
  in_transaction(
      [&] {
        Marks marks = lock_marks(rows, scopes, deadline);
        std::string statements;
        for (size_t i = 0; i < rows.size(); ++i) {
          const Fate fate = judge(*batch[rows[i]->event], *rows[i], scopes[i], marks);
          if (fate == Fate::done) write_row(*rows[i], statements, deadline);
          auto& known = fates[rows[i]->event];
          if (!known || weight(fate) > weight(*known)) known = fate;
        }
        statements += marks_written(marks);
        if (!statements.empty()) connection_.exec(statements, deadline);
        connection_.exec("COMMIT", deadline);
      },
      deadline);
  for (size_t i = 0; i < fates.size(); ++i)
    if (fates[i]) outcomes[i] = {*fates[i], "", milliseconds(0)};
}

Outcome Applier::truncate(std::span<const Event* const> batch, size_t truncate, const std::vector<const Row*>& added,
                          Deadline deadline) {
  const Event& event = *batch[truncate];
  // A scope made inside the transaction would be remembered though it was rolled back.
  std::map<size_t, int64_t> scopes;
  for (size_t i = 0; i < routes_.size(); ++i)
    if (routes_[i].mode == Route::Mode::upsert && routes_[i].takes(event))
      for (const size_t sibling : siblings_of(i))
        scopes[sibling] = state_.scope(connection_, targets_[sibling].identity, event.source, source_object(event),
                                       routes_[sibling].name, deadline);
  std::vector<std::vector<int64_t>> added_scopes;
  added_scopes.reserve(added.size());
  for (const Row* row : added) added_scopes.push_back(scopes_of(event, *row, deadline));
  return in_transaction(
      [&] {
        Fate all = Fate::repeated;
        Marks marks = lock_marks(added, added_scopes, deadline);
        for (const auto& [route, scope] : scopes) {
          const Fate fate = truncate_one(event, targets_[route], scope, deadline);
          if (fate == Fate::superseded) {
            connection_.exec("ROLLBACK", deadline);
            return Outcome::dead("TRUNCATE came late: newer rows are in place");
          }
          if (fate == Fate::done) all = fate;
        }
        std::string statements;
        for (size_t i = 0; i < added.size(); ++i) {
          if (judge(event, *added[i], added_scopes[i], marks) != Fate::done) continue;
          write_row(*added[i], statements, deadline);
          all = Fate::done;
        }
        statements += marks_written(marks);
        if (!statements.empty()) connection_.exec(statements, deadline);
        connection_.exec("COMMIT", deadline);
        return Outcome{all, "", milliseconds(0)};
      },
      deadline);
}

// DELETE, for MySQL's TRUNCATE would commit by itself.
Outcome::Fate Applier::truncate_one(const Event& event, const Target& target, int64_t scope, Deadline deadline) {
  if (event.epoch != 0 || event.seq != 0) {
    const mysql::Param mark[] = {event.epoch, event.seq, scope, event.epoch, event.epoch, event.seq};
    const auto marked = connection_.exec(
        "UPDATE " + state_.scopes() +
            " SET truncated_epoch = ?, truncated_seq = ? WHERE id = ? AND (truncated_epoch < ? OR (truncated_epoch = ? "
            "AND truncated_seq < ?))",
        mark, deadline);
    if (marked.affected() == 0) return Fate::repeated;
    const mysql::Param newer[] = {scope, event.epoch, event.epoch, event.seq};
    const auto found = connection_.exec(
        "SELECT 1 FROM " + state_.guard() + " WHERE scope = ? AND (epoch > ? OR (epoch = ? AND seq > ?)) LIMIT 1",
        newer, deadline);
    if (found.rows() > 0) return Fate::superseded;
  }
  connection_.exec("DELETE FROM " + target.quoted, deadline);
  connection_.exec("DELETE FROM " + state_.guard() + " WHERE scope = " + std::to_string(scope),
                   deadline);  // the scope's mark stands for them
  return Fate::done;
}

}  // namespace muskrat::mysql_target
