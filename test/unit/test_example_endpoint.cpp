// The example of docs/endpoints.md, compiled as it stands, keeps the contract.
#include "examples/endpoint.cpp"  // NOLINT(bugprone-suspicious-include)
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

struct Example {
  Folder folder;
  Component component;
  std::unique_ptr<Endpoint> endpoint;
};
int setup(void** state) {
  *state = new Example;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Example*>(*state);
  return 0;
}

void test_example_endpoint_counts_and_a_bad_event_fails_alone(void** state) {
  Example& it = *static_cast<Example*>(*state);
  std::vector<Problem> problems;
  it.component.settings = parse_settings(count_endpoint().options, "path: " + (it.folder / "counts"), "test", problems);
  assert_true(problems.empty());
  const std::vector<Event> events{event(1, 1, "{}"), event(2, 2, "no json"), event(3, 3, "{}")};
  const std::vector<const Event*> batch{&events[0], &events[1], &events[2]};
  for (const char* expected : {"Frontend.Customer.Signup 2\n", "Frontend.Customer.Signup 4\n"}) {
    it.endpoint = count_endpoint().make(it.component);
    it.endpoint->connect(soon());
    const auto outcomes = it.endpoint->deliver(batch, soon());
    assert_int_equal(outcomes.size(), 3);
    assert_true(outcomes[0].fate == Outcome::Fate::done && outcomes[2].fate == Outcome::Fate::done);
    assert_true(outcomes[1].fate == Outcome::Fate::dead);
    assert_text(read_file(it.folder / "counts"), expected);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_example_endpoint_counts_and_a_bad_event_fails_alone, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
