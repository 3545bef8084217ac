// What the pg*.cpp files share: a libpq connection and the waiting on it.
//
// pg_connect.cpp opens it, pg_query.cpp asks through it, pg.cpp holds results,
// errors and the small accessors. Nobody else includes this (or libpq-fe.h).
// libpq never waits here: it is in non-blocking mode, and wait() polls.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <libpq-fe.h>

#include "common/pg.hpp"

namespace muskrat::pg {

struct ConnectionCloser {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};

// poll() for `events` (POLLIN, POLLOUT) until the deadline; false when it passed or `stop` was requested.
bool wait_socket(int fd, short events, Deadline deadline, const Stop* stop = nullptr);

// libpq's text on one line, with `secret` blotted out.
std::string tidy(const char* text, const std::string& secret);

struct Connection::Impl {
  std::unique_ptr<PGconn, ConnectionCloser> conn;
  std::string place;
  std::string secret;                           // never shown: to be blotted out of libpq's texts
  std::map<std::string, std::string> prepared;  // statement text → its name
  int prepared_count = 0;
  std::string sent;    // the prepared statement that is under way, or was last
  std::string prefix;  // of the names of prepared statements
  milliseconds replan_every{0};
  SteadyTime planned_at{};
  int warnings = 0;
  std::function<void(std::string_view)> told_of_notices;
  bool spoiled = false;
  const Stop* stop = nullptr;  // see attend()
  std::function<void()> beat;

  PGconn* raw() const { return conn.get(); }
  void expect_usable() const;
  // Marks the connection as spoiled and throws Failure{reconnect}.
  [[noreturn]] void lost(const std::string& what);
  // As lost(), and asks the server to drop the statement that nobody waits for any more.
  [[noreturn]] void timed_out(const char* doing);
  [[noreturn]] void gave_up(const std::string& why);

  void check_sent(int ok, const char* doing);
  void wait(short events, Deadline deadline, const char* doing);
  void beat_in_mid_statement();
  // Writes what libpq has queued, reading meanwhile: a server that cannot write to us stops reading.
  void flush(Deadline deadline);
  // The next result of the command under way; empty at its end.
  std::shared_ptr<PGresult> next_result(Deadline deadline);
  // The last result of the command; throws SqlError for the first refused statement when all is read.
  std::shared_ptr<PGresult> finish(Deadline deadline);
  const std::string& prepare(const std::string& sql, Deadline deadline);

  // In a pipeline. True when it is prepared for that, under a name that is in `fresh` then: one answer more.
  bool send_in_pipeline(const Connection::Statement& statement, std::map<std::string, std::string>& fresh);
  bool plans_are_old();
  std::string next_name();
  std::vector<std::shared_ptr<PGresult>> pipeline_results(size_t count, Deadline deadline);
  void send_copy(std::string_view data, Deadline deadline);
  // What the server sends next of its COPY; nothing at its end, which may be an error's (finish() tells).
  std::unique_ptr<char, decltype(&PQfreemem)> next_copied(size_t& bytes, Deadline deadline);
  std::shared_ptr<PGresult> ask(const std::string& sql, std::span<const Param> params, Format format,
                                Deadline deadline);
  // Reads the command to its end and throws what `result` (may be empty) says.
  [[noreturn]] void refuse(const std::shared_ptr<PGresult>& result, Deadline deadline);

  static void on_notice(void* self, const PGresult* notice);
};

bool refused(const PGresult* result);
SqlError sql_error(const PGresult* result);

}  // namespace muskrat::pg
