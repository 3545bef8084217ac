#include "common/token_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/failure.hpp"

namespace muskrat {
namespace {

constexpr off_t room_bytes = 4096;
constexpr milliseconds look{20};

std::string resolved(const std::string& path) {
  const char* folder = std::getenv("STATE_DIRECTORY");
  if (path.starts_with('/') || folder == nullptr || *folder == '\0') return path;
  return (std::filesystem::path(folder) / path).string();
}

std::string trimmed(std::string text) {
  const size_t last = text.find_last_not_of(" \t\r\n");
  text.erase(last == std::string::npos ? 0 : last + 1);
  return text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

// Whether what was renamed in there is on disk.
bool sync_folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  return synced;
}

}  // namespace

TokenFile::TokenFile(const std::string& path, Deadline deadline) : path_(resolved(path)), next_(path_ + ".new") {
  try {
    take_hold(deadline);
    read();
    make_room();
  } catch (...) {
    if (lock_fd_ >= 0) ::close(lock_fd_);
    throw;
  }
}

TokenFile::~TokenFile() {
  if (next_fd_ >= 0) {
    ::close(next_fd_);
    ::unlink(next_.c_str());
  }
  ::close(lock_fd_);
}

void TokenFile::fail(const std::string& doing, int error) const {
  throw Failure(Remedy::reconnect, "cannot " + doing + " the file " + path_ + ": " + std::strerror(error) +
                                       "; it and its folder must be there, and be this process's to write");
}

void TokenFile::take_hold(Deadline deadline) {
  lock_fd_ = ::open((path_ + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_fd_ < 0) fail("lock", errno);
  while (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) fail("lock", errno);
    if (deadline.passed())
      throw Failure(Remedy::reconnect, "the file " + path_ + " is held by another process that logs in with it");
    std::this_thread::sleep_for(look);
  }
}

void TokenFile::read() {
  std::ifstream file(path_, std::ios::binary);
  if (!file) fail("read", errno == 0 ? ENOENT : errno);
  token_ = trimmed({std::istreambuf_iterator<char>(file), {}});
  if (token_.empty()) throw Failure(Remedy::reconnect, "the file " + path_ + " is empty; put a token into it");
}

void TokenFile::make_room() {
  next_fd_ = ::open(next_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (next_fd_ < 0) fail("write beside", errno);
  const int error = ::posix_fallocate(next_fd_, 0, room_bytes);
  if (error == 0 || error == EOPNOTSUPP || error == EINVAL) return;
  ::close(next_fd_);
  ::unlink(next_.c_str());
  fail("make room beside", error);
}

void TokenFile::replace(const std::string& token) {
  const std::string text = token + "\n";
  if (next_fd_ < 0) make_room();
  if (::pwrite(next_fd_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    fail("write beside", errno == 0 ? ENOSPC : errno);
  if (::ftruncate(next_fd_, static_cast<off_t>(text.size())) != 0 || ::fsync(next_fd_) != 0)
    fail("write beside", errno);
  if (::rename(next_.c_str(), path_.c_str()) != 0) fail("replace", errno);
  ::close(next_fd_);
  next_fd_ = -1;
  token_ = token;
  if (!sync_folder_of(path_)) fail("sync the folder of", errno);
}

}  // namespace muskrat
