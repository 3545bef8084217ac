#include "consumer/endpoints/postgres/state.hpp"

namespace muskrat::postgres {

std::string State::ddl() const {
  return "CREATE SCHEMA IF NOT EXISTS " + quoted_schema_ + ";\nCREATE TABLE IF NOT EXISTS " + scopes_ +
         " (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, endpoint text NOT NULL, target text NOT NULL, source text "
         "NOT "
         "NULL, object text NOT NULL, route text NOT NULL, truncated_epoch bigint NOT NULL DEFAULT 0, truncated_seq "
         "bigint "
         "NOT NULL DEFAULT 0, UNIQUE (endpoint, target, source, object, route));\nCREATE TABLE IF NOT EXISTS " +
         guard_ +
         " (scope int NOT NULL, row_key text COLLATE \"C\" NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL, "
         "deleted "
         "boolean NOT NULL, PRIMARY KEY (scope, row_key)) WITH (fillfactor = 80);\nCREATE TABLE IF NOT EXISTS " +
         seen_ +
         " (scope int NOT NULL, message_id text COLLATE \"C\" NOT NULL, seen_at timestamptz NOT NULL DEFAULT now(), "
         "PRIMARY "
         "KEY (scope, message_id));\nCREATE INDEX IF NOT EXISTS seen_at ON " +
         seen_ + " USING brin (seen_at);";
}

void State::prepare(pg::Connection& connection, Deadline deadline) {
  ids_.clear();
  quoted_schema_ = connection.quote_identifier(schema_);
  scopes_ = quoted_schema_ + ".scope";
  guard_ = quoted_schema_ + ".guard";
  seen_ = quoted_schema_ + ".seen";
  const auto complete = connection.exec(
      "SELECT pg_catalog.to_regclass(" + connection.quote_literal(scopes_) +
          ") IS NOT NULL AND pg_catalog.to_regclass(" + connection.quote_literal(guard_) +
          ") IS NOT NULL AND pg_catalog.to_regclass(" + connection.quote_literal(seen_) + ") IS NOT NULL",
      deadline);
  if (complete.boolean(0, 0)) return;
  try {
    // several lanes arrive at once, and IF NOT EXISTS does not wait for the others
    connection.exec("BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('muskrat " + schema_ + "'))",
                    deadline);
    connection.exec(ddl(), deadline);
    connection.exec("COMMIT", deadline);
  } catch (const pg::SqlError& error) {
    throw Failure(Remedy::reconnect,
                  "cannot make the endpoint's state tables: " + std::string(error.what()) +
                      "; let this role create them, or run as their owner and grant it SELECT, INSERT, "
                      "UPDATE, DELETE:\n" +
                      ddl());
  }
}

int State::scope(pg::Connection& connection, const std::string& target, const std::string& source,
                 const std::string& object, const std::string& route, Deadline deadline) {
  const std::string name = target + '\n' + source + '\n' + object + '\n' + route;
  if (const auto known = ids_.find(name); known != ids_.end()) return known->second;
  const std::vector<pg::Param> params{endpoint_, target, source, object, route};
  // The tombstones and the last TRUNCATE of the table's other routes count for a new one too.
  const std::string siblings =
      " FROM " + scopes_ + " s WHERE s.endpoint = $1 AND s.target = $2 AND s.source = $3 AND s.object = $4";
  const auto newest_truncate = [&](const std::string& column) {
    return "COALESCE((SELECT s." + column + siblings +
           " ORDER BY s.truncated_epoch DESC, s.truncated_seq DESC LIMIT 1), 0)";
  };
  connection.exec(
      "WITH made AS (INSERT INTO " + scopes_ +
          " (endpoint, target, source, object, route, truncated_epoch, truncated_seq) SELECT $1, $2, $3, $4, $5, " +
          newest_truncate("truncated_epoch") + ", " + newest_truncate("truncated_seq") +
          " ON CONFLICT DO NOTHING RETURNING id) INSERT INTO " + guard_ +
          " (scope, row_key, epoch, seq, deleted) SELECT DISTINCT ON (g.row_key) made.id, g.row_key, g.epoch, "
          "g.seq, true FROM made, " +
          guard_ + " g WHERE g.deleted AND g.scope IN (SELECT s.id" + siblings +
          ") ORDER BY g.row_key, g.epoch DESC, g.seq DESC",
      params, deadline);
  const auto rows =
      connection.exec("SELECT id FROM " + scopes_ +
                          " WHERE endpoint = $1 AND target = $2 AND source = $3 AND object = $4 AND route = $5",
                      params, deadline);
  return ids_[name] = static_cast<int>(rows.int64(0, 0));
}

bool State::forget_seen(pg::Connection& connection, milliseconds age, Deadline deadline) {
  constexpr int at_a_time = 5000;
  const auto gone = connection.exec("DELETE FROM " + seen_ + " WHERE ctid = ANY (ARRAY (SELECT ctid FROM " + seen_ +
                                        " WHERE seen_at < now() - interval '" + std::to_string(age.count() / 1000) +
                                        " seconds' LIMIT " + std::to_string(at_a_time) + " FOR UPDATE SKIP LOCKED))",
                                    deadline);
  return gone.affected() >= at_a_time;
}

}  // namespace muskrat::postgres
