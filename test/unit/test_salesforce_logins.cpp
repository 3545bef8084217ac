// The endpoint kind salesforce: logins, the session that all lanes share, and what is wrong with a configuration.
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "consumer/endpoints/salesforce/session.hpp"
#include "test/unit/salesforce_fixture.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

void test_salesforce_session_that_ended_is_renewed_once(void** state) {
  Org& org = org_of(state);
  org.call = [](const httplib::Request& request, httplib::Response& response) {
    if (request.get_header_value("Authorization") == "Bearer token-2")
      return response.set_content("[" + good + "]", "application/json");
    response.status = 401;
    response.set_content(R"([{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}])", "text/json");
  };
  org.make();
  assert_fates(org.made.deliver({at(1)}), "D");
  assert_int_equal(org.logins, 2);
  org.answers(401, R"([{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}])");
  assert_fates(org.made.deliver({at(1)}), "p");
  assert_int_equal(org.logins, 3);
  org.answers(
      401, R"([{"message":"This session is not valid for use with the REST API","errorCode":"INVALID_SESSION_ID"}])");
  assert_fates(org.made.deliver({at(1)}), "p");
  assert_int_equal(org.logins, 3);  // which is not renewed
}

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

void test_salesforce_refresh_token_that_is_replaced_is_kept(void** state) {
  Org& org = org_of(state);
  const Folder folder;
  const std::string path = folder / "token";
  write_file(path, "first\n");
  org.way = "    login: refresh_token\n    client_secret: s&s\n    refresh_token_file: " + path + "\n";
  const auto rotate = [&](const std::string& rest) {
    return [&org, rest](httplib::Response& response) {
      response.body = R"({"refresh_token":"next-)" + std::to_string(org.logins) + R"(","instance_url":")" +
                      org.server.url("") + "\"" + rest + "}";
    };
  };
  org.answers(200, "[" + good + "]");
  org.login = rotate(R"(,"access_token":"t")");
  org.make();
  assert_text(read_file(path), "next-1\n");
  assert_text(org.server.journal()[0].body,
              "grant_type=refresh_token&client_id=app&refresh_token=first&client_secret=s%26s");
  assert_true((std::filesystem::status(path).permissions() & std::filesystem::perms::mask) ==
              (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  // an answer without a session still ends the old token
  org.made.endpoint.reset();
  org.login = rotate("");
  assert_trouble([&] { org.make(); }, "without an access_token");
  assert_text(read_file(path), "next-2\n");
  assert_false(std::filesystem::exists(path + ".new"));
}

void test_salesforce_refresh_token_that_cannot_be_replaced_is_not_used(void** state) {
  Org& org = org_of(state);
  const Folder folder;
  const std::string path = folder / "token";
  org.way = "    login: refresh_token\n    refresh_token_file: " + path + "\n";
  assert_trouble([&] { org.make(); }, "cannot read the file " + path);
  write_file(path, "\n");
  assert_trouble([&] { org.make(); }, "is empty");
  write_file(path, "secret");
  std::filesystem::create_directory(path + ".new");
  assert_trouble([&] { org.make(); }, "cannot write beside the file");
  assert_int_equal(org.logins, 0);
}

// A login that is refused is not tried by every lane in turn.
void test_salesforce_lanes_share_one_refusal(void** state) {
  Org& org = org_of(state);
  org.make();
  org.made.endpoint.reset();
  org.login = [](httplib::Response& response) {
    std::this_thread::sleep_for(milliseconds(300));
    response.status = 400;
    response.body = R"({"error":"invalid_client"})";
  };
  std::vector<std::thread> lanes;
  lanes.reserve(4);
  std::atomic<int> refused{0};
  for (int i = 0; i < 4; ++i)
    lanes.emplace_back([&] {
      try {
        org.lane();
      } catch (const Failure&) {
        ++refused;
      }
    });
  for (std::thread& lane : lanes) lane.join();
  assert_int_equal(refused, 4);
  assert_in_range(org.logins, 2, 3);  // the first was for make(); a lane may come late
}

void test_salesforce_lanes_share_one_session(void** state) {
  Org& org = org_of(state);
  org.answers(200, "[" + good + "]");
  org.make();
  const auto other = org.lane();
  assert_int_equal(org.logins, 1);
}

void test_salesforce_usage_is_read_by_its_name(void**) {
  assert_int_equal(salesforce::read_usage("api-usage=8374/15000")->used, 8374);
  assert_int_equal(salesforce::read_usage("per-app-api-usage=17/250(appName=x); api-usage=18/5000")->most, 5000);
  assert_false(salesforce::read_usage("per-app-api-usage=17/250(appName=x)").has_value());
  assert_false(salesforce::read_usage("api-usage=x/y").has_value());
}

void test_salesforce_login_that_is_refused_says_what_to_do(void** state) {
  struct Row {
    int status;
    std::string body, says;
  };
  const std::array rows{
      Row{400, R"({"error":"invalid_grant","error_description":"user hasn't approved this consumer"})",
          "pre-authorized"},
      Row{400, R"({"error":"invalid_grant","error_description":"expired authorization code"})",
          "date of the certificate"},
      Row{400, R"({"error":"invalid_grant","error_description":"no client credentials user enabled"})", "Run As"},
      Row{400, R"({"error":"invalid_grant","error_description":"expired access/refresh token"})",
          "have a user allow the app anew"},
      Row{400, R"({"error":"invalid_grant","error_description":"audience is invalid"})", "https://test.salesforce.com"},
      Row{400, R"({"error":"invalid_grant","error_description":"invalid assertion"})", "private_key does not belong"},
      Row{400, R"({"error":"invalid_client","error_description":"invalid client credentials"})",
          "client_secret is wrong"},
      Row{200, R"({"instance_url":"https://x"})", "without an access_token"},
      Row{200, R"({"access_token":"t"})", "without an instance_url"},
      Row{200, "<html>", "no JSON"},
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    Org& org = org_of(state);
    org.login = [&](httplib::Response& response) {
      response.status = rows[i].status;
      response.body = rows[i].body;
    };
    assert_trouble([&] { org.make(); }, rows[i].says);
    org.made.endpoint.reset();
  }
}

void test_salesforce_configuration_is_checked(void**) {
  const Folder folder;
  const auto problems = load_endpoint(folder, "salesforce",
                                      "    login_url: http://example.com\n    client_id: a\n    username: u\n"
                                      "    private_key: x\n    object: 'a b'\n    external_id: Id\n"
                                      "    api_version: '45.0'\n    fields: [Name]\n")
                            .problems;
  std::string all;
  for (const Problem& problem : problems) all += describe(problem) + "\n";
  for (const char* text : {"private_key: what is given is no private key in PEM", "login_url: it does not begin",
                           "object: expected an API name", "api_version: expected a version", "no field goes to Id"})
    assert_holds(all, text);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_salesforce_session_that_ended_is_renewed_once, setup, teardown),
      checked_with(test_salesforce_refresh_token_that_is_replaced_is_kept, setup, teardown),
      checked_with(test_salesforce_refresh_token_that_cannot_be_replaced_is_not_used, setup, teardown),
      checked_with(test_salesforce_lanes_share_one_refusal, setup, teardown),
      checked_with(test_salesforce_lanes_share_one_session, setup, teardown),
      checked(test_salesforce_usage_is_read_by_its_name),
      checked_with(test_salesforce_login_that_is_refused_says_what_to_do, setup, teardown),
      checked(test_salesforce_configuration_is_checked),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
