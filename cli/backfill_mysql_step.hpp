// One chunk of a backfill in MySQL and MariaDB: which rows are next, their locks, their events, and how far it is now,
// all in the transaction that the caller has open.
//
// Used by backfill_mysql.cpp. Neighbours: backfill_mysql_sql.hpp has the statements, sql/mysql/backfill.sql the tables.
// Thread rule: the main thread. What it does not do: transactions, and what to do about errors.
#pragma once

#include <string>

#include "cli/backfill_mysql_order.hpp"

namespace muskrat::cli {

class MysqlBackfillStep {
 public:
  // Refers to the connection, which may be exchanged for another of the same session settings between two steps.
  explicit MysqlBackfillStep(mysql::Connection& db) : db_(db) {}

  // At most so many rows. Refused: it cannot go on; with the reason.
  BackfillState run(int64_t id, int64_t most);

 private:
  struct Stand;
  Stand stand_of(int64_t id);
  const BackfillSql& sql_in_hand(const Stand& stand);
  void walk(const BackfillSql& sql, Stand& stand, int64_t most);
  void again(const BackfillSql& sql, Stand& stand, int64_t most);
  void tell(const BackfillSql& sql, const std::set<RowKey>& rows, BackfillState& at);
  void note(int64_t id, const RowKey& key);
  void keep(const Stand& stand);
  mysql::Result ask(const std::string& sql, std::span<const mysql::Param> params = {});

  mysql::Connection& db_;
  BackfillSql sql_;  // of the backfill in hand, made when the attachments were as stamp_ says
  std::string stamp_;
};

}  // namespace muskrat::cli
