// What the mysql*.cpp files share: a libmariadb handle and the waiting on it.
//
// mysql_connect.cpp opens it, mysql_query.cpp asks through it, mysql.cpp holds
// results, errors and the small accessors, mysql_dsn.cpp reads addresses. Nobody else
// includes this (or mysql.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <mysql.h>

#include "common/mysql.hpp"

namespace muskrat::mysql {

struct Connection::Impl {
  ~Impl();

  MYSQL* handle = nullptr;
  std::string place, secret;
  int64_t max_packet = 0;
  bool spoiled = false;
  MYSQL_RES* streaming = nullptr;  // of stream(), until its last row is read
  const Stop* attended = nullptr;  // see attend()
  std::function<void()> beat;

  void expect_usable() const;
  // Marks the connection as spoiled and throws Failure{reconnect}.
  [[noreturn]] void lost(const std::string& what);
  // Throws what the handle's last error is: SqlError of the server's, else the connection is lost.
  [[noreturn]] void refused(const char* doing);
  // Waits until what libmariadb waits for has come; throws when it does not in time.
  int wait(int events, Deadline deadline, const Stop* stop, const char* doing);
  // Runs one of libmariadb's _start/_cont pairs to its end.
  template <typename Start, typename Continue>
  void drive(Start start, Continue go_on, Deadline deadline, const Stop* stop, const char* doing) {
    for (int events = start(); events != 0;) events = go_on(wait(events, deadline, stop, doing));
  }
  void send(const std::string& sql, Deadline deadline);
  // Of the statement under way; sets what the result says.
  MYSQL_RES* store(Deadline deadline);
  bool next(Deadline deadline);
  // The next row of the stream; null at its end, which frees it.
  MYSQL_ROW fetch(Deadline deadline);
  void end_stream(Deadline deadline);
};

std::vector<Column> columns_of(MYSQL_RES* rows);

// The server's error as an exception, without the values it quotes.
SqlError sql_error(int code, const std::string& sqlstate, const std::string& message);
// What stands between quotes blotted out, unless this error quotes names only.
std::string without_values(int code, const std::string& message);
// libmariadb's text on one line, with `secret` blotted out.
std::string tidy(const char* text, const std::string& secret);

}  // namespace muskrat::mysql
