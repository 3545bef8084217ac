// Window: order per key, confirms in any order, returns, nacks, lost connections, positions, bounds.
#include <random>
#include <set>
#include <vector>

#include "relay/window.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;

namespace {

const SteadyTime start{};

SteadyTime after(int ms) { return start + milliseconds(ms); }

// A window with its held list, and a broker that hands out tags.
struct Bench {
  Held held;
  Window window;
  uint64_t tag = 0;

  explicit Bench(Window::Limits limits = {}, size_t held_max = 10)
      : held(held_max, milliseconds(30'000)), window(limits, held) {}

  void add(int64_t id, const std::string& key, uint64_t read = 1, SteadyTime now = start) {
    window.add(read, outgoing(id, key), now);
  }
  static Outgoing outgoing(int64_t id, const std::string& key) {
    Outgoing out;
    out.event.seq = id;
    out.event.key = key;
    out.event.message_id = "m" + std::to_string(id);
    out.event.body = "{}";
    return out;
  }
  // Sends one event and returns its id, 0 when there is none to send.
  int64_t send(SteadyTime now = start) {
    const Outgoing* out = window.next(now);
    if (out == nullptr) return 0;
    int64_t id = out->event.seq;
    window.sent(++tag);
    return id;
  }
  std::vector<int64_t> send_all(SteadyTime now = start) {
    std::vector<int64_t> ids;
    while (int64_t id = send(now)) ids.push_back(id);
    return ids;
  }
  void ack(uint64_t t, bool multiple = false, SteadyTime now = start) { window.confirm(t, multiple, true, now); }
  void nack(uint64_t t, SteadyTime now = start) { window.confirm(t, false, false, now); }
};

void expect_ids(const std::vector<int64_t>& actual, const std::vector<int64_t>& expected) {
  std::string a, e;
  for (int64_t id : actual) a += std::to_string(id) + " ";
  for (int64_t id : expected) e += std::to_string(id) + " ";
  unit::assert_text(a, e);
}

void expect_position(const Window& window, uint64_t read, int64_t id, bool closed) {
  Window::Position p = window.position();
  assert_int_equal(p.read, read);
  assert_int_equal(p.id, id);
  assert_int_equal(p.closed, closed);
}

void expect_taken(const std::vector<Held::Item>& taken, const std::vector<int64_t>& expected) {
  std::vector<int64_t> ids;
  ids.reserve(taken.size());
  for (const Held::Item& item : taken) ids.push_back(item.id);
  expect_ids(ids, expected);
}

void test_window_busy_key_lets_other_keys_overtake(void**) {
  Bench b;
  b.add(1, "a");
  b.add(2, "a");
  b.add(3, "b");
  b.add(4, "");
  b.add(5, "");
  expect_ids(b.send_all(), {1, 3, 4, 5});
  b.ack(1);
  expect_ids(b.send_all(), {2});
}

void test_window_acks_out_of_tag_order_move_the_position_by_prefix(void**) {
  Bench b;
  for (int64_t id : {10, 11, 12}) b.add(id, "");
  b.send_all();
  b.ack(3);
  expect_position(b.window, 0, 0, false);
  b.ack(1);
  expect_position(b.window, 1, 10, false);
  b.ack(2);
  expect_position(b.window, 1, 12, false);
  b.window.close_read(1);
  expect_position(b.window, 1, 12, true);
}

void test_window_multiple_ack_settles_all_up_to_its_tag(void**) {
  Bench b;
  for (int64_t id : {1, 2, 3, 4}) b.add(id, "");
  b.send_all();
  b.ack(3, true);
  assert_int_equal(b.window.in_flight(), 1);
  expect_position(b.window, 1, 3, false);
}

void test_window_position_spans_reads(void**) {
  Bench b;
  b.add(7, "", 1);
  b.window.close_read(1);
  b.add(3, "", 2);  // a late low id
  b.send_all();
  b.ack(2);
  expect_position(b.window, 0, 0, false);
  b.ack(1);
  expect_position(b.window, 2, 3, false);
  b.window.close_read(2);
  expect_position(b.window, 2, 3, true);
}

void test_window_reads_without_events_do_not_fill_it(void**) {
  Bench b({4, 1 << 20, 8, milliseconds(100), milliseconds(5000)});
  b.add(1, "");
  for (uint64_t read = 1; read < 100; read++) b.window.close_read(read);
  assert_int_equal(b.window.room(), 2);
  b.send_all();
  b.ack(1);
  expect_position(b.window, 99, 0, true);
}

void test_window_returned_event_is_held_at_its_ack_and_its_key_waits(void**) {
  Bench b;
  b.add(1, "a");
  b.add(2, "a");
  b.add(3, "b");
  b.send_all();
  b.window.returned("m1", "312 NO_ROUTE");
  assert_int_equal(b.held.size(), 0);
  b.ack(1);
  expect_ids(b.held.ids(), {1, 2});
  b.add(4, "a");
  expect_ids(b.held.ids(), {1, 2, 4});
  expect_ids(b.send_all(), {});
  b.ack(2);
  expect_position(b.window, 1, 4, false);
}

void test_window_nacked_event_is_sent_again_after_a_pause_before_its_followers(void**) {
  Bench b;
  b.add(1, "a");
  b.add(2, "a");
  b.send_all();
  b.nack(1);
  expect_ids(b.send_all(after(50)), {});
  expect_ids(b.send_all(after(100)), {1});
  b.ack(2);
  expect_ids(b.send_all(after(101)), {2});
}

void test_window_nacked_past_its_tries_is_held(void**) {
  Bench b({10, 1 << 20, 3, milliseconds(10), milliseconds(20)});
  b.add(1, "a");
  for (int i = 0; i < 3; i++) {
    assert_int_equal(b.send(after(100 * i)), 1);
    b.nack(b.tag, after(100 * i));
  }
  expect_ids(b.held.ids(), {1});
  assert_true(b.window.empty());
}

void test_window_lost_connection_sends_the_unknown_again_in_order(void**) {
  Bench b;
  b.add(1, "a");
  b.add(2, "b");
  b.add(3, "a");
  b.send_all();
  b.ack(2);
  b.window.connection_lost(start);
  assert_int_equal(b.window.in_flight(), 0);
  b.tag = 0;  // tags begin anew on a new channel
  expect_ids(b.send_all(), {1});
  b.ack(1);
  expect_ids(b.send_all(), {3});
}

void test_window_return_of_a_lost_connection_is_forgotten(void**) {
  Bench b;
  b.add(1, "a");
  b.send_all();
  b.window.returned("m1", "312");
  b.window.connection_lost(start);
  b.tag = 0;
  expect_ids(b.send_all(), {1});
  b.ack(1);
  assert_int_equal(b.held.size(), 0);
  assert_true(b.window.empty());
}

void test_window_channel_failure_finds_the_guilty_event_and_holds_it_alone(void**) {
  Bench b;
  for (int64_t id : {1, 2, 3}) b.add(id, "");
  b.send_all();
  b.window.channel_failed("406 too large", start);
  assert_int_equal(b.send(), 1);
  assert_int_equal(b.send(), 0);  // one at a time now
  b.ack(b.tag);
  assert_int_equal(b.send(), 2);
  b.window.channel_failed("406 too large", start);
  expect_ids(b.held.ids(), {2});
  assert_int_equal(b.send(), 3);
  b.ack(b.tag);
  assert_false(b.window.sending_alone());
  expect_position(b.window, 1, 3, false);
}

void test_window_full_held_list_keeps_the_position(void**) {
  Bench b({10, 1 << 20, 8, milliseconds(100), milliseconds(5000)}, 1);
  b.add(1, "a");
  b.add(2, "b");
  b.add(3, "a");
  b.send_all();
  for (const char* id : {"m1", "m2"}) b.window.returned(id, "312");
  b.ack(1);
  b.ack(2);
  expect_ids(b.held.ids(), {1});
  expect_position(b.window, 1, 1, false);
  expect_ids(b.send_all(after(5000)), {2});  // it stays and is tried again
  b.held.release(1, after(5000));
  expect_ids(b.send_all(after(5000)), {3});
}

void test_window_held_event_read_again_is_passed_over(void**) {
  Bench b;
  b.held.add({5, "a", "", "", 0, 0, {}, false}, start);
  b.add(4, "x");
  b.add(5, "a");
  b.add(6, "a");
  expect_ids(b.held.ids(), {5, 6});
  expect_ids(b.send_all(), {4});
}

void test_window_retry_confirmed_leaves_the_list_and_frees_the_key(void**) {
  Bench b;
  b.held.add({5, "a", "", "", 0, 0, {}, false}, start);
  b.window.add_retry(Bench::outgoing(5, "a"));
  expect_ids(b.send_all(), {5});
  b.add(6, "a");  // behind the one being tried
  expect_ids(b.send_all(), {});
  b.ack(1);
  expect_ids(b.held.ids(), {6});
  assert_true(b.held.due(start));
  b.window.add_retry(Bench::outgoing(6, "a"));
  expect_ids(b.send_all(), {6});
  b.ack(2);
  assert_int_equal(b.held.size(), 0);
  b.add(7, "a");
  expect_ids(b.send_all(), {7});
}

void test_window_retry_goes_alone_and_is_found_guilty(void**) {
  Bench b;
  b.held.add({5, "a", "", "406 too large", 0, 0, {}, false}, start);
  b.add(6, "b");
  expect_ids(b.send_all(), {6});
  b.add(7, "c");
  b.window.add_retry(Bench::outgoing(5, "a"));
  expect_ids(b.send_all(), {});  // until nothing else is in flight
  b.ack(1);
  expect_ids(b.send_all(), {5});
  b.window.channel_failed("406 too large still", start);
  expect_ids(b.held.ids(), {5});
  assert_string_equal(b.held.items().front().why.c_str(), "406 too large still");
  assert_false(b.held.items().front().trying);
  b.tag = 1;
  b.add(8, "d");
  expect_ids(b.send_all(), {7, 8});  // nobody else is suspected
}

void test_window_room_counts_from_the_first_unsettled(void**) {
  Bench b({3, 1 << 20, 8, milliseconds(100), milliseconds(5000)});
  for (int64_t id : {1, 2, 3}) b.add(id, "");
  b.send_all();
  b.ack(2);
  b.ack(3);
  assert_int_equal(b.window.room(), 0);
  b.ack(1);
  assert_int_equal(b.window.room(), 3);
  assert_int_equal(b.window.bytes(), 0);
}

void test_window_stop_holds_what_backs_off(void**) {
  Bench b;
  b.add(1, "a");
  b.add(2, "b");
  b.send_all();
  b.nack(1);
  b.ack(2);
  b.window.hold_backing_off(start);
  expect_position(b.window, 1, 2, false);
  expect_ids(b.held.ids(), {1});
  expect_ids(b.send_all(after(1000)), {});
}

// Random schedules against the rules themselves.
void test_window_random_schedules_keep_every_key_in_order_and_lose_nothing(void**) {
  for (unsigned seed = 1; seed <= 300; seed++) {
    std::mt19937 random(seed);
    auto dice = [&random](size_t sides) { return random() % sides; };
    Bench b({20, 1 << 20, 4, milliseconds(1), milliseconds(4)}, 5);
    std::map<std::string, int64_t> newest;
    std::map<int64_t, std::string> flying;
    std::map<uint64_t, int64_t> tags;
    std::set<int64_t> confirmed;
    int64_t next_id = 1;
    int clock = 0;
    auto answer = [&](uint64_t tag, bool acked) {
      int64_t id = tags.at(tag);
      tags.erase(tag);
      if (acked) {
        std::string key = flying.at(id);
        assert_true(newest[key] < id);  // first confirms rise per key
        newest[key] = id;
        confirmed.insert(id);
      }
      flying.erase(id);
      b.window.confirm(tag, false, acked, after(clock));
    };
    while (next_id <= 200 || !b.window.empty() || b.held.size() > 0) {
      clock++;
      if (next_id <= 200 && b.window.room() > 0 && !b.held.full() && dice(2) == 0) {
        b.add(next_id, "k" + std::to_string(dice(7)), 1, after(clock));
        next_id++;
      }
      if (dice(5) == 0) {
        for (const Held::Item& item : b.held.take_due(after(clock + 30'000), {3}))
          b.window.add_retry(Bench::outgoing(item.id, item.key));
      }
      if (const Outgoing* out = b.window.next(after(clock))) {
        for (auto& [id, key] : flying) assert_true(key != out->event.key);  // one in flight per key
        flying[out->event.seq] = out->event.key;
        tags[++b.tag] = out->event.seq;
        b.window.sent(b.tag);
      }
      if (!tags.empty() && dice(2) == 0) {
        auto it = tags.begin();
        std::advance(it, dice(tags.size()));
        answer(it->first, dice(4) != 0);
      }
      if (dice(100) == 0) {
        b.window.connection_lost(after(clock));
        tags.clear();
        flying.clear();
      }
      assert_true(b.window.position().id < next_id);
    }
    assert_int_equal(confirmed.size(), 200);
    assert_int_equal(b.window.bytes(), 0);
    expect_position(b.window, 1, 200, false);
  }
}

void test_window_followers_parked_late_keep_their_place(void**) {
  Bench b({}, 1);
  b.held.add({100, "j", "", "", 0, 0, {}, false}, start);  // the list is full
  b.add(1, "k");
  expect_ids(b.send_all(), {1});
  b.add(2, "k");
  b.add(3, "j");  // parked
  b.add(4, "k");  // parked behind it
  b.held.release(100, start);
  b.window.returned("m1", "no route");
  b.ack(1);  // 1 fills the list again, so 2 is parked too
  assert_int_equal(b.held.ids().front(), 1);
  b.held.release(1, start);
  expect_ids(b.send_all(), {2, 3});
  b.ack(2);
  expect_ids(b.send_all(), {4});
}

Outgoing for_one(int64_t id, const std::string& key) {
  Outgoing out = Bench::outgoing(id, key);
  out.event.to = "gone";
  return out;
}

void test_window_returned_event_for_one_endpoint_goes_astray_and_its_key_goes_on(void**) {
  Bench b;
  b.window.add(1, for_one(1, "k"), start);
  b.add(2, "k");
  expect_ids(b.send_all(), {1});
  b.window.returned("m1", "312 NO_ROUTE");
  b.ack(1);
  const Outgoing* again = b.window.next(start);
  assert_non_null(again);
  assert_true(again->astray);
  expect_ids(b.send_all(), {1});  // 2 waits for it still
  assert_int_equal(b.window.position().id, 0);
  b.ack(2);
  expect_ids(b.send_all(), {2});
  assert_int_equal(b.held.size(), 0);
  assert_int_equal(b.window.position().id, 1);
  std::vector<Window::Fate::Kind> kinds;
  for (const auto& fate : b.window.take_fates()) {
    kinds.push_back(fate.kind);
    if (fate.kind != Window::Fate::Kind::astray) continue;
    unit::assert_holds(fate.why, "gone");
    unit::assert_holds(fate.why, "312");
  }
  using enum Window::Fate::Kind;
  assert_true((kinds == std::vector{returned, astray, confirmed}));
}

void test_window_astray_event_that_nothing_takes_is_held(void**) {
  Bench b;
  b.window.add(1, for_one(1, "k"), start);
  b.send();
  b.window.returned("m1", "312 NO_ROUTE");
  b.ack(1);
  b.send();
  b.window.returned("m1", "312 NO_ROUTE");
  b.ack(2);
  expect_ids(b.held.ids(), {1});
}

void test_window_astray_event_asks_for_its_queue_again_after_a_lost_connection(void**) {
  Bench b;
  b.window.add(1, for_one(1, "k"), start);
  b.send();
  b.window.returned("m1", "312 NO_ROUTE");
  b.ack(1);
  b.send();
  b.window.connection_lost(start);
  assert_false(b.window.next(start)->astray);
}

void test_window_returned_without_room_to_hold_is_taken_when_routed_later(void**) {
  Bench b({}, 1);
  b.held.add({100, "j", "", "", 0, 0, {}, false}, start);
  b.add(1, "k");
  b.send();
  b.window.returned("m1", "no route");
  b.ack(1);  // no room to hold it: sent again later
  assert_int_equal(b.send(after(10'000)), 1);
  b.ack(2, false, after(10'000));  // and routed this time
  assert_int_equal(b.window.position().id, 1);
  assert_true(b.window.empty());
}

// Confirmed, but the cursor had not moved before a restart: 1 is read again while 2, which came after it, is held.
void test_window_event_read_again_goes_before_a_held_one_of_its_key(void**) {
  Bench b;
  b.held.add({2, "k", "", "", 0, 0, {}, false}, start);
  assert_false(b.held.due(after(30'000), 1));  // 2 waits until what comes before it was read
  assert_int_equal(b.held.take_due(after(30'000), {.events = 10, .up_to = 1}).size(), 0);
  b.add(1, "k");
  expect_ids(b.held.ids(), {1, 2});
  auto due = b.held.take_due(after(30'000), {.events = 10, .up_to = 2});
  assert_int_equal(due.size(), 1);
  assert_int_equal(due.front().id, 1);
}

void test_window_nothing_goes_before_a_held_event_that_is_being_tried(void**) {
  Bench b;
  b.held.add({2, "k", "", "", 0, 0, {}, false}, start);
  assert_int_equal(b.held.take_due(after(30'000), {10}).size(), 1);
  b.add(1, "k");
  expect_ids(b.held.ids(), {2, 1});
}

// A body of 600 bytes each; the first of a portion is taken however large it is.
void test_held_portion_is_bounded_in_bytes_and_takes_one_at_least(void**) {
  Bench b;
  for (int64_t id = 1; id <= 5; id++) b.held.add({id, "", "", "", 0, 600, {}, false}, start);
  expect_taken(b.held.take_due(after(30'000), {.events = 10, .bytes = 1200}), {1, 2});
  expect_taken(b.held.take_due(after(30'000), {.events = 10, .bytes = -5}), {3});
  expect_taken(b.held.take_due(after(30'000), {.events = 10}), {4, 5});
}

void test_held_portion_counts_no_bodies_that_are_not_to_be_read(void**) {
  Bench b;
  b.held.add({1, "", "", "", 0, 1'000'000, {}, false}, start);
  for (int64_t id = 2; id <= 4; id++) b.held.add({id, "", "", "", 0, 600, {}, false}, start);
  expect_taken(b.held.take_due(after(30'000), {.events = 10, .bytes = 1300, .largest = 1000}), {1, 2, 3});
}

void test_window_tells_held_events_how_large_they_are_and_whether_one_is_tried(void**) {
  Bench b;
  Outgoing large = Bench::outgoing(1, "a");
  large.event.body = std::string(700, 'x');
  b.window.add(1, std::move(large), start);
  b.send();
  b.window.returned("m1", "no route");
  b.ack(1);
  assert_int_equal(b.held.items().front().bytes, 700);
  assert_false(b.window.has_retries());
  b.window.add_retry(Bench::outgoing(1, "a"));
  assert_true(b.window.has_retries());
  b.send();
  b.ack(2);
  assert_false(b.window.has_retries());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_window_busy_key_lets_other_keys_overtake),
      checked(test_window_acks_out_of_tag_order_move_the_position_by_prefix),
      checked(test_window_multiple_ack_settles_all_up_to_its_tag),
      checked(test_window_position_spans_reads),
      checked(test_window_reads_without_events_do_not_fill_it),
      checked(test_window_returned_event_is_held_at_its_ack_and_its_key_waits),
      checked(test_window_nacked_event_is_sent_again_after_a_pause_before_its_followers),
      checked(test_window_nacked_past_its_tries_is_held),
      checked(test_window_lost_connection_sends_the_unknown_again_in_order),
      checked(test_window_return_of_a_lost_connection_is_forgotten),
      checked(test_window_channel_failure_finds_the_guilty_event_and_holds_it_alone),
      checked(test_window_full_held_list_keeps_the_position),
      checked(test_window_held_event_read_again_is_passed_over),
      checked(test_window_retry_confirmed_leaves_the_list_and_frees_the_key),
      checked(test_window_retry_goes_alone_and_is_found_guilty),
      checked(test_window_room_counts_from_the_first_unsettled),
      checked(test_window_stop_holds_what_backs_off),
      checked(test_window_followers_parked_late_keep_their_place),
      checked(test_window_returned_event_for_one_endpoint_goes_astray_and_its_key_goes_on),
      checked(test_window_astray_event_that_nothing_takes_is_held),
      checked(test_window_astray_event_asks_for_its_queue_again_after_a_lost_connection),
      checked(test_window_returned_without_room_to_hold_is_taken_when_routed_later),
      checked(test_window_event_read_again_goes_before_a_held_one_of_its_key),
      checked(test_window_nothing_goes_before_a_held_event_that_is_being_tried),
      checked(test_held_portion_is_bounded_in_bytes_and_takes_one_at_least),
      checked(test_held_portion_counts_no_bodies_that_are_not_to_be_read),
      checked(test_window_tells_held_events_how_large_they_are_and_whether_one_is_tried),
      checked(test_window_random_schedules_keep_every_key_in_order_and_lose_nothing),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
