// Series, their handles, and the exposition text.
#include <thread>
#include <vector>

#include "common/metrics.hpp"
#include "relay/meters.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;

namespace {

void test_counter_asked_for_twice_is_one_series(void**) {
  auto& first = metrics::counter("muskrat_test_total", "For the test.", {{"source", "a"}});
  auto& second = metrics::counter("muskrat_test_total", "For the test.", {{"source", "a"}});
  assert_ptr_equal(&first, &second);
  first.add();
  second.add(2);
  metrics::counter("muskrat_test_total", "For the test.", {{"source", "b"}}).add(7);
  auto text = metrics::render();
  assert_holds(text, "# HELP muskrat_test_total For the test.\n# TYPE muskrat_test_total counter\n");
  assert_holds(text, "muskrat_test_total{source=\"a\"} 3\n");
  assert_holds(text, "muskrat_test_total{source=\"b\"} 7\n");
}

void test_gauge_keeps_the_last_value(void**) {
  auto& gauge = metrics::gauge("muskrat_test_depth", "For the test.", {{"endpoint", "x"}});
  gauge.set(4);
  gauge.set(-2.5);
  assert_true(gauge.value() == -2.5);
  assert_holds(metrics::render(), "muskrat_test_depth{endpoint=\"x\"} -2.5\n");
}

void test_histogram_counts_into_its_buckets(void**) {
  auto& histogram = metrics::histogram("muskrat_test_seconds", "For the test.", {});
  histogram.observe(0.0004);
  histogram.observe(0.3);
  histogram.observe(1000);
  auto text = metrics::render();
  assert_holds(text, "muskrat_test_seconds_bucket{le=\"0.001\"} 1\n");
  assert_holds(text, "muskrat_test_seconds_bucket{le=\"0.5\"} 2\n");
  assert_holds(text, "muskrat_test_seconds_bucket{le=\"100\"} 2\n");
  assert_holds(text, "muskrat_test_seconds_count 3\n");
}

void test_counter_from_many_threads_loses_nothing(void**) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 1000; ++i) metrics::counter("muskrat_test_threads_total", "For the test.", {}).add();
    });
  for (auto& thread : threads) thread.join();
  assert_holds(metrics::render(), "muskrat_test_threads_total 4000\n");
}

// A relay that lost its lease while the broker blocked it must not go on saying so.
void test_meters_at_rest_say_nothing_of_before(void**) {
  OutboxMeters meters("resting");
  meters.blocked->set(1);
  meters.held->set(3);
  meters.leader->set(1);
  meters.published->add(5);
  meters.rest();
  assert_true(meters.blocked->value() == 0);
  assert_true(meters.held->value() == 0);
  assert_true(meters.leader->value() == 0);
  assert_holds(metrics::render(), "muskrat_relay_events_published_total{source=\"resting\"} 5\n");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_counter_asked_for_twice_is_one_series), checked(test_gauge_keeps_the_last_value),
      checked(test_histogram_counts_into_its_buckets),     checked(test_counter_from_many_threads_loses_nothing),
      checked(test_meters_at_rest_say_nothing_of_before),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
