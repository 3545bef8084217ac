// What a log line looks like, in both formats.
#include <algorithm>
#include <cmath>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/json.hpp"
#include "common/log.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

// Standard error goes to a memory file for the length of each test.
struct Capture {
  int saved, file;
};
Capture capture;

int redirect(void**) {
  capture.saved = ::dup(STDERR_FILENO);
  capture.file = ::memfd_create("log", MFD_CLOEXEC);
  return ::dup2(capture.file, STDERR_FILENO) < 0 ? -1 : 0;
}

int restore(void**) {
  ::dup2(capture.saved, STDERR_FILENO);
  ::close(capture.saved);
  return ::close(capture.file);
}

std::string written() {
  char buffer[4096];
  auto bytes = ::pread(capture.file, buffer, sizeof buffer, 0);
  return {buffer, static_cast<size_t>(bytes)};
}

void test_json_line_is_one_document_with_types(void**) {
  log::start(log::Level::info, log::Format::json);
  log::warning("relay", "broker blocked",
               {{"source", "front\"end"}, {"held", 3}, {"lag", 1.5}, {"ok", true}, {"bad", std::nan("")}});
  auto line = written();
  assert_true(line.ends_with("\n"));
  std::string why;
  auto document = json::Document::parse(std::string_view(line).substr(0, line.size() - 1), why);
  assert_true(document.has_value());
  auto root = document->root();
  assert_text(root.find("level")->string(), "warning");
  assert_text(root.find("component")->string(), "relay");
  assert_text(root.find("event")->string(), "broker blocked");
  assert_text(root.find("source")->string(), "front\"end");
  assert_text(root.find("held")->number(), "3");
  assert_text(root.find("lag")->number(), "1.5");
  assert_true(root.find("ok")->boolean());
  assert_text(root.find("bad")->string(), "nan");
  auto ts = root.find("ts")->string();
  assert_int_equal(ts.size(), 24);  // 2026-11-23T21:00:00.000Z
  assert_true(ts[10] == 'T' && ts[23] == 'Z');
}

void test_json_line_with_newlines_and_bad_utf8_stays_one_line(void**) {
  log::start(log::Level::info, log::Format::json);
  log::info("pg", "notice", {{"text", "two\nlines \xff {}"}});
  auto line = written();
  assert_int_equal(std::count(line.begin(), line.end(), '\n'), 1);
  assert_holds(line, "two\\nlines \xef\xbf\xbd {}");
}

void test_text_line_quotes_what_is_no_plain_word(void**) {
  log::start(log::Level::info, log::Format::text);
  log::info("relay", "connected", {{"source", "frontend"}, {"why", "a b"}, {"empty", ""}, {"esc", "\x1b[31m"}});
  auto line = written();
  assert_holds(line, "info    relay: connected source=frontend why=\"a b\" empty=\"\" esc=\"\\u001");
  assert_lacks(line, "\x1b");  // no colours off a terminal either
}

void test_automatic_off_a_terminal_means_json(void**) {
  log::start(log::Level::info, log::Format::automatic);
  log::info("relay", "connected");
  assert_holds(written(), "\"component\":\"relay\",\"event\":\"connected\"}\n");
}

void test_level_below_the_set_one_is_silent(void**) {
  log::start(log::Level::warning, log::Format::json);
  log::info("relay", "connected");
  log::debug("relay", "connected");
  assert_text(written(), "");
  log::error("relay", "lost");
  assert_holds(written(), "\"level\":\"error\"");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_json_line_is_one_document_with_types, redirect, restore),
      checked_with(test_json_line_with_newlines_and_bad_utf8_stays_one_line, redirect, restore),
      checked_with(test_text_line_quotes_what_is_no_plain_word, redirect, restore),
      checked_with(test_automatic_off_a_terminal_means_json, redirect, restore),
      checked_with(test_level_below_the_set_one_is_silent, redirect, restore),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
