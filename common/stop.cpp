#include "common/stop.hpp"

#include <cstring>
#include <string>
#include <thread>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/failure.hpp"
#include "common/threads.hpp"

namespace muskrat {

namespace {

int checked_descriptor(int fd, const char* what) {
  if (fd >= 0) return fd;
  throw Failure(Remedy::stop, std::string(what) + ": " + strerror(errno) +
                                  "; raise the limit of open files (ulimit -n, or LimitNOFILE= in the unit)");
}

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Stop::Stop() : fd_(checked_descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "cannot make an event descriptor")) {}

Stop::~Stop() { ::close(fd_); }

void Stop::request() {
  requested_.store(true, std::memory_order_relaxed);
  int saved = errno;  // a signal handler must leave it as it was
  uint64_t one = 1;
  // It can only fail with EAGAIN, when the descriptor is readable already.
  [[maybe_unused]] auto written = ::write(fd_, &one, sizeof one);
  errno = saved;
}

bool Stop::wait(milliseconds span) const {
  auto deadline = Deadline::in(span);
  while (!requested() && !deadline.passed()) {
    pollfd entry{fd_, POLLIN, 0};
    ::poll(&entry, 1, deadline.poll_timeout());
  }
  return requested();
}

struct SignalThread::Impl {
  Impl(Stop& told, Reload on_hup, void* with, int fd) : stop(told), reload(on_hup), context(with), signal_fd(fd) {}

  Stop& stop;
  Reload reload;
  void* context;
  int signal_fd;
  Stop ended;
  std::thread thread;

  void run();
  void receive();
};

void SignalThread::Impl::run() {
  while (!ended.requested()) {
    pollfd entries[2] = {{signal_fd, POLLIN, 0}, {ended.fd(), POLLIN, 0}};
    if (::poll(entries, 2, Deadline::distant().poll_timeout()) > 0 && (entries[0].revents & POLLIN) != 0) receive();
  }
}

void SignalThread::Impl::receive() {
  signalfd_siginfo info{};
  if (::read(signal_fd, &info, sizeof info) != static_cast<ssize_t>(sizeof info)) return;
  if (info.ssi_signo == SIGHUP) {
    if (reload != nullptr) reload(context);
    return;
  }
  // A second ^C is a person who does not want to wait for the drain.
  if (info.ssi_signo == SIGINT && stop.requested()) ::_exit(128 + SIGINT);
  stop.request();
}

SignalThread::SignalThread(Stop& stop, Reload reload, void* context) {
  auto set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  (void)signal(SIGPIPE, SIG_IGN);  // a peer that hangs up is an error code, not a death
  int fd = checked_descriptor(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "cannot receive signals");
  impl_ = std::make_unique<Impl>(stop, reload, context, fd);
  impl_->thread = std::thread([impl = impl_.get()] {
    name_this_thread("signals");
    impl->run();
  });
}

SignalThread::~SignalThread() {
  impl_->ended.request();
  impl_->thread.join();
  ::close(impl_->signal_fd);
}

}  // namespace muskrat
