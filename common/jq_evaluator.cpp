#include "common/jq_evaluator.hpp"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <map>
#include <new>
#include <string_view>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

extern "C" {
#include <jq.h>
}

#include "common/jq_numbers.hpp"
#include "common/json.hpp"
#include "common/tame.hpp"

namespace muskrat::jq {
namespace {

constexpr unsigned depth_most = 256;  // what libjq 1.6 reads, and little stack
constexpr size_t read_bytes = size_t{64} << 10;

// One reference to a jv; jv's functions use up what they are given.
class Held {
 public:
  explicit Held(jv value) : value_(value) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { jv_free(value_); }
  jv copy() const { return jv_copy(value_); }
  jv_kind kind() const { return jv_get_kind(value_); }
  bool valid() const { return kind() != JV_KIND_INVALID; }
  jv raw() const { return value_; }  // stays ours

 private:
  jv value_;
};

std::string text_of(const Held& value) {
  if (value.kind() != JV_KIND_STRING) return {};
  return {jv_string_value(value.raw()), static_cast<size_t>(jv_string_length_bytes(value.copy()))};
}

// What it made, as JSON. Written here and not by libjq, whose versions write numbers in different ways and put a text
// where it is too deep.
class Writer {
 public:
  std::string text, fault;

  bool write(const Held& value, unsigned depth = 0) {
    if (depth > depth_most) return refuse("jq made something nested deeper than 256");
    switch (value.kind()) {
      case JV_KIND_TRUE:
        return put("true");
      case JV_KIND_FALSE:
        return put("false");
      case JV_KIND_NUMBER:
        return number(jv_number_value(value.raw()));
      case JV_KIND_STRING:
        return put(json::quote(text_of(value)));
      case JV_KIND_ARRAY:
        return array(value, depth);
      case JV_KIND_OBJECT:
        return object(value, depth);
      default:
        return put("null");
    }
  }

 private:
  bool refuse(const char* why) {
    fault = why;
    return false;
  }
  bool put(std::string_view part) {
    if (text.size() + part.size() > result_bytes) return refuse("jq made more than 16 MiB");
    text += part;
    return true;
  }
  bool number(double value) {
    if (!std::isfinite(value)) return refuse("jq made a number that is none (nan or infinite)");
    if (std::fabs(value) > largest_exact)
      return refuse("jq made a number of 2^53 or beyond, which it does not hold exactly");
    std::array<char, 64> digits{};
    const bool tiny = value != 0 && std::fabs(value) < 1e-6;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value == 0 ? 0.0 : value,
                                   tiny ? std::chars_format::general : std::chars_format::fixed);
    return put({digits.data(), end.ptr});
  }
  bool array(const Held& value, unsigned depth) {
    text += '[';
    for (int i = 0, count = jv_array_length(value.copy()); i < count; ++i) {
      if (i > 0 && !put(",")) return false;
      if (!write(Held(jv_array_get(value.copy(), i)), depth + 1)) return false;
    }
    return put("]");
  }
  bool object(const Held& value, unsigned depth) {
    text += '{';
    bool first = true;
    for (int at = jv_object_iter(value.raw()); jv_object_iter_valid(value.raw(), at);
         at = jv_object_iter_next(value.raw(), at)) {
      if (!first) text += ',';
      first = false;
      text += json::quote(text_of(Held(jv_object_iter_key(value.raw(), at)))) + ':';
      if (!write(Held(jv_object_iter_value(value.raw(), at)), depth + 1)) return false;
    }
    return put("}");
  }
};

// The first line of the first complaint, without what concerns a shell.
void on_compile_error(void* into, jv message) {
  const Held held(message);
  auto& first = *static_cast<std::string*>(into);
  if (!first.empty()) return;
  first = text_of(held);
  first.resize(std::min(first.find('\n'), first.size()));
  for (const std::string_view noise :
       {"jq: ", "error: ", " (Unix shell quoting issues?)", " at <top-level>", "<top-level>:"}) {
    if (const size_t at = first.find(noise); at != std::string::npos) first.erase(at, noise.size());
  }
  while (first.ends_with(':') || first.ends_with(' ')) first.pop_back();
}

[[noreturn]] void out_of_memory(void*) { _exit(exit_memory); }

// Processor time alone: a busy machine is not the expression's fault.
void allow(int seconds) {
  itimerval timer{};
  timer.it_value.tv_sec = seconds;
  setitimer(ITIMER_PROF, &timer, nullptr);
}

std::string failed(std::string_view why) { return "!" + tame(why); }

class Program {
 public:
  explicit Program(const std::string& text) : state_(jq_init()) {
    if (state_ == nullptr) out_of_memory(nullptr);
    jq_set_nomem_handler(state_, out_of_memory, nullptr);
    jq_set_error_cb(state_, on_compile_error, &fault_);
    if (jq_compile(state_, text.c_str()) == 0 && fault_.empty()) fault_ = "it cannot be compiled";
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() { jq_teardown(&state_); }

  const std::string& fault() const { return fault_; }

  std::string run(std::string_view input) {
    allow(processor_seconds);
    std::string answer = made_of(input);
    allow(0);
    return answer;
  }

 private:
  std::string made_of(std::string_view input) {
    const jv read = jv_parse_sized(input.data(), static_cast<int>(input.size()));
    if (!jv_is_valid(read)) {
      jv_free(read);
      return failed("jq cannot read its input: nested deeper than 256?");
    }
    jq_start(state_, read, 0);
    const Held first(jq_next(state_));
    if (!first.valid()) return end_of(first, "-");
    Writer writer;
    if (!writer.write(first)) return failed(writer.fault);
    const Held second(jq_next(state_));
    if (second.valid()) return failed("jq made more than one value; take first(…), or collect them in […]");
    return end_of(second, "=" + writer.text);
  }

  // What comes when there are no more values: the end, or an error.
  static std::string end_of(const Held& last, std::string answer) {
    if (jv_invalid_has_msg(last.copy()) == 0) return answer;
    const Held message(jv_invalid_get_msg(last.copy()));
    if (message.kind() != JV_KIND_STRING) return failed("jq raised an error that is no text");
    return failed(without_values(text_of(message)));
  }

  std::string fault_;
  jq_state* state_;
};

class Server {
 public:
  std::string answer(std::string_view line) {
    if (line.empty()) return failed("an empty request");
    const size_t tab = std::min(line.find('\t'), line.size());
    Program& program = compiled(line.substr(1, tab - 1));
    if (!program.fault().empty()) return failed(program.fault());
    return line[0] == 'C' ? "=" : program.run(line.substr(std::min(tab + 1, line.size())));
  }

 private:
  Program& compiled(std::string_view quoted) {
    const auto known = programs_.find(quoted);
    if (known != programs_.end()) return known->second;
    const Held text(jv_parse_sized(quoted.data(), static_cast<int>(quoted.size())));
    return programs_.try_emplace(std::string(quoted), text_of(text)).first->second;
  }
  std::map<std::string, Program, std::less<>> programs_;
};

bool write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(1, text.data(), text.size());
    if (wrote < 0 && errno != EINTR) return false;
    if (wrote > 0) text.remove_prefix(static_cast<size_t>(wrote));
  }
  return true;
}

void limit(__rlimit_resource what, rlim_t to) {
  const rlimit both{to, to};
  setrlimit(what, &both);
}

void lock_up() {
  prctl(PR_SET_NAME, "muskrat jq");
  // It ends when its input does. A service manager's SIGTERM goes to all processes, and the host still drains.
  for (const int stop : {SIGTERM, SIGINT, SIGHUP}) static_cast<void>(std::signal(stop, SIG_IGN));
  limit(RLIMIT_CORE, 0);  // it would hold customers' data
  limit(RLIMIT_NOFILE, 3);
  if (memory_is_bounded) limit(RLIMIT_DATA, memory_bytes);
  static_cast<void>(chdir("/") == 0);
  std::set_new_handler([] { out_of_memory(nullptr); });
}

}  // namespace

int serve_jq() {
  lock_up();
  Server server;
  std::string waiting;
  std::array<char, read_bytes> part{};
  while (true) {
    const ssize_t got = ::read(0, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return got == 0 ? 0 : 1;
    size_t unseen = waiting.size();
    waiting.append(part.data(), static_cast<size_t>(got));
    size_t start = 0;
    for (size_t end; (end = waiting.find('\n', unseen)) != std::string::npos; unseen = start = end + 1)
      if (!write_all(server.answer(std::string_view(waiting).substr(start, end - start)) + "\n")) return 1;
    waiting.erase(0, start);
  }
}

// libjq writes "string (\"x\") and number (5) cannot be added": what stands in brackets or quotes may be a value.
std::string without_values(const std::string& message) {
  if (message.find("is not a valid regex") != std::string::npos) return "a regular expression is not valid";
  std::string out = message;
  const auto hide = [&](char open, char close) {
    const size_t from = out.find(open), to = out.rfind(close);
    if (from == std::string::npos || to == std::string::npos || to <= from) return;
    std::string inside = "…";
    for (const std::string_view type : {"null", "boolean", "number", "string", "array", "object"}) {
      const std::string middle = std::string(") and ") + std::string(type) + " (";
      if (open == '(' && out.find(middle, from) < to) inside = "…" + middle + "…";
    }
    out.replace(from + 1, to - from - 1, inside);
  };
  hide('(', ')');
  hide('"', '"');
  hide('<', '>');
  return out;
}

}  // namespace muskrat::jq
