// A file that only grows by whole lines: append, fsync, rotate, and repair after a crash.
//
// Used by the `file` endpoint. Every failure is Failure{reconnect}: a full disk is the endpoint's trouble and no
// event's. A write that failed half-way is taken back (truncated), so that a later line never starts in the middle of a
// torn one. Thread rule: one owner; one process writes to a path (a lock on the file sees to it).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/failure.hpp"

namespace muskrat {

class AppendFile {
 public:
  AppendFile(std::string path, bool sync, int64_t rotate_bytes, milliseconds rotate_age, size_t keep);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  void open();  // creates it, or cuts a torn last line off
  void append(std::string_view lines);
  void rotate_when_due();
  // The last whole lines, `bytes` at most, of the file and where it is short of the one rotated before.
  std::string tail(size_t bytes) const;

 private:
  [[noreturn]] void fail(const std::string& doing, int error) const;
  void take_hold();
  void cut_torn_line();
  void write_all(std::string_view text);
  void take_back();
  void rotate();
  void sync_folder() const;
  std::string rotated_tail(size_t bytes) const;
  std::string rotated_name() const;
  std::vector<std::string> rotated_files() const;  // oldest first
  void drop_oldest() const;
  void close();

  const std::string path_;
  const bool sync_;
  const int64_t rotate_bytes_;
  const milliseconds rotate_age_;
  const size_t keep_;  // rotated files; 0: all
  int fd_ = -1;
  int64_t size_ = 0;
  int64_t begun_s_ = 0;  // wall time; of the file's first line as far as it is known
};

}  // namespace muskrat
