// OutboxHistory of PostgreSQL: the order and the size of its pages, what it leaves out, and what is gone meanwhile.
#include "relay/sources/postgres_outbox_history.hpp"
#include "test/integration/server.hpp"

using namespace muskrat;
using muskrat::integration::setting;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_text;
using postgres_outbox::History;

namespace {

Deadline soon() { return Deadline::in(std::chrono::seconds(30)); }

struct Outbox {
  pg::Connection db = pg::Connection::open({setting("MUSKRAT_TEST_PG_DSN"), "", "muskrat test"}, soon());

  Outbox() {
    run("SET client_min_messages = warning; DROP EXTENSION IF EXISTS muskrat CASCADE; DROP SCHEMA IF EXISTS muskrat "
        "CASCADE; CREATE EXTENSION muskrat");
  }
  ~Outbox() {
    try {
      run("DROP EXTENSION muskrat CASCADE");
    } catch (const Failure&) {  // the next test begins with that
    }
  }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  void run(const std::string& sql) { db.exec(sql, soon()); }
  // Events from one id to another into a segment, in the order of `order`, each body of so many bytes.
  void write(int segment, int from, int to, const std::string& order = "n", int bytes = 10) {
    run("INSERT INTO muskrat.outbox_" + std::to_string(segment) +
        " SELECT n, pg_current_xact_id(), '2026-03-01Z'::timestamptz + n * interval '1 s', gen_random_uuid(), 'I', "
        "CASE WHEN n % 2 = 0 THEN 'Shop.Customer.Signup' ELSE 'Shop.Order.Place' END, 'k' || n % 3, '\"' || "
        "repeat('x', " +
        std::to_string(bytes - 2) +
        ") || '\"', CASE WHEN n % 5 = 0 THEN '{\"to\": \"crm\"}' END FROM generate_series(" + std::to_string(from) +
        ", " + std::to_string(to) + ") AS n ORDER BY " + order);
  }
  // All that is committed is published.
  void publish() {
    run("TRUNCATE muskrat.cursor, muskrat.history; INSERT INTO muskrat.history (epoch, system_identifier, timeline, "
        "resumed_after) VALUES (7, 1, 1, '1:1:'); INSERT INTO muskrat.cursor (epoch, term, beat, last, "
        "system_identifier, timeline, database_oid, saved_at) VALUES (7, 1, 1, '1:1:', 1, 1, 1, now())");
    run("UPDATE muskrat.cursor SET last = pg_current_snapshot()");
  }
};

int setup(void** state) {
  *state = new Outbox;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Outbox*>(*state);
  return 0;
}
Outbox& outbox_of(void** state) { return *static_cast<Outbox*>(*state); }

std::string ids(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) text += (text.empty() ? "" : " ") + std::to_string(event.seq);
  return text;
}

HistoryFilter after(int64_t id) {
  HistoryFilter filter;
  filter.after = id;
  return filter;
}

// Page by page, as "1 2 | 3 4".
std::string pages(History& history, const HistoryFilter& filter = {}) {
  history.choose(filter);
  std::string text;
  for (auto page = history.next(); !page.empty(); page = history.next())
    text += (text.empty() ? "" : " | ") + ids(page);
  return text;
}

void test_history_without_a_relay_is_a_failure_that_says_so(void** state) {
  Outbox& outbox = outbox_of(state);
  std::string why = "none";
  try {
    History(outbox.db, "shop");
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == Remedy::stop);
    why = failure.what();
  }
  assert_holds(why, "no relay has run there");
}

void test_history_of_several_segments_comes_in_order_of_id_in_bounded_lists(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(2, 1, 4, "n DESC");
  outbox.write(3, 5, 8, "n DESC");
  outbox.write(1, 9, 10, "n DESC");
  outbox.publish();
  History all(outbox.db, "shop"), listed_by_three(outbox.db, "shop", 3);
  assert_text(pages(all), "1 2 3 4 5 6 7 8 9 10");
  assert_text(pages(listed_by_three), "1 2 3 | 4 5 6 | 7 8 9 | 10");
  assert_text(pages(listed_by_three, after(4)), "5 6 7 | 8 9 10");  // a list that is full to its end
  assert_true(all.gone() == 0 && listed_by_three.gone() == 0);
}

void test_history_event_is_whole_and_has_the_epoch_it_was_published_under(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(1, 2, 2);
  outbox.publish();
  History history(outbox.db, "shop");
  history.choose({});
  const Event event = history.next().at(0);
  assert_text(event.source, "shop");
  assert_text(event.routing_key, "Shop.Customer.Signup");
  assert_text(event.key, "k2");
  assert_text(event.body, "\"xxxxxxxx\"");
  assert_int_equal(event.epoch, 7);
  assert_int_equal(event.message_id.size(), 36);
}

void test_history_page_is_bounded_by_events_and_by_bytes(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(1, 1, 1001);
  outbox.write(2, 2001, 2005, "n", 1 << 20);
  outbox.publish();
  History history(outbox.db, "shop");
  history.choose({});
  std::string sizes;
  for (auto page = history.next(); !page.empty(); page = history.next()) sizes += std::to_string(page.size()) + " ";
  assert_text(sizes, "500 500 3 2 1 ");
}

void test_history_leaves_out_what_is_not_published_or_is_held(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(1, 1, 3);
  pg::Connection late = pg::Connection::open({setting("MUSKRAT_TEST_PG_DSN"), ""}, soon());
  late.exec("BEGIN; SELECT pg_current_xact_id()", soon());  // at work when the cursor looks
  outbox.write(1, 4, 4);
  outbox.publish();
  late.exec(
      "INSERT INTO muskrat.outbox_1 SELECT 5, pg_current_xact_id(), now(), gen_random_uuid(), 'I', 'a', 'k', '1'; "
      "COMMIT",
      soon());
  outbox.write(1, 6, 6);
  outbox.run("UPDATE muskrat.cursor SET held = '{2}'");
  History history(outbox.db, "shop");
  assert_text(pages(history), "1 3 4");
  // a read that is half confirmed: up to its id
  outbox.run("UPDATE muskrat.cursor SET current = pg_current_snapshot(), current_id = 5");
  History current(outbox.db, "shop");
  assert_text(pages(current), "1 3 4 5");
}

void test_history_filters_and_counts_alike(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(1, 1, 10);
  outbox.publish();
  History history(outbox.db, "shop");
  HistoryFilter in_time, of_keys, routed, nowhere, for_other;
  in_time.since = "2026-03-01 00:00:03Z";
  in_time.until = "2026-03-01 00:00:05Z";
  assert_text(pages(history, in_time), "3 4");
  of_keys.keys = {"k0", "none"};
  assert_text(pages(history, of_keys), "3 6 9");
  routed.routing_keys = {"Shop.Customer.Signup"};
  assert_text(pages(history, routed), "2 4 5 6 8 10");  // and what was for one endpoint alone
  routed.addressed = false;
  assert_text(pages(history, routed), "2 4 6 8 10");
  nowhere.routing_keys.emplace();
  nowhere.addressed = false;
  assert_text(pages(history, nowhere), "");
  for_other.addressees = {"other"};
  assert_text(pages(history, for_other), "1 2 3 4 6 7 8 9");
  for_other.after = 2;
  std::string text;
  for (const HistoryCount& row : history.count(for_other))
    text += row.routing_key + " " + std::to_string(row.events) + " " + std::to_string(row.bytes) + " " +
            std::to_string(row.first_id) + "-" + std::to_string(row.last_id) + "\n";
  assert_text(text, "Shop.Customer.Signup 3 30 4-8\nShop.Order.Place 3 30 3-9\n");
  const auto counts = history.count(routed);
  assert_int_equal(counts.size(), 2);
  assert_text(counts[1].addressee, "crm");
}

void test_history_segment_freed_meanwhile_is_counted_as_gone(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(1, 1, 500);
  outbox.write(2, 501, 503);
  outbox.publish();
  History history(outbox.db, "shop");
  history.choose({});
  assert_int_equal(history.next().size(), 500);
  outbox.run("TRUNCATE muskrat.outbox_2");
  assert_int_equal(history.next().size(), 0);
  assert_int_equal(history.gone(), 3);
}

// What stands where a listed event stood is another one, and is not handed out in its stead.
void test_history_place_taken_by_another_event_is_gone(void** state) {
  Outbox& outbox = outbox_of(state);
  outbox.write(1, 1, 500);
  outbox.write(2, 501, 503);
  outbox.publish();
  History history(outbox.db, "shop");
  history.choose({});
  assert_int_equal(history.next().size(), 500);
  outbox.run("TRUNCATE muskrat.outbox_2");
  outbox.write(2, 901, 903);
  assert_int_equal(history.next().size(), 0);
  assert_int_equal(history.gone(), 3);
  outbox.publish();
  History anew(outbox.db, "shop");
  assert_text(pages(anew, after(499)), "500 901 902 903");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_history_without_a_relay_is_a_failure_that_says_so, setup, teardown),
      checked_with(test_history_of_several_segments_comes_in_order_of_id_in_bounded_lists, setup, teardown),
      checked_with(test_history_event_is_whole_and_has_the_epoch_it_was_published_under, setup, teardown),
      checked_with(test_history_page_is_bounded_by_events_and_by_bytes, setup, teardown),
      checked_with(test_history_leaves_out_what_is_not_published_or_is_held, setup, teardown),
      checked_with(test_history_filters_and_counts_alike, setup, teardown),
      checked_with(test_history_segment_freed_meanwhile_is_counted_as_gone, setup, teardown),
      checked_with(test_history_place_taken_by_another_event_is_gone, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
