// The endpoint kind http: what is sent, and response → fate of each event.
// This program is its own evaluator of jq: see main().
#include <algorithm>

#include "common/jq.hpp"
#include "common/jq_evaluator.hpp"
#include "consumer/endpoints/http/suspects.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/http_server.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

using Fate = Outcome::Fate;

struct Hook {
  HttpServer server;
  Made made;
  void make(const std::string& more = "", const std::string& path = "/hook") {
    made.make("http", "    url: '" + server.url(path) + "'\n" + more);
  }
  // Every request is answered so.
  void answers(int status, const std::string& body = "{}", const std::string& type = "application/json") {
    server.answer = [=](const auto&, httplib::Response& response, size_t) {
      response.status = status;
      response.set_content(status == 204 ? "" : body, type);
    };
  }
};
int setup(void** state) {
  *state = new Hook;
  return 0;
}
int teardown(void** state) {
  delete static_cast<Hook*>(*state);
  return 0;
}
Hook& hook_of(void** state) { return *static_cast<Hook*>(*state); }

Event at(int64_t id, Op op = Op::update) { return event(id, id, "{\"id\":" + std::to_string(id) + "}", op); }
std::vector<Event> events(int64_t count) {
  std::vector<Event> made;
  for (int64_t i = 1; i <= count; ++i) made.push_back(at(i));
  return made;
}
const std::string array = "    batch: array\n";

void assert_fates(const std::vector<Outcome>& outcomes, const std::string& expected) {
  std::string fates;
  for (const Outcome& outcome : outcomes) fates += "DRSrpd"[static_cast<size_t>(outcome.fate)];
  assert_text(fates, expected);
}

// ---- what is sent ----

// The next event is mapped while the server works on the one before. An expression that runs away over one event after
// the other is the endpoint's trouble, in its turn, and what was answered stays answered.
void test_http_endpoint_failing_mapping_of_a_later_event_leaves_the_first_delivered(void** state) {
  Hook& hook = hook_of(state);
  hook.make("    jq: 'if .id > 1 then last(range(1e15)) else . end'\n");
  const auto outcomes = hook.made.deliver(events(5));
  assert_fates(outcomes, "Dddpp");
  assert_holds(outcomes[1].reason, "jq ran for more than");
  assert_holds(outcomes[3].reason, "event after event, jq ran for more than");
  assert_int_equal(hook.server.journal().size(), 1);
}

void test_http_endpoint_single_request_is_the_body_with_its_facts_in_headers(void** state) {
  Hook& hook = hook_of(state);
  hook.make("    headers: [{name: X-Plan, value: 'v-{id}-{$op}'}]\n    bearer: sesame\n");
  assert_fates(hook.made.deliver({at(7)}), "D");
  const auto request = hook.server.journal().at(0);
  assert_text(request.method + " " + request.path + " " + request.body, "POST /hook {\"id\":7}");
  assert_text(request.get_header_value("Content-Type"), "application/json");
  assert_text(request.get_header_value("Idempotency-Key"), at(7).message_id);
  assert_text(request.get_header_value("Authorization"), "Bearer sesame");
  assert_text(request.get_header_value("X-Plan"), "v-7-update");
  assert_text(request.get_header_value("X-Muskrat-Routing-Key"), "Frontend.Customer.Signup");
  assert_text(request.get_header_value("X-Muskrat-Seq"), "7");
}

// A PUT of a body that lacks a field would empty it: the receiver has to know which.
void test_http_endpoint_single_request_names_what_capture_left_out(void** state) {
  Hook& hook = hook_of(state);
  hook.make("    method: PUT\n");
  Event lacking = at(7), odd = at(8), foreign = at(9);
  lacking.omitted = R"(["bio", "plan.notes"])";
  odd.omitted = "[\"a\x7f\\n\"]";
  foreign.omitted = "bio\r\nX-Evil: 1";
  assert_fates(hook.made.deliver({lacking, odd, foreign, at(10)}), "DDDD");
  const auto journal = hook.server.journal();
  assert_text(journal.at(0).get_header_value("X-Muskrat-Omitted"), R"(["bio","plan.notes"])");
  assert_text(journal.at(1).get_header_value("X-Muskrat-Omitted"), R"(["a\u007f\n"])");
  assert_text(journal.at(2).get_header_value("X-Muskrat-Omitted"), R"("bio\r\nX-Evil: 1")");
  assert_false(journal.at(3).has_header("X-Muskrat-Omitted"));
}

void test_http_endpoint_configured_header_takes_the_place_of_ours(void** state) {
  Hook& hook = hook_of(state);
  hook.make(
      "    headers: [{name: content-TYPE, value: application/cloudevents+json}, {name: user-agent, value: shop}, "
      "{name: Authorization, value: Token t}]\n    bearer: sesame\n");
  assert_fates(hook.made.deliver({at(7)}), "D");
  const auto request = hook.server.journal().at(0);
  for (const auto& [name, value] : {std::pair("Content-Type", "application/cloudevents+json"),
                                    std::pair("User-Agent", "shop"), std::pair("Authorization", "Token t")}) {
    assert_int_equal(request.get_header_value_count(name), 1);
    assert_text(request.get_header_value(name), value);
  }
}

void test_http_endpoint_url_is_filled_in_and_encoded(void** state) {
  Hook& hook = hook_of(state);
  hook.make("    delete_method: DELETE\n    idempotency_header: ''\n", "/c/{name}?on={$action}");
  Event odd = event(1, 1, "{\"name\":\"a/../b?x=1 \xc3\xa9\"}");
  Event gone = event(2, 2, "{\"name\":\"z\"}", Op::remove);
  assert_fates(hook.made.deliver({odd, gone, event(3, 3, "{\"name\":null}")}), "DDd");
  const auto journal = hook.server.journal();
  assert_text(journal.at(0).target, "/c/a%2F..%2Fb%3Fx%3D1%20%C3%A9?on=Signup");
  assert_text(journal.at(1).method + journal.at(1).target + journal.at(1).body, "DELETE/c/z?on=Cancel");
  assert_false(journal.at(0).has_header("Idempotency-Key"));
}

void test_http_endpoint_header_injection_is_a_dead_letter(void** state) {
  Hook& hook = hook_of(state);
  hook.make("    headers: [{name: X-Name, value: '{name}'}]\n");
  const auto outcomes =
      hook.made.deliver({event(1, 1, "{\"name\":\"a\\r\\nX-Evil: 1\"}"), event(2, 2, "{\"name\":\"b\"}")});
  assert_fates(outcomes, "dD");
  assert_holds(outcomes[0].reason, "header X-Name: a control character");
  assert_lacks(outcomes[0].reason, "Evil");
}

void test_http_endpoint_batch_is_one_array_or_lines(void** state) {
  Hook& hook = hook_of(state);
  hook.make(array);
  assert_fates(hook.made.deliver(events(3)), "DDD");
  hook.make("    batch: lines\n    payload: event\n");
  hook.made.deliver({event(8, 8, "{\n\"id\":8}"), at(9)});
  const auto journal = hook.server.journal();
  assert_int_equal(journal.size(), 2);
  assert_text(journal[0].body, "[{\"id\":1},{\"id\":2},{\"id\":3}]");
  assert_text(journal[1].get_header_value("Content-Type"), "application/x-ndjson");
  assert_int_equal(std::count(journal[1].body.begin(), journal[1].body.end(), '\n'), 2);
  assert_holds(journal[1].body, "\"message_id\":\"" + at(9).message_id + "\"");
}

void test_http_endpoint_batch_keeps_its_idempotency_key_when_it_is_sent_again(void** state) {
  Hook& hook = hook_of(state);
  hook.make(array);
  hook.answers(503);
  hook.made.deliver(events(3));
  hook.answers(200);
  hook.made.deliver(events(3));
  hook.made.deliver(events(2));
  const auto journal = hook.server.journal();
  const auto key = [&](size_t i) { return journal.at(i).get_header_value("Idempotency-Key"); };
  assert_text(key(0), key(1));
  assert_true(key(0) != key(2) && key(0).starts_with("batch-"));
}

void test_http_endpoint_events_of_different_urls_share_no_request(void** state) {
  Hook& hook = hook_of(state);
  hook.make(array, "/{kind}");
  hook.made.deliver(
      {event(1, 1, "{\"kind\":\"a\"}"), event(2, 2, "{\"kind\":\"b\"}"), event(3, 3, "{\"kind\":\"a\"}")});
  const auto journal = hook.server.journal();
  assert_int_equal(journal.size(), 2);
  assert_text(journal[0].path + journal[0].body, "/a[{\"kind\":\"a\"},{\"kind\":\"a\"}]");
}

// The specification's own example: https://github.com/standard-webhooks (secret, id, timestamp, payload → signature).
void test_http_endpoint_signs_as_standard_webhooks_with_old_and_new_secret(void** state) {
  Hook& hook = hook_of(state);
  hook.make("    signing_secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n    signing_secret_old: plain\n");
  hook.made.deliver({at(7)});
  const auto request = hook.server.journal().at(0);
  assert_text(request.get_header_value("webhook-id"), at(7).message_id);
  assert_true(std::stoll(request.get_header_value("webhook-timestamp")) > 1'700'000'000);
  const std::string signature = request.get_header_value("webhook-signature");
  assert_int_equal(std::count(signature.begin(), signature.end(), ' '), 1);
  assert_true(signature.starts_with("v1,") && signature.find(" v1,") == 47);
}

// ---- status → fate ----

void test_http_endpoint_every_status_has_its_fate(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  const std::vector<std::pair<int, char>> table{{200, 'D'}, {201, 'D'}, {204, 'D'}, {301, 'p'}, {302, 'p'}, {400, 'd'},
                                                {401, 'p'}, {403, 'p'}, {404, 'p'}, {405, 'p'}, {407, 'p'}, {408, 'r'},
                                                {409, 'r'}, {410, 'p'}, {413, 'd'}, {415, 'd'}, {422, 'd'}, {425, 'r'},
                                                {429, 'p'}, {500, 'r'}, {501, 'r'}, {502, 'p'}, {503, 'p'}, {504, 'p'}};
  for (const auto& [status, fate] : table) {
    hook.answers(status);
    const auto outcomes = hook.made.deliver({at(1)});
    if ("DRSrpd"[static_cast<size_t>(outcomes[0].fate)] != fate) fail_msg("%d: %s", status, outcomes[0].reason.c_str());
    if (fate != 'D') assert_holds(outcomes[0].reason, "answer " + std::to_string(status));
    if (fate == 'p') assert_true(outcomes[0].until > milliseconds(0));
  }
}

void test_http_endpoint_what_is_not_found_at_an_events_own_url_is_the_events_failure(void** state) {
  Hook& hook = hook_of(state);
  hook.make("", "/{id}");
  hook.answers(404);
  assert_fates(hook.made.deliver({at(1)}), "d");
}

void test_http_endpoint_statuses_can_be_judged_otherwise(void** state) {
  Hook& hook = hook_of(state);
  hook.make("    retry_on: [404, 4xx]\n    dead_on: [503]\n    park_on: ['422']\n");
  for (const auto& [status, fates] :
       {std::pair(404, "r"), std::pair(400, "r"), std::pair(503, "d"), std::pair(422, "p")}) {
    hook.answers(status);
    assert_fates(hook.made.deliver({at(1)}), fates);
  }
}

void test_http_endpoint_redirect_says_that_none_is_followed(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  hook.answers(308);
  assert_holds(hook.made.deliver({at(1)})[0].reason, "redirects are not followed");
}

void test_http_endpoint_retry_after_parks_for_as_long(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  for (const int status : {429, 503, 500}) {
    hook.server.answer = [status](const auto&, httplib::Response& response, size_t) {
      response.status = status;
      response.set_header("Retry-After", "120");
    };
    const auto outcomes = hook.made.deliver(events(3));
    assert_fates(outcomes, "ppp");
    for (const Outcome& outcome : outcomes) assert_true(outcome.until == milliseconds(120'000));
  }
  assert_int_equal(hook.server.journal().size(), 3);  // no more was sent than was needed to know
}

void test_http_endpoint_rest_of_no_length_is_as_long_as_one_that_was_not_said(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  for (const char* asked : {"0", "-1", "Wed, 21 Oct 2015 07:28:00 GMT"}) {
    hook.server.answer = [asked](const auto&, httplib::Response& response, size_t) {
      response.status = 503;
      response.set_header("Retry-After", asked);
    };
    const auto outcomes = hook.made.deliver(events(1));
    assert_fates(outcomes, "p");
    assert_true(outcomes[0].until >= milliseconds(500));
  }
  hook.make("    batch: array\n    results: expected\n");
  hook.answers(200, R"([{"result":"park","after":0},{"result":"park","after":-7},{"result":"park","after":2}])");
  const auto outcomes = hook.made.deliver(events(3));
  assert_true(outcomes[0].until == milliseconds(1000) && outcomes[1].until == milliseconds(1000));
  assert_true(outcomes[2].until == milliseconds(2000));
}

void test_http_endpoint_trouble_in_mid_batch_keeps_what_was_answered(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  hook.server.answer = [](const auto&, httplib::Response& response, size_t nth) {
    if (nth == 3) response.status = 503;
  };
  assert_fates(hook.made.deliver(events(5)), "DDppp");
}

void test_http_endpoint_that_is_down_is_in_trouble_and_no_event_fails(void** state) {
  Hook& hook = hook_of(state);
  hook.made.make("http", "    url: http://127.0.0.1:1/\n");
  Remedy remedy = Remedy::stop;
  try {
    hook.made.deliver({at(1)});
  } catch (const Failure& failure) {
    remedy = failure.remedy();
  }
  assert_true(remedy == Remedy::reconnect);
}

void test_http_endpoint_answer_that_hangs_is_trouble_within_the_deadline(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  hook.server.answer = [](const auto&, auto&, size_t nth) {
    if (nth == 2) std::this_thread::sleep_for(milliseconds(1500));
  };
  const auto made = events(3);
  std::vector<const Event*> batch;
  batch.reserve(made.size());
  for (const Event& event : made) batch.push_back(&event);
  assert_fates(hook.made.endpoint->deliver(batch, Deadline::in(milliseconds(500))), "Dpp");
}

void test_http_endpoint_bad_record_of_a_batch_stands_alone(void** state) {
  Hook& hook = hook_of(state);
  hook.make(array);
  for (const int status : {400, 422, 500}) {
    hook.server.answer = [status](const httplib::Request& request, httplib::Response& response, size_t) {
      if (request.body.find("\"id\":5}") != std::string::npos) response.status = status;
    };
    assert_fates(hook.made.deliver(events(8)), status == 500 ? "DDDDrDDD" : "DDDDdDDD");
  }
}

void test_http_endpoint_too_large_batch_is_split_until_it_fits(void** state) {
  Hook& hook = hook_of(state);
  hook.make(array);
  hook.server.answer = [](const httplib::Request& request, httplib::Response& response, size_t) {
    if (request.body.size() > 25) response.status = 413;
  };
  assert_fates(hook.made.deliver(events(7)), "DDDDDDD");
}

// Else ten attempts of every event in hand would be used up by an outage of an hour.
void test_http_endpoint_server_that_fails_for_all_uses_few_attempts(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  hook.answers(500);
  const auto outcomes = hook.made.deliver(events(50));
  assert_int_equal(std::count_if(outcomes.begin(), outcomes.end(), [](const auto& o) { return o.fate == Fate::retry; }),
                   3);
  assert_int_equal(hook.server.journal().size(), 3);
}

// ---- no answer ----

// Connected anew after trouble, as by a lane; "!" is trouble.
std::string fates_within(Hook& hook, const std::vector<Event>& events, milliseconds span) {
  std::vector<const Event*> batch;
  batch.reserve(events.size());
  for (const Event& event : events) batch.push_back(&event);
  std::string fates;
  try {
    for (const Outcome& outcome : hook.made.endpoint->deliver(batch, Deadline::in(span)))
      fates += "DRSrpd"[static_cast<size_t>(outcome.fate)];
  } catch (const Failure& failure) {
    hook.made.endpoint->connect(soon());
    return "!";
  }
  return fates;
}

// The client hangs up over headers without end.
void hang_up(httplib::Response& response) { response.set_header("X-Endless", std::string(400'000, 'x')); }

bool holds_id(const httplib::Request& request, int id) {
  return request.body.find("\"id\":" + std::to_string(id) + "}") != std::string::npos;
}

void test_http_endpoint_event_over_which_the_receiver_hangs_holds_up_no_other(void** state) {
  Hook& hook = hook_of(state);
  hook.make();
  hook.server.answer = [](const httplib::Request& request, auto&, size_t) {
    if (holds_id(request, 1)) std::this_thread::sleep_for(milliseconds(1500));
  };
  assert_text(fates_within(hook, events(4), milliseconds(800)), "!");
  assert_text(fates_within(hook, events(4), milliseconds(800)), "rDDD");
  assert_text(hook.server.journal().back().body, "{\"id\":1}");
}

void test_http_endpoint_bad_one_of_a_batch_without_an_answer_is_found_alone(void** state) {
  Hook& hook = hook_of(state);
  hook.make(array);
  const auto bad_is = [&](int id) {
    hook.server.answer = [id](const httplib::Request& request, httplib::Response& response, size_t) {
      if (holds_id(request, id)) hang_up(response);
    };
  };
  bad_is(2);
  assert_text(fates_within(hook, events(3), milliseconds(10'000)), "!");
  assert_text(fates_within(hook, events(3), milliseconds(10'000)), "DrD");
  const Event fourth = at(4), fifth = at(5);
  bad_is(4);  // the first of them: until others were answered, the receiver may be down
  assert_text(fates_within(hook, {fourth, fifth}, milliseconds(10'000)), "!");
  assert_text(fates_within(hook, {fourth, fifth}, milliseconds(10'000)), "!");
  assert_text(fates_within(hook, {fourth, fifth}, milliseconds(10'000)), "rD");
}

void test_http_endpoint_that_answers_nothing_fails_no_event_and_goes_on_as_before(void** state) {
  Hook& hook = hook_of(state);
  for (const std::string& batch : {std::string(), array}) {
    hook.make(batch);
    hook.server.answer = [](const auto&, httplib::Response& response, size_t) { hang_up(response); };
    for (int i = 0; i < 5; ++i) assert_text(fates_within(hook, events(3), milliseconds(10'000)), "!");
    hook.server.answer = nullptr;
    assert_text(fates_within(hook, events(3), milliseconds(10'000)), "DDD");
  }
  const size_t before = hook.server.journal().size();
  assert_text(fates_within(hook, events(3), milliseconds(10'000)), "DDD");
  assert_int_equal(hook.server.journal().size(), before + 1);  // one request again
}

void test_suspects_are_counted_until_they_are_answered_and_bounded(void**) {
  http_endpoint::Suspects suspects(2);
  suspects.unanswered("a");
  suspects.unanswered("a");
  suspects.unanswered("b");
  assert_int_equal(suspects.failures("a"), 2);
  suspects.answered("a");
  assert_int_equal(suspects.failures("a"), 0);
  suspects.unanswered("c");
  suspects.unanswered("d");  // too many: it begins anew
  assert_int_equal(suspects.failures("b") + suspects.failures("c"), 0);
  assert_int_equal(suspects.failures("d"), 1);
}

// ---- results, record by record ----

const std::string with_results = "    batch: array\n    results: expected\n";

void test_http_endpoint_results_are_matched_by_message_id_in_any_order(void** state) {
  Hook& hook = hook_of(state);
  hook.make(with_results);
  const auto id = [](int64_t n) { return "\"message_id\":\"" + at(n).message_id + "\","; };
  hook.answers(200, "[{" + id(4) + "\"result\":\"dead\",\"reason\":\"no such plan\"},{" + id(1) +
                        "\"result\":\"done\"},{" + id(3) + "\"status\":201},{" + id(2) +
                        "\"result\":\"park\",\"reason\":\"quota\",\"after\":1.5}]");
  const auto outcomes = hook.made.deliver(events(4));
  assert_fates(outcomes, "DpDd");
  assert_text(outcomes[3].reason, "no such plan");
  assert_true(outcomes[1].until == milliseconds(1500));
}

void test_http_endpoint_results_without_ids_count_by_place(void** state) {
  Hook& hook = hook_of(state);
  hook.make(with_results);
  hook.answers(207, "{\"results\":[{\"status\":200},{\"status\":422},{\"status\":408}]}");
  assert_fates(hook.made.deliver(events(3)), "Ddr");
}

// As many as records, and one has an id: the others' places mean nothing.
void test_http_endpoint_results_count_by_place_only_where_none_has_an_id(void** state) {
  Hook& hook = hook_of(state);
  hook.make(with_results);
  hook.answers(200, "[{\"message_id\":\"" + at(2).message_id +
                        "\",\"result\":\"done\"},{\"result\":\"dead\"},{\"message_id\":\"" + at(3).message_id +
                        "\",\"result\":\"maybe\"}]");
  const auto outcomes = hook.made.deliver(events(3));
  assert_fates(outcomes, "rDr");
  assert_text(outcomes[0].reason, "the answer has no result for this event");
  assert_holds(outcomes[2].reason, "none of done, retry, park, dead");
}

void test_http_endpoint_fewer_results_than_records_lose_none(void** state) {
  Hook& hook = hook_of(state);
  hook.make(with_results);
  hook.answers(200, "[{\"message_id\":\"" + at(2).message_id +
                        "\",\"result\":\"done\"},{\"message_id\":\"unknown\",\"result\":\"done\"}]");
  const auto outcomes = hook.made.deliver(events(3));
  assert_fates(outcomes, "rDr");
  assert_text(outcomes[0].reason, "the answer has no result for this event");
}

void test_http_endpoint_answers_that_are_no_results_are_named(void** state) {
  Hook& hook = hook_of(state);
  hook.make(with_results);
  const std::vector<std::tuple<std::string, std::string, std::string, std::string>> table{
      {"<html>log in</html>", "text/html; charset=utf-8", "pp", "where JSON is due"},
      {"[{\"message_id\":", "application/json", "rr", "no JSON"},
      {"", "application/json", "rr", "no JSON"},
      {"{\"ok\":true}", "application/json", "rr", "no list of results"},
      {"[1,{\"result\":\"maybe\"}]", "application/json", "rr", "the answer's result"},
      {"[{\"status\":\"200\"},{\"status\":99}]", "application/json", "rr", "the answer's result"}};
  for (const auto& [body, type, fates, reason] : table) {
    hook.answers(200, body, type);
    const auto outcomes = hook.made.deliver(events(2));
    assert_fates(outcomes, fates);
    assert_holds(outcomes[0].reason, reason);
    assert_lacks(outcomes[0].reason, "log in");
  }
}

void test_http_endpoint_answer_that_ends_half_way_is_named(void** state) {
  Hook& hook = hook_of(state);
  hook.make(with_results + "    response_bytes: 1KiB\n");
  hook.answers(200, "[" + std::string(5000, ' ') + "]");
  const auto outcomes = hook.made.deliver(events(2));
  assert_fates(outcomes, "rr");
  assert_holds(outcomes[0].reason, "cut off");
}

// ---- configuration ----

void assert_refused(const std::string& options, const std::string& part) {
  const Folder folder;
  const Loaded loaded = load_endpoint(folder, "http", options);
  for (const Problem& problem : loaded.problems)
    if (problem.error && problem.text.find(part) != std::string::npos) return;
  fail_msg("not refused: %s", options.c_str());
}

void test_http_endpoint_configuration_that_cannot_work_is_refused(void**) {
  const std::string url = "    url: http://h/\n";
  assert_refused("    url: h/x\n", "neither https:// nor http://");
  assert_refused("    url: 'http://h/{id'\n", "a { without its }");
  assert_refused("    url: 'http://h/{$nothing}'\n", "there is no $nothing");
  assert_refused(url + "    method: get it\n", "expected a method");
  assert_refused(url + "    headers: [{name: 'X Y', value: a}]\n", "no header's name");
  assert_refused(url + "    headers: [{name: X, value: '{'}]\n", "a { without its }");
  for (const char* name :
       {"content-length", "Transfer-Encoding", "Connection", "idempotency-KEY", "x-muskrat-op", "X-Muskrat-Omitted"})
    assert_refused(url + "    headers: [{name: " + name + ", value: x}]\n", std::string(name) + " cannot be set here");
  assert_refused(url + "    signing_secret: s\n    headers: [{name: Webhook-Id, value: x}]\n",
                 "signing_secret sends it");
  assert_refused(url + "    dead_on: [600]\n", "no HTTP status");
  assert_refused(url + "    signing_secret: whsec_x\n", "no base64");
  assert_refused(url + "    bearer: a\n    username: b\n", "use one of them");
  assert_refused(url + "    results: expected\n", "batch: array or lines");
}

}  // namespace

int main(int argc, char** argv) {
  if (jq::asked_to_evaluate(argc, argv)) return jq::serve_jq();
  const CMUnitTest tests[] = {
      checked_with(test_http_endpoint_failing_mapping_of_a_later_event_leaves_the_first_delivered, setup, teardown),
      checked_with(test_http_endpoint_single_request_is_the_body_with_its_facts_in_headers, setup, teardown),
      checked_with(test_http_endpoint_single_request_names_what_capture_left_out, setup, teardown),
      checked_with(test_http_endpoint_configured_header_takes_the_place_of_ours, setup, teardown),
      checked_with(test_http_endpoint_url_is_filled_in_and_encoded, setup, teardown),
      checked_with(test_http_endpoint_header_injection_is_a_dead_letter, setup, teardown),
      checked_with(test_http_endpoint_batch_is_one_array_or_lines, setup, teardown),
      checked_with(test_http_endpoint_batch_keeps_its_idempotency_key_when_it_is_sent_again, setup, teardown),
      checked_with(test_http_endpoint_events_of_different_urls_share_no_request, setup, teardown),
      checked_with(test_http_endpoint_signs_as_standard_webhooks_with_old_and_new_secret, setup, teardown),
      checked_with(test_http_endpoint_every_status_has_its_fate, setup, teardown),
      checked_with(test_http_endpoint_what_is_not_found_at_an_events_own_url_is_the_events_failure, setup, teardown),
      checked_with(test_http_endpoint_statuses_can_be_judged_otherwise, setup, teardown),
      checked_with(test_http_endpoint_redirect_says_that_none_is_followed, setup, teardown),
      checked_with(test_http_endpoint_retry_after_parks_for_as_long, setup, teardown),
      checked_with(test_http_endpoint_rest_of_no_length_is_as_long_as_one_that_was_not_said, setup, teardown),
      checked_with(test_http_endpoint_trouble_in_mid_batch_keeps_what_was_answered, setup, teardown),
      checked_with(test_http_endpoint_that_is_down_is_in_trouble_and_no_event_fails, setup, teardown),
      checked_with(test_http_endpoint_answer_that_hangs_is_trouble_within_the_deadline, setup, teardown),
      checked_with(test_http_endpoint_bad_record_of_a_batch_stands_alone, setup, teardown),
      checked_with(test_http_endpoint_too_large_batch_is_split_until_it_fits, setup, teardown),
      checked_with(test_http_endpoint_server_that_fails_for_all_uses_few_attempts, setup, teardown),
      checked_with(test_http_endpoint_event_over_which_the_receiver_hangs_holds_up_no_other, setup, teardown),
      checked_with(test_http_endpoint_bad_one_of_a_batch_without_an_answer_is_found_alone, setup, teardown),
      checked_with(test_http_endpoint_that_answers_nothing_fails_no_event_and_goes_on_as_before, setup, teardown),
      checked(test_suspects_are_counted_until_they_are_answered_and_bounded),
      checked_with(test_http_endpoint_results_are_matched_by_message_id_in_any_order, setup, teardown),
      checked_with(test_http_endpoint_results_without_ids_count_by_place, setup, teardown),
      checked_with(test_http_endpoint_results_count_by_place_only_where_none_has_an_id, setup, teardown),
      checked_with(test_http_endpoint_fewer_results_than_records_lose_none, setup, teardown),
      checked_with(test_http_endpoint_answers_that_are_no_results_are_named, setup, teardown),
      checked_with(test_http_endpoint_answer_that_ends_half_way_is_named, setup, teardown),
      checked(test_http_endpoint_configuration_that_cannot_work_is_refused),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
