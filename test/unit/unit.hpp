// What every unit test includes first: CMocka's headers in the order it wants, and a guard for exceptions.
//
// CMocka is C: a failed assert longjmps out of the test and runs no destructor. What owns something therefore lives in
// a fixture (setup/teardown); a leak of a failed test's locals is accepted. An exception must not cross CMocka's
// frames: register tests through `checked(test_name)`, which turns one into a failure with its text.
// Thread rule: one thread.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

// After the C headers above, which it does not include itself; and it does not say extern "C" itself either.
extern "C" {
#include <cmocka.h>
}

namespace muskrat::unit {

template <void (*Test)(void**)>
void guarded(void** state) {
  std::string text;  // outside the handler: longjmp out of a catch block would leave the exception behind
  try {
    Test(state);
    return;
  } catch (const std::exception& e) {
    text = e.what();
  } catch (...) {
    text = "not a std::exception";
  }
  fail_msg("exception: %s", text.c_str());
}

inline void assert_text(std::string_view actual, std::string_view expected) {
  assert_string_equal(std::string(actual).c_str(), std::string(expected).c_str());
}

// That `text` holds `part`; prints both when it does not.
inline void assert_holds(std::string_view text, std::string_view part) {
  if (text.find(part) != std::string_view::npos) return;
  fail_msg("\"%s\" is not in \"%s\"", std::string(part).c_str(), std::string(text).c_str());
}

inline void assert_lacks(std::string_view text, std::string_view part) {
  if (text.find(part) == std::string_view::npos) return;
  fail_msg("\"%s\" is in \"%s\"", std::string(part).c_str(), std::string(text).c_str());
}

}  // namespace muskrat::unit

// In a CMUnitTest table: checked(test_backoff_after_reset_starts_small)
#define checked(test) \
  { #test, muskrat::unit::guarded < test>, nullptr, nullptr, nullptr }
// The same with a fixture: checked_with(test, setup, teardown)
#define checked_with(test, setup, teardown) \
  { #test, muskrat::unit::guarded < test>, setup, teardown, nullptr }
