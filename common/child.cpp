#include "common/child.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.hpp"
#include "common/tame.hpp"

namespace muskrat {
namespace {

constexpr milliseconds goodbye{2'000};
constexpr size_t read_bytes = size_t{64} << 10;
constexpr unsigned log_lines_a_second = 10;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

struct Pipe {
  Descriptor read, write;
  Pipe() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0)
      throw Failure(Remedy::reconnect, std::string("cannot make a pipe: ") + std::strerror(errno));
    read = Descriptor(ends[0]);
    write = Descriptor(ends[1]);
  }
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  // posix_spawn takes char* and changes nothing
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

void not_blocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

// posix_spawn's attributes: a group of its own, no blocked or ignored signals inherited.
struct Attributes {
  posix_spawnattr_t value{};
  Attributes() {
    posix_spawnattr_init(&value);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&value, &none);
    posix_spawnattr_setsigdefault(&value, &all);
    posix_spawnattr_setpgroup(&value, 0);
    posix_spawnattr_setflags(&value, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~Attributes() { posix_spawnattr_destroy(&value); }
};

struct Actions {
  posix_spawn_file_actions_t value{};
  Actions() { posix_spawn_file_actions_init(&value); }
  ~Actions() { posix_spawn_file_actions_destroy(&value); }
};

}  // namespace

struct Child::Impl {
  ChildOptions options;
  pid_t pid = -1;
  int status = 0;  // as waitpid() tells it, once it has ended
  Descriptor input, output;
  std::string to_write, read;
  size_t taken = 0;  // of `read`: lines that were given out
  std::vector<char> room = std::vector<char>(read_bytes);
  bool output_closed = false;
  Descriptor end_of_log{eventfd(0, EFD_CLOEXEC)};
  std::thread logger;

  void start() {
    Pipe in, out, err;
    Actions actions;
    posix_spawn_file_actions_adddup2(&actions.value, in.read.get(), 0);
    posix_spawn_file_actions_adddup2(&actions.value, out.write.get(), 1);
    posix_spawn_file_actions_adddup2(&actions.value, err.write.get(), 2);
    // ours are all close-on-exec; a library's may not be
    posix_spawn_file_actions_addclosefrom_np(&actions.value, 3);
    if (!options.folder.empty()) posix_spawn_file_actions_addchdir_np(&actions.value, options.folder.c_str());
    const Attributes attributes;
    const auto argv = pointers(options.argv), environment = pointers(options.environment);
    const int fault = posix_spawnp(&pid, argv[0], &actions.value, &attributes.value, argv.data(), environment.data());
    if (fault != 0)
      throw Failure(Remedy::reconnect, "cannot start " + options.argv[0] + ": " + std::strerror(fault) +
                                           "; look at the command, its rights and its folder");
    input = std::move(in.write);
    output = std::move(out.read);
    not_blocking(input.get());
    not_blocking(output.get());
    logger = std::thread([this, fd = std::move(err.read)]() mutable { log_errors(fd.get()); });
  }

  // ---- standard error ----

  void log_errors(int fd) {
    std::string text;
    std::array<char, 4096> part{};
    while (true) {
      std::array<pollfd, 2> fds{pollfd{fd, POLLIN, 0}, pollfd{end_of_log.get(), POLLIN, 0}};
      poll(fds.data(), fds.size(), -1);
      if (fds[0].revents == 0) return;  // told to end, and nothing is left to read
      const ssize_t got = ::read(fd, part.data(), part.size());
      if (got <= 0) return;
      for (const char c : std::string_view(part.data(), static_cast<size_t>(got))) {
        if (c == '\n')
          log_line(std::exchange(text, {}));
        else if (text.size() < 400)
          text += c;
      }
    }
  }

  void log_line(const std::string& text) {
    const auto now = std::chrono::steady_clock::now();
    if (now - second_began > std::chrono::seconds(1)) {
      if (logged > log_lines_a_second)
        log::warning("consumer", "the child says more than is logged",
                     {{options.label, options.name}, {"lines", uint64_t{logged - log_lines_a_second}}});
      second_began = now;
      logged = 0;
    }
    if (++logged <= log_lines_a_second)
      log::warning("consumer", "the child says", {{options.label, options.name}, {"text", tame(text)}});
  }
  SteadyTime second_began{};
  unsigned logged = 0;

  // ---- lines ----

  std::optional<std::string> take_line() {
    const size_t end = read.find('\n', taken);
    if (end == std::string::npos) {
      read.erase(0, std::exchange(taken, 0));
      if (read.size() > options.line_bytes) {
        throw Failure(Remedy::reconnect, options.argv[0] + " wrote a line of more than " +
                                             std::to_string(options.line_bytes) +
                                             " bytes, so it is no result; restarted");
      }
      return std::nullopt;
    }
    std::string line = read.substr(taken, end - taken);
    taken = end + 1;
    return line;
  }

  // Its input closed is no failure yet: it may have answered. (main() ignores SIGPIPE.)
  void write_some() {
    const ssize_t wrote = ::write(input.get(), to_write.data(), to_write.size());
    if (wrote > 0) to_write.erase(0, static_cast<size_t>(wrote));
    if (wrote < 0 && errno != EAGAIN && errno != EINTR) input.close();
  }

  void read_some() {
    const ssize_t got = ::read(output.get(), room.data(), room.size());
    if (got > 0) read.append(room.data(), static_cast<size_t>(got));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) output_closed = true;
  }

  // ---- the end ----

  bool reap(bool wait) {
    if (pid < 0) return true;
    if (waitpid(pid, &status, wait ? 0 : WNOHANG) != pid) return false;
    if (WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0))
      log::info("consumer", "the child has ended",
                {{options.label, options.name},
                 {"signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0},
                 {"code", WIFEXITED(status) ? WEXITSTATUS(status) : 0}});
    return true;
  }

  void finish(milliseconds patience) {
    input.close();
    const Deadline deadline = Deadline::in(patience);
    bool gone = pid < 0;
    while (!gone && !deadline.passed() && !(gone = reap(false))) std::this_thread::sleep_for(milliseconds(5));
    if (pid > 0) {
      kill(-pid, SIGKILL);  // the group: also what it left behind
      if (!gone) reap(true);
    }
    pid = -1;
    const uint64_t one = 1;
    if (logger.joinable() && ::write(end_of_log.get(), &one, sizeof one) == sizeof one) logger.join();
  }
};

Child::Child(ChildOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->start();
}

Child::~Child() { impl_->finish(goodbye); }

void Child::send(std::string_view text) { impl_->to_write += text; }

std::optional<std::string> Child::line(Deadline deadline) {
  Impl& it = *impl_;
  while (true) {
    if (auto line = it.take_line()) return line;
    if (it.output_closed)
      throw Failure(Remedy::reconnect,
                    it.options.argv[0] + " ended or closed its output before it had answered; restarted");
    const bool writing = !it.to_write.empty() && it.input.get() >= 0;
    std::array<pollfd, 2> fds{pollfd{it.output.get(), POLLIN, 0}, pollfd{writing ? it.input.get() : -1, POLLOUT, 0}};
    const int ready = poll(fds.data(), fds.size(), deadline.poll_timeout());
    if (ready == 0 && deadline.passed()) return std::nullopt;
    if (fds[0].revents != 0) it.read_some();
    if (fds[1].revents != 0) it.write_some();
  }
}

bool Child::ended() {
  impl_->read_some();
  return impl_->output_closed;
}

void Child::kill_now() { impl_->finish(milliseconds(0)); }

int Child::end() {
  impl_->finish(goodbye);
  return impl_->status;
}

pid_t Child::pid() const { return impl_->pid; }

}  // namespace muskrat
