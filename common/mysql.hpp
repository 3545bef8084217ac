// MySQL and MariaDB: the thin wrapper around libmariadb. mysql.h is included in mysql*.cpp alone.
//
// Used by the relay's sources, the mysql endpoint and the CLI. Neighbour and
// model: common/pg.hpp. A connection and all it made is one world on one thread.
// Every call takes a deadline; libmariadb runs in its non-blocking mode and the waits
// are poll()s of ours (docs/adr/0070). A lost connection or a passed deadline is a
// Failure{reconnect}; a statement that the server refused is a SqlError (itself a
// Failure) that leaves the connection usable.
//
// A session is always the same, whatever the server's defaults: utf8mb4, UTC, strict
// sql_mode without ANSI_QUOTES or NO_BACKSLASH_ESCAPES, READ COMMITTED, autocommit;
// "affected" counts the rows that matched, also those that did not change.
// What it does not do: pooling, retries, server-side prepared statements, type mapping
// beyond text and integers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/failure.hpp"
#include "common/stop.hpp"

namespace muskrat::mysql {

// The server refused a statement. what() is the server's message without the values that it quotes, which are
// customers' data: names of tables, columns and users stay, texts of rows and statements do not.
class SqlError : public Failure {
 public:
  SqlError(Remedy remedy, const std::string& what, int code, std::string sqlstate, std::string constraint,
           std::string column);
  int code() const { return code_; }  // the server's error number, as 1062
  const std::string& sqlstate() const { return sqlstate_; }
  const std::string& constraint() const { return constraint_; }
  const std::string& column() const { return column_; }
  // Deadlocks, lock waits, shutdowns, full disks, read-only servers and the like: trying again may help.
  bool transient() const;
  // Whatever the statement's values: what it needs on the server is not there, broken, forbidden or set up otherwise,
  // or the server takes nothing now. All others are the statement's.
  bool of_the_server() const;

 private:
  int code_;
  std::string sqlstate_, constraint_, column_;
};

// mysql://user@host:port/database?option=value&…, with %-escapes. Options: socket (path of a Unix socket; the host is
// then localhost or left out), ssl-mode (disabled, required: encrypted but not verified, verify: chain and name),
// ssl-ca, ssl-cert, ssl-key. ssl-mode is `disabled` on loopback and Unix sockets unless given, `verify` elsewhere.
struct Address {
  std::string dsn;       // without the password where one is configured apart
  std::string password;  // overrides the DSN's
  std::string application_name = "muskrat";
};

// A parsed DSN. Failure{reconnect} when it is none; the message does not show it, for it may hold a password.
struct Location {
  enum class Tls { disabled, required, verify };
  std::string user, password, host = "localhost", database, socket;
  int port = 3306;
  Tls tls = Tls::disabled;
  std::string ca, certificate, key;
  // "database x on host:port", never a secret.
  std::string place() const;
};
Location parse_dsn(const std::string& dsn);

// A parameter: NULL, an integer or a text. A viewed text must outlive the call.
class Param {
 public:
  Param() = default;  // NULL
  Param(std::nullopt_t) {}
  Param(std::string_view text) : kind_(Kind::text), text_(text) {}
  Param(const std::string& text) : kind_(Kind::text), text_(text) {}
  Param(const char* text) : kind_(Kind::text), text_(text) {}
  Param(int64_t number) : kind_(Kind::number), number_(number) {}
  Param(int number) : kind_(Kind::number), number_(number) {}
  Param(const std::optional<std::string>& text) {
    if (text) *this = Param(*text);
  }

 private:
  friend class Connection;
  enum class Kind { null, text, number };
  Kind kind_ = Kind::null;
  std::string_view text_;
  int64_t number_ = 0;
};

// What a column of a result holds; the texts are those of the server, in UTC and utf8mb4.
struct Column {
  enum class Kind {
    integer,
    boolean,
    decimal,
    single,
    real,
    bits,
    date,
    datetime,
    timestamp,
    time,
    json,
    text,
    bytes,
    geometry
  };
  std::string name;
  Kind kind = Kind::text;  // boolean: TINYINT(1)
  unsigned long bits = 0;  // of a BIT column
};

class Result {
 public:
  Result() = default;
  int rows() const;
  int columns() const;
  const Column& column(int column) const { return head_.at(static_cast<size_t>(column)); }
  bool null(int row, int column) const;
  std::string_view text(int row, int column) const;  // view into the result; "" for NULL
  int64_t int64(int row, int column) const;          // throws Failure{stop} when it is no integer
  bool boolean(int row, int column) const;           // anything but 0, "" and NULL
  int64_t affected() const { return affected_; }     // rows matched by INSERT/UPDATE/DELETE
  int64_t insert_id() const { return insert_id_; }   // AUTO_INCREMENT value of the first row inserted

 private:
  friend class Connection;
  std::shared_ptr<void> handle_;  // a MYSQL_RES, read whole; or the texts of streamed rows
  std::vector<Column> head_;
  struct Cell {
    const char* data;
    unsigned long size;
  };
  const Cell& cell(int row, int column) const;
  std::vector<Cell> cells_;
  int64_t affected_ = 0, insert_id_ = 0;
  int columns_ = 0;
};

class Connection {
 public:
  // Connects within the deadline, obeying `stop`, and sets the session up.
  // Failure{reconnect}: host down, wrong password (secrets rotate), too many connections.
  // Failure{stop}: the DSN itself cannot be parsed.
  static Connection open(const Address& address, Deadline deadline, const Stop* stop = nullptr);

  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // One or more statements; `?` outside quotes and comments stands for a parameter, in order. Returns the last result
  // that has rows, else the last one. The first refused statement throws, the rest is not run.
  Result exec(std::string_view sql, std::span<const Param> params, Deadline deadline);
  Result exec(std::string_view sql, Deadline deadline) { return exec(sql, {}, deadline); }
  // As above, with the result of every statement.
  std::vector<Result> exec_all(std::string_view sql, std::span<const Param> params, Deadline deadline);
  // One statement, whose rows are then read by next_rows() as the server makes them. Until the last is read nothing
  // else can be asked; a connection that goes before that drops the statement.
  void stream(std::string_view sql, std::span<const Param> params, Deadline deadline);
  // The next rows, at most so many; fewer: there are no more.
  Result next_rows(int most, Deadline deadline);
  // From now on no wait outlasts a request to stop (Failure; the connection is spoiled), and `beat` is called every
  // second of one. For statements that may run for minutes.
  void attend(const Stop& stop, std::function<void()> beat);
  // The text with its parameters in place, as exec() would send it.
  std::string render(std::string_view sql, std::span<const Param> params) const;

  int socket() const;
  uint64_t session_id() const;
  int server_version() const;  // 101119 of MariaDB 10.11.19
  bool mariadb() const;        // else MySQL
  bool in_transaction() const;
  // Longest statement that the server takes (max_allowed_packet).
  int64_t max_statement_bytes() const;
  static std::string quote_identifier(std::string_view name);
  std::string quote_literal(std::string_view text) const;
  // Where it is connected, for messages: "database x on host:port", never a secret.
  const std::string& place() const;

 private:
  struct Impl;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muskrat::mysql
