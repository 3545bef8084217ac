// SQLite: the thin wrapper around sqlite3. sqlite3.h is included in sqlite.cpp alone.
//
// Used by the host's state database (consumer/state/sqlite_store.cpp) and by whoever keeps small state in a file.
// A Database and the Statements made from it belong to one thread; several may have the same file open, in one process
// or in several. What was committed survives kill -9 and, where the disk keeps its word, a power cut (WAL, synced at
// each commit). A file that is locked, full or unwritable is a Failure{reconnect}; one that is damaged or no database
// is a Failure{stop}. Messages name the file and never a value.
// What it does not do: pooling, migrations, types beyond text and integers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/clock.hpp"
#include "common/failure.hpp"

namespace muskrat::sqlite {

class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  // Parameters count from 1; a text must outlive the next run() or step().
  Statement& bind(int parameter, int64_t value);
  Statement& bind(int parameter, std::string_view value);
  // The next row; false when there is none. The statement is then ready to be bound and run again.
  bool step();
  // For a statement whose rows do not matter, if it has any.
  void run();
  // Leaves rows unread.
  void reset();
  // Columns count from 0; a text's view lasts until the next step().
  int64_t integer(int column) const;
  std::string_view text(int column) const;

 private:
  friend class Database;
  struct Impl;
  explicit Statement(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Database {
 public:
  // Opens or makes the file, readable by its owner alone; what root makes belongs to the owner of its folder.
  // `patience`: how long to wait for another's lock.
  static Database open(const std::string& path, milliseconds patience);
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  void exec(const std::string& sql);  // one or more statements without parameters
  Statement prepare(const std::string& sql);
  // Empties the write-ahead log, which keeps pages as they were before a DELETE. Failure{reconnect} when another reads
  // from it for as long as the patience.
  void empty_log();
  int64_t changes() const;  // rows touched by the last statement
  int64_t last_id() const;  // the row id of the last insert
  const std::string& path() const;

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Writes from BEGIN IMMEDIATE to commit(); without commit() they are rolled back.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) { database_.exec("BEGIN IMMEDIATE"); }
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

// Reads from one snapshot: the file's lock is taken once and not for each statement.
class Reading {
 public:
  explicit Reading(Database& database) : database_(database) { database_.exec("BEGIN"); }
  ~Reading();
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

 private:
  Database& database_;
};

}  // namespace muskrat::sqlite
