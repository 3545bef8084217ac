// muskrat consume: runs every configured endpoint until told to stop.
#include <cstdlib>

#include <malloc.h>

#include "cli/daemon.hpp"
#include "cli/verbs.hpp"
#include "consumer/consumer.hpp"

namespace muskrat::cli {
namespace {

// Batches become blocks of some hundred kilobytes, lane by lane. Mapped ones go back to the system, where the
// allocator, which learns from the first that is freed to keep such blocks, would hold one's holes for each lane.
void map_large_blocks() {
#ifdef M_MMAP_THRESHOLD
  if (getenv("MALLOC_MMAP_THRESHOLD_") == nullptr) mallopt(M_MMAP_THRESHOLD, 64 << 10);
#endif
}

class Consume : public Command {
 public:
  explicit Consume(Arguments& arguments) { arguments.text("--only", "NAME", only_, "Run this endpoint alone."); }
  int run(const Globals& globals) override {
    map_large_blocks();
    return run_daemon({"consume", "endpoint", &Config::endpoints, &Config::consumer, run_consumer}, globals, only_);
  }

 private:
  std::string only_;
};

}  // namespace

std::unique_ptr<Command> make_consume(Arguments& arguments) { return std::make_unique<Consume>(arguments); }

}  // namespace muskrat::cli
