#include "consumer/endpoints/append_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.hpp"

namespace muskrat {
namespace {

constexpr size_t chunk = size_t{64} * 1024;

// The last `bytes` of an open file, without the part of a line that they may begin with.
std::string read_tail(int fd, int64_t size, size_t bytes) {
  const int64_t start = std::max<int64_t>(0, size - static_cast<int64_t>(bytes));
  std::string text(static_cast<size_t>(size - start), '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = pread(fd, text.data() + have, text.size() - have, start + static_cast<int64_t>(have));
    if (n <= 0) break;
    have += static_cast<size_t>(n);
  }
  text.resize(have);
  if (start == 0) return text;
  const size_t line = text.find('\n');
  return line == std::string::npos ? std::string() : text.substr(line + 1);
}

// 20261123T211200Z, perhaps with a counter behind: only such files are ours to read back or drop.
bool is_stamp(std::string_view text) {
  constexpr std::string_view digits = "0123456789";
  return text.size() >= 16 && text[8] == 'T' && text[15] == 'Z' &&
         text.substr(0, 8).find_first_not_of(digits) == std::string_view::npos &&
         text.substr(9, 6).find_first_not_of(digits) == std::string_view::npos;
}

// When the file was made, as far as its file system knows; else when it was last written to.
int64_t made_s(int fd, const struct stat& status) {
  struct statx more {};
  const bool known = statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0 && (more.stx_mask & STATX_BTIME) != 0;
  return known ? more.stx_btime.tv_sec : status.st_ctime;
}

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace

AppendFile::AppendFile(std::string path, bool sync, int64_t rotate_bytes, milliseconds rotate_age, size_t keep)
    : path_(std::move(path)), sync_(sync), rotate_bytes_(rotate_bytes), rotate_age_(rotate_age), keep_(keep) {}

AppendFile::~AppendFile() { close(); }

void AppendFile::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void AppendFile::fail(const std::string& doing, int error) const {
  std::string hint;
  if (error == ENOSPC || error == EDQUOT) hint = "; make room, writing goes on by itself";
  if (error == ENOENT) hint = "; create its folder";
  if (error == EACCES || error == EPERM) hint = "; give this process the right to write there";
  throw Failure(Remedy::reconnect, "cannot " + doing + " " + path_ + ": " + std::strerror(error) + hint);
}

void AppendFile::open() {
  close();
  take_hold();
  struct stat status {};
  if (fstat(fd_, &status) != 0) fail("look at", errno);
  if (!S_ISREG(status.st_mode)) throw Failure(Remedy::reconnect, path_ + " is not a regular file; name another path");
  size_ = status.st_size;
  begun_s_ = size_ == 0 ? std::time(nullptr) : made_s(fd_, status);
  cut_torn_line();
  if (sync_) sync_folder();
}

void AppendFile::take_hold() {
  fd_ = ::open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
  if (fd_ < 0) fail("open", errno);
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  const int error = errno;
  close();
  if (error != EWOULDBLOCK) fail("lock", error);
  throw InUse("another process writes to " + path_ + "; stop it, or name another path");
}

void AppendFile::cut_torn_line() {
  const std::string end = [&] {
    std::string last(1, '\n');
    if (size_ > 0 && pread(fd_, last.data(), 1, size_ - 1) != 1) fail("read", errno);
    return last;
  }();
  if (end == "\n") return;
  int64_t keep = size_;
  std::string block;
  size_t at = std::string::npos;
  while (keep > 0 && at == std::string::npos) {
    const int64_t start = std::max<int64_t>(0, keep - static_cast<int64_t>(chunk));
    block.resize(static_cast<size_t>(keep - start));
    if (pread(fd_, block.data(), block.size(), start) != static_cast<ssize_t>(block.size())) fail("read", errno);
    at = block.rfind('\n');
    keep = at == std::string::npos ? start : start + static_cast<int64_t>(at) + 1;
  }
  log::warning("consumer", "cut off a torn last line", {{"file", path_}, {"bytes", size_ - keep}});
  size_ = keep;
  take_back();
}

void AppendFile::take_back() {
  if (ftruncate(fd_, size_) != 0) fail("repair", errno);
}

void AppendFile::append(std::string_view lines) {
  if (lines.empty()) return;
  rotate_when_due();
  write_all(lines);
  if (sync_ && fdatasync(fd_) != 0) {
    // After a failed fsync the kernel may have dropped the pages: nothing of this batch is taken for written.
    const int error = errno;
    take_back();
    fail("sync", error);
  }
  size_ += static_cast<int64_t>(lines.size());
}

void AppendFile::write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd_, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      take_back();
      fail("write to", error);
    }
    text.remove_prefix(static_cast<size_t>(n));
  }
}

void AppendFile::rotate_when_due() {
  if (fd_ < 0 || size_ == 0) return;
  const bool old = std::time(nullptr) - begun_s_ >= rotate_age_.count() / 1000;
  if (size_ >= rotate_bytes_ || old) rotate();
}

std::string AppendFile::rotated_name() const {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char stamp[32];
  const size_t length = std::strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &parts);
  const std::string base = path_ + "." + std::string(stamp, length);
  std::string name = base;
  for (int n = 1; std::filesystem::exists(name); ++n)
    name = base + "-" + std::string(n < 10 ? "00" : n < 100 ? "0" : "") + std::to_string(n);
  return name;
}

void AppendFile::rotate() {
  if (fsync(fd_) != 0) fail("sync", errno);
  const std::string name = rotated_name();
  if (rename(path_.c_str(), name.c_str()) != 0) fail("rotate", errno);
  drop_oldest();
  open();
}

void AppendFile::sync_folder() const {
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) fail("open the folder of", errno);
  const int result = fsync(folder);
  const int error = errno;
  ::close(folder);
  if (result != 0) fail("sync the folder of", error);
}

// Their names end in a time, so they sort by age.
std::vector<std::string> AppendFile::rotated_files() const {
  std::vector<std::string> files;
  const std::string prefix = std::filesystem::path(path_).filename().string() + ".";
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder_of(path_), ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && is_stamp(std::string_view(name).substr(prefix.size())))
      files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void AppendFile::drop_oldest() const {
  const auto files = rotated_files();
  for (size_t i = 0; keep_ > 0 && i + keep_ < files.size(); ++i) std::filesystem::remove(files[i]);
}

std::string AppendFile::rotated_tail(size_t bytes) const {
  const auto files = rotated_files();
  const std::string newest = files.empty() ? "" : files.back();
  const int fd = newest.empty() ? -1 : ::open(newest.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  struct stat status {};
  std::string text = fstat(fd, &status) == 0 ? read_tail(fd, status.st_size, bytes) : std::string();
  ::close(fd);
  return text;
}

std::string AppendFile::tail(size_t bytes) const {
  std::string text = read_tail(fd_, size_, bytes);
  return text.size() < bytes ? rotated_tail(bytes - text.size()) + text : text;
}

}  // namespace muskrat
