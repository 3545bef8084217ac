// How far something long has come: a line that is drawn over itself on a terminal, a line now and then in a log, or
// JSON objects for programs.
//
// Used by backfill and replay. Lines for people go to standard error, so that standard output holds results. Thread
// rule: the main thread.
#pragma once

#include <functional>
#include <string>

#include "common/clock.hpp"
#include "common/json.hpp"

namespace muskrat::cli {

class Progress {
 public:
  explicit Progress(bool json);
  ~Progress();
  // Shows it when it is time to; the makers are called only then.
  void show(const std::function<std::string()>& line, const std::function<json::Object()>& object);
  // The next one is shown at once: something has changed that a person waits for.
  void hurry() { next_ = SteadyTime{}; }
  // Ends the line that is drawn over.
  void end();

 private:
  const bool json_, drawn_;
  bool open_ = false;
  SteadyTime next_{};
};

std::string bytes_text(int64_t bytes);                  // "180 MB"
std::string span_text(milliseconds span);               // "2 min 31 s"
std::string percent_text(int64_t part, int64_t whole);  // "12.4 %"; never above 99.9 while part is short of whole

}  // namespace muskrat::cli
