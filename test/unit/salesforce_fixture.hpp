// An org that answers as a test says, an endpoint of the kind salesforce that calls it, and events for that.
//
// Used by test_salesforce_endpoint.cpp (calls), test_salesforce_verdicts.cpp (what comes of an answer) and
// test_salesforce_logins.cpp. Neighbours: endpoint_fixture.hpp, http_server.hpp. Thread rule: the server answers on
// threads of its own; what it is to answer is set between deliveries.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/http_server.hpp"
#include "test/unit/unit.hpp"

namespace muskrat::unit {

struct Org {
  HttpServer server;
  Made made;
  std::function<void(const httplib::Request&, httplib::Response&)> call;  // what calls are answered
  std::function<void(httplib::Response&)> login;                          // what logins are answered
  std::string way = "    login: client_credentials\n    client_secret: s&s\n";
  std::string fields = "    fields: [{to: Ext__c, from: id, as: text}, {to: Account.Ext__c, from: account}]\n";
  std::string rest = "    unanswered_rest: 0ms\n";
  std::atomic<int> logins{0};

  void make(const std::string& more = "") {
    server.answer = [this](const httplib::Request& request, httplib::Response& response, size_t) {
      if (request.path != "/services/oauth2/token") return call(request, response);
      ++logins;
      response.set_content(
          R"({"access_token":"token-)" + std::to_string(logins) + R"(","instance_url":")" + server.url("") + "\"}",
          "application/json");
      if (login) login(response);
    };
    made.make("salesforce", "    login_url: '" + server.url("") +
                                "'\n    client_id: app\n    object: Contact\n    external_id: Ext__c\n" + way + fields +
                                rest + more);
  }
  // Another lane of the same endpoint.
  std::unique_ptr<Endpoint> lane() {
    auto other = kind_named("salesforce").make(made.config.endpoints.front());
    other->connect(soon());
    return other;
  }
  // The bodies and addresses of the calls, logins left out.
  std::vector<httplib::Request> calls() {
    auto journal = server.journal();
    std::erase_if(journal, [](const auto& request) { return request.path == "/services/oauth2/token"; });
    return journal;
  }
  void answers(int status, const std::string& body) {
    call = [=](const auto&, httplib::Response& response) {
      response.status = status;
      response.set_content(body, "application/json");
    };
  }
};
inline int setup(void** state) {
  *state = new Org;
  return 0;
}
inline int teardown(void** state) {
  delete static_cast<Org*>(*state);
  return 0;
}
inline Org& org_of(void** state) { return *static_cast<Org*>(*state); }

inline Event at(int64_t id, Op op = Op::update) {
  return event(id, id, "{\"id\":" + std::to_string(id) + ",\"account\":\"a\"}", op);
}
inline void assert_fates(const std::vector<Outcome>& outcomes, const std::string& expected) {
  std::string fates;
  for (const Outcome& outcome : outcomes) fates += "DRSrpdsw"[static_cast<size_t>(outcome.fate)];
  assert_text(fates, expected);
}
template <typename Work>
void assert_trouble(const Work& work, const std::string& says) {
  std::string why = "no trouble";
  try {
    work();
  } catch (const std::exception& e) {
    why = e.what();
  }
  assert_holds(why, says);
  assert_lacks(why, "s&s");
}
inline const std::string good = R"({"id":"003","success":true,"errors":[],"created":true})";
inline std::string bad(const std::string& code, const std::string& message = "m") {
  return R"({"success":false,"errors":[{"statusCode":")" + code + R"(","message":")" + message +
         R"(","fields":["LastName"]}]})";
}

inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}
inline std::string all_good(const httplib::Request& request) {
  std::string list;
  for (size_t i = 0; i < count_of(request.body, "\"attributes\""); ++i) list += (i > 0 ? "," : "") + good;
  return "[" + list + "]";
}
inline std::vector<Event> many(int64_t count) {
  std::vector<Event> events;
  for (int64_t id = 1; id <= count; ++id) events.push_back(at(id));
  return events;
}

}  // namespace muskrat::unit
