// What `muskrat verify` found, told as it is found: one line a row, and the sum at the end.
//
// Used by VerifyRun. Standard output holds results alone; keys are shown, values only where they were asked for. Thread
// rule: the main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/clock.hpp"
#include "consumer/mirror.hpp"

namespace muskrat::cli {

// A row at the endpoint that is not what it should be, or may not be.
struct Finding {
  enum class Kind { missing, different, extra, refused } kind = Kind::missing;
  std::string table, key;  // the endpoint's; the key as a JSON array of texts
  std::vector<std::string> columns;
  std::string why;
  std::vector<std::pair<std::optional<std::string>, std::optional<std::string>>> values;
};

struct Sums {
  int64_t rows = 0;       // of the source that were looked at
  int64_t by_digest = 0;  // of these, in ranges whose digests were equal
  int64_t missing = 0, different = 0, extra = 0, refused = 0, undecided = 0;
  int64_t repaired = 0;  // of these
  int64_t found() const { return missing + different + extra + refused; }
};

class VerifyReport {
 public:
  struct Options {
    bool json = false, values = false;
    int64_t most = 1000;  // rows listed; the others are counted
  };
  explicit VerifyReport(Options options) : options_(options) {}

  void found(const Finding& finding);
  void undecided(const Finding& finding, const std::string& waits_for);
  void repaired(const Finding& finding);
  void not_repaired(const Finding& finding, const std::string& why);
  void end(const std::string& table, const std::string& endpoint, bool whole, milliseconds took);
  void compared(int64_t rows) { sums_.rows += rows; }
  void equal_by_digest(int64_t rows) { sums_.by_digest += rows; }
  const Sums& sums() const { return sums_; }

 private:
  void tell(const char* what, const Finding& finding, const std::string& why);
  std::string line(const char* what, const Finding& finding, const std::string& why) const;
  std::string object(const char* what, const Finding& finding, const std::string& why) const;

  const Options options_;
  Sums sums_;
  int64_t listed_ = 0;
};

}  // namespace muskrat::cli
