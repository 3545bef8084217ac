// A secret that the other side replaces from time to time, such as a refresh token, in a file of its own.
//
// Used by logins that get such a one (salesforce_login.cpp). Who logs in holds the file (flock on <path>.lock), so that
// no two processes use up one token. The room for the next one is made before the present one is used; it is put in
// place by a rename, synced. Mode 0600. Thread rule: one owner. What it does not do: encrypt.
#pragma once

#include <string>

#include "common/clock.hpp"

namespace muskrat {

class TokenFile {
 public:
  // Waits for whoever holds it. Relative paths count from $STATE_DIRECTORY, which systemd sets, or else from the
  // working directory. Failure{reconnect} when it is not there, empty, held for too long, or cannot be replaced later.
  TokenFile(const std::string& path, Deadline deadline);
  ~TokenFile();
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;

  const std::string& token() const { return token_; }
  // Failure{reconnect}: the old one is still in place.
  void replace(const std::string& token);

 private:
  void take_hold(Deadline deadline);
  void read();
  void make_room();
  [[noreturn]] void fail(const std::string& doing, int error) const;

  const std::string path_, next_;
  std::string token_;
  int lock_fd_ = -1, next_fd_ = -1;
};

}  // namespace muskrat
