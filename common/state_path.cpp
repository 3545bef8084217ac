#include "common/state_path.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/failure.hpp"

namespace muskrat {

std::string state_path(const std::string& configured) {
  const std::filesystem::path path = configured;
  const char* folder = std::getenv("STATE_DIRECTORY");
  if (path.is_absolute() || folder == nullptr || *folder == '\0') return path.string();
  return (std::filesystem::path(folder) / path).string();
}

void leave_to_owner_of_folder(int fd, const std::string& path) {
  const std::string folder = std::filesystem::absolute(path).parent_path();
  struct stat info {};
  if (::geteuid() != 0 || ::stat(folder.c_str(), &info) != 0) return;
  if (info.st_uid != 0 && ::fchown(fd, info.st_uid, info.st_gid) != 0)
    throw Failure(Remedy::reconnect, "cannot give the file " + path + " to the owner of its folder: " +
                                         std::strerror(errno) + "; run this as the folder's owner");
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

FileLock FileLock::try_take(const std::string& path, const std::string& setting) {
  FileLock lock;
  lock.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock.fd_ < 0)
    throw Failure(Remedy::stop, "cannot make the file " + path + ": " + std::strerror(errno) +
                                    "; make its folder, or name another with " + setting);
  leave_to_owner_of_folder(lock.fd_, path);
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) == 0) return lock;
  return {};
}

// With a shared lock, for an instant: two that look do not see each other.
bool FileLock::held(const std::string& path) {
  FileLock look;
  look.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (look.fd_ < 0) return errno != ENOENT;
  return ::flock(look.fd_, LOCK_SH | LOCK_NB) != 0;
}

}  // namespace muskrat
