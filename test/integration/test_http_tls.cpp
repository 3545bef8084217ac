// TLS of the HTTP client: verified, or refused.
#include <memory>
#include <thread>

#include <httplib.h>

#include "common/http.hpp"
#include "test/integration/server.hpp"
#include "test/unit/endpoint_fixture.hpp"

using namespace muskrat;
using namespace muskrat::unit;
using muskrat::integration::setting;

namespace {

std::string certificate(const std::string& name) { return setting("MUSKRAT_TEST_CERTIFICATES") + "/" + name; }

struct TlsServer {
  httplib::SSLServer server{certificate("server.pem").c_str(), certificate("server.key").c_str()};
  int port = 0;
  std::thread thread;
  TlsServer() {
    server.Post("/", [](const auto&, httplib::Response& response) { response.set_content("{}", "application/json"); });
    port = server.bind_to_any_port("127.0.0.1");
    thread = std::thread([this] { server.listen_after_bind(); });
    while (!server.is_running()) std::this_thread::sleep_for(milliseconds(1));
  }
  ~TlsServer() {
    server.stop();
    thread.join();
  }
};
int setup(void** state) {
  *state = new TlsServer;
  return 0;
}
int teardown(void** state) {
  delete static_cast<TlsServer*>(*state);
  return 0;
}

// "200", or why it failed.
std::string post(void** state, const std::string& host, const std::string& ca) {
  http::Options options;
  if (!ca.empty()) options.ca_file = certificate(ca);
  http::Client client(options);
  const auto port = std::to_string(static_cast<TlsServer*>(*state)->port);
  try {
    return std::to_string(client.send({"POST", "https://" + host + ":" + port + "/", {}, "{}"}, soon()).status);
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == Remedy::reconnect);
    return failure.what();
  }
}

void test_http_tls_with_the_right_ca_is_answered(void** state) {
  assert_text(post(state, "localhost", "ca.pem"), "200");
}
void test_http_tls_with_another_ca_is_refused(void** state) {
  assert_holds(post(state, "localhost", "other-ca.pem"), "certificate");
}
void test_http_tls_with_the_systems_authorities_is_refused_and_says_what_to_do(void** state) {
  assert_holds(post(state, "localhost", ""), "ca_file");
}
void test_http_tls_under_another_name_is_refused(void** state) {
  assert_lacks(post(state, "127.0.0.1", "ca.pem"), "200");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_http_tls_with_the_right_ca_is_answered, setup, teardown),
      checked_with(test_http_tls_with_another_ca_is_refused, setup, teardown),
      checked_with(test_http_tls_with_the_systems_authorities_is_refused_and_says_what_to_do, setup, teardown),
      checked_with(test_http_tls_under_another_name_is_refused, setup, teardown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
