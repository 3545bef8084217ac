// A child process with which lines are exchanged: written to its standard input, read from its standard output.
//
// Used by the endpoint kind exec and by jq.cpp. The child is a process group of its own, has the environment it is
// given and no descriptor but the three standard ones; what it says on standard error goes to the log, cut in length
// and in rate. It is trusted with nothing: each wait has a deadline, lines have a bound, and it is killed with its
// group when it does not keep to them. Thread rule: one thread uses it; standard error is read by a thread of its own.
// What it does not do: know what the lines mean.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.hpp"
#include "common/failure.hpp"

namespace muskrat {

struct ChildOptions {
  std::vector<std::string> argv;         // the program (a path, or a name to look for in PATH) and its arguments
  std::vector<std::string> environment;  // "NAME=value"
  std::string folder;                    // "" = ours
  std::string label = "endpoint", name;  // whose it is, for the log
  size_t line_bytes = size_t{1} << 20;   // of a line that it writes
};

class Child {
 public:
  // Failure{reconnect} when it cannot be started.
  explicit Child(ChildOptions options);
  // Closes its input, waits a moment for it to end, then kills its group.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Writes what it will take and reads what it says, until a line is there: it is returned without its end.
  // nullopt: the deadline passed. Failure{reconnect}: it has ended, or wrote a line beyond the bound.
  void send(std::string_view text);  // queued; written while lines are awaited
  std::optional<std::string> line(Deadline deadline);
  // It has closed its output or ended by itself.
  bool ended();
  // Ends it at once.
  void kill_now();
  // Closes its input, waits a moment for it to end, then kills its group; how it ended, as waitpid() tells it.
  int end();
  pid_t pid() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace muskrat
