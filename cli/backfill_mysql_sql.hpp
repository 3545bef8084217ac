// The statements that make events of rows that are there, in MySQL and MariaDB: which rows are next, their locks, and
// the events of them.
//
// Used by backfill_mysql*.cpp and verify_mysql.cpp. Neighbours: capture_mysql/generator.hpp writes what a trigger would
// write of a row. Pure text from plain values: no connection, any thread.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "capture_mysql/table.hpp"

namespace muskrat::cli {

// A row's key: SQL literals, one for each column of the walking key.
using RowKey = std::vector<std::string>;

struct BackfillSql {
  struct Part {
    std::string name, routing_key, words;
    capture_mysql::Options options;
  };

  capture_mysql::Table table;
  std::vector<std::string> key;  // the primary key, by which rows are walked
  std::vector<Part> parts;       // the attachments meant
  std::string condition;         // of the command; "" = all rows
  std::string endpoint;          // "" = all that subscribe

  // Refused where the key's type cannot be walked by.
  void check() const;
  // Conditions over the key, for the WHERE of the statements below. `after` may be empty: from the first row on; `last`
  // too: to the end.
  std::string between(const RowKey& after, const RowKey& last) const;
  std::string exactly(const RowKey& key) const;
  std::string among(const std::set<RowKey>& keys) const;

  std::string last_key() const;
  // Keys of the next rows, and whether the condition holds; no locks.
  std::string next(const std::string& which, int64_t most) const;
  // Locks rows for sharing and returns their keys; what others hold is left out.
  std::string lock(const std::string& which) const;
  // The events of those among these rows that the command and a part mean, in the order of the key: the key's literals,
  // ordering key, body (NULL where it is larger), headers. No locks.
  std::string events(const Part& part, const std::set<RowKey>& keys, size_t most_bytes) const;
  // Tells events, each as told() writes it: of rows that this transaction has locked and of no others, for an id drawn
  // for a row that somebody may still change would put its old state behind the new. Always as VALUES, for which no
  // lock is taken: by INSERT … SELECT (innodb_autoinc_lock_mode = 1) the outbox's ids are locked to the end of the
  // statement, and where a trigger waits for them, to the end of *its* statement, which may hold rows that we are to
  // lock, or wait for ours.
  static constexpr const char* tell =
      "INSERT INTO muskrat.outbox (op, routing_key, ordering_key, body, headers) VALUES ";
  static std::string told(const Part& part, const std::string& ordering_key, const std::string& body,
                          const std::string& headers);
  // The same of one row whose body is large, without its leaving the server: into variables of the session, and thence.
  std::string make(const Part& part, const RowKey& one) const;
  static std::string tell_made(const Part& part);
  // Asks the server whether it takes the condition.
  std::string probe() const;

  // Rows as the events that they would be, without locks: the key's literals, the key as a JSON array, then for each
  // part the body (NULL where the attachment does not mean the row) and what it lacks.
  std::string look(const std::string& which, int64_t most) const;
  // Whether a row may be much larger than others; then sizes() says how many bytes each has, behind its key.
  bool large_rows() const;
  std::string sizes(const std::string& which, int64_t most) const;
  // Whether a part means the row; "" = each does.
  std::string meant() const;

 private:
  std::string condition_sql() const;
  std::string from() const;
  std::string order(const char* direction) const;
  std::string key_literals() const;
  std::string headers(const Part& part, const std::string& omitted) const;
};

}  // namespace muskrat::cli
