// What every implementation of the host's state database must do; run over SQLite by test/unit/test_state.cpp and over
// PostgreSQL by test/integration/test_state_postgres.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "consumer/state/store.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

namespace muskrat::unit {

// An empty state database; open() opens it (again).
struct StateFixture {
  std::function<std::unique_ptr<state::Store>()> open;
  std::unique_ptr<state::Store> store;
  Folder folder;
};
inline StateFixture& state_of(void** state) { return *static_cast<StateFixture*>(*state); }

inline const state::Scope customers{"frontend", "Frontend.Customer", ""};

inline state::Store::Answer ask_one(state::Store& store, const std::string& endpoint, const std::string& row,
                                    const std::string& id = "", const state::Scope& scope = customers) {
  const std::vector<state::Store::Question> questions{{scope, row, id}};
  return store.ask(endpoint, questions, soon()).at(0);
}

inline void mark(state::Store& store, const std::string& endpoint, const std::string& row, state::Version version,
                 bool deleted = false, const state::Scope& scope = customers) {
  state::Store::Done done;
  done.marks.push_back({scope, row, version, deleted});
  store.record(endpoint, done, soon());
}

inline void test_state_mark_survives_reopening_and_never_goes_back(void** state) {
  StateFixture& it = state_of(state);
  mark(*it.store, "crm", "[7]", {1, 20});
  mark(*it.store, "crm", "[7]", {1, 10});
  it.store.reset();
  it.store = it.open();
  assert_true(ask_one(*it.store, "crm", "[7]").newest == (state::Version{1, 20}));
  mark(*it.store, "crm", "[7]", {2, 1}, true);
  assert_true(ask_one(*it.store, "crm", "[7]").newest == (state::Version{2, 1}));
  mark(*it.store, "crm", "[7]", {1, 99});
  assert_true(ask_one(*it.store, "crm", "[7]").newest == (state::Version{2, 1}));
}

inline void test_state_marks_of_other_endpoints_sources_objects_targets_and_rows_are_apart(void** state) {
  state::Store& store = *state_of(state).store;
  mark(store, "crm", "[7]", {1, 20});
  assert_false(ask_one(store, "other", "[7]").newest.has_value());
  assert_false(ask_one(store, "crm", "[8]").newest.has_value());
  assert_false(ask_one(store, "crm", "[7]", "", {"backend", "Frontend.Customer", ""}).newest.has_value());
  assert_false(ask_one(store, "crm", "[7]", "", {"frontend", "Frontend.Order", ""}).newest.has_value());
  assert_false(ask_one(store, "crm", "[7]", "", {"frontend", "Frontend.Customer", "leads"}).newest.has_value());
  assert_true(ask_one(store, "crm", "[7]").newest.has_value());
}

inline void test_state_truncate_counts_for_every_row_of_its_scope(void** state) {
  state::Store& store = *state_of(state).store;
  mark(store, "crm", "[7]", {1, 20});
  mark(store, "crm", "[8]", {1, 40});
  state::Store::Done done;
  done.truncates.push_back({customers, "", {1, 30}, false});
  store.record("crm", done, soon());
  assert_true(ask_one(store, "crm", "[7]").newest == (state::Version{1, 30}));
  assert_true(ask_one(store, "crm", "[8]").newest == (state::Version{1, 40}));
  assert_true(ask_one(store, "crm", "[9]").newest == (state::Version{1, 30}));
  done.truncates[0].version = {1, 25};
  store.record("crm", done, soon());
  assert_true(ask_one(store, "crm", "[9]").newest == (state::Version{1, 30}));
}

inline void test_state_keys_and_ids_with_quotes_and_backslashes_are_kept(void** state) {
  state::Store& store = *state_of(state).store;
  const std::string odd = "[\"a\\\\b\",\"{x,y}\",\"\xc3\xa9'\"]";
  mark(store, "c'rm", odd, {1, 2});
  assert_true(ask_one(store, "c'rm", odd).newest == (state::Version{1, 2}));
}

// Digits that no compression makes fit.
inline void test_state_row_keys_of_any_length_are_kept_apart(void** state) {
  state::Store& store = *state_of(state).store;
  std::string key = "[\"";
  uint32_t dice = 20261127;
  while (key.size() < 8'000) key += static_cast<char>('0' + (dice = dice * 1664525 + 1013904223) / 429496730);
  const std::string longer = key + "1\"]", other = key + "2\"]";
  mark(store, "crm", longer, {1, 20});
  mark(store, "crm", longer, {1, 10});
  assert_true(ask_one(store, "crm", longer).newest == (state::Version{1, 20}));
  assert_false(ask_one(store, "crm", other).newest.has_value());
}

inline void test_state_message_ids_are_known_until_their_time_and_forgotten_by_portions(void** state) {
  state::Store& store = *state_of(state).store;
  state::Store::Done done;
  done.message_ids = {"a", "b", "c", "c"};
  done.remember = milliseconds(-1000);
  store.record("hook", done, soon());
  done.message_ids = {"d", "a"};
  done.remember = milliseconds(3'600'000);
  store.record("hook", done, soon());
  assert_true(ask_one(store, "hook", "", "a").seen);
  assert_true(ask_one(store, "hook", "", "b").seen);
  assert_false(ask_one(store, "other", "", "b").seen);
  assert_int_equal(store.forget_seen(1, soon()), 1);
  assert_int_equal(store.forget_seen(10, soon()), 1);
  assert_int_equal(store.forget_seen(10, soon()), 0);
  assert_false(ask_one(store, "hook", "", "b").seen);
  assert_false(ask_one(store, "hook", "", "c").seen);
  assert_true(ask_one(store, "hook", "", "a").seen && ask_one(store, "hook", "", "d").seen);
}

inline void test_state_many_questions_are_answered_in_order(void** state) {
  state::Store& store = *state_of(state).store;
  mark(store, "crm", "[1]", {1, 1});
  mark(store, "crm", "[3]", {1, 3});
  const std::vector<state::Store::Question> questions{
      {customers, "[3]", ""}, {customers, "[2]", "x"}, {customers, "", "y"}, {customers, "[1]", ""}};
  const auto answers = store.ask("crm", questions, soon());
  assert_int_equal(answers.size(), 4);
  assert_true(answers[0].newest == (state::Version{1, 3}) && answers[3].newest == (state::Version{1, 1}));
  assert_false(answers[1].newest.has_value() || answers[2].newest.has_value() || answers[1].seen || answers[2].seen);
}

inline void test_state_pause_keeps_the_first_word_and_resume_says_whether_it_was(void** state) {
  StateFixture& it = state_of(state);
  it.store->pause({"crm", 5, "ann", "quota"}, soon());
  it.store->pause({"crm", 9, "bob", "again"}, soon());
  it.store.reset();
  it.store = it.open();
  const auto pauses = it.store->pauses(soon());
  assert_int_equal(pauses.size(), 1);
  assert_text(pauses[0].by + " " + pauses[0].why + " " + std::to_string(pauses[0].since_us), "ann quota 5");
  assert_true(it.store->resume("crm", soon()));
  assert_false(it.store->resume("crm", soon()));
  assert_true(it.store->pauses(soon()).empty());
}

inline void test_state_calls_under_way_are_replaced_and_forgotten(void** state) {
  StateFixture& it = state_of(state);
  it.store->note_call("marketo", {"a", 5, "{\"keys\":[]}"}, soon());
  it.store->note_call("marketo", {"a", 7, "{\"keys\":[\"'\"]}"}, soon());
  it.store->note_call("marketo", {"b", 9, ""}, soon());
  it.store->note_call("elsewhere", {"c", 9, ""}, soon());
  it.store.reset();
  it.store = it.open();
  const auto calls = it.store->calls("marketo", soon());
  assert_int_equal(calls.size(), 2);
  const auto call = it.store->call("marketo", "a", soon());
  assert_true(call && call->until_us == 7);
  assert_text(call->text, "{\"keys\":[\"'\"]}");
  it.store->forget_call("marketo", "a", soon());
  it.store->forget_call("marketo", "a", soon());
  assert_false(it.store->call("marketo", "a", soon()).has_value());
  assert_int_equal(it.store->calls("marketo", soon()).size(), 1);
}

inline void test_state_parked_is_replaced_and_cleared(void** state) {
  state::Store& store = *state_of(state).store;
  store.set_parked({"crm", 5, 1, "trouble", "down"}, soon());
  store.set_parked({"crm", 9, 2, "quota", "'used' up"}, soon());
  store.set_parked({"hook", 7, 3, "rate", ""}, soon());
  const auto parked = store.parked(soon());
  assert_int_equal(parked.size(), 2);
  assert_text(parked[0].reason + " " + parked[0].why + " " + std::to_string(parked[0].until_us), "quota 'used' up 9");
  assert_int_equal(parked[0].seen_us, 2);
  store.clear_parked("crm", soon());
  store.clear_parked("crm", soon());
  assert_int_equal(store.parked(soon()).size(), 1);
}

inline void test_state_quota_adds_up_by_slots_and_forgets_old_ones(void** state) {
  StateFixture& it = state_of(state);
  it.store->spend("crm", {100, 5}, 0, soon());
  it.store->spend("crm", {100, 7}, 0, soon());
  it.store->spend("crm", {200, 1}, 0, soon());
  it.store->spend("hook", {100, 9}, 0, soon());
  it.store->spend("crm", {200, -3}, 150, soon());
  it.store.reset();
  it.store = it.open();
  const auto spent = it.store->spent("crm", soon());
  assert_int_equal(spent.size(), 1);
  assert_int_equal(spent[0].slot_us, 200);
  assert_int_equal(spent[0].amount, 0);  // never below nothing
  assert_int_equal(it.store->spent("hook", soon()).at(0).amount, 9);
}

inline void test_state_superseded_events_are_listed_newest_first_and_bounded(void** state) {
  state::Store& store = *state_of(state).store;
  std::vector<state::Superseded> events;
  for (int64_t i = 0; i < static_cast<int64_t>(state::Store::superseded_most) + 10; ++i)
    events.push_back({"id" + std::to_string(i), "k", "Frontend.Customer.Update", {1, i}, "1/99", i});
  store.log_superseded("other", std::vector{events[0]}, soon());
  store.log_superseded("crm", events, soon());
  const auto newest = store.superseded("crm", 2, soon());
  assert_int_equal(newest.size(), 2);
  assert_text(newest[0].message_id, events.back().message_id);
  assert_text(newest[0].by, "1/99");
  assert_int_equal(store.superseded("crm", events.size(), soon()).size(), state::Store::superseded_most);
  assert_int_equal(store.superseded("other", 10, soon()).size(), 1);
}

inline void test_state_superseded_of_some_keys_are_counted_and_erased_alone(void** state) {
  state::Store& store = *state_of(state).store;
  const std::string meant = R"(Shop.Customer:["a\\b'\"c"])", longer = meant + "x";
  std::vector<state::Superseded> events;
  for (const std::string& key : {meant, longer, std::string("k"), meant})
    events.push_back({"id", key, "Shop.Customer.Update", {1, 1}, "1/2", 1});
  store.log_superseded("crm", events, soon());
  store.log_superseded("other", events, soon());
  const std::vector<std::string> keys{meant, "Shop.Customer:[404]"};
  assert_int_equal(store.superseded_of(keys, soon()), 4);
  assert_int_equal(store.erase_superseded(keys, soon()), 4);
  assert_int_equal(store.superseded_of(keys, soon()), 0);
  const auto left = store.superseded("crm", 10, soon());
  assert_int_equal(left.size(), 2);
  assert_text(left[0].key, "k");
  assert_text(left[1].key, longer);
}

#define MUSKRAT_STATE_CASES(setup, teardown)                                                                         \
  checked_with(test_state_mark_survives_reopening_and_never_goes_back, setup, teardown),                             \
      checked_with(test_state_marks_of_other_endpoints_sources_objects_targets_and_rows_are_apart, setup, teardown), \
      checked_with(test_state_truncate_counts_for_every_row_of_its_scope, setup, teardown),                          \
      checked_with(test_state_keys_and_ids_with_quotes_and_backslashes_are_kept, setup, teardown),                   \
      checked_with(test_state_row_keys_of_any_length_are_kept_apart, setup, teardown),                               \
      checked_with(test_state_message_ids_are_known_until_their_time_and_forgotten_by_portions, setup, teardown),    \
      checked_with(test_state_many_questions_are_answered_in_order, setup, teardown),                                \
      checked_with(test_state_pause_keeps_the_first_word_and_resume_says_whether_it_was, setup, teardown),           \
      checked_with(test_state_parked_is_replaced_and_cleared, setup, teardown),                                      \
      checked_with(test_state_calls_under_way_are_replaced_and_forgotten, setup, teardown),                          \
      checked_with(test_state_quota_adds_up_by_slots_and_forgets_old_ones, setup, teardown),                         \
      checked_with(test_state_superseded_events_are_listed_newest_first_and_bounded, setup, teardown),               \
      checked_with(test_state_superseded_of_some_keys_are_counted_and_erased_alone, setup, teardown)

}  // namespace muskrat::unit
