// muskrat dead export: dead letters with all they hold, bodies included, as JSON lines. They stay where they are.
//
// The letters are first gathered in a file that nobody else sees, then given back, then written out: a reader that is
// slow (a pager) keeps no letter from the host.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <unistd.h>

#include "cli/context.hpp"
#include "cli/dead_walk.hpp"
#include "cli/exit.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"

namespace muskrat::cli {
namespace {

struct Closer {
  void operator()(std::FILE* file) const { (void)std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Closer>;

[[noreturn]] void cannot(const std::string& what) { throw Failure(Remedy::stop, what + ": " + std::strerror(errno)); }

void put(std::FILE* file, const std::string& text, const std::string& name) {
  if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) cannot("cannot write " + name);
}

class DeadExport : public Command {
 public:
  explicit DeadExport(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    filter_.declare(arguments);
    filter_.declare_limit(arguments);
    arguments.text("-o,--output", "FILE", output_,
                   "Where to, readable by its owner alone; it must not exist (default: standard output).");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    find_component(config.endpoints, endpoint_, "endpoint");
    filter_.prepare();
    const File file = open();
    const std::string name = output_.empty() ? "a temporary file" : output_;
    LetterWalk walk(config, endpoint_, "dead export", true);
    size_t letters = 0;
    walk.look(filter_, [&](const amqp::Delivery& letter, uint32_t) {
      put(file.get(), export_line(letter), name);
      ++letters;
      return true;
    });
    walk.close();
    if (std::fflush(file.get()) != 0) cannot("cannot write " + name);
    if (output_.empty()) copy_out(file.get());
    if (!output_.empty() && ::fsync(::fileno(file.get())) != 0) cannot("cannot write " + name);
    report(walk, letters);
    return letters == 0 && !filter_.empty() ? exit_problems : exit_ok;
  }

 private:
  File open() const {
    if (output_.empty()) {
      File file(std::tmpfile());
      if (!file) cannot("cannot make a temporary file");
      return file;
    }
    const int fd = ::open(output_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) throw UsageError("the file " + output_ + " is there already: name another");
    if (fd < 0) cannot("cannot make the file " + output_);
    return File(::fdopen(fd, "w"));
  }

  static void copy_out(std::FILE* file) {
    std::rewind(file);
    std::string part(size_t{64} << 10, '\0');
    while (const size_t got = std::fread(part.data(), 1, part.size(), file))
      print(std::string_view(part).substr(0, got));
  }

  // On standard error: standard output is the letters'.
  void report(const LetterWalk& walk, size_t letters) const {
    complain(counted(letters, "dead letter") + " of the endpoint " + endpoint_ + " exported with " +
             (letters == 1 ? "its body" : "their bodies") + (output_.empty() ? "" : " to " + output_) +
             ": customers' data. All of them stay where they are.\n");
    if (walk.looked_at() < walk.total() && filter_.limit() == 0)
      complain("Only the first " + std::to_string(walk.looked_at()) + " of " + std::to_string(walk.total()) +
               " were looked at.\n");
  }

  std::string endpoint_, output_;
  LetterFilter filter_;
};

}  // namespace

std::unique_ptr<Command> make_dead_export(Arguments& arguments) { return std::make_unique<DeadExport>(arguments); }

}  // namespace muskrat::cli
