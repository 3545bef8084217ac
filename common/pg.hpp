// PostgreSQL: the thin wrapper around libpq. libpq-fe.h is included in pg*.cpp alone.
//
// Used by the relay's postgres source, the postgres endpoint and the CLI.
// A connection and all it made is one world on one thread. Every call takes a
// deadline and waits in poll() on the socket; a lost connection or a passed
// deadline is a Failure{reconnect}, a statement that the server refused is a
// SqlError (itself a Failure) that leaves the connection usable.
// What it does not do: pooling, retries, type mapping beyond text and integers.
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
#include "common/pg_binary.hpp"
#include "common/stop.hpp"

namespace muskrat::pg {

// The server refused a statement. what() is the server's primary message plus
// its hint, without DETAIL (DETAIL quotes row values, which are customers' data).
class SqlError : public Failure {
 public:
  SqlError(Remedy remedy, const std::string& what, std::string sqlstate, std::string constraint, std::string column);
  const std::string& sqlstate() const { return sqlstate_; }
  const std::string& constraint() const { return constraint_; }
  const std::string& column() const { return column_; }
  // Classes 08, 53, 57, 58, XX, and 25006/40001/40P01/55P03: trying again may help.
  bool transient() const;

 private:
  std::string sqlstate_, constraint_, column_;
};

struct Address {
  std::string dsn;       // libpq conninfo or URI, without the password where one is configured apart
  std::string password;  // overrides the DSN's; empty = libpq's own rules (.pgpass, PGPASSWORD)
  std::string application_name = "muskrat";
  // How long one statement may run behind which others are sent ahead (pipeline()): the server does not read them
  // before, and a peer that reads nothing for longer, or for 30 s if that is longer, counts as vanished.
  milliseconds longest_statement{0};
};

// Failure{reconnect} when it cannot be parsed; the message does not show it, for it may hold a password.
void check_dsn(const std::string& dsn);

// A text parameter; nullopt is NULL. The viewed text must outlive the call.
using Param = std::optional<std::string_view>;

// How a statement's results come: as text, or as their types' send functions write them (pg_binary.hpp).
enum class Format { text = 0, binary = 1 };

// The texts as one parameter of type text[].
std::string text_array(const std::vector<std::string>& items);

class Result {
 public:
  Result() = default;
  int rows() const;
  int columns() const;
  std::string name(int column) const;
  bool null(int row, int column) const;
  std::string_view text(int row, int column) const;  // view into the result; "" for NULL. In binary: the bytes
  int64_t int64(int row, int column) const;          // throws Failure{stop} when it is no integer
  int64_t binary_int(int row, int column) const;     // an integer, boolean or "char" in binary; 0 for NULL
  bool boolean(int row, int column) const;
  int64_t affected() const;  // rows touched by INSERT/UPDATE/DELETE

 private:
  friend class Connection;
  std::shared_ptr<void> handle_;  // a PGresult
};

struct Notification {
  std::string channel, payload;
  int backend_pid;
};

class Connection {
 public:
  // Connects within the deadline, obeying `stop`. sslmode defaults to the DSN's, else "prefer" on loopback and
  // Unix sockets, "verify-full" elsewhere. client_encoding is UTF8.
  // Failure{reconnect}: host down, DNS, wrong password or a DSN that cannot be parsed (secrets rotate), too many
  // connections.
  static Connection open(const Address& address, Deadline deadline, const Stop* stop = nullptr);

  Connection(Connection&&) noexcept;
  Connection& operator=(Connection&&) noexcept;
  ~Connection();

  // One or more statements without parameters (the last result is returned).
  Result exec(const std::string& sql, Deadline deadline);
  // One statement with text parameters $1, $2, …
  Result exec(const std::string& sql, std::span<const Param> params, Deadline deadline);
  // As above, prepared on first use under a name kept by this object.
  Result exec_prepared(const std::string& sql, std::span<const Param> params, Deadline deadline,
                       Format format = Format::text);
  // The same in two: the answer is waited for later. In between nothing else may be asked.
  void send_prepared(const std::string& sql, std::span<const Param> params, Deadline deadline, Format format);
  Result receive(Deadline deadline);
  // Of what has been read off the socket (consume_input()) enough for receive() not to wait for its first result.
  bool answered() const;
  // Streams rows in single-row mode: `row` sees one-row results; returns the number of rows. When `row` throws, the
  // connection is spoiled.
  int64_t stream(const std::string& sql, std::span<const Param> params, const std::function<void(const Result&)>& row,
                 Deadline deadline);
  // Several statements in one round trip (pipeline mode, one implicit transaction unless they say BEGIN/COMMIT).
  // The result at i belongs to statement i; the first refused statement throws, the rest is skipped. A commit that is
  // refused throws too.
  struct Statement {
    std::string sql;
    std::vector<Param> params;
    // It will come again: the server keeps it parsed (so long as it has not many), under a name kept by this object.
    // SqlError 26000 where a pooler has given us another session: names are forgotten, so the next try works.
    bool repeated = false;
  };
  std::vector<Result> pipeline(std::span<const Statement> statements, Deadline deadline);
  // The server makes the plans of the session anew once in so long. One that it made when a table was small, and keeps,
  // reads the table whole until statistics tell that it has grown.
  void replan_every(milliseconds span);

  // Streams the rows of a query without parameters by COPY, in binary: a fraction of what stream() costs both sides.
  // `row` sees each row's fields; returns the number of rows. When `row` throws, the connection is spoiled.
  int64_t copy_out(const std::string& query, const std::function<void(const CopyRows::Fields&)>& row,
                   Deadline deadline);
  // COPY … FROM STDIN: `data` is sent whole. Returns rows copied.
  int64_t copy_in(const std::string& copy_sql, std::string_view data, Deadline deadline);

  // From now on no wait outlasts a request to stop (the statement is cancelled: Failure), and `beat` is called every
  // second of one. For statements that may run for minutes.
  void attend(const Stop& stop, std::function<void()> beat);
  // The beat alone; {} ends it. When it throws, the statement is cancelled and the connection spoiled.
  void on_wait(std::function<void()> beat);

  int socket() const;
  // Reads what has arrived without waiting (call when socket() is readable); throws when the connection is gone.
  void consume_input();
  std::optional<Notification> next_notification();

  // From now on notices go to `told` too, one line each; it must not throw.
  void on_notice(std::function<void(std::string_view text)> told);
  // WARNINGs that the server has raised so far (compare before and after a statement). Notices go to the debug log.
  int warnings_seen() const;
  int backend_pid() const;
  int server_version() const;  // 150020
  bool in_transaction() const;
  std::string quote_identifier(std::string_view name) const;
  std::string quote_literal(std::string_view text) const;
  // Where it is connected, for messages: "dbname on host:port", never a secret.
  const std::string& place() const;

 private:
  struct Impl;
  explicit Connection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace muskrat::pg
