#include "consumer/mailbox.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace muskrat {

Mailbox::Mailbox() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw Failure(Remedy::stop, std::string("cannot make an eventfd: ") + std::strerror(errno));
}

Mailbox::~Mailbox() { close(fd_); }

void Mailbox::post(Report report) {
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = reports_.empty();
    reports_.push_back(std::move(report));
  }
  const uint64_t one = 1;
  // a full counter is readable too, so nothing is lost by a write that would block
  if (first && write(fd_, &one, sizeof one) < 0) return;
}

std::vector<Report> Mailbox::take() {
  uint64_t count = 0;
  // drained before the reports are taken: one posted in between leaves the descriptor readable
  if (read(fd_, &count, sizeof count) < 0 && errno != EAGAIN) return {};
  std::lock_guard lock(mutex_);
  return std::exchange(reports_, {});
}

void Mailbox::wait(Deadline deadline, int stop_fd) const {
  pollfd fds[] = {{fd_, POLLIN, 0}, {stop_fd, POLLIN, 0}};
  poll(fds, stop_fd < 0 ? 1 : 2, deadline.poll_timeout());
}

}  // namespace muskrat
