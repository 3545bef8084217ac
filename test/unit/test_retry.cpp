// Retries and the circuit breaker.
#include "consumer/circuit.hpp"
#include "consumer/retry.hpp"
#include "test/unit/unit.hpp"

namespace muskrat {
namespace {

constexpr milliseconds first{100}, most{1000};

void test_retry_wait_doubles_up_to_the_most(void**) {
  assert_int_equal(retry_wait(1, first, most, 1).count(), 100);
  assert_int_equal(retry_wait(2, first, most, 1).count(), 200);
  assert_int_equal(retry_wait(4, first, most, 1).count(), 800);
  assert_int_equal(retry_wait(5, first, most, 1).count(), 1000);
  assert_int_equal(retry_wait(1000, first, most, 1).count(), 1000);
}

void test_retry_wait_jitter_stays_between_half_and_whole(void**) {
  assert_int_equal(retry_wait(2, first, most, 0).count(), 100);
  assert_int_equal(retry_wait(2, first, most, 0.5).count(), 150);
}

void test_attempt_memory_recalls_until_forgotten(void**) {
  AttemptMemory memory;
  memory.remember("a", {3, SteadyTime(milliseconds(7))});
  assert_int_equal(memory.recall("a").attempts, 3);
  assert_true(memory.recall("a").not_before == SteadyTime(milliseconds(7)));
  memory.forget("a");
  assert_int_equal(memory.recall("a").attempts, 0);
  assert_int_equal(memory.size(), 0);
}

void test_attempt_memory_full_drops_the_oldest(void**) {
  AttemptMemory memory(2);
  for (const char* id : {"a", "b", "a", "c"}) memory.remember(id, {1, {}});
  assert_int_equal(memory.size(), 2);
  assert_int_equal(memory.recall("a").attempts, 0);
  assert_int_equal(memory.recall("c").attempts, 1);
}

void test_attempt_memory_event_without_id_is_not_kept(void**) {
  AttemptMemory memory;
  memory.remember("", {1, {}});
  assert_int_equal(memory.size(), 0);
}

void test_circuit_trips_after_failures_on_end(void**) {
  Circuit circuit(3, first, most);
  circuit.threw(), circuit.threw();
  assert_false(circuit.tripped());
  circuit.succeeded();
  circuit.threw(), circuit.threw();
  assert_false(circuit.tripped());
  circuit.threw();
  assert_true(circuit.tripped());
}

void test_circuit_one_event_failing_again_and_again_never_trips(void**) {
  Circuit circuit(3, first, most);
  for (int i = 0; i < 100; ++i) circuit.failed("same");
  assert_false(circuit.tripped());
  circuit.failed("second"), circuit.failed("third");
  assert_true(circuit.tripped());
}

void test_circuit_probe_that_fails_opens_at_once_and_for_longer(void**) {
  Circuit circuit(3, first, most);
  for (int i = 0; i < 3; ++i) circuit.threw();
  const milliseconds before = circuit.open();
  assert_false(circuit.tripped());
  assert_true(circuit.probing());
  circuit.threw();
  assert_true(circuit.tripped());
  circuit.open();
  assert_true(circuit.open() > before);
}

void test_circuit_probe_that_succeeds_closes(void**) {
  Circuit circuit(3, first, most);
  circuit.threw();
  circuit.open();
  circuit.succeeded();
  assert_false(circuit.probing());
  circuit.threw();
  assert_false(circuit.tripped());
}

void test_circuit_probe_is_not_condemned_by_the_one_event_that_tripped_it(void**) {
  Circuit circuit(1, first, most);
  circuit.failed("poison");
  assert_true(circuit.tripped());
  circuit.open();
  circuit.failed("poison");
  assert_false(circuit.tripped());
}

}  // namespace
}  // namespace muskrat

int main() {
  using namespace muskrat;
  const CMUnitTest tests[] = {
      checked(test_retry_wait_doubles_up_to_the_most),
      checked(test_retry_wait_jitter_stays_between_half_and_whole),
      checked(test_attempt_memory_recalls_until_forgotten),
      checked(test_attempt_memory_full_drops_the_oldest),
      checked(test_attempt_memory_event_without_id_is_not_kept),
      checked(test_circuit_trips_after_failures_on_end),
      checked(test_circuit_one_event_failing_again_and_again_never_trips),
      checked(test_circuit_probe_that_fails_opens_at_once_and_for_longer),
      checked(test_circuit_probe_that_succeeds_closes),
      checked(test_circuit_probe_is_not_condemned_by_the_one_event_that_tripped_it),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
