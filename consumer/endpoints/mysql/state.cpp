#include "consumer/endpoints/mysql/state.hpp"

namespace muskrat::mysql_target {

std::string State::ddl() const {
  const std::string text = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL";
  const std::string table = ") ENGINE = InnoDB";
  return "CREATE TABLE IF NOT EXISTS " + scopes() +
         " (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, name_hash "
         "CHAR(64) CHARACTER SET ascii NOT NULL UNIQUE, endpoint VARCHAR(255)" +
         text + ", target VARCHAR(255)" + text + ", source VARCHAR(255)" + text + ", object VARCHAR(255)" + text +
         ", route VARCHAR(255)" + text +
         ", truncated_epoch BIGINT NOT NULL DEFAULT 0, truncated_seq BIGINT NOT NULL DEFAULT 0" + table +
         ";\nCREATE TABLE IF NOT EXISTS " + guard() + " (scope BIGINT NOT NULL, row_key VARCHAR(700)" + text +
         ", epoch BIGINT NOT NULL, seq BIGINT NOT NULL, deleted TINYINT NOT NULL, PRIMARY KEY (scope, row_key)" +
         table + ";\nCREATE TABLE IF NOT EXISTS " + seen() + " (scope BIGINT NOT NULL, message_id VARCHAR(255)" + text +
         ", seen_at DATETIME NOT NULL, PRIMARY KEY (scope, message_id), KEY seen_at (seen_at)" + table + ";";
}

void State::prepare(mysql::Connection& connection, Deadline deadline) {
  ids_.clear();
  const mysql::Param params[] = {prefix_ + "scope", prefix_ + "guard", prefix_ + "seen"};
  const auto there = connection.exec(
      "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (?, ?, ?)",
      params, deadline);
  if (there.int64(0, 0) == 3) return;
  try {
    connection.exec(ddl(), deadline);
  } catch (const mysql::SqlError& error) {
    throw Failure(Remedy::reconnect, "cannot make the endpoint's state tables: " + std::string(error.what()) +
                                         "; let this user create them, or run as another and grant it SELECT, INSERT, "
                                         "UPDATE, DELETE:\n" +
                                         ddl());
  }
}

int64_t State::scope(mysql::Connection& connection, const std::string& target, const std::string& source,
                     const std::string& object, const std::string& route, Deadline deadline) {
  const std::string name = target + '\n' + source + '\n' + object + '\n' + route;
  if (const auto known = ids_.find(name); known != ids_.end()) return known->second;
  const std::string whole = endpoint_ + '\n' + name;
  const mysql::Param by_name[] = {whole};
  const std::string find = "SELECT id FROM " + scopes() + " WHERE name_hash = SHA2(?, 256)";
  auto rows = connection.exec(find, by_name, deadline);
  if (rows.rows() == 0) {
    // The tombstones and the last TRUNCATE of the table's other routes count for a new one too.
    const std::string siblings =
        " FROM " + scopes() + " s WHERE s.endpoint = ? AND s.target = ? AND s.source = ? AND s.object = ?";
    const mysql::Param params[] = {whole, endpoint_, target, source, object, route, endpoint_, target, source, object};
    connection.exec(
        "INSERT IGNORE INTO " + scopes() +
            " (name_hash, endpoint, target, source, object, route, truncated_epoch, truncated_seq) SELECT "
            "SHA2(?, 256), ?, ?, ?, ?, ?, COALESCE(MAX(t.truncated_epoch), 0), COALESCE(MAX(t.truncated_seq), "
            "0) FROM (SELECT s.truncated_epoch, s.truncated_seq" +
            siblings + " ORDER BY s.truncated_epoch DESC, s.truncated_seq DESC LIMIT 1) AS t",
        params, deadline);
    rows = connection.exec(find, by_name, deadline);
    const mysql::Param copy[] = {rows.int64(0, 0), endpoint_, target, source, object};
    connection.exec("INSERT IGNORE INTO " + guard() +
                        " (scope, row_key, epoch, seq, deleted) SELECT ?, g.row_key, g.epoch, g.seq, 1 FROM " +
                        guard() + " g JOIN (SELECT s.id" + siblings +
                        ") AS o ON g.scope = o.id WHERE g.deleted ORDER BY g.row_key, g.epoch DESC, g.seq DESC",
                    copy, deadline);
  }
  return ids_[name] = rows.int64(0, 0);
}

bool State::forget_seen(mysql::Connection& connection, milliseconds age, Deadline deadline) const {
  constexpr int64_t at_a_time = 10'000;
  const mysql::Param params[] = {std::chrono::duration_cast<std::chrono::seconds>(age).count(), at_a_time};
  const auto gone = connection.exec(
      "DELETE FROM " + seen() + " WHERE seen_at < UTC_TIMESTAMP() - INTERVAL ? SECOND ORDER BY seen_at LIMIT ?", params,
      deadline);
  return gone.affected() >= at_a_time;
}

}  // namespace muskrat::mysql_target
