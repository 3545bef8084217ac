#include "common/amqp_watchdog.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/failure.hpp"
#include "common/threads.hpp"

namespace muskrat::amqp {

struct Watchdog::Entry {
  explicit Entry(int descriptor) : fd(descriptor) {}
  ~Entry() { ::close(fd); }

  const int fd;
  std::atomic<int64_t> due_ns{0};  // on the steady clock; 0 = no call under way
  std::atomic<const Stop*> stop{nullptr};
  std::atomic<bool> fired{false};

  void look(int64_t now_ns) {
    auto due = due_ns.load();
    if (due == 0 || fired.load()) return;
    auto* asked = stop.load();
    if (now_ns < due && !(asked != nullptr && asked->requested())) return;
    fired.store(true);
    ::shutdown(fd, SHUT_RDWR);
  }
};

namespace {

int64_t steady_ns(SteadyTime instant) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(instant.time_since_epoch()).count();
}

// The thread and what it watches. Never destroyed: it must outlive every connection, wherever that is kept.
class Kennel {
 public:
  Kennel() {
    std::thread([this] { run(); }).detach();
  }

  void add(std::shared_ptr<Watchdog::Entry> entry) {
    std::lock_guard lock(mutex_);
    entries_.push_back(std::move(entry));
    changed_.notify_one();
  }

  void remove(const std::shared_ptr<Watchdog::Entry>& entry) {
    std::lock_guard lock(mutex_);
    std::erase(entries_, entry);
  }

  // After this the thread is not in the middle of looking at anything.
  void settle() { std::lock_guard lock(mutex_); }

 private:
  [[noreturn]] void run() {
    name_this_thread("watchdog");
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !entries_.empty(); });
      for (auto& entry : entries_) entry->look(steady_ns(std::chrono::steady_clock::now()));
      lock.unlock();
      std::this_thread::sleep_for(milliseconds(100));
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Watchdog::Entry>> entries_;
};

Kennel& kennel() {
  static Kennel& instance = *new Kennel;
  return instance;
}

}  // namespace

Watchdog::Watchdog(int fd) {
  int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw Failure(Remedy::reconnect, std::string("cannot watch the broker's socket: ") + strerror(errno));
  entry_ = std::make_shared<Entry>(copy);
  kennel().add(entry_);
}

Watchdog::~Watchdog() {
  kennel().remove(entry_);
  ::shutdown(entry_->fd, SHUT_RDWR);
}

Watchdog::Guard::Guard(Watchdog& watchdog, Deadline deadline, const Stop* stop) : watchdog_(watchdog) {
  watchdog_.entry_->stop.store(stop);
  watchdog_.entry_->due_ns.store(std::max<int64_t>(1, steady_ns(deadline.instant())));
}

Watchdog::Guard::~Guard() {
  watchdog_.entry_->due_ns.store(0);
  // The thread may hold the Stop in its hand, and its owner may end it once we return.
  if (watchdog_.entry_->stop.exchange(nullptr) != nullptr) kennel().settle();
}

bool Watchdog::Guard::fired() const { return watchdog_.entry_->fired.load(); }

}  // namespace muskrat::amqp
