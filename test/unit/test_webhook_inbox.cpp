// Requests that wait for the broker: told, out of time, refused while closed, bounded.
#include <future>

#include <poll.h>

#include "relay/sources/webhook_inbox.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;

namespace {

constexpr milliseconds long_time{60'000}, moment{1};
constexpr size_t most = 48;

Event event(const std::string& id) {
  Event made;
  made.message_id = id;
  return made;
}

std::future<bool> deliver(WebhookInbox& inbox, const std::string& id, milliseconds patience = long_time) {
  return std::async(std::launch::async,
                    [&inbox, id, patience] { return inbox.deliver(event(id), Deadline::in(patience)); });
}

// Waits on the descriptor, as the source does.
WebhookInbox::Batch take(WebhookInbox& inbox, size_t count) {
  WebhookInbox::Batch all;
  const auto deadline = Deadline::in(long_time);
  while (all.size() < count && !deadline.passed()) {
    pollfd readable{inbox.fd(), POLLIN, 0};
    poll(&readable, 1, deadline.poll_timeout());
    for (auto& item : inbox.take()) all.push_back(std::move(item));
  }
  return all;
}

void test_inbox_each_request_hears_of_its_own(void**) {
  WebhookInbox inbox;
  inbox.open(true);
  auto first = deliver(inbox, "1");
  const auto one = take(inbox, 1);
  auto second = deliver(inbox, "2");
  const auto two = take(inbox, 1);
  unit::assert_text(one.at(0)->event.message_id, "1");
  inbox.tell(two, true);
  assert_true(second.get());
  assert_true(first.wait_for(moment) == std::future_status::timeout);
  inbox.tell(one, false);
  assert_false(first.get());
}

void test_inbox_closed_accepts_nothing_and_tells_what_it_has(void**) {
  WebhookInbox inbox;
  assert_false(inbox.deliver(event("1"), Deadline::in(long_time)));
  inbox.open(true);
  auto before = deliver(inbox, "2");
  const auto batch = take(inbox, 1);
  inbox.open(false);
  assert_false(inbox.deliver(event("3"), Deadline::in(long_time)));
  inbox.tell(batch, true);
  assert_true(before.get());
}

void test_inbox_out_of_time_leaves_nothing_to_take(void**) {
  WebhookInbox inbox;
  inbox.open(true);
  assert_false(inbox.deliver(event("1"), Deadline::in(moment)));
  assert_true(inbox.take().empty());
}

void test_inbox_full_refuses_and_has_room_again(void**) {
  WebhookInbox inbox;
  inbox.open(true);
  std::vector<std::future<bool>> waiting;
  waiting.reserve(most);
  for (size_t n = 0; n < most; ++n) waiting.push_back(deliver(inbox, std::to_string(n)));
  const auto batch = take(inbox, most);
  assert_int_equal(batch.size(), most);
  assert_false(inbox.deliver(event("x"), Deadline::in(long_time)));
  inbox.tell(batch, true);
  for (auto& each : waiting) assert_true(each.get());
  auto more = deliver(inbox, "y");
  inbox.tell(take(inbox, 1), true);
  assert_true(more.get());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_inbox_each_request_hears_of_its_own),
      checked(test_inbox_closed_accepts_nothing_and_tells_what_it_has),
      checked(test_inbox_out_of_time_leaves_nothing_to_take),
      checked(test_inbox_full_refuses_and_has_room_again),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
