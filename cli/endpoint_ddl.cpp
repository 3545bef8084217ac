// muskrat endpoint ddl: the tables that a postgres endpoint's routes need, as SQL: from what the sources capture, the
// mapping, and what the endpoint's database has already.
//
// It prints and changes nothing: `muskrat endpoint ddl analytics | psql analytics` is for the person who owns the
// tables.
#include <algorithm>
#include <map>

#include "cli/captured.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/refusal.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/event.hpp"
#include "common/json.hpp"
#include "consumer/endpoints/postgres/target.hpp"

namespace muskrat::cli {
namespace {

struct Wanted {
  std::string name, type, note;
  bool key = false;
};

bool any_takes(const std::vector<std::string>& patterns, const std::string& routing_key) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    const auto binding = binding_of_pattern(pattern);
    return binding && binding_matches(*binding, routing_key);
  });
}

std::string type_of_constant(const std::string& json_text) {
  std::string why;
  const auto document = json::Document::parse(json_text, why);
  if (!document) return "text";
  const json::Value value = document->root();
  switch (value.type()) {
    case json::Type::number:
      return value.number().find_first_of(".eE") == std::string_view::npos ? "bigint" : "numeric";
    case json::Type::boolean:
      return "boolean";
    case json::Type::array:
    case json::Type::object:
      return "jsonb";
    default:
      return "text";
  }
}

// Of what belongs to the event itself.
std::string type_of_fact(const std::string& name) {
  static const std::map<std::string, std::string> types{{"$captured_at", "timestamptz"},
                                                        {"$epoch", "bigint"},
                                                        {"$seq", "bigint"},
                                                        {"$body", "jsonb"},
                                                        {"$message_id", "uuid"}};
  const auto found = types.find(name);
  return found == types.end() ? "text" : found->second;
}

// Of what `as` makes of a value.
std::string type_of_conversion(const std::string& as) {
  static const std::map<std::string, std::string> types{{"integer", "bigint"},        {"number", "numeric"},
                                                        {"boolean", "boolean"},       {"json", "jsonb"},
                                                        {"timestamp", "timestamptz"}, {"date", "date"}};
  const auto found = types.find(as);
  return found == types.end() ? "text" : found->second;
}

// One route of the endpoint: which captured tables reach it, and the columns that it fills.
class RouteTables {
 public:
  RouteTables(const Settings& endpoint, const Settings& route, const std::vector<CapturedTable>& captured)
      : route_(route) {
    for (const CapturedTable& table : captured)
      if (reaches(endpoint, table)) tables_.push_back(&table);
  }

  std::vector<Wanted> columns() const {
    const auto& key = route_.texts("key");
    std::vector<Wanted> columns;
    for (const Settings& field : route_.records("columns")) {
      Wanted column = wanted(field);
      column.key = std::find(key.begin(), key.end(), column.name) != key.end();
      columns.push_back(std::move(column));
    }
    return columns;
  }

  // "Frontend.Customer captures phone, which no column takes".
  std::vector<std::string> left_over() const {
    std::vector<std::string> notes;
    for (const CapturedTable* table : tables_)
      for (const CapturedMember& member : table->members)
        if (!taken(member.path))
          notes.push_back(table->object + " captures " + member.path + ", which no column takes");
    return notes;
  }

  bool fed() const { return !tables_.empty(); }

 private:
  bool reaches(const Settings& endpoint, const CapturedTable& table) const {
    return std::any_of(table.routing_keys.begin(), table.routing_keys.end(), [&](const std::string& routing_key) {
      return any_takes(endpoint.texts("subscribe"), routing_key) &&
             (route_.texts("on").empty() || any_takes(route_.texts("on"), routing_key));
    });
  }

  static std::vector<std::string> from_of(const Settings& field) {
    if (field.given("from")) return field.texts("from");
    return {field.given("jq") ? "$body" : field.text("to")};
  }

  bool taken(const std::string& path) const {
    const auto& fields = route_.records("columns");
    return std::any_of(fields.begin(), fields.end(), [&](const Settings& field) {
      const std::vector<std::string> paths = from_of(field);
      return std::any_of(paths.begin(), paths.end(), [&](const std::string& from) {
        return from == "$body" || path == from || path.starts_with(from + ".") || from.starts_with(path + ".");
      });
    });
  }

  Wanted wanted(const Settings& field) const {
    Wanted column{.name = field.text("to"), .type = "", .note = "", .key = false};
    if (field.given("value")) {
      column.type = type_of_constant(field.scalar("value"));
      return column;
    }
    if (field.has("as")) {
      column.type = type_of_conversion(field.text("as"));
      return column;
    }
    if (field.given("lookup") || field.given("jq")) {
      column.type = "text";
      column.note = std::string("from ") + (field.given("lookup") ? "a lookup" : "jq") + ": choose the type";
      return column;
    }
    for (const std::string& type : types_of(from_of(field))) {
      if (!column.type.empty() && column.type != type)
        column.note = "the sources differ: " + column.type + " and " + type;
      column.type = column.type.empty() || column.type == type ? type : "text";
    }
    if (column.type.empty()) {
      column.type = "text";
      column.note = "not captured by itself: choose the type";
    }
    return column;
  }

  // Of whatever may stand at one of the paths.
  std::vector<std::string> types_of(const std::vector<std::string>& paths) const {
    std::vector<std::string> types;
    for (const std::string& from : paths) {
      if (from.starts_with('$')) types.push_back(type_of_fact(from));
      for (const CapturedTable* table : tables_)
        if (auto type = table->type_at(from)) types.push_back(std::move(*type));
    }
    return types;
  }

  const Settings& route_;
  std::vector<const CapturedTable*> tables_;
};

class EndpointDdl : public Command {
 public:
  explicit EndpointDdl(Arguments& arguments) {
    arguments.positional("ENDPOINT", endpoint_, "The endpoint's name in the configuration.");
    arguments.flag("--offline", offline_, "Do not look at the endpoint's database: print every table whole.");
    arguments.text(
        "--dsn", "DSN", dsn_,
        "Look at the source with this instead of its dsn; the password belongs into PGPASSWORD or ~/.pgpass. "
        "It needs muskrat_attach or muskrat_monitor.");
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    const Component& endpoint = find_component(config.endpoints, endpoint_, "endpoint");
    if (endpoint.kind != "postgres")
      throw UsageError("the endpoint " + endpoint.name + " is of kind " + endpoint.kind +
                       ", which has no tables; this is for kind postgres");
    const std::vector<CapturedTable> captured = read_sources(config);
    if (!offline_) open_target(endpoint);
    for (const Settings& route : endpoint.settings.records("routes")) {
      const RouteTables tables(endpoint.settings, route, captured);
      add(route, tables);
    }
    for (const std::string& table : order_) print(statement(table));
    return exit_ok;
  }

 private:
  struct Table {
    std::vector<Wanted> columns;
    std::vector<std::string> key, notes;
  };

  std::vector<CapturedTable> read_sources(const Config& config) {
    std::vector<CapturedTable> all;
    const auto looked_at = [](const Component& source) { return source.kind == "postgres"; };
    const auto count = std::count_if(config.sources.begin(), config.sources.end(), looked_at);
    require_one_source(dsn_, static_cast<size_t>(count),
                       "There are several; leave it out, and grant muskrat_monitor to each source's own user");
    for (const Component& source : config.sources) {
      if (!looked_at(source)) continue;
      source_.emplace(open_source(source, dsn_));
      try {
        const auto tables = captured_tables(*source_);
        all.insert(all.end(), tables.begin(), tables.end());
      } catch (const pg::SqlError& error) {
        explain_refusal(error, source_->place(), "say what is attached", see_attachments_needs(source.name));
      }
    }
    if (!source_) throw UsageError("the configuration has no source of kind postgres to learn the columns' types from");
    if (all.empty()) throw UsageError("no table is attached at the sources; see muskrat attach --help");
    return all;
  }

  void open_target(const Component& endpoint) {
    pg::Address address;
    address.application_name = "muskrat cli";
    address.dsn = endpoint.settings.fresh_secret("dsn");
    address.password = endpoint.settings.fresh_secret("password");
    target_.emplace(pg::Connection::open(address, Deadline::in(connect_time)));
  }

  // Several routes may fill one table.
  void add(const Settings& route, const RouteTables& tables) {
    const std::string& name = route.text("table");
    if (!tables_.contains(name)) order_.push_back(name);
    Table& table = tables_[name];
    for (const Wanted& column : tables.columns()) {
      const auto known = std::find_if(table.columns.begin(), table.columns.end(),
                                      [&](const Wanted& other) { return other.name == column.name; });
      if (known == table.columns.end())
        table.columns.push_back(column);
      else
        known->key |= column.key;
    }
    if (route.text("mode") == "upsert") table.key = route.texts("key");
    if (!tables.fed()) table.notes.emplace_back("no attached table reaches this route: the types are guesses");
    for (std::string& note : tables.left_over()) table.notes.push_back(std::move(note));
  }

  std::string statement(const std::string& name) const {
    const Table& table = tables_.at(name);
    std::string out;
    for (const std::string& note : table.notes) out += "-- " + harmless(note) + "\n";
    const auto present = target_ ? table_columns(*target_, name) : std::vector<TableColumn>{};
    return out + (present.empty() ? create(name, table) : alter(name, table, present)) + "\n";
  }

  std::string create(const std::string& name, const Table& table) const {
    std::vector<std::pair<std::string, std::string>> lines;  // definition, remark
    for (const Wanted& column : table.columns)
      lines.emplace_back(quoted(column.name) + " " + column.type + (column.key ? " NOT NULL" : ""), column.note);
    if (!table.key.empty()) lines.emplace_back("PRIMARY KEY (" + listed_key(table) + ")", "");
    std::string out = "CREATE TABLE " + name + " (\n";
    for (size_t i = 0; i < lines.size(); ++i)
      out += "    " + lines[i].first + (i + 1 < lines.size() ? "," : "") +
             (lines[i].second.empty() ? "" : "  -- " + lines[i].second) + "\n";
    return out + ");\n";
  }

  std::string alter(const std::string& name, const Table& table, const std::vector<TableColumn>& present) const {
    std::string out;
    for (const Wanted& column : table.columns) {
      const auto found = std::find_if(present.begin(), present.end(),
                                      [&](const TableColumn& other) { return other.name == column.name; });
      if (found == present.end())
        out += "ALTER TABLE " + name + " ADD COLUMN " + quoted(column.name) + " " + column.type + ";" +
               (column.note.empty() ? "" : "  -- " + column.note) + "\n";
      else if (found->type != column.type && column.note.empty())
        out += "-- column " + harmless(column.name) + " is " + found->type + " here and " + column.type +
               " at the source\n";
    }
    if (!table.key.empty() && !postgres::has_unique_index(*target_, name, table.key, Deadline::in(answer_time)))
      out += "CREATE UNIQUE INDEX ON " + name + " (" + listed_key(table) + ");\n";
    return out.empty() ? "-- " + name + ": nothing to add\n" : out;
  }

  std::string listed_key(const Table& table) const {
    std::string out;
    for (const std::string& column : table.key) out += (out.empty() ? "" : ", ") + quoted(column);
    return out;
  }

  // By the server, which knows what is a reserved word.
  std::string quoted(const std::string& name) const {
    const pg::Param param = name;
    const pg::Result rows = source_->exec("SELECT pg_catalog.quote_ident($1)", std::span<const pg::Param>(&param, 1),
                                          Deadline::in(answer_time));
    return std::string(rows.text(0, 0));
  }

  std::string endpoint_, dsn_;
  bool offline_ = false;
  mutable std::optional<pg::Connection> source_, target_;
  std::map<std::string, Table> tables_;
  std::vector<std::string> order_;
};

}  // namespace

std::unique_ptr<Command> make_endpoint_ddl(Arguments& arguments) { return std::make_unique<EndpointDdl>(arguments); }

}  // namespace muskrat::cli
