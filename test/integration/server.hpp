// What the tests against real servers share: addresses from the environment
// (test/run.py starts the servers and sets it), and a broker that can be told
// to misbehave.
//
//   MUSKRAT_TEST_PG_DSN       a PostgreSQL in which we may do anything
//   MUSKRAT_TEST_PG_STANDBY_DSN   a hot standby of it
//   MUSKRAT_TEST_MYSQL_DSN    a MariaDB in which we may do anything, and its port with TLS
//   MUSKRAT_TEST_AMQP_URL     a RabbitMQ in which we may do anything
//   MUSKRAT_TEST_BROKER_CTL   shell words that begin a rabbitmqctl command
//   MUSKRAT_TEST_BROKER_PID   the Erlang VM, for SIGSTOP
#pragma once

#include <chrono>
#include <cstdlib>
#include <string>

#include "test/unit/unit.hpp"

namespace muskrat::integration {

inline std::string setting(const char* name) {
  const char* value = getenv(name);
  if (value == nullptr) fail_msg("%s is not set; run it through make check ONLY='--only integration'", name);
  return value == nullptr ? "" : value;
}

inline void broker_ctl(const std::string& words) {
  auto command = setting("MUSKRAT_TEST_BROKER_CTL") + " " + words + " >/dev/null 2>&1";
  // NOLINTNEXTLINE(cert-env33-c): the words are ours, and a shell is what splits them
  if (system(command.c_str()) != 0) fail_msg("rabbitmqctl %s failed", words.c_str());
}

class Stopwatch {
 public:
  int64_t ms() const {
    auto passed = std::chrono::steady_clock::now() - began_;
    return std::chrono::duration_cast<std::chrono::milliseconds>(passed).count();
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace muskrat::integration
