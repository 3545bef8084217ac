// The list of jobs that are under way at endpoints' servers, over a SQLite file that another process would read.
#include <filesystem>
#include <thread>

#include "consumer/jobs.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

struct Fixture {
  Folder folder;
  Settings consumer;
  std::unique_ptr<Jobs> jobs;

  std::string path() const { return folder / "state.sqlite"; }
  // As `muskrat status` sees it.
  std::vector<Job> told(const std::string& endpoint) const {
    if (!std::filesystem::exists(path())) return {};
    return read_jobs(*state::open_sqlite(path()), soon())[endpoint];
  }
  // Waits until it is told of so many.
  std::vector<Job> told(const std::string& endpoint, size_t count) const {
    const Deadline deadline = soon();
    while (told(endpoint).size() != count && !deadline.passed()) std::this_thread::sleep_for(milliseconds(20));
    return told(endpoint);
  }
};
Fixture& fixture(void** state) { return *static_cast<Fixture*>(*state); }

int setup(void** state) {
  auto* it = new Fixture;
  std::vector<Problem> problems;
  it->consumer = parse_settings(consumer_options(), "state: " + it->path(), "test", problems);
  it->jobs = std::make_unique<Jobs>(it->consumer);
  *state = it;
  return problems.empty() ? 0 : 1;
}
int teardown(void** state) {
  delete static_cast<Fixture*>(*state);
  return 0;
}

Job job(const std::string& id, int64_t since_us, const std::string& state) {
  return {id, "bulk import", 500, since_us, state, 0};
}

void test_jobs_of_an_endpoint_are_its_own_the_oldest_first(void** state) {
  Jobs& jobs = *fixture(state).jobs;
  jobs.set("crm", job("2", 2'000'000, "Queued"));
  jobs.set("crm", job("3", 1'000'000, "Queued"));
  jobs.set("other", job("1", 0, "Queued"));
  jobs.set("crm", job("2", 2'000'000, "Importing"));
  const auto listed = jobs.of("crm");
  assert_int_equal(listed.size(), 2);
  assert_text(listed[0].id, "3");
  assert_text(describe(listed[1]), "500 records, Importing, since 1970-01-01T00:00:02Z");
  assert_true(listed[1].heard_us > 0);
  jobs.end("crm", "2");
  jobs.end("crm", "3");
  assert_true(jobs.of("crm").empty());
  assert_int_equal(jobs.of("other").size(), 1);
}

void test_jobs_are_told_to_other_processes_until_they_end(void** state) {
  Fixture& it = fixture(state);
  it.jobs->set("crm", job("3404", 1'700'000'000'000'000, "Importing"));
  const auto told = it.told("crm", 1);
  assert_int_equal(told.size(), 1);
  assert_text(told[0].id, "3404");
  assert_text(told[0].what, "bulk import");
  assert_int_equal(told[0].records, 500);
  assert_int_equal(told[0].since_us, 1'700'000'000'000'000);
  assert_text(told[0].state, "Importing");
  assert_true(told[0].heard_us > told[0].since_us);
  it.jobs->end("crm", "3404");
  assert_true(it.told("crm", 0).empty());
}

void test_jobs_of_a_host_that_stops_are_taken_back(void** state) {
  Fixture& it = fixture(state);
  it.jobs->set("crm", job("3404", 1, "Importing"));
  assert_int_equal(it.told("crm", 1).size(), 1);
  it.jobs.reset();
  assert_true(it.told("crm").empty());
}

void test_jobs_that_a_killed_host_listed_are_not_believed_for_long_and_cleared_away(void** state) {
  Fixture& it = fixture(state);
  const auto store = state::open_sqlite(it.path());
  store->note_call("jobs", {"crm 1", wall_clock_us() - 1, R"({"endpoint":"crm","id":"1"})"}, soon());
  store->note_call("jobs", {"crm 2", wall_clock_us() + 60'000'000, "not JSON"}, soon());
  assert_true(it.told("crm").empty());
  it.jobs->set("crm", job("3", 1, "Queued"));
  assert_int_equal(it.told("crm", 1).size(), 1);
  assert_int_equal(store->calls("jobs", soon()).size(), 2);
}

// The next host hears of its end before it has written anything itself.
void test_jobs_that_a_killed_host_listed_go_when_they_end(void** state) {
  Fixture& it = fixture(state);
  const auto store = state::open_sqlite(it.path());
  store->note_call("jobs", {"crm 1", wall_clock_us() + 60'000'000, R"({"endpoint":"crm","id":"1"})"}, soon());
  assert_int_equal(it.told("crm").size(), 1);
  it.jobs->set("crm", job("1", 1, "Complete"));
  it.jobs->end("crm", "1");
  assert_true(it.told("crm", 0).empty());
}

void test_jobs_without_any_make_no_state_file(void** state) {
  Fixture& it = fixture(state);
  it.jobs.reset();
  assert_false(std::filesystem::exists(it.path()));
}

void test_jobs_listing_lasts_as_long_as_somebody_waits(void** state) {
  Jobs& jobs = *fixture(state).jobs;
  {
    JobListing listing(&jobs, "crm", "bulk job", 7);
    assert_true(jobs.of("crm").empty());
    listing.heard("750A", "Open");
    const int64_t since_us = jobs.of("crm")[0].since_us;
    listing.heard("750A", "InProgress");
    const auto listed = jobs.of("crm");
    assert_int_equal(listed.size(), 1);
    assert_text(listed[0].state, "InProgress");
    assert_int_equal(listed[0].since_us, since_us);
    assert_int_equal(listed[0].records, 7);
  }
  assert_true(jobs.of("crm").empty());
  JobListing(nullptr, "crm", "bulk job", 7).heard("750B", "Open");  // a tool's endpoint: there is no list
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_jobs_of_an_endpoint_are_its_own_the_oldest_first, setup, teardown),
      checked_with(test_jobs_are_told_to_other_processes_until_they_end, setup, teardown),
      checked_with(test_jobs_of_a_host_that_stops_are_taken_back, setup, teardown),
      checked_with(test_jobs_that_a_killed_host_listed_are_not_believed_for_long_and_cleared_away, setup, teardown),
      checked_with(test_jobs_that_a_killed_host_listed_go_when_they_end, setup, teardown),
      checked_with(test_jobs_without_any_make_no_state_file, setup, teardown),
      checked_with(test_jobs_listing_lasts_as_long_as_somebody_waits, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
