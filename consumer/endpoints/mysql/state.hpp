// The mysql endpoint's own tables beside the targets: which state each row has, which messages were seen.
//
// The same three tables as the postgres endpoint's, with a prefix instead of a schema. Used by the applier, in the
// transaction of the effects. Thread rule: its connection's thread.
#pragma once

#include <map>
#include <string>

#include "common/mysql.hpp"

namespace muskrat::mysql_target {

class State {
 public:
  State(std::string prefix, std::string endpoint) : prefix_(std::move(prefix)), endpoint_(std::move(endpoint)) {}

  // Makes the tables when they are not there. Failure{reconnect} with the SQL for somebody else to run.
  void prepare(mysql::Connection& connection, Deadline deadline);
  std::string scopes() const { return mysql::Connection::quote_identifier(prefix_ + "scope"); }
  std::string guard() const { return mysql::Connection::quote_identifier(prefix_ + "guard"); }
  std::string seen() const { return mysql::Connection::quote_identifier(prefix_ + "seen"); }
  // The number under which marks of (target, source, object, route) are kept. Not to be called inside a transaction.
  int64_t scope(mysql::Connection& connection, const std::string& target, const std::string& source,
                const std::string& object, const std::string& route, Deadline deadline);
  // Forgets message ids older than `age`, a bounded number; true when there may be more.
  bool forget_seen(mysql::Connection& connection, milliseconds age, Deadline deadline) const;

 private:
  std::string ddl() const;

  std::string prefix_, endpoint_;
  std::map<std::string, int64_t> ids_;
};

}  // namespace muskrat::mysql_target
