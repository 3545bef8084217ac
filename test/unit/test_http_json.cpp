// The kind http-json: windows of time, pages, links, and the times that stand in JSON.
#include "common/config.hpp"
#include "common/http.hpp"
#include "common/utc_text.hpp"
#include "relay/sources.hpp"
#include "relay/sources/http_json.hpp"
#include "relay/sources/http_json_paging.hpp"
#include "relay/sources/http_json_windows.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::http_json;
using unit::assert_holds;
using unit::assert_text;

namespace {

Settings settings(const std::string& yaml) {
  std::vector<Problem> problems;
  return parse_settings(kind.options, "{url: 'http://h/', key: k, routing_key: A.B.C, every: 1h, " + yaml + "}",
                        "x.yaml", problems);
}

int64_t at(const char* text) { return utc_from_text(text).value_or(-1); }

void test_utc_text_is_read_with_offset_and_fraction(void**) {
  assert_text(utc_text_exact(at("2026-03-01T01:00:30.25+01:00")), "2026-03-01T00:00:30.25Z");
  assert_text(utc_text_exact(at("2026-03-01")), "2026-03-01T00:00:00Z");
  assert_text(utc_text_exact(at("1969-12-31T23:59:59.5Z")), "1969-12-31T23:59:59.5Z");
  assert_int_equal(at("2026-03-01T00:00:00.1234567Z"), at("2026-03-01T00:00:00.123456Z"));
  for (const char* text : {"", "2026-02-30", "2026-03-01T25:00:00Z", "2026-03-01T00:00:00", "2026-03-01T00:00:00Zx",
                           "2026-3-1", "2026-03-01T00:00:00.Z", "yesterday"})
    assert_false(utc_from_text(text).has_value());
}

std::string shown(const std::optional<Window>& window) {
  if (!window) return "none";
  return utc_text(window->from).substr(11, 8) + " " + utc_text(window->to).substr(11, 8) +
         (window->whole ? " whole" : "");
}

void test_windows_begin_at_whole_multiples_and_the_last_ends_now(void**) {
  const Settings s = settings("window: 1h, lookback: 30m");
  const Windows windows(s, at("2026-03-01T00:40:00Z"));
  const int64_t end = windows.end_at(at("2026-03-01T02:10:05.5Z"));
  assert_text(shown(windows.at(windows.begin(std::nullopt, end), end)), "00:40:00 01:00:00");
  assert_text(shown(windows.at(at("2026-03-01T01:00:00Z"), end)), "01:00:00 02:00:00 whole");
  assert_text(shown(windows.at(at("2026-03-01T02:00:00Z"), end)), "02:00:00 02:10:05");
  assert_text(shown(windows.at(at("2026-03-01T02:10:05Z"), end)), "none");
  assert_text(utc_text(windows.begin(at("2026-03-01T02:10:05Z"), at("2026-03-01T02:20:00Z"))), "2026-03-01T01:40:05Z");
}

void test_windows_of_a_clock_that_was_set_back_begin_before_what_it_shows(void**) {
  const Settings s = settings("window: 1h, lookback: 30m, delay: 10m");
  const Windows windows(s, 0);
  assert_text(utc_text(windows.begin(at("2026-03-02T00:00:00Z"), at("2026-03-01T02:00:00Z"))), "2026-03-01T01:20:00Z");
}

void test_windows_keep_to_the_granularity(void**) {
  const Settings s = settings("window: 2h, granularity: 1h, lookback: 90m");
  const Windows windows(s, 0);
  const int64_t end = windows.end_at(at("2026-03-01T03:59:00Z"));
  assert_text(shown(windows.at(at("2026-03-01T02:00:00Z"), end)), "02:00:00 03:00:00");
  assert_text(utc_text(windows.begin(end, end)), "2026-03-01T01:00:00Z");
}

void test_link_header_is_read_in_its_awkward_forms(void**) {
  const auto next = [](const char* header) { return next_link(header).value_or("none"); };
  assert_text(next(R"(<http://h/help>; rel="help"; title="a, b; c", </v1?x=1,2&y>; type="x"; rel="next")"),
              "/v1?x=1,2&y");
  assert_text(next("<a>; REL=Next"), "a");
  assert_text(next(R"(<a>;rel="last next")"), "a");
  assert_text(next(R"(<a>; rel="prev", <b>; rel=nextish)"), "none");
  assert_text(next(R"(<a>; title="\", <x>; rel=next"; rel=prev)"), "none");
  for (const char* broken : {"", "a; rel=next", "<a; rel=next", ",", "<a>", "<a>;"}) assert_text(next(broken), "none");
}

void test_references_and_origins(void**) {
  assert_text(http::resolve("https://h/a/b?x=1", "?y=2"), "https://h/a/b?y=2");
  assert_text(http::resolve("https://h/a/b", "/c"), "https://h/c");
  assert_text(http::resolve("https://h/a/b", "http://other:8/c"), "http://other:8/c");
  assert_text(http::origin_of("https://h/x"), http::origin_of("https://h:443/y?z"));
  assert_true(http::origin_of("https://h/") != http::origin_of("http://h/"));
  assert_text(http::origin_of("file:///etc/passwd"), "");
  assert_text(http::origin_of("stats"), "");
}

// Walks pages whose bodies are given; the URLs asked for, or why it ended.
std::string walk(const std::string& yaml, const std::vector<std::string>& bodies, const std::string& link = "") {
  const Settings s = settings(yaml);
  Paging paging(s, "http://h/v1?a=b");
  std::string urls = paging.url();
  try {
    for (const std::string& text : bodies) {
      std::string why;
      const auto body = json::Document::parse(text, why);
      http::Response response;
      if (!link.empty()) response.headers.emplace_back("LINK", link);
      const auto nothing = json::Document::parse("[]", why);
      if (!paging.advance(response, body->root(), body->root().find("data").value_or(nothing->root())))
        return urls + " end";
      urls += " " + paging.url().substr(sizeof "http://h/v1?a=b" - 1);
    }
  } catch (const Failure& failure) {
    return urls + " " + failure.what();
  }
  return urls;
}

void test_paging_by_cursor_ends_with_null_and_never_goes_in_circles(void**) {
  assert_text(walk("pagination: cursor, limit: 2", {R"({"next_cursor":"x y"})", R"({"next_cursor":null})"}),
              "http://h/v1?a=b&limit=2 &limit=2&cursor=x%20y end");
  assert_holds(walk("pagination: cursor", {R"({"next_cursor":"x"})", R"({"next_cursor":"x"})"}),
               "a page that was read already");
  assert_holds(walk("pagination: cursor, next: meta.n, parameter: at", {R"({"meta":{"n":7}})"}), "&at=7");
  assert_holds(walk("pagination: cursor, max_pages: 2", {R"({"next_cursor":"x"})", R"({"next_cursor":"y"})"}),
               "more than max_pages pages (2)");
}

void test_paging_by_offset_counts_what_came_and_by_page_counts_pages(void**) {
  const char *two = R"({"data":[1,2],"n":3})", *one = R"({"data":[3],"n":3})", *none = R"({"data":[]})";
  assert_text(walk("pagination: offset, limit_parameter: ''", {two, one, none}),
              "http://h/v1?a=b &offset=2 &offset=3 end");
  assert_text(walk("pagination: offset, limit_parameter: '', total: n", {two, one}), "http://h/v1?a=b &offset=2 end");
  assert_text(
      walk("pagination: page, limit_parameter: '', first_page: 0, total: n", {two, R"({"data":[4],"n":3})", one}),
      "http://h/v1?a=b&page=0 &page=1 &page=2 end");
  assert_holds(walk("pagination: offset", {two, two}), "a page brings once more the records of the page before it");
  assert_holds(walk("pagination: offset, total: sum", {two}), "total: the answer has no number at sum");
}

void test_paging_by_link_stays_at_its_origin(void**) {
  assert_holds(walk("pagination: link, limit_parameter: ''", {"{}"}, "</v1?a=b&c=2>; rel=next"), "&c=2");
  assert_holds(walk("pagination: link", {"{}"}, "<https://h/v1>; rel=next"), "another origin");
  assert_holds(walk("pagination: link", {"{}", "{}"}, "<?c=2>; rel=next"), "a page that was read already");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_utc_text_is_read_with_offset_and_fraction),
      checked(test_windows_begin_at_whole_multiples_and_the_last_ends_now),
      checked(test_windows_of_a_clock_that_was_set_back_begin_before_what_it_shows),
      checked(test_windows_keep_to_the_granularity),
      checked(test_link_header_is_read_in_its_awkward_forms),
      checked(test_references_and_origins),
      checked(test_paging_by_cursor_ends_with_null_and_never_goes_in_circles),
      checked(test_paging_by_offset_counts_what_came_and_by_page_counts_pages),
      checked(test_paging_by_link_stays_at_its_origin),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
