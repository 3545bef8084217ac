#include "cli/init_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "common/json.hpp"

namespace muskrat::cli {
namespace {

bool plain(std::string_view text) {
  constexpr std::array<std::string_view, 9> words{"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return !text.empty() && std::isalpha(static_cast<unsigned char>(text.front())) != 0 &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '.'; }) &&
         std::find(words.begin(), words.end(), lower) == words.end();
}

// A YAML scalar that our loader reads back as it is: "$" begins a reference there.
std::string scalar(std::string_view text) {
  if (plain(text)) return std::string(text);
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    if (c == '$') out += '$';
    out += c;
  }
  return out + "'";
}

std::string shell_word(const std::string& text) {
  const auto harmless = [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("_-./:@=,").find(static_cast<char>(c)) != std::string_view::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), harmless)) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string upper(std::string_view text) {
  std::string out;
  for (const unsigned char c : text) out += std::isalnum(c) != 0 ? static_cast<char>(std::toupper(c)) : '_';
  return out;
}

std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : between) + part;
  return out;
}

std::string singular(std::string word) {
  const auto ends = [&](std::string_view tail) { return word.size() > tail.size() + 1 && word.ends_with(tail); };
  if (ends("ies")) return word.substr(0, word.size() - 3) + "y";
  for (const std::string_view tail : {"sses", "shes", "ches", "xes"})
    if (ends(tail)) return word.substr(0, word.size() - 2);
  if (ends("s") && !ends("ss") && !ends("us") && !ends("is")) word.pop_back();
  return word;
}

std::string camel(std::string_view text) {
  std::string out;
  bool start = true;
  for (const unsigned char c : text) {
    if (std::isalnum(c) == 0 || c >= 0x80) {
      start = true;
      continue;
    }
    out += start ? static_cast<char>(std::toupper(c)) : static_cast<char>(c);
    start = false;
  }
  return out;
}

std::string route_of(const InitTable& table) {
  std::vector<std::string> key, columns;
  for (const std::string& column : table.key()) key.push_back(scalar(column));
  for (const TableColumn& column : table.columns) columns.push_back(scalar(column.name));
  std::string out = "      - 'on': [" + scalar(table.object + ".*") + "]\n        table: " + scalar(table.relation) +
                    "\n        key: [" + joined(key, ", ") + "]\n        columns:\n";
  for (const std::string& column : columns) out += "          - " + column + "\n";
  if (!table.left_out.empty()) out += "          # left out, for their names: " + joined(table.left_out, ", ") + "\n";
  return out;
}

std::string endpoints_of(const InitPlan& plan) {
  std::vector<std::string> patterns;
  for (const InitTable& table : plan.tables) patterns.push_back(scalar(table.object + ".*"));
  const std::string subscribe = "    subscribe: [" + joined(patterns, ", ") + "]\n";
  if (plan.endpoint_dsn.empty())
    return "  # Every event as a JSON line: a beginning that needs no second database.\n"
           "  archive:\n    kind: file\n" +
           subscribe + "    path: ./archive.jsonl\n";
  std::string out =
      "  # Tables of the same names in the analytics database, kept in step. `muskrat endpoint ddl analytics` prints "
      "their SQL.\n"
      "  analytics:\n    kind: postgres\n" +
      subscribe + "    dsn: " + scalar(plan.endpoint_dsn) +
      "\n    password: ${ANALYTICS_PASSWORD:-}\n    routes:\n"
      "      # A column under another name, cleaned up or with a default: {to: company_name, from: company, trim: "
      "true}\n";
  for (const InitTable& table : plan.tables) out += route_of(table);
  return out;
}

std::string attach_command(const InitPlan& plan, const InitTable& table) {
  std::vector<std::string> names;
  bool simple = true;
  for (const TableColumn& column : table.columns) {
    names.push_back(column.name);
    simple = simple && plain(column.name);
  }
  std::string columns = joined(names, ",");
  if (!simple) {
    columns.clear();
    for (const std::string& name : names) columns += (columns.empty() ? "" : ", ") + json::quote(name);
    columns = "[" + columns + "]";
  }
  return "  muskrat attach " + plan.source + " " + shell_word(table.relation) + " " + table.object + " --columns " +
         shell_word(columns) + "\n";
}

}  // namespace

std::vector<std::string> InitTable::key() const {
  std::vector<std::string> names;
  for (const TableColumn& column : columns)
    if (column.primary) names.push_back(column.name);
  return names;
}

std::string object_word(std::string_view table) {
  if (const size_t dot = table.rfind('.'); dot != std::string_view::npos) table = table.substr(dot + 1);
  std::string word = camel(singular(std::string(table.ends_with('"') ? table.substr(0, table.size() - 1) : table)));
  return word.empty() ? "Object" : word;
}

std::string schema_word(std::string_view table) {
  const size_t dot = table.rfind('.');
  return dot == std::string_view::npos ? "" : camel(table.substr(0, dot));
}

std::string source_word(std::string_view source) {
  std::string word = camel(source);
  return word.empty() ? "Frontend" : word;
}

bool looks_secret(std::string_view column) {
  constexpr std::array<std::string_view, 12> signs{"password",    "passwd",      "passphrase", "secret",
                                                   "token",       "api_key",     "apikey",     "salt",
                                                   "private_key", "credit_card", "ssn",        "cvv"};
  std::string lower(column);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::any_of(signs.begin(), signs.end(),
                     [&](std::string_view sign) { return lower.find(sign) != std::string::npos; });
}

std::string yaml_of(const InitPlan& plan) {
  return "# Muskrat's configuration. All options: docs/configuration.md, or `muskrat docs options`.\n"
         "# Is it right, and what does it mean:  muskrat check\n"
         "#\n"
         "# ${NAME} is an environment variable, ${NAME:-default} has a default, ${file:PATH} is a file's content: the "
         "ways to\n"
         "# give a password.\n\n"
         "broker:\n"
         "  url: " +
         scalar(plan.broker_url) +
         "\n"
         "  password: ${MUSKRAT_BROKER_PASSWORD:-}\n\n"
         "# What happens. `muskrat relay` publishes it; its database user needs the role muskrat_relay and nothing "
         "more.\n"
         "sources:\n"
         "  " +
         plan.source +
         ":\n"
         "    kind: postgres\n"
         "    dsn: " +
         scalar(plan.source_dsn) +
         "\n"
         "    password: ${" +
         upper(plan.source) +
         "_PASSWORD:-}\n\n"
         "# Who takes it. `muskrat setup` makes a queue for each, `muskrat consume` feeds them, each by itself.\n"
         "endpoints:\n" +
         endpoints_of(plan) +
         "\n# Where the daemons show /metrics, /healthz, /readyz and a status page.\n"
         "relay:\n  listen: 127.0.0.1:9464\n"
         "consumer:\n  listen: 127.0.0.1:9465\n";
}

std::string next_steps(const InitPlan& plan, bool extension_there) {
  std::string out = "Next:\n";
  if (!extension_there)
    out += "  psql " + shell_word(plan.source_dsn) + " -c 'CREATE EXTENSION muskrat'   # as a superuser\n";
  if (!plan.grantee.empty())
    out += "  psql " + shell_word(plan.source_dsn) + " -c " +
           shell_word("GRANT muskrat_relay, muskrat_monitor, muskrat_attach TO " + plan.grantee) +
           "   # as a superuser\n";
  for (const InitTable& table : plan.tables) out += attach_command(plan, table);
  if (!plan.endpoint_dsn.empty())
    out += "  muskrat endpoint ddl analytics | psql " + shell_word(plan.endpoint_dsn) + "   # look at it first\n";
  return out +
         "  muskrat check --online\n"
         "  muskrat setup      # exchange, queues, bindings\n"
         "  muskrat relay      # beside the database\n"
         "  muskrat consume    # anywhere\n" +
         (plan.config_file == "muskrat.yaml" ? "" : "each with --config " + shell_word(plan.config_file) + "\n");
}

}  // namespace muskrat::cli
