// The HTTP client: what is an answer, what is a failure, what is refused.
#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/digest.hpp"
#include "common/http.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/http_server.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;

namespace {

int setup(void** state) {
  *state = new HttpServer;
  return 0;
}
int teardown(void** state) {
  delete static_cast<HttpServer*>(*state);
  return 0;
}
HttpServer& server_of(void** state) { return *static_cast<HttpServer*>(*state); }

std::string failure_of(http::Client& client, const http::Request& request, milliseconds span = milliseconds(5000)) {
  try {
    client.send(request, Deadline::in(span));
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == Remedy::reconnect);
    return failure.what();
  }
  return "no failure";
}

void test_http_request_arrives_whole_and_answer_is_readable(void** state) {
  HttpServer& server = server_of(state);
  server.answer = [](const auto&, httplib::Response& response, size_t) {
    response.status = 422;
    response.set_header("Retry-After", "7");
    response.set_content("no", "text/plain");
  };
  http::Client client({});
  const auto response = client.send({"PUT", server.url("/a?b=1"), {{"X-One", "1"}}, "{\"x\":1}"}, soon());
  assert_int_equal(response.status, 422);
  assert_text(response.body, "no");
  assert_text(*response.header("retry-after"), "7");
  assert_false(response.header("x-none").has_value());
  const auto request = server.journal().at(0);
  assert_text(request.method + " " + request.target + " " + request.body, "PUT /a?b=1 {\"x\":1}");
  assert_text(request.get_header_value("X-One"), "1");
}

void test_http_connection_is_kept_alive(void** state) {
  HttpServer& server = server_of(state);
  http::Client client({});
  for (int i = 0; i < 5; ++i) client.send({"POST", server.url(), {}, "{}"}, soon());
  const auto journal = server.journal();
  assert_int_equal(journal.size(), 5);
  for (const auto& request : journal) assert_int_equal(request.remote_port, journal[0].remote_port);
}

// Answers each connection's first request, and closes it over its second without a word.
class ClosesOverTheSecond {
 public:
  ClosesOverTheSecond() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error("no server for the test");
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
    thread_ = std::thread([this] { serve(); });
  }
  ~ClosesOverTheSecond() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  const std::string& url() const { return url_; }
  int requests() const { return requests_; }

 private:
  void serve() {
    for (int client = accept(listener_, nullptr, nullptr); client >= 0; client = accept(listener_, nullptr, nullptr)) {
      constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
      if (read_one(client) && send(client, answer.data(), answer.size(), MSG_NOSIGNAL) > 0) read_one(client);
      close(client);
    }
  }
  // A request that ends with "!".
  bool read_one(int client) {
    std::string text;
    std::array<char, 4096> part{};
    while (!text.ends_with("!")) {
      const ssize_t size = recv(client, part.data(), part.size(), 0);
      if (size <= 0) return false;
      text.append(part.data(), static_cast<size_t>(size));
    }
    ++requests_;
    return true;
  }

  int listener_ = -1;
  std::string url_;
  std::atomic<int> requests_{0};
  std::thread thread_;
};

// libcurl makes such a request again on a new connection: an API that writes twice would write twice at once.
void test_http_request_that_goes_once_is_not_made_again_where_its_answer_is_lost(void**) {
  for (const bool once : {true, false}) {
    const ClosesOverTheSecond server;
    http::Options options;
    options.once = once;
    http::Client client(options);
    const http::Request request{"POST", server.url(), {}, std::string(100'000, 'x') + "!"};
    assert_text(client.send(request, soon()).body, "ok");
    if (once)
      assert_holds(failure_of(client, request), ": the connection ended without an answer");
    else
      assert_text(client.send(request, soon()).body, "ok");
    assert_int_equal(server.requests(), once ? 2 : 3);
    if (once) assert_text(client.send(request, soon()).body, "ok");  // the client is as good as new
  }
}

void test_http_redirect_is_an_answer_and_not_followed(void** state) {
  HttpServer& server = server_of(state);
  server.answer = [&](const auto&, httplib::Response& response, size_t) {
    response.set_redirect(server.url("/other"));
  };
  http::Client client({});
  assert_int_equal(client.send({"POST", server.url(), {}, "{}"}, soon()).status, 302);
  assert_int_equal(server.journal().size(), 1);
}

void test_http_answer_beyond_its_bound_is_cut(void** state) {
  HttpServer& server = server_of(state);
  server.answer = [](const auto&, httplib::Response& response, size_t) {
    response.set_content(std::string(100'000, ' '), "text/plain");
  };
  http::Options options;
  options.response_bytes = 1000;
  http::Client client(options);
  // also where it is small on the wire: cpp-httplib compresses what accepts it
  const auto response = client.send({"GET", server.url(), {}, ""}, soon());
  assert_true(response.cut);
  assert_int_equal(response.status, 200);
  assert_int_equal(response.body.size(), 1000);
}

void test_http_host_that_is_down_fails_and_says_where_but_no_more(void**) {
  http::Client client({});
  const std::string why = failure_of(client, {"POST", "http://user:secret@127.0.0.1:1/path?token=secret", {}, "{}"});
  assert_holds(why, "127.0.0.1:1");
  assert_lacks(why, "secret");
  assert_lacks(why, "path");
}

void test_http_answer_that_does_not_come_fails_at_the_deadline(void** state) {
  HttpServer& server = server_of(state);
  server.answer = [](const auto&, auto&, size_t) { std::this_thread::sleep_for(milliseconds(1500)); };
  http::Client client({});
  assert_holds(failure_of(client, {"POST", server.url(), {}, "{}"}, milliseconds(200)), "timed out");
}

void test_http_stop_interrupts_the_wait(void** state) {
  HttpServer& server = server_of(state);
  Stop stop;
  server.answer = [&](const auto&, auto&, size_t) {
    stop.request();
    std::this_thread::sleep_for(milliseconds(1500));
  };
  http::Client client({}, &stop);
  const auto began = std::chrono::steady_clock::now();
  assert_holds(failure_of(client, {"POST", server.url(), {}, "{}"}, milliseconds(60'000)), "stopped");
  assert_true(std::chrono::steady_clock::now() - began < milliseconds(30'000));
}

void test_http_private_address_is_refused_when_asked_to_also_by_name(void** state) {
  http::Options options;
  options.refuse_private = true;
  http::Client client(options);
  HttpServer& server = server_of(state);
  assert_holds(failure_of(client, {"POST", server.url(), {}, "{}"}), "private network");
  std::string by_name = server.url();
  by_name.replace(by_name.find("127.0.0.1"), 9, "localhost");
  assert_holds(failure_of(client, {"POST", by_name, {}, "{}"}), "private network");
  assert_int_equal(server.journal().size(), 0);
}

void test_http_proxy_of_the_environment_is_not_asked(void** state) {
  HttpServer& server = server_of(state);
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  http::Client client({});
  assert_int_equal(client.send({"GET", server.url(), {}, ""}, soon()).status, 200);
  http::Options options;
  options.proxy_from_environment = true;
  http::Client other(options);
  assert_holds(failure_of(other, {"GET", server.url(), {}, ""}), "Failed to connect");
  unsetenv("http_proxy");
}

void test_http_other_schemes_are_refused(void**) {
  http::Client client({});
  for (const char* url : {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/"})
    assert_lacks(failure_of(client, {"GET", url, {}, ""}), "no failure");
}

void test_http_private_addresses_are_known_in_every_dress(void**) {
  for (const char* address :
       {"127.0.0.1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fd00::1", "ff02::1", "::ffff:10.0.0.1",
        "::ffff:127.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::"})
    if (!http::is_private_address(address)) fail_msg("%s is taken for public", address);
  for (const char* address : {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"})
    if (http::is_private_address(address)) fail_msg("%s is taken for private", address);
}

void test_http_header_with_control_characters_is_no_good(void**) {
  assert_true(http::good_header("X-A", "text \xc3\xa9"));
  assert_false(http::good_header("X-A", "a\r\nX-B: b"));
  assert_false(http::good_header("X-A", std::string_view("a\0b", 3)));
  assert_false(http::good_header("X A", "a"));
  assert_false(http::good_header("", "a"));
}

void test_http_percent_encoding_leaves_nothing_with_a_meaning(void**) {
  assert_text(http::percent_encode("a b/c?d=e&f#g%\xc3\xa9~"), "a%20b%2Fc%3Fd%3De%26f%23g%25%C3%A9~");
}

void test_http_retry_after_is_seconds_or_a_date(void**) {
  assert_true(http::retry_after("120", 0) == milliseconds(120'000));
  assert_true(http::retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 - 30) == milliseconds(30'000));
  assert_false(http::retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 + 30).has_value());
  assert_false(http::retry_after("0", 0).has_value() || http::retry_after("-5", 0).has_value());
  assert_true(http::retry_after("99999999999", 0) == milliseconds(7LL * 86400 * 1000));
  assert_false(http::retry_after("soon", 0).has_value());
  assert_false(http::retry_after("", 0).has_value());
}

void test_digest_known_answers(void**) {
  assert_text(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_text(hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
              "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  assert_text(base64("ab"), "YWI=");
  assert_text(*from_base64("YWI="), "ab");
  assert_false(from_base64("YWI").has_value());
  assert_false(from_base64("Y!I=").has_value());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_http_request_arrives_whole_and_answer_is_readable, setup, teardown),
      checked_with(test_http_connection_is_kept_alive, setup, teardown),
      checked(test_http_request_that_goes_once_is_not_made_again_where_its_answer_is_lost),
      checked_with(test_http_redirect_is_an_answer_and_not_followed, setup, teardown),
      checked_with(test_http_answer_beyond_its_bound_is_cut, setup, teardown),
      checked(test_http_host_that_is_down_fails_and_says_where_but_no_more),
      checked_with(test_http_answer_that_does_not_come_fails_at_the_deadline, setup, teardown),
      checked_with(test_http_stop_interrupts_the_wait, setup, teardown),
      checked_with(test_http_private_address_is_refused_when_asked_to_also_by_name, setup, teardown),
      checked_with(test_http_proxy_of_the_environment_is_not_asked, setup, teardown),
      checked(test_http_other_schemes_are_refused),
      checked(test_http_private_addresses_are_known_in_every_dress),
      checked(test_http_header_with_control_characters_is_no_good),
      checked(test_http_percent_encoding_leaves_nothing_with_a_meaning),
      checked(test_http_retry_after_is_seconds_or_a_date),
      checked(test_digest_known_answers),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
