// The endpoint kind salesforce: which records go in which call, and how many calls there are.
#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "consumer/endpoints/salesforce/session.hpp"
#include "test/unit/salesforce_fixture.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

void test_salesforce_collection_is_one_call_with_the_session(void** state) {
  Org& org = org_of(state);
  org.answers(200, "[" + good + "," + good + "]");
  org.make();
  assert_fates(org.made.deliver({at(1), at(2)}), "DD");
  const auto journal = org.server.journal();
  assert_int_equal(journal.size(), 2);
  assert_text(journal[0].body, "grant_type=client_credentials&client_id=app&client_secret=s%26s");
  assert_text(journal[1].method + " " + journal[1].path,
              "PATCH /services/data/v65.0/composite/sobjects/Contact/Ext__c");
  assert_text(journal[1].get_header_value("Authorization"), "Bearer token-1");
  assert_text(
      journal[1].body,
      R"({"allOrNone":false,"records":[{"attributes":{"type":"Contact"},"Ext__c":"1","Account":{"Ext__c":"a"}},)"
      R"({"attributes":{"type":"Contact"},"Ext__c":"2","Account":{"Ext__c":"a"}}]})");
}

void test_salesforce_collection_holds_200_records_at_most_and_the_rest_goes_with_others(void** state) {
  Org& org = org_of(state);
  org.call = [](const auto& request, auto& response) { response.set_content(all_good(request), "application/json"); };
  org.make();
  const auto outcomes = org.made.deliver(many(401));
  assert_fates(outcomes, std::string(400, 'D') + "p");
  assert_true(outcomes.back().until.count() == 0);
  const auto calls = org.calls();
  assert_int_equal(calls.size(), 2);
  assert_int_equal(count_of(calls[0].body, "\"attributes\""), 200);
  assert_fates(org.made.deliver({at(401)}), "D");  // there are no others
}

// Those that must wait leave room in the call for others, of which there are enough.
void test_salesforce_full_delivery_of_which_many_wait_is_given_back_for_a_fuller_call(void** state) {
  Org& org = org_of(state);
  org.rest = "    unanswered_rest: 10m\n";
  org.fields = "    fields: [{to: Ext__c, from: id, as: text}]\n";
  org.answers(504, "");
  org.make();
  org.made.deliver(many(100));
  org.call = [](const auto& request, auto& response) { response.set_content(all_good(request), "application/json"); };
  assert_fates(org.made.deliver(many(200)), std::string(100, 'w') + std::string(100, 'p'));
  assert_int_equal(org.calls().size(), 1);
  std::vector<Event> others;
  for (int64_t id = 90; id < 290; ++id) others.push_back(at(id));
  assert_fates(org.made.deliver(others), std::string(11, 'w') + std::string(189, 'D'));
  std::vector<Event> few(others.begin(), others.begin() + 20);
  assert_fates(org.made.deliver(few), std::string(11, 'w') + std::string(9, 'D'));  // nobody else comes
  assert_int_equal(org.calls().size(), 3);
}

void test_salesforce_server_error_that_passes_costs_no_halves(void** state) {
  Org& org = org_of(state);
  std::atomic<int> errors{1};
  org.call = [&](const auto& request, auto& response) {
    if (errors-- > 0) {
      response.status = 500;
      return response.set_content("<html>oops</html>", "text/html");
    }
    response.set_content(all_good(request), "application/json");
  };
  org.make();
  assert_fates(org.made.deliver(many(50)), std::string(50, 'D'));
  const auto calls = org.calls();
  assert_int_equal(calls.size(), 2);
  assert_text(calls[0].body, calls[1].body);
}

// ---- one external id, one parent: one call ----

struct Meeting {
  std::atomic<int> inside{0}, most{0};
  void of(const httplib::Request& request, httplib::Response& response) {
    const int now = ++inside;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) continue;
    std::this_thread::sleep_for(milliseconds(60));
    --inside;
    response.set_content(all_good(request), "application/json");
  }
};

// Delivers to two lanes at once; how many of the calls were at work together.
int met(Org& org, const Event& one, const Event& other) {
  Meeting meeting;
  org.call = [&](const auto& request, auto& response) { meeting.of(request, response); };
  org.make();
  const auto lane = org.lane();
  std::vector<Outcome> outcomes;
  std::thread second([&] {
    const std::array batch{&other};
    outcomes = lane->deliver(batch, soon());
  });
  assert_fates(org.made.deliver({one}), "D");
  second.join();
  assert_fates(outcomes, "D");
  return meeting.most;
}

Event about(int64_t id, const std::string& external_id, const std::string& account) {
  return event(id, id, R"({"id":")" + external_id + R"(","account":")" + account + "\"}");
}

void test_salesforce_two_lanes_with_different_records_call_at_once(void** state) {
  assert_int_equal(met(org_of(state), about(1, "a", "p"), about(2, "b", "q")), 2);
}
void test_salesforce_two_lanes_with_one_external_id_take_turns(void** state) {
  assert_int_equal(met(org_of(state), about(1, "a", "p"), about(2, "A", "q")), 1);
}
void test_salesforce_two_lanes_with_one_parent_take_turns(void** state) {
  assert_int_equal(met(org_of(state), about(1, "a", "p"), about(2, "b", "p")), 1);
}

void test_salesforce_one_external_id_twice_in_a_delivery_is_two_calls_in_order(void** state) {
  Org& org = org_of(state);
  org.call = [](const auto& request, auto& response) { response.set_content(all_good(request), "application/json"); };
  org.make();
  assert_fates(org.made.deliver({about(1, "a", "p"), about(2, "A", "q"), about(3, "b", "p")}), "DDD");
  const auto calls = org.calls();
  assert_int_equal(calls.size(), 2);
  assert_lacks(calls[0].body, "\"A\"");
  assert_holds(calls[1].body, "\"A\"");
}

// The row that had the e-mail is gone, and another one has it: what is deleted last would be gone for good.
void test_salesforce_what_follows_a_deletion_of_its_external_id_waits_for_it(void** state) {
  Org& org = org_of(state);
  org.call = [](const auto& request, auto& response) {
    response.set_content(all_good(request), "application/json");
    if (request.method == "DELETE") {
      response.status = 204;
      response.body.clear();
    }
  };
  org.make();
  Event gone = about(1, "a", "p"), gone_too = about(4, "a", "q");
  gone.op = gone_too.op = Op::remove;
  const auto outcomes = org.made.deliver({gone, about(2, "A", "q"), about(3, "b", "p"), gone_too});
  assert_fates(outcomes, "DwDw");
  assert_holds(outcomes[1].reason, "a deletion of the same external id");
  assert_true(outcomes[1].until < milliseconds(1'000));
  const auto calls = org.calls();
  assert_int_equal(calls.size(), 2);
  assert_lacks(calls[0].body, "\"A\"");
  assert_text(calls[1].method, "DELETE");
  assert_fates(org.made.deliver({about(2, "A", "q"), gone_too}), "DD");
}

// A lock that is still held there is told, and tried again.
void test_salesforce_call_without_an_answer_keeps_its_external_ids_and_no_parents(void** state) {
  Org& org = org_of(state);
  org.rest = "    unanswered_rest: 10m\n";
  org.answers(504, "");
  org.make();
  assert_fates(org.made.deliver({about(1, "a", "p")}), "p");
  org.call = [](const auto& request, auto& response) { response.set_content(all_good(request), "application/json"); };
  const auto outcomes = org.made.deliver({about(2, "A", "q"), about(3, "b", "p")});
  assert_fates(outcomes, "wD");
  assert_holds(outcomes[0].reason, "same external id or parent");
  assert_true(outcomes[0].until > milliseconds(500'000));
}

void test_salesforce_no_parent_empties_the_field_of_its_id(void** state) {
  Org& org = org_of(state);
  org.fields =
      "    fields: [{to: Ext__c, from: id, as: text}, {to: Account.Ext__c, from: a}, {to: Plan__r.Ext__c, from: p}]\n";
  org.answers(200, "[" + good + "]");
  org.make();
  assert_fates(org.made.deliver({event(1, 1, R"({"id":1,"a":null,"p":null})")}), "D");
  assert_holds(org.calls()[0].body, R"("Ext__c":"1","AccountId":null,"Plan__c":null})");
}

void test_salesforce_too_many_calls_at_once_makes_them_fewer(void**) {
  salesforce::Session session;
  for (int i = 0; i < 4; ++i) assert_true(session.enter());
  session.crowded();
  assert_false(session.enter());
  for (int i = 0; i < 3; ++i) session.leave();
  assert_true(session.enter());
  assert_false(session.enter());
}

// ---- bulk jobs ----

// An org with a job of two records, which every look finds as `look` says by its number: "" is no answer at all.
void make_bulk(Org& org, const std::function<std::string(int)>& look, std::atomic<int>& looks) {
  org.fields = "    fields: [{to: Ext__c, from: id, as: text}]\n";
  org.call = [&looks, look](const httplib::Request& request, httplib::Response& response) {
    if (request.method == "PUT") return void(response.status = 201);
    if (request.method == "DELETE") return void(response.status = 204);
    if (request.path.ends_with("successfulResults"))
      return response.set_content("sf__Id,sf__Created,Ext__c\n003,true,1\n004,true,2\n", "text/csv");
    if (request.path.ends_with("failedResults")) return response.set_content("", "text/csv");
    const std::string state = request.method == "GET" ? look(++looks) : "Open";
    if (state.empty()) response.set_header("X-Endless", std::string(400'000, 'x'));  // the client hangs up over it
    response.set_content(R"({"id":"750","state":")" + state + "\"}", "application/json");
  };
  org.make("    bulk_from: 2\n");
}

bool aborted(Org& org) {
  const auto calls = org.calls();
  return std::any_of(calls.begin(), calls.end(),
                     [](const auto& call) { return call.body.find("Aborted") != std::string::npos; });
}

void test_salesforce_bulk_look_without_an_answer_is_one_look(void** state) {
  Org& org = org_of(state);
  std::atomic<int> looks{0};
  make_bulk(
      org, [](int nth) { return nth == 1 ? "" : "JobComplete"; }, looks);
  assert_fates(org.made.deliver({at(1), at(2)}), "DD");
  assert_int_equal(looks, 2);
  assert_false(aborted(org));
}

// Else it would write what it holds over newer state later.
void test_salesforce_bulk_job_that_nobody_can_see_is_aborted_in_the_end(void** state) {
  Org& org = org_of(state);
  std::atomic<int> looks{0};
  make_bulk(
      org, [](int) { return ""; }, looks);
  const std::vector<Event> events{at(1), at(2)};
  const std::array batch{&events[0], &events[1]};
  assert_fates(org.made.endpoint->deliver(batch, Deadline::in(milliseconds(2'000))), "pp");
  assert_true(aborted(org));
}

// What the org says of a job: when it is closed, when it is aborted, and when it is looked at.
struct BulkAnswers {
  int closed = 200, aborted = 200;
  std::function<std::string()> state;
  std::string usage = "api-usage=1/100";  // once the job was made
};

void answer_bulk(Org& org, const BulkAnswers& with) {
  org.fields = "    fields: [{to: Ext__c, from: id, as: text}]\n";
  org.call = [with](const httplib::Request& request, httplib::Response& response) {
    const bool closes = request.body.find("UploadComplete") != std::string::npos;
    const bool aborts = request.body.find("Aborted") != std::string::npos;
    response.set_header("Sforce-Limit-Info", closes ? with.usage : "api-usage=1/100");
    if (request.path.find("/jobs/") == std::string::npos)
      return response.set_content(all_good(request), "application/json");
    if (request.method == "PUT") return void(response.status = 201);
    if (request.method == "DELETE") return response.status = 204, response.body.clear();
    if (request.path.ends_with("Results"))
      return response.set_content(
          request.path.ends_with("failedResults") ? "" : "sf__Id,sf__Created,Ext__c\n1,true,1\n", "text/csv");
    response.status = closes ? with.closed : aborts ? with.aborted : 200;
    const std::string state = request.method == "GET"         ? with.state()
                              : aborts && with.aborted == 200 ? "Aborted"
                                                              : "Open";
    response.set_content(R"({"id":"750","state":")" + state + "\"}", "application/json");
  };
  org.make("    bulk_from: 1\n");
}

size_t made_jobs(Org& org) {
  size_t count = 0;
  for (const auto& call : org.calls()) count += call.method == "POST" && call.path.ends_with("/jobs/ingest");
  return count;
}

// It is queued there; the same events as a second job, and newer ones, must not come before it.
void test_salesforce_bulk_job_that_may_be_at_work_keeps_its_records_until_it_is_over(void** state) {
  Org& org = org_of(state);
  std::atomic<bool> over{false};
  answer_bulk(org, {504, 400, [&] { return over ? "JobComplete" : "UploadComplete"; }});
  const auto outcomes = org.made.deliver({at(1)});
  assert_fates(outcomes, "p");
  assert_holds(outcomes[0].reason, "bulk job: answer 504");
  assert_true(aborted(org));
  const auto held = org.made.deliver({at(1)});
  assert_fates(held, "w");
  assert_true(held[0].until > milliseconds(0));
  const auto other = org.lane();
  const Event event = at(1);
  const std::array batch{&event};
  assert_fates(other->deliver(batch, soon()), "w");
  over = true;
  std::string last;
  for (const Deadline enough = Deadline::in(milliseconds(20'000)); last != "D" && !enough.passed();) {
    last = org.made.deliver({at(1)})[0].fate == Outcome::Fate::done ? "D" : "w";
    std::this_thread::sleep_for(milliseconds(50));
  }
  assert_text(last, "D");
}

void test_salesforce_bulk_job_that_was_aborted_keeps_nothing_from_going_again(void** state) {
  Org& org = org_of(state);
  answer_bulk(org, {504, 200, [] { return "Aborted"; }});
  assert_fates(org.made.deliver({at(1)}), "p");
  assert_fates(org.made.deliver({at(1)}), "D");  // in a collection
  assert_int_equal(made_jobs(org), 1);
}

// An administrator may. Collections beside what it has in hand could be overtaken by it.
void test_salesforce_bulk_job_that_somebody_aborts_sends_nothing_beside_it(void** state) {
  Org& org = org_of(state);
  answer_bulk(org, {200, 200, [] { return "Aborted"; }});
  assert_fates(org.made.deliver({at(1)}), "p");
  assert_fates(org.made.deliver({at(1)}), "D");  // in a collection
  assert_int_equal(made_jobs(org), 1);
}

// It was not begun.
void test_salesforce_bulk_job_whose_close_was_refused_keeps_nothing(void** state) {
  Org& org = org_of(state);
  answer_bulk(org, {400, 400, [] { return "Open"; }});
  assert_fates(org.made.deliver({at(1)}), "p");
  assert_fates(org.made.deliver({at(1)}), "p");
  assert_int_equal(made_jobs(org), 2);
}

void test_salesforce_bulk_job_that_was_begun_goes_on_beyond_the_share_of_the_calls(void** state) {
  Org& org = org_of(state);
  answer_bulk(org, {200, 200, [] { return "JobComplete"; }, "api-usage=90/100"});
  assert_fates(org.made.deliver({at(1)}), "D");
  assert_false(aborted(org));
}

void test_salesforce_bulk_job_is_aborted_even_when_all_calls_are_used(void** state) {
  Org& org = org_of(state);
  answer_bulk(org, {200, 200, [] { return "InProgress"; }, "api-usage=100/100"});
  const auto outcomes = org.made.deliver({at(1)});
  assert_fates(outcomes, "p");
  assert_holds(outcomes[0].reason, "used 100 of its 100 API calls");
  assert_true(aborted(org));
}

void test_salesforce_bulk_job_that_failed_goes_in_collections_for_a_while(void** state) {
  Org& org = org_of(state);
  answer_bulk(org, {200, 200, [] { return "Failed"; }});
  assert_fates(org.made.deliver({at(1), at(2)}), "DD");  // the first by the job, the other in a collection
  assert_int_equal(count_of(org.calls().back().body, "\"attributes\""), 1);
  assert_fates(org.made.deliver({at(3)}), "D");
  assert_int_equal(made_jobs(org), 1);
}

void test_salesforce_used_up_calls_park_for_five_minutes(void** state) {
  Org& org = org_of(state);
  org.call = [](const auto&, httplib::Response& response) {
    response.status = 403;
    response.set_header("Sforce-Limit-Info", "api-usage=100/100");
    response.set_content(R"([{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}])",
                         "application/json");
  };
  org.make();
  auto outcomes = org.made.deliver({at(1)});
  assert_fates(outcomes, "p");
  assert_holds(outcomes[0].reason, "REQUEST_LIMIT_EXCEEDED");
  assert_true(outcomes[0].until > milliseconds(200'000));
  assert_fates(org.made.deliver({at(1)}), "p");
  assert_int_equal(org.calls().size(), 1);
  // with calls left, it was too many at once
  org.made.endpoint.reset();
  org.call = [](const auto&, httplib::Response& response) {
    response.status = 403;
    response.set_header("Sforce-Limit-Info", "api-usage=5/100");
    response.set_content(R"([{"message":"ConcurrentRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}])",
                         "application/json");
  };
  org.make("    lanes: 3\n");
  outcomes = org.made.deliver({at(1)});
  assert_fates(outcomes, "p");
  assert_true(outcomes[0].until < milliseconds(5'000));
}

void test_salesforce_delete_is_a_call_and_what_is_gone_is_done(void** state) {
  Org& org = org_of(state);
  org.call = [](const httplib::Request&, httplib::Response& response) {
    response.status = 204;
    response.body.clear();
  };
  org.make();
  assert_fates(org.made.deliver({at(1, Op::remove)}), "D");
  const auto request = org.server.journal().back();
  assert_text(request.method + " " + request.path, "DELETE /services/data/v65.0/sobjects/Contact/Ext__c/1");
  org.answers(404, R"([{"message":"entity is deleted","errorCode":"ENTITY_IS_DELETED"}])");
  assert_fates(org.made.deliver({at(1, Op::remove)}), "D");
  org.answers(
      404, R"([{"message":"Provided external ID field does not exist or is not accessible","errorCode":"NOT_FOUND"}])");
  assert_fates(org.made.deliver({at(1, Op::remove)}), "p");
  assert_int_equal(org.calls().size(), 3);
}

// What the org answers to the deletion by external id, to the look for the record, and to the deletion by its id.
struct Missing {
  int looked;
  std::string found;
  int by_id = 204;
  std::string said = {};
};
const std::string not_found = R"([{"message":"The requested resource does not exist","errorCode":"NOT_FOUND"}])";

void answer_missing(Org& org, const Missing& with, const std::string& first = not_found) {
  org.call = [=](const httplib::Request& request, httplib::Response& response) {
    const bool looks = request.path.ends_with("/query"), by_id = request.path.ends_with("/003000000000001AAA");
    response.status = looks ? with.looked : by_id ? with.by_id : 404;
    response.set_content(looks ? with.found : by_id ? with.said : first, "application/json");
  };
}

std::string found(size_t rows) {
  std::string list;
  for (size_t i = 0; i < rows; ++i)
    list += (i > 0 ? "," : "") +
            (R"({"attributes":{"type":"Contact"},"Id":"00300000000000)" + std::to_string(i + 1) + "AAA\"}");
  return R"({"totalSize":)" + std::to_string(rows) + R"(,"done":true,"records":[)" + list + "]}";
}

void test_salesforce_delete_of_what_is_not_found_is_done_when_nobody_is_there(void** state) {
  struct Row {
    Missing with;
    std::string fate, reason;
    size_t calls;
  };
  const std::string hidden = R"([{"message":"sObject type 'Contact' is not supported.","errorCode":"INVALID_TYPE"}])";
  const std::string gone = R"([{"message":"entity is deleted","errorCode":"ENTITY_IS_DELETED"}])";
  const std::array rows{
      Row{{200, found(0)}, "D", "", 2},
      Row{{200, found(1)}, "D", "", 3},
      Row{{200, found(1), 404, gone}, "D", "", 3},
      Row{{200, found(1), 404, not_found}, "r", "NOT_FOUND", 3},
      Row{{200, found(1), 403, R"([{"message":"m","errorCode":"INSUFFICIENT_ACCESS_OR_READONLY"}])"},
          "p",
          "answer 403 INSUFFICIENT_ACCESS_OR_READONLY",
          3},
      Row{{200, found(2)}, "d", "several records have this external id", 2},
      Row{{400, hidden}, "p", "INVALID_TYPE; look at the endpoint's object", 2},
      Row{{404, not_found}, "p", "answer 404 NOT_FOUND", 2},
      Row{{400, R"([{"message":"\nNo such column 'Ext__c' on entity","errorCode":"INVALID_FIELD"}])"},
          "p",
          "INVALID_FIELD",
          2},
      Row{{400, R"([{"message":"m","errorCode":"QUERY_TIMEOUT"}])"}, "r", "QUERY_TIMEOUT", 2},
      Row{{503, ""}, "p", "answer 503", 2},
      Row{{200, "<html>"}, "r", "does not list records", 2},
      Row{{200, R"({"records":[{"Id":"../Account"}]})"}, "r", "does not list records", 2},
  };
  Org& org = org_of(state);
  org.answers(200, "[" + good + "]");
  org.make();
  for (const Row& row : rows) {
    answer_missing(org, row.with);
    const size_t before = org.calls().size();
    const auto outcomes = org.made.deliver({at(1, Op::remove)});
    assert_fates(outcomes, row.fate);
    assert_holds(outcomes[0].reason, row.reason);
    assert_int_equal(org.calls().size() - before, row.calls);
  }
  answer_missing(org, {400, hidden});
  assert_fates(org.made.deliver({at(1, Op::remove), at(2, Op::remove), at(3, Op::remove)}), "ppp");
  answer_missing(org, {200, found(1)}, "<html>404</html>");  // a body that is none of Salesforce's REST API
  assert_fates(org.made.deliver({at(1, Op::remove)}), "D");
  assert_text(org.calls().back().path, "/services/data/v65.0/sobjects/Contact/003000000000001AAA");
}

void test_salesforce_record_is_looked_for_by_its_value_whatever_it_holds(void** state) {
  Org& org = org_of(state);
  answer_missing(org, {200, found(0)});
  org.make();
  const auto query = [&](const std::string& id) {
    assert_fates(org.made.deliver({event(1, 1, R"({"id":)" + id + "}", Op::remove)}), "D");
    return org.calls().back().get_param_value("q");
  };
  assert_text(query(R"("ann@example.inc")"), "SELECT Id FROM Contact WHERE Ext__c = 'ann@example.inc' LIMIT 2");
  assert_text(query(R"("O'Neill\\ OR Id != ''")"),
              R"(SELECT Id FROM Contact WHERE Ext__c = 'O\'Neill\\ OR Id != \'\'' LIMIT 2)");
  // a field that holds numbers: learned once
  org.call = [](const httplib::Request& request, httplib::Response& response) {
    const bool looks = request.path.ends_with("/query");
    const bool quoted = request.get_param_value("q").find('\'') != std::string::npos;
    response.status = looks ? (quoted ? 400 : 200) : 404;
    response.set_content(
        !looks   ? not_found
        : quoted ? R"([{"message":"value of filter criterion for field 'Ext__c' must be of type double and should not )"
                   R"(be enclosed in quotes","errorCode":"INVALID_FIELD"}])"
                 : found(0),
        "application/json");
  };
  assert_text(query("7"), "SELECT Id FROM Contact WHERE Ext__c = 7 LIMIT 2");
  const size_t before = org.calls().size();
  assert_text(query("-1.5"), "SELECT Id FROM Contact WHERE Ext__c = -1.5 LIMIT 2");
  assert_int_equal(org.calls().size() - before, 2);
  assert_fates(org.made.deliver({event(1, 1, R"({"id":"7 OR Id != null"})", Op::remove)}), "d");
}

void test_salesforce_field_of_numbers_is_seen_in_any_language(void** state) {
  Org& org = org_of(state);
  bool there = true;
  org.call = [&](const httplib::Request& request, httplib::Response& response) {
    const bool looks = request.path.ends_with("/query");
    const bool refused = !there || request.get_param_value("q").find('\'') != std::string::npos;
    response.status = looks ? (refused ? 400 : 200) : 404;
    response.set_content(!looks    ? not_found
                         : refused ? R"([{"message":"正しくありません","errorCode":"INVALID_FIELD"}])"
                                   : found(0),
                         "application/json");
  };
  org.make();
  const auto fate = [&](const std::string& id) {
    return org.made.deliver({event(1, 1, R"({"id":")" + id + "\"}", Op::remove)});
  };
  assert_fates(fate("7"), "D");
  assert_fates(fate("seven"), "d");
  there = false;
  assert_fates(fate("7"), "p");
}

void test_salesforce_share_of_the_daily_calls_parks(void** state) {
  Org& org = org_of(state);
  org.call = [](const auto&, httplib::Response& response) {
    response.set_header("Sforce-Limit-Info", "api-usage=81/100; api-bursts=1/750");
    response.set_content("[" + good + "]", "application/json");
  };
  org.make();
  assert_fates(org.made.deliver({at(1)}), "D");
  const auto outcomes = org.made.deliver({at(2)});
  assert_fates(outcomes, "p");
  assert_holds(outcomes[0].reason, "used 81 of its 100 API calls");
  assert_true(outcomes[0].until > milliseconds(60'000));
  assert_int_equal(org.server.journal().size(), 2);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_salesforce_collection_is_one_call_with_the_session, setup, teardown),
      checked_with(test_salesforce_collection_holds_200_records_at_most_and_the_rest_goes_with_others, setup, teardown),
      checked_with(test_salesforce_full_delivery_of_which_many_wait_is_given_back_for_a_fuller_call, setup, teardown),
      checked_with(test_salesforce_server_error_that_passes_costs_no_halves, setup, teardown),
      checked_with(test_salesforce_two_lanes_with_different_records_call_at_once, setup, teardown),
      checked_with(test_salesforce_two_lanes_with_one_external_id_take_turns, setup, teardown),
      checked_with(test_salesforce_two_lanes_with_one_parent_take_turns, setup, teardown),
      checked_with(test_salesforce_one_external_id_twice_in_a_delivery_is_two_calls_in_order, setup, teardown),
      checked_with(test_salesforce_what_follows_a_deletion_of_its_external_id_waits_for_it, setup, teardown),
      checked_with(test_salesforce_call_without_an_answer_keeps_its_external_ids_and_no_parents, setup, teardown),
      checked_with(test_salesforce_no_parent_empties_the_field_of_its_id, setup, teardown),
      checked(test_salesforce_too_many_calls_at_once_makes_them_fewer),
      checked_with(test_salesforce_bulk_look_without_an_answer_is_one_look, setup, teardown),
      checked_with(test_salesforce_bulk_job_that_nobody_can_see_is_aborted_in_the_end, setup, teardown),
      checked_with(test_salesforce_bulk_job_that_may_be_at_work_keeps_its_records_until_it_is_over, setup, teardown),
      checked_with(test_salesforce_bulk_job_that_was_aborted_keeps_nothing_from_going_again, setup, teardown),
      checked_with(test_salesforce_bulk_job_that_somebody_aborts_sends_nothing_beside_it, setup, teardown),
      checked_with(test_salesforce_bulk_job_whose_close_was_refused_keeps_nothing, setup, teardown),
      checked_with(test_salesforce_bulk_job_that_was_begun_goes_on_beyond_the_share_of_the_calls, setup, teardown),
      checked_with(test_salesforce_bulk_job_is_aborted_even_when_all_calls_are_used, setup, teardown),
      checked_with(test_salesforce_bulk_job_that_failed_goes_in_collections_for_a_while, setup, teardown),
      checked_with(test_salesforce_used_up_calls_park_for_five_minutes, setup, teardown),
      checked_with(test_salesforce_delete_is_a_call_and_what_is_gone_is_done, setup, teardown),
      checked_with(test_salesforce_delete_of_what_is_not_found_is_done_when_nobody_is_there, setup, teardown),
      checked_with(test_salesforce_record_is_looked_for_by_its_value_whatever_it_holds, setup, teardown),
      checked_with(test_salesforce_field_of_numbers_is_seen_in_any_language, setup, teardown),
      checked_with(test_salesforce_share_of_the_daily_calls_parks, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
