// How many rows a statement takes.
#include "common/failure.hpp"
#include "relay/batch_size.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;

namespace {

constexpr milliseconds quick{5}, slow{1001}, middling{500};

void test_batch_size_doubles_while_full_batches_are_quick(void**) {
  BatchSize size(1000);
  assert_int_equal(size.rows(), 64);
  for (int i = 0; i < 10; i++) size.took(quick, size.rows());
  assert_int_equal(size.rows(), 1000);
  assert_int_equal(BatchSize(5).rows(), 5);
}

void test_batch_size_of_what_was_not_full_or_not_quick_stays(void**) {
  BatchSize size(1000);
  size.took(quick, 63);
  size.took(middling, 64);
  assert_int_equal(size.rows(), 64);
}

void test_batch_size_halves_after_long_and_after_failure_down_to_one(void**) {
  BatchSize size(1000);
  size.took(slow, 64);
  assert_int_equal(size.rows(), 32);
  bool thrown = false;
  try {
    size.run([]() -> size_t { throw Failure(Remedy::reconnect, "no answer within 10 s"); });
  } catch (const Failure&) {
    thrown = true;
  }
  assert_true(thrown);
  assert_int_equal(size.rows(), 16);
  for (int i = 0; i < 10; i++) size.failed();
  assert_int_equal(size.rows(), 1);
  assert_int_equal(size.run([] { return size_t{1}; }), 1);
  assert_int_equal(size.rows(), 2);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_batch_size_doubles_while_full_batches_are_quick),
      checked(test_batch_size_of_what_was_not_full_or_not_quick_stays),
      checked(test_batch_size_halves_after_long_and_after_failure_down_to_one),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
