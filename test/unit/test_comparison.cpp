// What a run that compares finds: new, changed, as it was, gone; and the versions that tell the lives of a row apart.
#include "relay/scheduled/comparison.hpp"
#include "relay/scheduled/state.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using unit::assert_holds;
using unit::assert_text;

namespace {

struct Fixture {
  unit::Folder folder;
  std::unique_ptr<ScheduledState> state = ScheduledState::open(folder / "relay.sqlite", "billing", "all");

  Comparison begin(const std::string& generation = "g1") { return {&state->rows(), {generation, 7, false, {}}}; }
  void settle(Comparison& with, std::vector<KnownRow> rows, std::vector<std::string> gone = {}) {
    const ScheduledState::Settlement page{{}, std::move(rows), std::move(gone), "cursor", std::nullopt};
    const ScheduledState::Settlement* const pages[] = {&page};
    state->settled(pages);
    with.settled(page.rows);
  }
  // The row is seen, told as event `seq`, and settled.
  std::string tell(Comparison& with, const std::string& key, const std::string& digest, int64_t seq) {
    auto sight = with.see(key, digest);
    if (!sight) return "as it was";
    sight->row.seq = seq;
    settle(with, {sight->row});
    return sight->version;
  }
};

int setup(void** state) {
  *state = new Fixture;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Fixture*>(*state);
  return 0;
}
Fixture& of(void** state) { return *static_cast<Fixture*>(*state); }

std::string refusal(Comparison& with, const std::string& key, const std::string& digest) {
  try {
    with.see(key, digest);
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "";
}

void test_comparison_tells_new_changed_and_unchanged_rows_apart(void** state) {
  Fixture& f = of(state);
  Comparison first = f.begin();
  assert_text(f.tell(first, "[1]", "a", 1), "new g1");
  assert_text(f.tell(first, "[2]", "a", 2), "new g1");
  Comparison second = f.begin("g2");
  assert_text(f.tell(second, "[1]", "a", 3), "as it was");
  assert_text(f.tell(second, "[2]", "b", 3), "after 7/2");
}

void test_comparison_row_that_is_repeated_has_its_version_and_one_that_returns_has_another(void** state) {
  Fixture& f = of(state);
  Comparison cut = f.begin();
  assert_text(cut.see("[1]", "a")->version, "new g1");  // and not settled
  Comparison again = f.begin();
  assert_text(f.tell(again, "[1]", "a", 1), "new g1");
  Comparison there = f.begin("g2"), back = f.begin("g3");
  assert_text(f.tell(there, "[1]", "b", 2), "after 7/1");
  assert_text(f.tell(back, "[1]", "a", 3), "after 7/2");
}

void test_comparison_row_in_doubt_is_told_again_whatever_it_is_and_as_another_where_it_is_another(void** state) {
  Fixture& f = of(state);
  Comparison first = f.begin();
  f.tell(first, "[1]", "a", 1);
  Comparison cut = f.begin("g2");
  auto sight = cut.see("[1]", "b");
  sight->row.seq = 2;
  f.state->doubt({Comparison::in_doubt(sight->row, sight->version)});
  Comparison same = f.begin("g2"), back = f.begin("g2"), gone = f.begin("g2");
  assert_text(same.see("[1]", "b")->version, "after 7/1");
  assert_text(back.see("[1]", "a")->version, "after 7/2");
  assert_text(gone.version_of_deletion(gone.gone_behind("", 10).rows.at(0)), "gone after 7/2");
  f.state->doubt({Comparison::in_doubt({"[1]", 1, "", 3}, "gone after 7/2")});
  Comparison still = f.begin("g2"), there = f.begin("g2");
  assert_text(still.version_of_deletion(still.gone_behind("", 10).rows.at(0)), "gone after 7/2");
  assert_text(f.tell(there, "[1]", "b", 4), "after 7/3");
  Comparison settled = f.begin("g3");
  assert_text(f.tell(settled, "[1]", "b", 5), "as it was");
}

void test_comparison_row_that_is_deleted_and_comes_back_is_new_in_another_generation(void** state) {
  Fixture& f = of(state);
  Comparison first = f.begin();
  f.tell(first, "[1]", "a", 1);
  Comparison second = f.begin("g2");
  const Comparison::Gone gone = second.gone_behind("", 10);
  assert_int_equal(gone.rows.size(), 1);
  assert_text(second.version_of_deletion(gone.rows[0]), "gone after 7/1");
  f.settle(second, {}, {"[1]"});
  Comparison third = f.begin("g3");
  assert_text(f.tell(third, "[1]", "a", 3), "new g3");
}

void test_comparison_gone_rows_come_in_stretches_without_those_that_were_seen(void** state) {
  Fixture& f = of(state);
  Comparison first = f.begin();
  for (int row = 1; row <= 9; ++row) f.tell(first, "[" + std::to_string(row) + "]", "a", row);
  Comparison second = f.begin("g2");
  for (const char* key : {"[1]", "[2]", "[3]", "[5]", "[8]"}) second.see(key, "a");
  std::string keys, place;
  int stretches = 0;
  for (Comparison::Gone part; (part = second.gone_behind(place, 2)).looked_at > 0; place = part.last, ++stretches)
    for (const KnownRow& row : part.rows) keys += row.key;
  assert_text(keys, "[4][6][7][9]");
  assert_int_equal(stretches, 5);
}

void test_comparison_two_rows_of_one_key_are_refused_whether_new_known_or_changed(void** state) {
  Fixture& f = of(state);
  Comparison first = f.begin();
  first.see("[1]", "a");
  assert_holds(refusal(first, "[1]", "b"), "two rows with this key");
  f.tell(first, "[2]", "a", 1);
  assert_holds(refusal(first, "[2]", "b"), "two rows with this key");
  Comparison second = f.begin("g2");
  assert_text(f.tell(second, "[2]", "a", 2), "as it was");
  assert_holds(refusal(second, "[2]", "a"), "two rows with this key");
}

void test_comparison_of_a_baseline_tells_nobody_and_rows_left_out_are_new_when_they_are_told(void** state) {
  Fixture& f = of(state);
  Comparison baseline{&f.state->rows(), {"", 7, true, {}}};
  auto sight = baseline.see("[1]", "a");
  assert_false(sight->told);
  f.settle(baseline, {sight->row});
  Comparison second = f.begin("g2");
  assert_text(second.see("[1]", "b")->version, "after 0/0");
  auto out = second.see("[2]", "a");
  out->row.seq = KnownRow::left_out;
  f.settle(second, {out->row});
  Comparison third = f.begin("g3");
  assert_text(third.see("[2]", "b")->version, "new g3");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_comparison_tells_new_changed_and_unchanged_rows_apart, setup, teardown),
      checked_with(test_comparison_row_that_is_repeated_has_its_version_and_one_that_returns_has_another, setup,
                   teardown),
      checked_with(test_comparison_row_in_doubt_is_told_again_whatever_it_is_and_as_another_where_it_is_another, setup,
                   teardown),
      checked_with(test_comparison_row_that_is_deleted_and_comes_back_is_new_in_another_generation, setup, teardown),
      checked_with(test_comparison_gone_rows_come_in_stretches_without_those_that_were_seen, setup, teardown),
      checked_with(test_comparison_two_rows_of_one_key_are_refused_whether_new_known_or_changed, setup, teardown),
      checked_with(test_comparison_of_a_baseline_tells_nobody_and_rows_left_out_are_new_when_they_are_told, setup,
                   teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
