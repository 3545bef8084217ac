// The reference of all options, as Markdown: what docs/configuration.md holds.
#include "common/config.hpp"
#include "common/config_tables.hpp"
#include "common/settings_builder.hpp"

namespace muskrat {
namespace {

constexpr std::string_view introduction = R"(# Configuration

<!-- Written by `muskrat docs options`; `make golden` writes it anew. Do not edit. -->

Muskrat reads one YAML file: the one named by `--config`, else by `$MUSKRAT_CONFIG`, else `./muskrat.yaml`, else
`/etc/muskrat/muskrat.yaml`. `muskrat check` says everything that is wrong with it at once, with file and line, and prints
what it made of it. `examples/muskrat.yaml` is a commented start.

- **Sections**: `broker`, `sources`, `endpoints`, `relay`, `consumer`, `log`. A relay needs no endpoints and a consumer no
  sources, so that each can have a file of its own; `muskrat setup` needs the endpoints, for it makes their queues.
- **`include: [other.yaml]`** joins split files. Paths are relative to the file that includes; sources and endpoints add
  up, each other section stands in one file.
- **References** work in every value: `${NAME}` is an environment variable, `${NAME:-default}` has a default for when it is
  unset or empty, `${file:PATH}` is the content of a file without its last line break (`PATH` relative to the
  configuration; `${file:${CREDENTIALS_DIRECTORY}/password}` works). `$$` is one `$`; a `$` before anything else is itself.
- **Secrets** belong into such references: one in clear text is a warning. They are looked up anew at each connect: a rotated
  password in a `${file:PATH}` needs no restart. An environment variable is what it was when the process began: it does.
- **PostgreSQL beyond this machine** is spoken to with TLS and `sslmode=verify-full`, against the system's authorities, wherever
  a DSN is given (sources, endpoints, `state_dsn`) and neither it nor the environment says otherwise: `sslrootcert=FILE` names
  an authority of your own, `sslmode=disable` does without. On Unix sockets and loopback it is `prefer`.
- **Names** of sources and endpoints hold `A-Z a-z 0-9 _ -`. An endpoint's queue is `<prefix>.<name>`. What is remembered is
  remembered under these names: an endpoint with a new name has a new queue (the old one stays bound, and fills), no pause,
  and knows nothing of the events it had nor how new each row is; so it is with the events of a source with a new name, at
  every endpoint. A scheduled source with a new name begins anew. Rename when the queues are empty.
- **Paths** that are relative: `${file:PATH}` and `include` count from the folder of the file in which they stand; `relay.state`,
  `consumer.state` and `refresh_token_file` from `$STATE_DIRECTORY`, which the systemd units set, or else from the working
  directory; all others (`broker.tls`, `ca_file`, `path` of the kind `file`, `folder`, files that a DSN names) from the working
  directory, which under systemd is `/`.
- **Subscriptions** are patterns of routing keys `<Source>.<Object>.<Action>`. `*` is one word; a final `*` in a pattern of
  fewer than three words means "the rest": `Frontend.*` and `Frontend.Customer.*` both take `Frontend.Customer.Signup`.
- **SIGHUP** makes a daemon read its configuration anew: where it is right, sources and endpoints stop cleanly and start
  with it; where it is wrong, the old one stays in force and the log says what is wrong.

Durations are written `250ms`, `10s`, `5m`, `2h`, `7d`; sizes `512`, `64KiB`, `16MiB`, `1GiB`.
)";

// A cell must not end the table's column, and outside of `code` nothing is Markdown.
std::string cell(std::string_view text) {
  std::string out;
  bool code = false;
  for (char c : text) {
    if (c == '`') code = !code;
    if (c == '|' || (!code && (c == '*' || c == '<'))) out += '\\';
    out += c;
  }
  return out;
}

std::string sentence(std::string_view help) {
  std::string out(help);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out.ends_with('.') || out.empty() ? out : out + ".";
}

std::string takes(const Option& option) {
  switch (option.type) {
    case OptionType::secret:
      return "secret";
    case OptionType::scalar:
    case OptionType::json:
      return "any value";
    case OptionType::records:
      return "list";
    case OptionType::section:
      return "map";
    case OptionType::text_list:
      return "text or list";
    case OptionType::duration:
      return "duration" + range_words(option.range);
    case OptionType::bytes:
      return "size" + range_words(option.range);
    default: {
      const std::string words = expectation(option);
      return words.starts_with("a ") ? words.substr(2) : words;
    }
  }
}

void rows(std::string& out, OptionTable table, const std::string& prefix) {
  for (const Option& option : table) {
    const std::string name = prefix + std::string(option.name);
    const std::string fallback = option.required                ? "required"
                                 : option.default_value.empty() ? ""
                                                                : "`" + std::string(option.default_value) + "`";
    out += "| `" + name + "` | " + cell(takes(option)) + " | " + cell(fallback) + " | " + cell(option.help) + " |\n";
    if (option.type == OptionType::section) rows(out, option.children, name + ".");
    if (option.type == OptionType::records) rows(out, option.children, name + "[].");
  }
}

void table_of(std::string& out, OptionTable table) {
  if (table.empty()) {
    out += "No options.\n";
    return;
  }
  out += "| option | takes | default | meaning |\n|---|---|---|---|\n";
  rows(out, table, "");
}

std::string defaults_of(const Kind& kind) {
  std::string out;
  for (const KindDefault& ours : kind.defaults)
    out += (out.empty() ? "`" : ", `") + std::string(ours.option) + ": " + std::string(ours.value) + "`";
  return out;
}

void kinds_of(std::string& out, const std::vector<const Kind*>& kinds, const std::string& word) {
  for (const Kind* kind : kinds) {
    out += "\n### " + word + " `" + std::string(kind->name) + "`\n\n" + sentence(kind->help) + "\n\n";
    table_of(out, kind->options);
    if (!kind->defaults.empty()) out += "\nDefaults of its own: " + defaults_of(*kind) + ".\n";
  }
}

}  // namespace

std::string describe_options(const Schema& schema) {
  std::string out(introduction);
  out += "\n## `broker`\n\n";
  table_of(out, broker_options());
  out += "\n## `sources`\n\nA map from names to sources; each has a `kind` and that kind's options.\n";
  kinds_of(out, schema.sources, "Source");
  out +=
      "\n## `endpoints`\n\nA map from names to endpoints; each has a `kind`, the options of every endpoint, and its "
      "kind's.\n";
  out += "\n### Every endpoint\n\n";
  table_of(out, schema.endpoint_common);
  kinds_of(out, schema.endpoints, "Endpoint");
  out += "\n## `relay`\n\n";
  table_of(out, schema.relay);
  out += "\n## `consumer`\n\n";
  table_of(out, schema.consumer);
  out += "\n## `log`\n\n";
  table_of(out, log_options());
  return out;
}

}  // namespace muskrat
