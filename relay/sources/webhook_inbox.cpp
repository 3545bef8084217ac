#include "relay/sources/webhook_inbox.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <sys/eventfd.h>
#include <unistd.h>

#include "common/failure.hpp"

namespace muskrat {
namespace {

// Fewer than the listener has threads: there is always one to say no.
constexpr size_t most_waiters = 48;

}  // namespace

WebhookInbox::WebhookInbox() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (fd_ < 0) throw Failure(Remedy::stop, std::string("cannot make an eventfd: ") + std::strerror(errno));
}

WebhookInbox::~WebhookInbox() { close(fd_); }

bool WebhookInbox::deliver(Event&& event, Deadline deadline) {
  const auto item = std::make_shared<Item>(Item{std::move(event), std::nullopt});
  std::unique_lock lock(mutex_);
  if (!open_ || waiters_ >= most_waiters) return false;
  const uint64_t one = 1;
  // A full counter is readable too, so nothing is lost by a write that would block.
  if (waiting_.empty() && write(fd_, &one, sizeof one) < 0 && errno != EAGAIN) return false;
  ++waiters_;
  waiting_.push_back(item);
  told_.wait_until(lock, deadline.instant(), [&] { return item->taken.has_value(); });
  if (!item->taken) std::erase(waiting_, item);  // nobody is left to be told
  --waiters_;
  return item->taken.value_or(false);
}

WebhookInbox::Batch WebhookInbox::take() {
  const std::lock_guard lock(mutex_);
  uint64_t count = 0;
  if (read(fd_, &count, sizeof count) < 0 && errno != EAGAIN) return {};
  return std::exchange(waiting_, {});
}

void WebhookInbox::tell(const Batch& batch, bool taken) {
  const std::lock_guard lock(mutex_);
  for (const auto& item : batch) item->taken = taken;
  told_.notify_all();
}

void WebhookInbox::open(bool yes) {
  const std::lock_guard lock(mutex_);
  open_ = yes;
}

}  // namespace muskrat
