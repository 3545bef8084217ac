// muskrat.yaml: every mistake with its file and line, all at once, and no secret in any message.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include "common/config.hpp"
#include "common/secrets.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

constexpr std::array<Option, 1> route_table{{{"table", OptionType::text, "", "", "", true}}};
constexpr std::array<Option, 4> kind_table{{
    {"dsn", OptionType::text, "", "", "", true},
    {"password", OptionType::secret, "", "", ""},
    {"mode", OptionType::choice, "upsert", "upsert|append", ""},
    {"routes", OptionType::records, "", "", "", false, route_table},
}};
constexpr std::array<Option, 2> common_table{{
    {"subscribe", OptionType::text_list, "", "", "", true},
    {"lanes", OptionType::integer, "4", "1..64", ""},
}};
constexpr std::array<Option, 2> daemon_table{{
    {"listen", OptionType::text, "127.0.0.1:9464", "", ""},
    {"token", OptionType::secret, "", "", ""},
}};

void no_append_without_routes(const Settings& settings, std::vector<Problem>& problems) {
  if (settings.text("mode") == "append" && settings.records("routes").empty()) {
    problems.push_back({settings.where("mode"), "append needs routes"});
  }
}

const Kind postgres_kind{"postgres", "", kind_table, no_append_without_routes};
const Kind file_kind{"file", "", daemon_table, nullptr};

Schema test_schema() {
  return {{&postgres_kind}, {&postgres_kind, &file_kind}, daemon_table, daemon_table, common_table};
}

// The fixture's folder; a fresh one for each test.
struct Folder {
  std::filesystem::path path;
  std::string write(const std::string& name, const std::string& text) const {
    std::string file = (path / name).string();
    std::ofstream(file) << text;
    ::chmod(file.c_str(), 0600);
    return file;
  }
  Loaded load(const std::string& text) const { return load_config(write("muskrat.yaml", text), test_schema()); }
};

Folder* folder(void** state) { return static_cast<Folder*>(*state); }

int make_folder(void** state) {
  std::string pattern = (std::filesystem::temp_directory_path() / "muskrat-test-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) return -1;
  *state = new Folder{pattern};
  return 0;
}

int drop_folder(void** state) {
  std::filesystem::remove_all(folder(state)->path);
  delete folder(state);
  return 0;
}

std::string said(const Loaded& loaded) {
  std::string out;
  for (const Problem& problem : loaded.problems) out += describe(problem) + "\n";
  return out;
}

// One problem at that line of muskrat.yaml that holds `text`.
void expect(const Loaded& loaded, int line, const std::string& text) {
  const std::string all = said(loaded);
  for (const Problem& problem : loaded.problems) {
    if (problem.where.line != line || problem.text.find(text) == std::string::npos) continue;
    assert_holds(describe(problem), "muskrat.yaml:" + std::to_string(line) + ": ");
    return;
  }
  fail_msg("no problem in line %d with \"%s\"; there are:\n%s", line, text.c_str(), all.c_str());
}

size_t errors(const Loaded& loaded) {
  return static_cast<size_t>(
      std::count_if(loaded.problems.begin(), loaded.problems.end(), [](const Problem& p) { return p.error; }));
}

const char* const good = R"(broker:
  url: amqp://muskrat@rabbit:5673/v
  password: ${MUSKRAT_TEST_PASSWORD:-fallback}
sources:
  frontend: {kind: postgres, dsn: dbname=frontend}
endpoints:
  analytics:
    kind: postgres
    subscribe: [Frontend.*, "*.Order.#"]
    dsn: dbname=analytics
    routes: [{table: customers}]
  archive: {kind: file, subscribe: "#"}
)";

void test_good_file_becomes_a_config(void** state) {
  const Loaded loaded = folder(state)->load(good);
  assert_text(said(loaded), "");
  assert_true(loaded.ok());
  const Config& config = loaded.config;
  assert_text(config.broker.host, "rabbit");
  assert_int_equal(config.broker.port, 5673);
  assert_text(config.broker.password, "fallback");
  assert_int_equal(config.broker.heartbeat.count(), 10);
  assert_text(config.topology.prefix, "muskrat");
  assert_int_equal(config.unrouted.bytes, int64_t{1} << 30);
  assert_int_equal(config.sources.size(), 1);
  assert_int_equal(config.endpoints.size(), 2);
  assert_text(config.endpoints[0].name, "analytics");
  assert_text(config.endpoints[0].settings.text("mode"), "upsert");
  assert_int_equal(config.endpoints[0].settings.integer("lanes"), 4);
  assert_text(config.endpoints[1].settings.texts("subscribe").at(0), "#");
  assert_text(config.relay.text("listen"), "127.0.0.1:9464");
  assert_text(config.log.text("level"), "info");
}

void test_ten_mistakes_are_told_at_once_each_with_its_line(void** state) {
  const Loaded loaded = folder(state)->load(R"(brokr: {}
broker:
  url: http://rabbit
  heartbeat: 10
  prefx: x
sources:
  "front end": {kind: postgres, dsn: x}
  shop: {kind: postgress, dsn: x}
  other: {kind: postgres}
endpoints:
  analytics:
    kind: postgres
    subscribe: [Frontend, a.b.c.d]
    dsn: x
    lanes: 65
    mode: upsrt
    routes: x
    on_dead: hold
    lanes: 4
)");
  expect(loaded, 1, "brokr: unknown section (did you mean broker?)");
  expect(loaded, 3, "broker.url: ");
  expect(loaded, 4,
         "broker.heartbeat: expected a duration such as 250ms, 10s, 5m, 2h or 7d, from 1s to 5m, found \"10\"");
  expect(loaded, 5, "broker.prefx: unknown key (did you mean prefix?); allowed are url, ");
  expect(loaded, 7, "a name may hold");
  expect(loaded, 8, "sources.shop.kind: unknown kind (did you mean postgres?)");
  expect(loaded, 9, "sources.other: dsn is required and missing");
  expect(loaded, 13, "\"Frontend\" can match no event: ");
  expect(loaded, 13, "\"a.b.c.d\" can match no event: ");
  expect(loaded, 15, "endpoints.analytics.lanes: expected a whole number, from 1 to 64, found \"65\"");
  expect(loaded, 16, "endpoints.analytics.mode: expected one of upsert, append");
  expect(loaded, 17, "endpoints.analytics.routes: expected a list, found a single value");
  expect(loaded, 18, "endpoints.analytics.on_dead: unknown key; allowed are kind, subscribe, lanes, dsn");
  expect(loaded, 19, "the key lanes stands here a second time (first in line 15)");
  assert_int_equal(errors(loaded), 14);
  assert_false(loaded.ok());
  assert_true(std::is_sorted(loaded.problems.begin(), loaded.problems.end(),
                             [](const Problem& a, const Problem& b) { return a.where.line < b.where.line; }));
}

void test_rule_across_options_is_asked_with_the_place_named(void** state) {
  std::string text = good;
  text.replace(text.find("    routes: [{table: customers}]"), 32, "    mode: append");
  expect(folder(state)->load(text), 11, "endpoints.analytics: append needs routes");
}

void test_wrong_shapes_are_told(void** state) {
  const Loaded loaded = folder(state)->load(R"(broker: [1]
sources: [a]
endpoints:
  a: 5
  b: {kind: postgres, subscribe: [], dsn: [x], routes: [5, {tabel: x}], mode:}
  c: {subscribe: x.*}
  d: {kind: postgres, subscribe: {a: b}, dsn: ""}
  unrouted: {kind: file, subscribe: "#"}
relay: yes
)");
  expect(loaded, 1, "broker: expected a map, found a list");
  expect(loaded, 2, "sources: expected a map from names to maps");
  expect(loaded, 4, "endpoints.a: expected a map with a kind");
  expect(loaded, 5, "endpoints.b.subscribe: must not be empty");
  expect(loaded, 5, "endpoints.b.dsn: expected a single value, found a list");
  expect(loaded, 5, "endpoints.b.routes[1]: expected a map, found a single value");
  expect(loaded, 5, "endpoints.b.routes[2].tabel: unknown key (did you mean table?)");
  expect(loaded, 5, "endpoints.b.routes[2]: table is required and missing");
  expect(loaded, 5, "endpoints.b.mode: has no value");
  expect(loaded, 6, "endpoints.c: kind is required and missing; there are postgres and file");
  expect(loaded, 7, "endpoints.d.subscribe: expected a single value, found a map");
  expect(loaded, 7, "endpoints.d.dsn: must not be empty");
  expect(loaded, 8, "this name is taken");
  expect(loaded, 9, "relay: expected a map, found a single value");
}

void test_empty_and_broken_files_are_told(void** state) {
  expect(folder(state)->load(""), 1, "the file is empty");
  expect(folder(state)->load("# only a comment\n"), 1, "the file is empty");
  expect(folder(state)->load("broker: {url: x\n"), 2, "not YAML");
  expect(folder(state)->load("a: b\n\tc: d\n"), 2, "not YAML");
  expect(folder(state)->load("- a\n"), 1, "expected a map with the sections include, broker");
  expect(folder(state)->load(std::string(good) + "---\na: b\n"), 13, "the document ends here");
  expect(folder(state)->load("," + std::string(good)), 1, "the document ends here");
  expect(folder(state)->load("sources: {}\n"), 1, "the section broker is missing");
  expect(folder(state)->load("broker:\n  ? {a: b}\n  : c\n"), 2, "a key must be a plain text");
}

void test_deep_and_exploding_documents_are_refused(void** state) {
  expect(folder(state)->load("broker: " + std::string(200, '[') + std::string(200, ']')), 1, "nested too deeply");
  assert_false(folder(state)->load("broker: " + std::string(100000, '[')).ok());
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int n = 0; n < 9; ++n) bomb += before + ",";
    bomb += before + "]\n";
  }
  assert_holds(said(folder(state)->load(bomb)), "too large");
}

void test_unreadable_file_is_a_failure_that_names_it(void** state) {
  for (const std::string& path : {std::string("/nonexistent/muskrat.yaml"), folder(state)->path.string()}) {
    std::string what;
    try {
      load_config(path, test_schema());
    } catch (const Failure& failure) {
      what = failure.what();
    }
    assert_holds(what, "cannot read the configuration " + path);
  }
}

void test_references_are_resolved_everywhere(void** state) {
  ::setenv("MUSKRAT_TEST_DB", "front", 1);
  ::setenv("MUSKRAT_TEST_EMPTY", "", 1);
  folder(state)->write("secret", "s3cret$x\n");
  ::setenv("MUSKRAT_TEST_FOLDER", folder(state)->path.c_str(), 1);
  const Loaded loaded = folder(state)->load(R"(broker: {url: "amqp://u@h/", password: "${file:secret}"}
sources:
  a: {kind: postgres, dsn: "dbname=${MUSKRAT_TEST_DB} x=$$y z=$z", password: "${MUSKRAT_TEST_EMPTY:-d}${MUSKRAT_TEST_EMPTY}"}
  b: {kind: postgres, dsn: "${file:${MUSKRAT_TEST_FOLDER}/secret}", password: "${NOT_SET_AT_ALL:-${MUSKRAT_TEST_DB}}"}
)");
  assert_text(said(loaded), "");
  assert_text(loaded.config.broker.password, "s3cret$x");
  assert_text(loaded.config.sources[0].settings.text("dsn"), "dbname=front x=$y z=$z");
  assert_text(loaded.config.sources[0].settings.text("password"), "d");
  assert_text(loaded.config.sources[1].settings.text("dsn"), "s3cret$x");
  assert_text(loaded.config.sources[1].settings.text("password"), "front");
}

void test_references_that_do_not_resolve_name_what_is_missing(void** state) {
  const Loaded loaded = folder(state)->load(R"(broker: {url: "amqp://u@h/", password: "${NOT_SET_AT_ALL}"}
sources:
  a: {kind: postgres, dsn: "${file:not-there}", password: "${unclosed"}
  b: {kind: postgres, dsn: "${bad name}", password: "${file:}"}
)");
  expect(loaded, 1, "broker.password: the environment variable NOT_SET_AT_ALL is not set");
  expect(loaded, 3, "sources.a.dsn: cannot read the file");
  expect(loaded, 3, "sources.a.password: a ${ has no closing }");
  expect(loaded, 4, "sources.b.dsn: ${bad name} is no reference");
  expect(loaded, 4, "sources.b.password: ${file:} names no file");
}

void test_rotated_broker_password_is_read_anew(void** state) {
  folder(state)->write("secret", "old");
  const Loaded loaded = folder(state)->load("broker: {url: \"amqp://u@h/\", password: \"${file:secret}\"}\n");
  assert_text(loaded.config.broker_now().password, "old");
  folder(state)->write("secret", "new");
  assert_text(loaded.config.broker_now().password, "new");
  assert_text(loaded.config.broker.password, "old");
  std::filesystem::remove(folder(state)->path / "secret");
  bool reconnect = false;
  try {
    loaded.config.broker_now();
  } catch (const Failure& failure) {
    reconnect = failure.remedy() == Remedy::reconnect;
  }
  assert_true(reconnect);
}

void test_secrets_in_clear_text_are_warned_of_and_never_shown(void** state) {
  const char* text = R"(broker: {url: "amqp://u:hunter2@h/", password: hunter2}
sources:
  a: {kind: postgres, dsn: "host=x password=hunter2", password: "${NOT_SET_AT_ALL:-hunter2}", mode: "${MUSKRAT_TEST_S}"}
)";
  ::setenv("MUSKRAT_TEST_S", "hunter2", 1);
  const std::string file = folder(state)->write("muskrat.yaml", text);
  ::chmod(file.c_str(), 0644);
  const Loaded loaded = load_config(file, test_schema());
  expect(loaded, 1, "broker.url: a secret stands here in clear text");
  expect(loaded, 1, "broker.password: a secret stands here in clear text");
  expect(loaded, 3, "sources.a.dsn: a secret stands here in clear text");
  expect(loaded, 3, "sources.a.mode: expected one of upsert, append");
  expect(loaded, 1, "others may read it: chmod o= " + file);
  assert_int_equal(errors(loaded), 1);
  assert_lacks(said(loaded), "hunter2");
  assert_int_equal(loaded.config.warnings.size(), 4);
  // as the systemd units want it: root's, and readable by their group
  ::chmod(file.c_str(), 0640);
  assert_lacks(said(load_config(file, test_schema())), "others may read it");
}

void test_password_of_a_connection_string_is_seen_in_whatever_form(void**) {
  for (const char* shown : {"host=h password=hunter2", "host=h password = hunter2", "password=\thunter2 host=h",
                            "password ='hunter2'", "postgresql://u@h/d?sslmode=require&password=hunter2",
                            "password=${PW} sslpassword = hunter2", "postgresql://u:hunter2@h/d?password=${PW}"})
    if (!shows_password(shown)) fail_msg("not seen: %s", shown);
  for (const char* hidden : {"host=h password=${PW}", "host=h password = '${file:/pw}'",
                             "host=h password =", "password= ", "host=h user=password dbname=x",
                             "postgresql://u@h/d?password=${PW}", "passfile=/x host=h"})
    if (shows_password(hidden)) fail_msg("seen: %s", hidden);
}

void test_bad_broker_url_does_not_show_its_password(void** state) {
  for (const char* url : {"http://u:hunter2@h/", "amqp://u:hunter2@h:port/", "amqp://u:hunter2@h/%zz", "hunter2"}) {
    const Loaded loaded = folder(state)->load("broker: {url: \"" + std::string(url) + "\"}\n");
    assert_false(loaded.ok());
    assert_lacks(said(loaded), "hunter2");
  }
}

void test_broker_tls_rules(void** state) {
  const Loaded loaded = folder(state)->load(
      "broker:\n  url: amqp://u@h/\n  prefix: amq.x\n  tls: {ca: /not/there, cert: /etc/hostname, verify: no}\n");
  expect(loaded, 3, "broker.prefix: may hold");
  expect(loaded, 4, "broker.tls.ca: cannot read the file /not/there");
  expect(loaded, 4, "cert and key go together");
  expect(loaded, 4, "the URL says amqp://");
  expect(loaded, 4, "broker.tls.verify: off");
}

void test_listening_beyond_loopback_needs_a_token(void** state) {
  const std::string start = "broker: {url: \"amqp://u@h/\"}\nrelay: {listen: \"";
  for (const char* listen : {"127.0.0.1:0", "localhost:1", "[::1]:65535", ""}) {
    assert_text(said(folder(state)->load(start + listen + "\"}\n")), "");
  }
  for (const char* listen : {"0.0.0.0:1", "*:1", ":1", "10.0.0.1:9464"}) {
    expect(folder(state)->load(start + listen + "\"}\n"), 2, "relay.listen: this is reachable from outside");
    assert_true(folder(state)->load(start + listen + "\", token: \"${HOME}\"}\n").ok());
  }
  for (const char* listen : {"9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x"}) {
    expect(folder(state)->load(start + listen + "\"}\n"), 2, "relay.listen: expected host:port");
  }
}

void test_mistyped_kind_is_suggested(void** state) {
  const Loaded loaded =
      folder(state)->load("broker: {url: \"amqp://u@h/\"}\nsources:\n  a: {knid: postgres, dsn: x}\n");
  expect(loaded, 3, "sources.a: kind is required and missing (there is knid: did you mean kind?); there are postgres");
}

const Kind null_kind{"null", "", daemon_table, nullptr};

void test_kind_null_is_a_kind_and_no_kind_is_not(void** state) {
  const Schema schema{{&null_kind}, {&null_kind}, daemon_table, daemon_table, common_table};
  const auto load = [&](const std::string& kind) {
    const std::string text = "broker: {url: \"amqp://u@h/\"}\nsources:\n  a:\n    kind:" + kind + "\n    listen: x\n";
    return load_config(folder(state)->write("muskrat.yaml", text), schema);
  };
  for (const char* kind : {" null", " \"null\"", " 'null'  # drops everything"}) {
    const Loaded loaded = load(kind);
    assert_text(said(loaded), "");
    assert_text(loaded.config.sources.at(0).kind, "null");
  }
  for (const char* kind : {"", " ~", " # null"}) expect(load(kind), 4, "sources.a.kind: ");
}

void test_included_files_add_up_and_keep_their_lines(void** state) {
  std::filesystem::create_directory(folder(state)->path / "d");
  folder(state)->write("d/more.yaml", "include: last.yaml\nsources:\n  b: {kind: postgres, dsn: x, mod: y}\n");
  folder(state)->write("d/last.yaml", "log: {level: debug}\nendpoints:\n  e: {kind: file, subscribe: \"a.*\"}\n");
  const Loaded loaded = folder(state)->load(
      "include: [d/more.yaml]\nbroker: {url: \"amqp://u@h/\"}\nsources:\n  a: {kind: postgres, dsn: x}\n");
  assert_int_equal(errors(loaded), 1);
  assert_holds(said(loaded), "d/more.yaml:3: error: sources.b.mod: unknown key (did you mean mode?)");
  assert_int_equal(loaded.config.sources.size(), 2);
  assert_text(loaded.config.endpoints.at(0).name, "e");
  assert_text(loaded.config.log.text("level"), "debug");
}

void test_include_mistakes_are_told(void** state) {
  folder(state)->write("again.yaml", "broker: {url: \"amqp://x@y/\"}\nsources:\n  a: {kind: postgres, dsn: x}\n");
  folder(state)->write("cycle.yaml", "include: muskrat.yaml\n");
  const Loaded loaded = folder(state)->load(
      "include: [again.yaml, cycle.yaml, not-there.yaml]\nbroker: {url: \"amqp://u@h/\"}\nsources:\n  a: {kind: "
      "postgres, dsn: x}\n");
  const std::string all = said(loaded);
  assert_holds(all, "again.yaml:1: error: broker: this section stands in ");
  assert_holds(all, "again.yaml:3: error: sources.a: it stands in ");
  assert_holds(all, "muskrat.yaml:4 already");
  assert_holds(all, "cycle.yaml:1: error: include: ");
  assert_holds(all, "a cycle has no end");
  expect(loaded, 1, "include: cannot read the configuration");
  assert_int_equal(errors(loaded), 4);
}

// Bytes changed, lines dropped and doubled at random, the same each time: whatever comes of it is a Config or problems.
void test_mutants_of_a_good_file_never_throw(void** state) {
  uint32_t seed = 1;
  const auto random = [&](size_t below) {
    seed = seed * 1664525 + 1013904223;
    return static_cast<size_t>(seed >> 8) % below;
  };
  constexpr std::string_view bytes = "{}[]:,\"'#&*!|>%@`$- \t\n\0\xff~?a0";
  size_t refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text = good;
    for (size_t n = 1 + random(4); n > 0; --n) {
      const size_t at = random(text.size());
      switch (random(3)) {
        case 0:
          text[at] = bytes[random(bytes.size())];
          break;
        case 1:
          text.erase(at, random(20));
          break;
        default:
          text.insert(at, text.substr(random(text.size()), random(30)));
      }
    }
    const Loaded loaded = folder(state)->load(text);
    refused += loaded.ok() ? 0 : 1;
    for (const Problem& problem : loaded.problems) assert_true(problem.where.line > 0 && !problem.text.empty());
  }
  assert_true(refused > 1000);
}

void test_reference_lists_every_option_of_the_schema(void**) {
  const std::string text = describe_options(test_schema());
  for (const char* part : {"### Source `postgres`", "### Endpoint `file`", "`tls.verify`", "`routes[].table`",
                           "| `lanes` | whole number, from 1 to 64 | `4` |", "upsert, append", "| required |"}) {
    assert_holds(text, part);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked_with(test_good_file_becomes_a_config, make_folder, drop_folder),
      checked_with(test_ten_mistakes_are_told_at_once_each_with_its_line, make_folder, drop_folder),
      checked_with(test_rule_across_options_is_asked_with_the_place_named, make_folder, drop_folder),
      checked_with(test_wrong_shapes_are_told, make_folder, drop_folder),
      checked_with(test_empty_and_broken_files_are_told, make_folder, drop_folder),
      checked_with(test_deep_and_exploding_documents_are_refused, make_folder, drop_folder),
      checked_with(test_unreadable_file_is_a_failure_that_names_it, make_folder, drop_folder),
      checked_with(test_references_are_resolved_everywhere, make_folder, drop_folder),
      checked_with(test_references_that_do_not_resolve_name_what_is_missing, make_folder, drop_folder),
      checked_with(test_rotated_broker_password_is_read_anew, make_folder, drop_folder),
      checked_with(test_secrets_in_clear_text_are_warned_of_and_never_shown, make_folder, drop_folder),
      checked_with(test_password_of_a_connection_string_is_seen_in_whatever_form, make_folder, drop_folder),
      checked_with(test_bad_broker_url_does_not_show_its_password, make_folder, drop_folder),
      checked_with(test_broker_tls_rules, make_folder, drop_folder),
      checked_with(test_listening_beyond_loopback_needs_a_token, make_folder, drop_folder),
      checked_with(test_mistyped_kind_is_suggested, make_folder, drop_folder),
      checked_with(test_kind_null_is_a_kind_and_no_kind_is_not, make_folder, drop_folder),
      checked_with(test_included_files_add_up_and_keep_their_lines, make_folder, drop_folder),
      checked_with(test_include_mistakes_are_told, make_folder, drop_folder),
      checked_with(test_mutants_of_a_good_file_never_throw, make_folder, drop_folder),
      checked(test_reference_lists_every_option_of_the_schema),
  };
  return cmocka_run_group_tests_name("config", tests, nullptr, nullptr);
}
