// The endpoint kind marketo: what is sent, which keys share no call, the token, configuration.
#include <atomic>

#include "common/api_token.hpp"
#include "consumer/endpoints/api/keys_in_use.hpp"
#include "consumer/host.hpp"
#include "consumer/options.hpp"
#include "test/unit/marketo_fixture.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

using Fate = Outcome::Fate;

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
      {R"({"x":1})", "no email, by which"},
      {R"({"email":null})", "email, by which Marketo finds it, is empty"},
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
  const Event last = event(3, 3, R"({"email":" a@EXAMPLE.com","n":3})");
  const auto outcomes = marketo.made.deliver(
      {event(1, 1, R"({"email":"A@example.com","n":1})"), event(2, 2, R"({"email":"b@example.com","n":2})"), last});
  assert_text(fates_of(outcomes), "DDw");
  assert_true(outcomes[2].until <= milliseconds(1'000));
  assert_text(fates_of(marketo.made.deliver({last})), "D");
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
      for (const Deadline end = soon(); fates[i].size() < 5 && !end.passed();) {
        const auto outcomes = lanes[i]->deliver(batch, soon());
        if (outcomes[0].fate == Fate::wait)
          std::this_thread::sleep_for(milliseconds(1));
        else
          fates[i] += fates_of(outcomes);
      }
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
  assert_text(fates_of(outcomes), "wD");
  assert_true(outcomes[0].until > milliseconds(80'000) && outcomes[0].until <= milliseconds(90'000));
  assert_holds(outcomes[0].reason, "another call with the same email");
}

// Marketo works on these for up to two minutes.
void test_marketo_key_of_a_custom_object_stays_taken_for_longer(void** state) {
  Marketo& marketo = marketo_of(state);
  const auto rest = [&](const std::string& more) {
    marketo.make("    object: car_c\n    dedupe_fields: [vin]\n" + more);
    marketo.answers("", 504);
    const Event car = event(1, 1, more.empty() ? R"({"vin":"V1"})" : R"({"vin":"V2"})");
    assert_text(fates_of(marketo.made.deliver({car})), "p");
    const auto outcomes = marketo.made.deliver({car});
    assert_text(fates_of(outcomes), "w");
    return outcomes[0].until;
  };
  assert_true(rest("") > milliseconds(120'000));
  const milliseconds given = rest("    unanswered_rest: 90s\n");
  assert_true(given > milliseconds(80'000) && given <= milliseconds(90'000));
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
  keys.hold("c");
  assert_false(keys.take("c"));
  assert_true(keys.taken_for("c") > milliseconds(0));
  keys.let_go("c", {});
  assert_int_equal(keys.taken_for("c").count(), 0);
  assert_true(keys.take("c"));
}

// ---- imports ----

// An import under way whose look says that no call may be made now: nothing of the delivery is sent, and none is done.
void test_marketo_delivery_that_an_import_halts_begins_none_and_is_not_done(void**) {
  for (const char* code : {"606", "607", "615", "603"}) {
    Marketo marketo;
    std::atomic<int> uploads{0};
    std::atomic<bool> shut{false};
    marketo.leads = [&](const httplib::Request& request, httplib::Response& response) {
      if (request.path == "/bulk/v1/leads.json") ++uploads;
      const std::string refusal =
          R"({"success":false,"errors":[{"code":")" + std::string(code) + R"(","message":"x"}]})";
      const bool full = uploads > 1 && request.path == "/bulk/v1/leads.json";
      response.set_content(full   ? R"({"success":false,"errors":[{"code":"1016","message":"x"}]})"
                           : shut ? refusal
                                  : R"({"success":true,"result":[{"batchId":7,"status":"Queued"}]})",
                           "application/json");
    };
    marketo.make("    bulk_from: 3\n    bulk_look: 100ms\n");
    std::vector<Event> all = events(5);
    all.push_back(event(6, 6, R"({"email":"c6@example.com","firstName":null})"));  // fits no file
    std::vector<const Event*> batch;
    batch.reserve(all.size());
    for (const Event& one : all) batch.push_back(&one);
    assert_text(fates_of(marketo.made.endpoint->deliver(std::span(batch).first(3), Deadline::in(milliseconds(400)))),
                "ppp");
    shut = true;
    assert_text(fates_of(marketo.made.endpoint->deliver(batch, soon())), "pppppp");  // too few for a file
    all.push_back(of(7, "c7@example.com"));
    assert_text(fates_of(marketo.made.deliver(all)), "ppppppp");  // enough for one
    assert_int_equal(uploads, 1);
    assert_int_equal(marketo.calls().size(), 0);
  }
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
  const api::SharedToken::Fetch fetch = [&](Deadline) { return api::Token{"t" + std::to_string(++fetched), life, ""}; };
  assert_text(token.get(fetch, soon()).text, "t1");
  assert_text(token.get(fetch, soon()).text, "t1");
  assert_text(token.renew("t1", fetch, soon()).text, "t2");
  assert_text(token.renew("t1", fetch, soon()).text, "t2");  // another lane has renewed it
  life = milliseconds(0);
  assert_text(token.renew("t2", fetch, soon()).text, "t3");
  std::this_thread::sleep_for(milliseconds(1'100));
  assert_text(token.get(fetch, soon()).text, "t4");
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
  assert_refused(url + "    fields: [company]\n", "email is not among them");
  assert_refused(url + "    fields: [email, {to: a.b, from: x}]\n", "a record is flat");
  assert_refused(url + "    object: car_c\n", "dedupe_fields");
  assert_refused(url + "    object: car/c\n    dedupe_fields: [vin]\n", "no API name");
  assert_refused(url + "    object: car_c\n    dedupe_fields: [vin]\n    lookup_field: email\n", "it is for leads");
  assert_refused(url + "    object: car_c\n    dedupe_fields: [vin]\n    fields: [km]\n", "vin is not among them");
  assert_refused(url + "    dedupe_fields: [vin]\n", "for custom objects");
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

// Leads are deleted by id, which Marketo is asked for first.
void test_marketo_delete_finds_the_ids_and_deletes_them(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    deletes: apply\n");
  marketo.leads = [](const httplib::Request& request, httplib::Response& response) {
    response.set_content(
        request.path == "/rest/v1/leads/delete.json"
            ? R"({"success":true,"result":[{"id":7,"status":"deleted"},{"status":"skipped","reasons":[{"code":"1004","message":"x"}]}]})"
            : R"({"success":true,"result":[{"id":9,"email":"twice@example.com"},{"id":7,"email":"A@example.com"},)"
              R"({"id":10,"email":"twice@example.com"},{"id":8,"email":"gone@example.com"}]})",
        "application/json");
  };
  const auto outcomes =
      marketo.made.deliver({of(1, "a@example.com", Op::remove), of(2, "nobody@example.com", Op::remove),
                            of(3, "twice@example.com", Op::remove), of(4, "gone@example.com", Op::remove),
                            of(5, "a,b@example.com", Op::remove)});
  assert_text(fates_of(outcomes), "DDdDd");
  assert_holds(outcomes[2].reason, "1007");
  assert_holds(outcomes[4].reason, "a comma");
  const auto journal = marketo.server.journal();
  assert_text(journal[1].method + " " + journal[1].target, "POST /rest/v1/leads.json?_method=GET");
  assert_text(journal[1].body,
              "filterType=email&filterValues=a%40example.com%2Cnobody%40example.com%2Ctwice%40example.com%2C"
              "gone%40example.com&fields=id%2Cemail");
  assert_text(journal[2].body, R"({"input":[{"id":7},{"id":8}]})");
}

// Who is not found counts as deleted: so pages are followed to their end, and what cannot be read is no answer.
void test_marketo_delete_passes_over_no_lead_that_it_was_told_of(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    deletes: apply\n");
  std::string second = R"({"success":true,"result":[{"id":7,"email":"a@example.com"}]})";
  marketo.leads = [&](const httplib::Request& request, httplib::Response& response) {
    const bool first = request.body.find("nextPageToken=p2") == std::string::npos;
    response.set_content(
        request.path != "/rest/v1/leads.json" ? R"({"success":true,"result":[{"id":7,"status":"deleted"}]})"
        : first ? R"({"success":true,"nextPageToken":"p2","result":[{"id":9,"email":"else@example.com"}]})"
                : second,
        "application/json");
  };
  assert_text(fates_of(marketo.made.deliver({of(1, "a@example.com", Op::remove)})), "D");
  assert_text(marketo.server.journal().back().body, R"({"input":[{"id":7}]})");
  for (const char* odd : {R"({"success":true,"result":[{"email":"a@example.com"}]})",
                          R"({"success":true,"result":[{"id":7,"email":null}]})", R"({"success":true,"result":[7]})"}) {
    second = odd;
    const auto outcomes = marketo.made.deliver({of(1, "a@example.com", Op::remove)});
    assert_true(outcomes[0].fate == Fate::retry || outcomes[0].fate == Fate::park);
    assert_holds(outcomes[0].reason, "leads without id or email");
  }
}

// Marketo compares more than ASCII letters without case, and numbers as numbers.
void test_marketo_delete_of_a_lead_that_is_spelt_otherwise_is_no_success(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    deletes: apply\n");
  marketo.leads = [](const httplib::Request& request, httplib::Response& response) {
    const bool asked = request.body.find("%C3%89") != std::string::npos,
               a = request.body.find("a%40") != std::string::npos;
    const std::string list = std::string(asked ? R"({"id":9,"email":"é@example.com"})" : "") + (asked && a ? "," : "") +
                             (a ? R"({"id":7,"email":"a@example.com"})" : "");
    response.set_content(request.path == "/rest/v1/leads/delete.json"
                             ? R"({"success":true,"result":[{"id":7,"status":"deleted"}]})"
                             : R"({"success":true,"result":[)" + list + "]}",
                         "application/json");
  };
  const auto outcomes = marketo.made.deliver({of(1, "a@example.com", Op::remove), of(2, "É@example.com", Op::remove),
                                              of(3, "b@example.com", Op::remove), of(4, "c@example.com", Op::remove)});
  assert_text(fates_of(outcomes), "DdDD");
  assert_holds(outcomes[1].reason, "another spelling of email");
  assert_lacks(outcomes[1].reason, "example.com");
  for (const auto& request : marketo.server.journal())
    if (request.path == "/rest/v1/leads/delete.json") assert_text(request.body, R"({"input":[{"id":7}]})");
}

void test_marketo_changes_and_deletes_are_calls_of_their_own(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    object: car_c\n    dedupe_fields: [vin]\n    deletes: apply\n");
  marketo.leads = [](const httplib::Request& request, httplib::Response& response) {
    const bool removes = request.path == "/rest/v1/customobjects/car_c/delete.json";
    response.set_content(
        removes
            ? R"({"success":true,"result":[{"seq":0,"status":"skipped","reasons":[{"code":"1013","message":"x"}]}]})"
            : R"({"success":true,"result":[{"seq":1,"status":"skipped","reasons":[{"code":"1004","message":"x"}]},)"
              R"({"seq":0,"status":"created","marketoGUID":"g"}]})",
        "application/json");
  };
  const auto outcomes = marketo.made.deliver({event(1, 1, R"({"vin":"v1","email":"a@example.com"})"),
                                              event(2, 2, R"({"vin":"V2","km":7})", Op::remove),
                                              event(3, 3, R"({"vin":"v3","email":"b@example.com"})")});
  assert_text(fates_of(outcomes), "DDd");
  const auto journal = marketo.server.journal();
  assert_text(journal[1].target + journal[1].body,
              R"(/rest/v1/customobjects/car_c.json{"action":"createOrUpdate","dedupeBy":"dedupeFields","input":[)"
              R"({"vin":"v1","email":"a@example.com"},{"vin":"v3","email":"b@example.com"}]})");
  assert_text(journal[2].target + journal[2].body,
              R"(/rest/v1/customobjects/car_c/delete.json{"deleteBy":"dedupeFields","input":[{"vin":"V2"}]})");
}

// The row that had the key is gone, and another one has it.
void test_marketo_changes_and_deletes_of_one_key_keep_their_order(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    object: car_c\n    dedupe_fields: [vin]\n    deletes: apply\n");
  marketo.leads = [](const httplib::Request& request, httplib::Response& response) {
    std::string results;
    for (size_t i = 0; i < count_of(request.body, "\"vin\":"); ++i)
      results += std::string(i > 0 ? "," : "") + R"({"seq":)" + std::to_string(i) +
                 R"(,"status":"updated","marketoGUID":"g"})";
    response.set_content(R"({"success":true,"result":[)" + results + "]}", "application/json");
  };
  const auto outcomes = marketo.made.deliver(
      {event(1, 1, R"({"vin":"v1"})"), event(2, 2, R"({"vin":"V2"})", Op::remove), event(3, 3, R"({"vin":"v2"})"),
       event(4, 4, R"({"vin":"v2"})", Op::remove), event(5, 5, R"({"vin":"v3"})")});
  assert_text(fates_of(outcomes), "DDDDD");
  std::string sent;
  for (const auto& request : marketo.server.journal())
    if (const size_t input = request.body.find("\"input\":"); input != std::string::npos)
      sent += (request.path.ends_with("/delete.json") ? "delete " : "change ") + request.body.substr(input + 8);
  assert_text(
      sent, R"(change [{"vin":"v1"},{"vin":"v3"}]}delete [{"vin":"V2"}]}change [{"vin":"v2"}]}delete [{"vin":"v2"}]})");
}

void test_marketo_row_behind_a_deletion_of_its_key_is_in_no_file(void** state) {
  Marketo& marketo = marketo_of(state);
  marketo.make("    deletes: apply\n    bulk_from: 3\n    bulk_look: 100ms\n");
  marketo.answers(R"({"success":true,"result":[{"batchId":7,"status":"Queued"}]})");
  std::vector<Event> all{of(10, "again@example.com", Op::remove), of(11, "again@example.com")};
  for (const Event& one : events(3)) all.push_back(one);
  std::vector<const Event*> batch;
  batch.reserve(all.size());
  for (const Event& one : all) batch.push_back(&one);
  assert_text(fates_of(marketo.made.endpoint->deliver(batch, Deadline::in(milliseconds(400)))), "ppppp");
  const auto upload = marketo.server.journal().at(1);
  assert_text(upload.path, "/bulk/v1/leads.json");
  const std::string file = upload.body + upload.get_file_value("file").content;
  assert_holds(file, "c3@example.com");
  assert_lacks(file, "again@example.com");
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
      checked_with(test_marketo_key_of_a_custom_object_stays_taken_for_longer, setup, teardown),
      checked(test_keys_in_use_are_free_after_their_call_or_when_it_must_have_ended),
      checked(test_marketo_delivery_that_an_import_halts_begins_none_and_is_not_done),
      checked_with(test_marketo_refused_token_is_renewed_once_and_the_call_repeated, setup, teardown),
      checked_with(test_marketo_identity_that_gives_no_token_is_trouble_with_a_reason, setup, teardown),
      checked(test_shared_token_is_fetched_anew_before_its_end_and_once_for_all),
      checked(test_marketo_configuration_that_cannot_work_is_refused),
      checked(test_marketo_limits_are_what_adobe_asks_for_unless_said_otherwise),
      checked_with(test_marketo_delete_finds_the_ids_and_deletes_them, setup, teardown),
      checked_with(test_marketo_delete_passes_over_no_lead_that_it_was_told_of, setup, teardown),
      checked_with(test_marketo_delete_of_a_lead_that_is_spelt_otherwise_is_no_success, setup, teardown),
      checked_with(test_marketo_changes_and_deletes_are_calls_of_their_own, setup, teardown),
      checked_with(test_marketo_changes_and_deletes_of_one_key_keep_their_order, setup, teardown),
      checked_with(test_marketo_row_behind_a_deletion_of_its_key_is_in_no_file, setup, teardown),
      checked(test_marketo_explains_the_request),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
