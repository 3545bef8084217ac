// Files in which a daemon keeps state: where they are, and the lock that says who may use them.
//
// Used by the host (consumer/state) and by scheduled sources (relay/scheduled).
// Thread rule: plain values.
#pragma once

#include <string>

namespace muskrat {

// A relative path counts from $STATE_DIRECTORY, which systemd sets, or else from the working directory.
std::string state_path(const std::string& configured);

// Root, who makes a file in the folder of a daemon's user, makes it for that user, who could not open it otherwise.
void leave_to_owner_of_folder(int fd, const std::string& path);

// An exclusive lock on a file of its own, held as long as this lives; the kernel frees it with the process. Not on a
// database itself: a descriptor of that, closed, would drop SQLite's own locks.
class FileLock {
 public:
  FileLock() = default;
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();
  // Makes the file; nothing is held when another holds the lock. `setting` is what names the file, for the
  // Failure{stop} when it cannot be made.
  static FileLock try_take(const std::string& path, const std::string& setting);
  // Whether somebody holds it, for those who only look; true too where that cannot be known.
  static bool held(const std::string& path);
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace muskrat
