// The endpoint kind marketo: what is sent, and answer → fate of each event.
#include <algorithm>
#include <atomic>
#include <sstream>

#include "consumer/endpoints/api/keys_in_use.hpp"
#include "consumer/endpoints/api/token.hpp"
#include "consumer/endpoints/marketo/codes.hpp"
#include "consumer/host.hpp"
#include "consumer/options.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/http_server.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

using Fate = Outcome::Fate;

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string updated(const httplib::Request& request) {
  std::string results;
  for (size_t i = 0; i < count_of(request.body, "\"email\":"); ++i)
    results += std::string(i > 0 ? "," : "") + R"({"id":)" + std::to_string(i + 1) + R"(,"status":"updated"})";
  return R"({"requestId":"a#1","success":true,"result":[)" + results + "]}";
}

struct Marketo {
  HttpServer server;
  Made made;
  std::atomic<int> tokens{0};
  std::function<void(const httplib::Request&, httplib::Response&)> leads;

  Marketo() {
    server.answer = [this](const httplib::Request& request, httplib::Response& response, size_t) {
      if (request.path == "/identity/oauth/token") {
        response.set_content(R"({"access_token":"t)" + std::to_string(++tokens) +
                                 R"(","token_type":"bearer","expires_in":3599,"scope":"a"})",
                             "application/json");
      } else if (leads) {
        leads(request, response);
      } else {
        response.set_content(updated(request), "application/json");
      }
    };
  }
  std::string options(const std::string& more = "") const {
    return "    url: " + server.url("") + "\n    client_id: id\n    client_secret: ${HOME}\n" + more;
  }
  void make(const std::string& more = "") { made.make("marketo", options(more)); }
  void answers(const std::string& body, int status = 200, const std::string& type = "application/json;charset=UTF-8") {
    leads = [=](const auto&, httplib::Response& response) {
      response.status = status;
      response.set_content(body, type);
    };
  }
  void fails(const std::string& code) {
    answers(R"({"requestId":"a","success":false,"errors":[{"code":")" + code +
            R"(","message":"Invalid value 'secret@example.com'"}]})");
  }
  // The bodies of the calls, without those for tokens.
  std::vector<std::string> calls() {
    std::vector<std::string> bodies;
    for (const auto& request : server.journal())
      if (request.path == "/rest/v1/leads.json") bodies.push_back(request.body);
    return bodies;
  }
};
int setup(void** state) {
  *state = new Marketo;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Marketo*>(*state);
  return 0;
}
Marketo& marketo_of(void** state) { return *static_cast<Marketo*>(*state); }

Event of(int64_t id, const std::string& email, Op op = Op::update) {
  return event(id, id, "{\"email\":\"" + email + "\"}", op);
}
std::vector<Event> events(int64_t count) {
  std::vector<Event> made;
  for (int64_t i = 1; i <= count; ++i) made.push_back(of(i, "c" + std::to_string(i) + "@example.com"));
  return made;
}
std::string fates_of(const std::vector<Outcome>& outcomes) {
  std::string fates;
  for (const Outcome& outcome : outcomes) fates += "DRSrpds"[static_cast<size_t>(outcome.fate)];
  return fates;
}

// ---- what is sent ----

void test_marketo_request_is_one_call_with_the_token_in_a_header(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    partition: Web\n    fields: [email, {to: firstName, from: name}]\n");
  const auto outcomes = marketo.made.deliver({event(1, 1, R"({"email":"a@example.com","name":"Ä"})"),
                                              event(2, 2, R"({"email":"b@example.com","name":null})")});
  assert_text(fates_of(outcomes), "DD");
  const auto journal = marketo.server.journal();
  assert_int_equal(journal.size(), 2);
  assert_text(journal[0].path, "/identity/oauth/token");
  assert_text(journal[0].get_param_value("grant_type") + journal[0].get_param_value("client_id"),
              "client_credentialsid");
  assert_text(journal[1].method + " " + journal[1].target, "POST /rest/v1/leads.json");
  assert_text(journal[1].get_header_value("Authorization"), "Bearer t1");
  assert_text(journal[1].get_header_value("Content-Type"), "application/json");
  assert_text(journal[1].body,
              R"({"action":"createOrUpdate","lookupField":"email","partitionName":"Web","input":[)"
              R"({"email":"a@example.com","firstName":"Ä"},{"email":"b@example.com","firstName":null}]})");
}

void test_marketo_call_holds_300_leads_and_a_megabyte_at_most(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  assert_text(fates_of(marketo.made.deliver(events(301))), std::string(301, 'D'));
  auto calls = marketo.calls();
  assert_int_equal(calls.size(), 2);
  assert_int_equal(count_of(calls[0], "\"email\":"), 300);
  std::vector<Event> large;
  for (int64_t i = 1; i <= 5; ++i)
    large.push_back(event(i, i,
                          "{\"email\":\"c" + std::to_string(i) + "@example.com\",\"x\":\"" +
                              std::string(i == 5 ? 1'000'000 : 300'000, 'x') + "\"}"));
  const auto outcomes = marketo.made.deliver(large);
  assert_text(fates_of(outcomes), "DDDDd");
  assert_holds(outcomes[4].reason, "1 MB");
  calls = marketo.calls();
  assert_int_equal(calls.size(), 4);
  for (const std::string& call : calls) assert_true(call.size() <= 1'000'000);
}

void test_marketo_what_cannot_be_a_lead_is_a_dead_letter_and_no_call(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  const std::vector<std::pair<std::string, std::string>> table{
      {"no json", "not JSON"},
      {"[1]", "no JSON object"},
      {R"({"x":1})", "no lookup field email"},
      {R"({"email":null})", "email is empty"},
      {R"({"email":"a@example.com","plan":{"x":1}})", "field plan is an object"},
      {R"({"email":"a@example.com","id":7})", "a field id"}};
  for (const auto& [body, reason] : table) {
    const auto outcomes = marketo.made.deliver({event(1, 1, body)});
    assert_text(fates_of(outcomes), "d");
    assert_holds(outcomes[0].reason, reason);
    assert_lacks(outcomes[0].reason, "a@example.com");
  }
  assert_text(fates_of(marketo.made.deliver({of(1, "a@example.com", Op::remove)})), "d");
  marketo.make("    deletes: skip\n");
  assert_text(fates_of(marketo.made.deliver({of(1, "a@example.com", Op::remove)})), "s");
  assert_int_equal(marketo.calls().size(), 0);
}

// ---- one key, one call ----

void test_marketo_one_key_of_two_rows_never_shares_a_call(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  assert_text(fates_of(marketo.made.deliver({event(1, 1, R"({"email":"A@example.com","n":1})"),
                                             event(2, 2, R"({"email":"b@example.com","n":2})"),
                                             event(3, 3, R"({"email":" a@EXAMPLE.com","n":3})")})),
              "DDD");
  const auto calls = marketo.calls();
  assert_int_equal(calls.size(), 2);
  assert_holds(calls[0], "\"n\":1},{\"email\":\"b@example.com\",\"n\":2}]");
  assert_holds(calls[1], "\"n\":3}]");
}

void test_marketo_lanes_never_have_one_key_under_way_at_once(void** state) {
  Marketo& marketo = marketo_of(state);
  std::atomic<int> now{0}, most{0};
  marketo.leads = [&](const httplib::Request& request, httplib::Response& response) {
    const int inside = ++now;
    if (inside > most) most = inside;
    std::this_thread::sleep_for(milliseconds(30));
    --now;
    response.set_content(updated(request), "application/json");
  };
  marketo.make();
  std::vector<std::unique_ptr<Endpoint>> lanes;
  for (int i = 0; i < 3; ++i) {
    lanes.push_back(kind_named("marketo").make(marketo.made.config.endpoints.front()));
    lanes.back()->connect(soon());
  }
  std::vector<std::string> fates(lanes.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < lanes.size(); ++i)
    threads.emplace_back([&, i] {
      const Event mine = of(static_cast<int64_t>(i), "same@example.com");
      const std::vector<const Event*> batch{&mine};
      for (int n = 0; n < 5; ++n) fates[i] += fates_of(lanes[i]->deliver(batch, soon()));
    });
  for (auto& thread : threads) thread.join();
  assert_int_equal(most, 1);
  for (const std::string& fate : fates) assert_text(fate, "DDDDD");
  assert_int_equal(marketo.tokens, 1);
}

// The hanging call may end at Marketo long after it was given up here.
void test_marketo_key_of_a_call_without_an_answer_stays_taken(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.leads = [](const auto&, auto&) { std::this_thread::sleep_for(milliseconds(700)); };
  const Event mine = of(1, "a@example.com");
  const std::vector<const Event*> batch{&mine};
  bool trouble = false;
  try {
    marketo.made.endpoint->deliver(batch, Deadline::in(milliseconds(300)));
  } catch (const Failure&) {
    trouble = true;
  }
  assert_true(trouble);
  marketo.leads = nullptr;
  const auto outcomes = marketo.made.deliver({mine, of(2, "b@example.com")});
  assert_text(fates_of(outcomes), "pD");
  assert_true(outcomes[0].until == milliseconds(0));
  assert_holds(outcomes[0].reason, "another call with the same email");
}

void test_keys_in_use_are_free_after_their_call_or_when_it_must_have_ended(void**) {
  api::KeysInUse keys;
  {
    api::HeldKeys held(keys);
    assert_true(held.add("a") && held.add("b"));
    assert_false(held.add("a"));
  }
  assert_true(keys.take("a"));
  keys.give_back("a", std::chrono::steady_clock::now() + std::chrono::hours(1));
  assert_false(keys.take("a"));
  assert_true(keys.take("b"));
}

// ---- the token ----

void test_marketo_refused_token_is_renewed_once_and_the_call_repeated(void** state) {
  for (const std::string refusal : {"601", "602", "401"}) {
    Marketo marketo;
    marketo.make();
    marketo.leads = [&](const httplib::Request& request, httplib::Response& response) {
      if (request.get_header_value("Authorization") != "Bearer t1")
        return response.set_content(updated(request), "application/json");
      if (refusal == "401") response.status = 401;
      response.set_content(R"({"success":false,"errors":[{"code":")" + refusal + R"(","message":"x"}]})",
                           "application/json");
    };
    assert_text(fates_of(marketo.made.deliver(events(3))), "DDD");
    assert_int_equal(marketo.tokens, 2);
    assert_int_equal(marketo.calls().size(), 2);
  }
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.fails("601");
  assert_text(fates_of(marketo.made.deliver(events(3))), "ppp");
  assert_int_equal(marketo.calls().size(), 2);  // no storm
}

void test_marketo_identity_that_gives_no_token_is_trouble_with_a_reason(void** state) {
  const std::vector<std::tuple<int, std::string, std::string>> table{
      {401, R"({"error":"unauthorized"})", "client_id and client_secret"},
      {200, R"({"token_type":"bearer"})", "no access_token"},
      {200, "<html>secret page</html>", "no JSON object"},
      {503, "", "answer 503"}};
  Marketo& marketo = marketo_of(state);
  for (const auto& [status, body, reason] : table) {
    marketo.server.answer = [status = status, body = body](const auto&, httplib::Response& response, size_t) {
      response.status = status;
      response.set_content(body, "text/html");
    };
    std::string why;
    try {
      marketo.make();
    } catch (const Failure& failure) {
      why = failure.what();
      assert_true(failure.remedy() == Remedy::reconnect);
    }
    assert_holds(why, reason);
    assert_lacks(why, "secret page");
  }
}

void test_shared_token_is_fetched_anew_before_its_end_and_once_for_all(void**) {
  api::SharedToken token;
  int fetched = 0;
  milliseconds life{3'600'000};
  const api::SharedToken::Fetch fetch = [&](Deadline) { return api::Token{"t" + std::to_string(++fetched), life}; };
  assert_text(token.get(fetch, soon()), "t1");
  assert_text(token.get(fetch, soon()), "t1");
  assert_text(token.renew("t1", fetch, soon()), "t2");
  assert_text(token.renew("t1", fetch, soon()), "t2");  // another lane has renewed it
  life = milliseconds(0);
  assert_text(token.renew("t2", fetch, soon()), "t3");
  std::this_thread::sleep_for(milliseconds(1'100));
  assert_text(token.get(fetch, soon()), "t4");
}

// ---- answer → fate ----

void test_marketo_every_code_of_a_whole_answer_has_its_fate(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  const std::string parked = "502 600 603 604 605 606 607 608 609 610 612 613 614 615 616 703 713 719 1018 1026 1029";
  const std::string again = "500 611 1016 1019 1020 9999";
  const std::string dead = "1001 1002 1003 1004 1006 1007 1008 1009 1010 1011 1013 1017 1021 1036 1042 1049 1077";
  for (const auto& [codes, fate] : {std::pair(parked, "p"), std::pair(again, "r"), std::pair(dead, "d")}) {
    std::istringstream words(codes);
    for (std::string code; words >> code;) {
      marketo.fails(code);
      // a key of its own, since some answers leave it taken
      const auto outcomes = marketo.made.deliver({of(1, code + "@example.com")});
      if (fates_of(outcomes) != fate) fail_msg("%s: %s", code.c_str(), fates_of(outcomes).c_str());
      assert_holds(outcomes[0].reason, code + ": ");
      assert_lacks(outcomes[0].reason, "secret@example.com");
      if (*fate == 'p') assert_true(outcomes[0].until > milliseconds(0));
    }
  }
}

void test_marketo_every_code_of_a_record_has_its_fate(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  const std::vector<std::pair<std::string, std::string>> table{
      {"1001 1002 1003 1004 1006 1007 1008 1009 1010 1011 1013 1017 1021 1036 1042 1049 1077", "d"},
      {"1016 1019 1020 9999", "r"},
      {"1005 1015 1037", "D"},
      {"607 1029 606 615", "p"}};
  for (const auto& [codes, fate] : table) {
    std::istringstream words(codes);
    for (std::string code; words >> code;) {
      marketo.answers(
          R"({"success":true,"result":[{"id":1,"status":"created"},{"status":"skipped","reasons":[{"code":")" + code +
          R"(","message":"x"}]},{"id":2,"status":"updated"}]})");
      const std::string fates = fates_of(marketo.made.deliver(events(3)));
      if (fates != "D" + fate + "D") fail_msg("%s: %s", code.c_str(), fates.c_str());
    }
  }
}

void test_marketo_reason_names_the_field_and_never_the_value(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.answers(
      R"({"success":true,"result":[{"status":"skipped","reasons":[{"code":1003,"message":"Invalid value for field 'email' and value 'bademail'"}]}]})");
  assert_text(marketo.made.deliver({of(1, "bademail")})[0].reason, "1003: invalid data (field email)");
}

void test_marketo_missing_lead_can_be_tried_again(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    action: updateOnly\n    missing_lead: retry\n");
  marketo.answers(R"({"success":true,"result":[{"status":"skipped","reasons":[{"code":"1004","message":"x"}]}]})");
  assert_text(fates_of(marketo.made.deliver({of(1, "a@example.com")})), "r");
}

void test_marketo_throttling_parks_for_its_window_and_the_quota_until_its_reset(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.fails("606");
  assert_true(marketo.made.deliver(events(2))[1].until == milliseconds(20'000));
  marketo.fails("607");
  const milliseconds until = marketo.made.deliver(events(2))[1].until;
  const milliseconds expected = marketo::until_reset(wall_clock_us());
  assert_true(until >= expected && until <= expected + milliseconds(5'000));
}

// Days of 23, 25 and 24 hours in Chicago in 2026.
void test_marketo_quota_resets_at_midnight_in_the_middle_of_the_usa(void**) {
  const auto hours_until = [](int64_t now_s) {
    return marketo::until_reset(now_s * 1'000'000) / std::chrono::hours(1);
  };
  assert_int_equal(hours_until(1'772'949'600), 23);  // 2026-03-08 00:00 CST
  assert_int_equal(hours_until(1'793'509'200), 25);  // 2026-11-01 00:00 CDT
  assert_int_equal(hours_until(1'782'882'000), 24);  // 2026-07-01 00:00 CDT
}

void test_marketo_every_status_has_its_fate(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  const std::vector<std::pair<int, std::string>> table{{302, "p"}, {400, "d"}, {403, "p"}, {404, "p"},
                                                       {413, "d"}, {414, "d"}, {429, "p"}, {500, "r"},
                                                       {502, "p"}, {503, "p"}, {504, "p"}};
  for (const auto& [status, fate] : table) {
    marketo.answers("<html>gateway</html>", status, "text/html");
    const auto outcomes = marketo.made.deliver({of(1, std::to_string(status) + "@example.com")});
    if (fates_of(outcomes) != fate) fail_msg("%d: %s", status, outcomes[0].reason.c_str());
    assert_holds(outcomes[0].reason, "answer " + std::to_string(status));
  }
}

void test_marketo_answers_that_are_no_results_lose_nothing(void** state) {
  const std::vector<std::tuple<std::string, std::string, std::string>> table{
      {"<html>log in</html>", "text/html", "pp"},
      {"<error/>", "text/xml", "pp"},
      {"{\"success\":tr", "application/json", "rr"},
      {"", "application/json", "rr"},
      {"[]", "application/json", "rr"},
      {"{\"success\":true}", "application/json", "rr"},
      {"{\"success\":false}", "application/json", "rr"},
      {R"({"success":true,"result":[{"id":1,"status":"created"}]})", "application/json", "rr"},
      {R"({"success":true,"result":[{"status":"created"},{"status":"created"},{"status":"created"}]})",
       "application/json", "rr"},
      {R"({"success":true,"result":[{"status":"created"},{"status":"skipped"}]})", "application/json", "Dr"},
      {R"({"success":true,"result":[7,{"status":"odd"}]})", "application/json", "rr"}};
  (void)state;
  for (const auto& [body, type, fates] : table) {
    Marketo marketo;
    marketo.make();
    marketo.answers(body, 200, type);
    const auto outcomes = marketo.made.deliver(events(2));
    if (fates_of(outcomes) != fates) fail_msg("%s: %s", body.c_str(), fates_of(outcomes).c_str());
    assert_lacks(outcomes[0].reason, "log in");
  }
}

void test_marketo_answers_that_stay_unreadable_are_the_endpoints_trouble(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.answers("{");
  std::string fates;
  for (int i = 0; i < 3; ++i) fates += fates_of(marketo.made.deliver(events(1)));
  assert_text(fates, "rrp");
}

void test_marketo_bad_record_of_a_refused_call_stands_alone(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  for (const auto& [code, fate] : {std::pair("1003", "d"), std::pair("611", "r")}) {
    marketo.leads = [code = code](const httplib::Request& request, httplib::Response& response) {
      const bool bad = request.body.find("\"c5@") != std::string::npos;
      response.set_content(
          bad ? std::string(R"({"success":false,"errors":[{"code":")") + code + "\"}]}" : updated(request),
          "application/json");
    };
    assert_text(fates_of(marketo.made.deliver(events(8))), std::string("DDDD") + fate + "DDD");
  }
  marketo.leads = [](const httplib::Request& request, httplib::Response& response) {
    if (count_of(request.body, "\"email\":") > 2)
      response.status = 413;
    else
      response.set_content(updated(request), "application/json");
  };
  assert_text(fates_of(marketo.made.deliver(events(7))), "DDDDDDD");
}

void test_marketo_that_fails_for_all_uses_few_attempts(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make();
  marketo.fails("611");
  const std::string fates = fates_of(marketo.made.deliver(events(50)));
  assert_int_equal(std::count(fates.begin(), fates.end(), 'r'), 3);
  assert_int_equal(std::count(fates.begin(), fates.end(), 'p'), 47);
}

// ---- configuration ----

void assert_refused(const std::string& options, const std::string& part) {
  const Folder folder;
  const std::string secrets = "    client_id: a\n    client_secret: ${HOME}\n";
  const Loaded loaded = load_endpoint(folder, "marketo", secrets + options);
  for (const Problem& problem : loaded.problems)
    if (problem.error && problem.text.find(part) != std::string::npos) return;
  fail_msg("not refused: %s", options.c_str());
}

void test_marketo_configuration_that_cannot_work_is_refused(void**) {
  const std::string url = "    url: https://h\n";
  assert_refused("    url: http://example.com\n", "in clear text");
  assert_refused("    url: https://h/rest\n", "leave out /rest");
  assert_refused(url + "    lookup_field: id\n", "only with action: updateOnly");
  assert_refused(url + "    action: updateOnly\n    partition: Web\n", "partition");
  assert_refused(url + "    fields: [company]\n", "the lookup field email is not among them");
  assert_refused(url + "    fields: [email, {to: a.b, from: x}]\n", "a lead is flat");
  assert_refused(url + "    fields: [email, id]\n", "Marketo gives ids itself");
}

void test_marketo_limits_are_what_adobe_asks_for_unless_said_otherwise(void**) {
  const Folder folder;
  const std::string least = "    url: https://h\n    client_id: a\n    client_secret: ${HOME}\n";
  const Loaded usual = load_endpoint(folder, "marketo", least);
  const Settings& settings = usual.config.endpoints.front().settings;
  assert_text(settings.texts("rate").at(0), "50 per 20s");
  assert_text(settings.text("quota_zone"), "America/Chicago");
  const HostOptions options =
      host_options(kind_named("marketo"), usual.config.endpoints.front(), usual.config.consumer);
  assert_int_equal(options.batch_size, 300);
  assert_int_equal(options.concurrency, 5);
  const Loaded other = load_endpoint(folder, "marketo", least + "    rate: 10 per 20s\n    batch_size: 100\n");
  assert_text(other.config.endpoints.front().settings.texts("rate").at(0), "10 per 20s");
  assert_int_equal(other.config.endpoints.front().settings.integer("batch_size"), 100);
}

void test_marketo_explains_the_request(void**) {
  const Folder folder;
  const Loaded loaded =
      load_endpoint(folder, "marketo", "    url: https://h\n    client_id: a\n    client_secret: ${HOME}\n");
  assert_text(kind_named("marketo").explain(loaded.config.endpoints.front(), of(1, "a@example.com")).text,
              R"({"action":"createOrUpdate","lookupField":"email","input":[{"email":"a@example.com"}]})");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_marketo_request_is_one_call_with_the_token_in_a_header, setup, teardown),
      checked_with(test_marketo_call_holds_300_leads_and_a_megabyte_at_most, setup, teardown),
      checked_with(test_marketo_what_cannot_be_a_lead_is_a_dead_letter_and_no_call, setup, teardown),
      checked_with(test_marketo_one_key_of_two_rows_never_shares_a_call, setup, teardown),
      checked_with(test_marketo_lanes_never_have_one_key_under_way_at_once, setup, teardown),
      checked_with(test_marketo_key_of_a_call_without_an_answer_stays_taken, setup, teardown),
      checked(test_keys_in_use_are_free_after_their_call_or_when_it_must_have_ended),
      checked_with(test_marketo_refused_token_is_renewed_once_and_the_call_repeated, setup, teardown),
      checked_with(test_marketo_identity_that_gives_no_token_is_trouble_with_a_reason, setup, teardown),
      checked(test_shared_token_is_fetched_anew_before_its_end_and_once_for_all),
      checked_with(test_marketo_every_code_of_a_whole_answer_has_its_fate, setup, teardown),
      checked_with(test_marketo_every_code_of_a_record_has_its_fate, setup, teardown),
      checked_with(test_marketo_reason_names_the_field_and_never_the_value, setup, teardown),
      checked_with(test_marketo_missing_lead_can_be_tried_again, setup, teardown),
      checked_with(test_marketo_throttling_parks_for_its_window_and_the_quota_until_its_reset, setup, teardown),
      checked(test_marketo_quota_resets_at_midnight_in_the_middle_of_the_usa),
      checked_with(test_marketo_every_status_has_its_fate, setup, teardown),
      checked_with(test_marketo_answers_that_are_no_results_lose_nothing, setup, teardown),
      checked_with(test_marketo_answers_that_stay_unreadable_are_the_endpoints_trouble, setup, teardown),
      checked_with(test_marketo_bad_record_of_a_refused_call_stands_alone, setup, teardown),
      checked_with(test_marketo_that_fails_for_all_uses_few_attempts, setup, teardown),
      checked(test_marketo_configuration_that_cannot_work_is_refused),
      checked(test_marketo_limits_are_what_adobe_asks_for_unless_said_otherwise),
      checked(test_marketo_explains_the_request),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
