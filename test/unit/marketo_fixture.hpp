// Marketo's API as far as the kind marketo needs it, scripted; and leads to deliver.
//
// Used by test_marketo_endpoint.cpp and test_marketo_answers.cpp, with setup and teardown of their own test. Thread
// rule: the scripts run on the server's threads, all else on the test's.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/http_server.hpp"
#include "test/unit/unit.hpp"

namespace muskrat::unit {

inline size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

inline std::string updated(const httplib::Request& request) {
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
inline int setup(void** state) {
  *state = new Marketo;
  return 0;
}
inline int teardown(void** state) {
  delete static_cast<Marketo*>(*state);
  return 0;
}
inline Marketo& marketo_of(void** state) { return *static_cast<Marketo*>(*state); }

inline Event of(int64_t id, const std::string& email, Op op = Op::update) {
  return event(id, id, "{\"email\":\"" + email + "\"}", op);
}
inline std::vector<Event> events(int64_t count) {
  std::vector<Event> made;
  for (int64_t i = 1; i <= count; ++i) made.push_back(of(i, "c" + std::to_string(i) + "@example.com"));
  return made;
}
inline std::string fates_of(const std::vector<Outcome>& outcomes) {
  std::string fates;
  for (const Outcome& outcome : outcomes) fates += "DRSrpdsw"[static_cast<size_t>(outcome.fate)];
  return fates;
}

}  // namespace muskrat::unit
