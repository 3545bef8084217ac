// The status board, the verdicts, and the server over a loopback socket.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/failure.hpp"
#include "common/health.hpp"
#include "common/health_page.hpp"
#include "common/metrics.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

// The whole answer, headers and all.
std::string get(int port, const std::string& path, const std::string& header = "") {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    auto request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + header + "\r\n";
    (void)!::write(fd, request.data(), request.size());
    char buffer[4096];
    for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) answer.append(buffer, static_cast<size_t>(n));
  }
  ::close(fd);
  return answer;
}

void test_board_row_is_updated_in_place(void**) {
  StatusBoard board;
  board.set("source a", false, "connecting", "no answer");
  board.set("source a", true, "leading", "");
  board.set_figures("source a", {{"lag", "0.1 s"}});
  board.beat("endpoint b");
  auto rows = board.rows();
  assert_int_equal(rows.size(), 2);
  assert_text(rows[0].state, "leading");
  assert_true(rows[0].ready);
  assert_text(rows[0].figures[0].second, "0.1 s");
  assert_false(rows[1].ready);
}

void test_alive_names_the_component_without_a_beat(void**) {
  StatusBoard board;
  board.set("source a", true, "leading", "");
  auto later = std::chrono::steady_clock::now() + std::chrono::seconds(59);
  assert_true(alive(board.rows(), later).ok);
  auto verdict = alive(board.rows(), later + std::chrono::seconds(5));
  assert_false(verdict.ok);
  assert_holds(verdict.body, "source a is stuck");
}

void test_alive_forgives_a_component_that_has_ended(void**) {
  StatusBoard board;
  board.set("source a", false, "stopped", "the outbox is missing");
  assert_true(alive(board.rows(), std::chrono::steady_clock::now() + std::chrono::hours(1)).ok);
}

void test_ready_gives_each_reason(void**) {
  StatusBoard board;
  board.set("source a", true, "leading", "");
  assert_text(ready(board.rows()).body, "{\"ready\":true,\"waiting_for\":{}}\n");
  board.set("source b", false, "blocked", "low on memory");
  auto verdict = ready(board.rows());
  assert_false(verdict.ok);
  assert_text(verdict.body, "{\"ready\":false,\"waiting_for\":{\"source b\":\"blocked: low on memory\"}}\n");
}

void test_metrics_say_who_is_ready_and_alive(void**) {
  StatusBoard board;
  board.set("source a", true, "leading", "");
  board.set("endpoint a", false, "connecting", "the broker is away");
  const auto now = std::chrono::steady_clock::now();
  const auto text = metrics::render(readiness(board.rows(), now));
  assert_holds(text, "# TYPE muskrat_ready gauge\n");
  assert_holds(text, "muskrat_ready{source=\"a\"} 1\n");
  assert_holds(text, "muskrat_ready{endpoint=\"a\"} 0\n");
  // one that is stuck says nothing, least of all that it is not ready
  assert_holds(metrics::render(readiness(board.rows(), now + std::chrono::hours(1))),
               "muskrat_ready{source=\"a\"} 0\n");
  // the next configuration's board has other components: nothing is left of these
  assert_lacks(metrics::render(readiness(StatusBoard().rows(), now)), "muskrat_ready");
}

void test_page_escapes_what_components_say(void**) {
  StatusBoard board;
  board.set("source <a>", false, "x", "\"<script>\" & co");
  auto page = status_page(board.rows(), std::chrono::steady_clock::now());
  assert_holds(page, "source &lt;a&gt;");
  assert_holds(page, "&quot;&lt;script&gt;&quot; &amp; co");
  assert_lacks(page, "<script>");
}

void test_server_answers_each_path(void**) {
  StatusBoard board;
  board.set("source a", true, "leading", "");
  metrics::counter("muskrat_health_test_total", "For the test.", {}).add();
  HealthServer server("127.0.0.1:0", "", board);
  assert_holds(get(server.port(), "/healthz"), "200 OK");
  assert_holds(get(server.port(), "/readyz"), "{\"ready\":true");
  assert_holds(get(server.port(), "/metrics"), "muskrat_health_test_total 1");
  assert_holds(get(server.port(), "/metrics"), "muskrat_ready{source=\"a\"} 1");
  assert_holds(get(server.port(), "/status"), "\"name\": \"source a\"");
  assert_holds(get(server.port(), "/"), "<h2>source a<span class=\"state\">leading");
  assert_holds(get(server.port(), "/nothing"), "404");
  board.set("source a", false, "blocked", "low on memory");
  assert_holds(get(server.port(), "/readyz"), "503");
}

// A probe can give no token: it learns yes or no, and its holder why.
void test_server_with_a_token_tells_probes_yes_or_no(void**) {
  StatusBoard board;
  HealthServer server("127.0.0.1:0", "s3cret", board);
  board.set("source a", true, "leading", "");
  assert_holds(get(server.port(), "/healthz"), "200 OK");
  assert_holds(get(server.port(), "/readyz"), "\r\n\r\n{\"ready\":true}\n");
  board.set("source a", false, "stopped", "the outbox is missing");
  const auto answer = get(server.port(), "/readyz");
  assert_holds(answer, "503");
  assert_holds(answer, "\r\n\r\n{\"ready\":false}\n");
  assert_lacks(answer, "outbox");
  assert_holds(get(server.port(), "/readyz", "Authorization: Bearer s3cret\r\n"), "stopped: the outbox is missing");
}

void test_server_with_a_token_lets_only_its_holder_in(void**) {
  StatusBoard board;
  HealthServer server("127.0.0.1:0", "s3cret", board);
  for (const char* path : {"/", "/metrics", "/status", "/nothing", "/healthz/"})
    assert_holds(get(server.port(), path), "401");
  assert_holds(get(server.port(), "/metrics", "Authorization: Bearer s3creT\r\n"), "401");
  assert_holds(get(server.port(), "/metrics", "Authorization: Bearer s3cret2\r\n"), "401");
  assert_holds(get(server.port(), "/metrics", "Authorization: Bearer s3cret\r\n"), "200");
  // "any:s3cret", as a browser sends it
  assert_holds(get(server.port(), "/metrics", "Authorization: Basic YW55OnMzY3JldA==\r\n"), "200");
  assert_holds(get(server.port(), "/metrics", "Authorization: Basic YW55OnMzY3Jl\r\n"), "401");
  assert_holds(get(server.port(), "/metrics", "Authorization: Basic !!!\r\n"), "401");
}

std::string refusal(const std::string& listen, const std::string& token) {
  StatusBoard board;
  try {
    HealthServer server(listen, token, board);
  } catch (const Failure& failure) {
    assert_true(failure.remedy() == Remedy::stop);
    return failure.what();
  }
  return "";
}

void test_server_beyond_loopback_without_a_token_is_refused(void**) {
  assert_holds(refusal("0.0.0.0:0", ""), "needs a token");
  assert_holds(refusal(":0", ""), "needs a token");
  assert_holds(refusal("[::]:0", ""), "needs a token");
  assert_text(refusal("127.0.0.1:0", ""), "");
  assert_text(refusal("localhost:0", ""), "");
}

void test_server_with_a_bad_address_says_so(void**) {
  assert_holds(refusal("127.0.0.1", ""), "is not of the form");
  assert_holds(refusal("127.0.0.1:70000", ""), "is not of the form");
  assert_holds(refusal("127.0.0.1:http", ""), "is not of the form");
}

void test_server_on_a_taken_port_is_refused(void**) {
  StatusBoard board;
  HealthServer first("127.0.0.1:0", "", board);
  assert_holds(refusal("127.0.0.1:" + std::to_string(first.port()), ""), "cannot listen on");
}

void test_server_without_an_address_serves_nothing(void**) { assert_text(refusal("", ""), ""); }

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_board_row_is_updated_in_place),
      checked(test_alive_names_the_component_without_a_beat),
      checked(test_alive_forgives_a_component_that_has_ended),
      checked(test_ready_gives_each_reason),
      checked(test_metrics_say_who_is_ready_and_alive),
      checked(test_server_with_a_token_tells_probes_yes_or_no),
      checked(test_page_escapes_what_components_say),
      checked(test_server_answers_each_path),
      checked(test_server_with_a_token_lets_only_its_holder_in),
      checked(test_server_beyond_loopback_without_a_token_is_refused),
      checked(test_server_with_a_bad_address_says_so),
      checked(test_server_on_a_taken_port_is_refused),
      checked(test_server_without_an_address_serves_nothing),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
