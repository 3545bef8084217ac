// muskrat attach, detach, attached: which tables of a source's database are captured.
//
// What is given here reaches the database as parameters, never as SQL text.
#include <algorithm>
#include <optional>

#include "cli/attach_mysql.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/mysql_catalog.hpp"
#include "cli/refusal.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "common/json.hpp"
#include "common/suggest.hpp"

namespace muskrat::cli {
namespace {

constexpr const char* dsn_help =
    "Connect with this instead of the source's dsn; the password belongs into PGPASSWORD or ~/.pgpass (MySQL: "
    "MYSQL_PWD).";

constexpr std::string_view needs_owner =
    "attaching and detaching need the rights of the table's owner and the role muskrat_attach: name such a user with "
    "--dsn";

// A call of one of the extension's functions with the arguments that were given, each by name.
class Call {
 public:
  explicit Call(const std::string& function) : function_(function), sql_("SELECT muskrat." + function + "(") {}

  // `name` is a constant of ours; nullopt is NULL.
  void add(const char* name, std::optional<std::string> value, const char* type = "text") {
    values_.push_back(std::move(value));
    sql_ += std::string(values_.size() > 1 ? ", " : "") + name + " => $" + std::to_string(values_.size()) +
            "::pg_catalog." + type;
  }
  void add_given(const char* name, const std::string& value) {
    if (!value.empty()) add(name, value);
  }
  // An action word: "" leaves the function's default, "-" is NULL.
  void add_word(const char* name, const std::string& word) {
    if (word == "-") return add(name, std::nullopt);
    add_given(name, word);
  }

  pg::Result run(pg::Connection& db) {
    const std::vector<pg::Param> params(values_.begin(), values_.end());
    try {
      return db.exec(sql_ + ")", params, Deadline::in(answer_time));
    } catch (const pg::SqlError& error) {
      explain_refusal(error, db.place(), function_, needs_owner);
    }
  }

 private:
  const std::string function_;
  std::string sql_;
  std::vector<std::optional<std::string>> values_;
};

// A list "a,b,c", or JSON as it is.
std::string columns_json(const std::string& given) {
  if (given.empty() || given.front() == '[' || given == "*") return given;
  std::string out = "[";
  for (size_t start = 0; start <= given.size();) {
    const size_t comma = std::min(given.find(',', start), given.size());
    out += (out.size() > 1 ? "," : "") + json::quote(given.substr(start, comma - start));
    start = comma + 1;
  }
  return out + "]";
}

// PostgreSQL's text form of an array.
std::string array_text(const std::vector<std::string>& items) {
  std::string out = "{";
  for (const std::string& item : items) {
    out += out.size() > 1 ? ",\"" : "\"";
    for (char c : item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

class Attach : public Command {
 public:
  explicit Attach(Arguments& arguments) {
    arguments.positional("SOURCE", source_, "The source's name in the configuration.");
    arguments.positional("TABLE", table_, "The table, with its schema where the search path does not find it.");
    arguments.positional("OBJECT", object_, "<Source>.<Object>, such as Frontend.Customer.");
    arguments.text("--insert", "WORD", insert_, "Action word of an INSERT (default Insert; - captures none).");
    arguments.text("--update", "WORD", update_, "Action word of an UPDATE (default Update; - captures none).");
    arguments.text("--delete", "WORD", delete_, "Action word of a DELETE (default Delete; - captures none).");
    arguments.text("--truncate", "WORD", truncate_, "Action word of a TRUNCATE (default Truncate; - captures none).");
    arguments.text(
        "--columns", "LIST", columns_,
        "What the body holds: id,email,… or JSON with nesting and renaming, or * for every column. Required.");
    arguments.texts("--key", "COLUMN", key_, "Column of the ordering key (default: the primary key).");
    arguments.text("--condition", "SQL", condition_, "Only rows for which this boolean expression holds.");
    arguments.texts("--changes-of", "COLUMN", changes_of_, "Only updates that change this column.");
    arguments.text("--name", "NAME", name_, "Tells attachments of one table apart (default: OBJECT).");
    arguments.flag("--always", always_, "Capture also what replication writes.");
    arguments.flag("--replace", replace_, "Take the place of the attachment of the same name.");
    arguments.flag("--refresh", refresh_,
                   "MySQL: make the attachment anew, as it was asked for, from the table as it is now. Of the other "
                   "options it takes --name and --dsn alone.");
    arguments.text("--dsn", "DSN", dsn_, dsn_help);
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    const Component& source = find_component(config.sources, source_, "source");
    if (source.kind == "mysql") return run_mysql(source);
    if (refresh_)
      throw UsageError("--refresh is for MySQL and MariaDB; PostgreSQL's triggers follow the table by themselves");
    pg::Connection db = open_source(source, dsn_);
    Call call("attach");
    call.add("relation", table_);
    call.add("object", object_);
    call.add_given("columns", columns_json(columns_));
    call.add_word("on_insert", insert_);
    call.add_word("on_update", update_);
    call.add_word("on_delete", delete_);
    call.add_word("on_truncate", truncate_);
    if (!key_.empty()) call.add("key", array_text(key_), "_text");
    call.add_given("condition", condition_);
    if (!changes_of_.empty()) call.add("changes_of", array_text(changes_of_), "_text");
    call.add_given("name", name_);
    if (always_) call.add("always", "true", "bool");
    if (replace_) call.add("replace", "true", "bool");
    db.on_notice([](std::string_view text) { complain("note: " + harmless(text) + "\n"); });
    const pg::Result name = call.run(db);
    print("Attached " + table_ + " of " + db.place() + " as " + harmless(name.text(0, 0)) + ".\n");
    return exit_ok;
  }

 private:
  // What only PostgreSQL can.
  void refuse_others() const {
    if (!truncate_.empty() && truncate_ != "-") {
      throw UsageError("--truncate: MySQL and MariaDB have no triggers for TRUNCATE, so it cannot be captured");
    }
    if (always_) throw UsageError("--always: MySQL and MariaDB fire no triggers for what replication writes");
  }

  // What was asked for is stored: what is given beside it would be passed over.
  void refuse_beside_refresh() const {
    for (const auto& [option, given] : {std::pair{"--insert", !insert_.empty()},
                                        {"--update", !update_.empty()},
                                        {"--delete", !delete_.empty()},
                                        {"--truncate", !truncate_.empty()},
                                        {"--columns", !columns_.empty()},
                                        {"--key", !key_.empty()},
                                        {"--condition", !condition_.empty()},
                                        {"--changes-of", !changes_of_.empty()},
                                        {"--always", always_},
                                        {"--replace", replace_}}) {
      if (given)
        throw UsageError(std::string("--refresh makes the attachment anew as it was asked for, and takes no ") +
                         option + "; to change it, give all its options, with --replace");
    }
  }

  static void set_word(std::optional<std::string>& word, const std::string& given) {
    if (given == "-") {
      word.reset();
    } else if (!given.empty()) {
      word = given;
    }
  }

  int run_mysql(const Component& source) const {
    if (refresh_) refuse_beside_refresh();
    refuse_others();
    capture_mysql::Options options;
    options.object = object_;
    options.columns = columns_json(columns_);
    set_word(options.on_insert, insert_);
    set_word(options.on_update, update_);
    set_word(options.on_delete, delete_);
    options.key = key_;
    options.condition = condition_;
    options.changes_of = changes_of_;
    options.name = name_;
    mysql::Connection db = open_mysql_server(source, dsn_);
    require_installed(db, source_);
    const Existing existing = refresh_ ? Existing::refresh : replace_ ? Existing::replace : Existing::refuse;
    const std::string name = mysql_attach(db, table_, options, existing);
    print((refresh_ ? "Refreshed " : "Attached ") + table_ + " of " + db.place() + " as " + harmless(name) + ".\n");
    return exit_ok;
  }

  std::string source_, table_, object_, insert_, update_, delete_, truncate_, columns_, condition_, name_, dsn_;
  std::vector<std::string> key_, changes_of_;
  bool always_ = false, replace_ = false, refresh_ = false;
};

class Detach : public Command {
 public:
  explicit Detach(Arguments& arguments) {
    arguments.positional("SOURCE", source_, "The source's name in the configuration.");
    arguments.positional("TABLE", table_, "The table.");
    arguments.positionals("OBJECT", objects_, "Only the attachment under this <Source>.<Object>.");
    arguments.text("--dsn", "DSN", dsn_, dsn_help);
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    const Component& source = find_component(config.sources, source_, "source");
    if (objects_.empty()) objects_.emplace_back();
    if (source.kind == "mysql") return run_mysql(source);
    pg::Connection db = open_source(source, dsn_);
    for (const std::string& object : objects_) {
      Call call("detach");
      call.add("relation", table_);
      call.add_given("object", object);
      const pg::Result gone = call.run(db);
      print("Detached " + table_ + " of " + db.place() + ": " + harmless(gone.text(0, 0)) + ".\n");
    }
    return exit_ok;
  }

 private:
  int run_mysql(const Component& source) const {
    mysql::Connection db = open_mysql_server(source, dsn_);
    require_installed(db, source_);
    for (const std::string& object : objects_) {
      const std::vector<std::string> gone = mysql_detach(db, table_, object);
      const std::vector<std::string_view> names(gone.begin(), gone.end());
      print("Detached " + table_ + " of " + db.place() + ": " + harmless(listed(names)) + ".\n");
    }
    return exit_ok;
  }

  std::string source_, table_, dsn_;
  std::vector<std::string> objects_;
};

class Attached : public Command {
 public:
  explicit Attached(Arguments& arguments) {
    arguments.positionals("SOURCE", sources_, "Only these sources (default: every database source).");
    arguments.flag("--json", json_, "One JSON object per attachment and line.");
    arguments.text("--dsn", "DSN", dsn_, dsn_help);
  }

  int run(const Globals& globals) override {
    const Config config = load(globals);
    for (const std::string& name : sources_) find_component(config.sources, name, "source");
    std::vector<const Component*> wanted;
    for (const Component& source : config.sources)
      if (wants(source)) wanted.push_back(&source);
    require_one_source(dsn_, wanted.size(), "Name that one: muskrat attached SOURCE --dsn …");
    for (const Component* source : wanted) source->kind == "mysql" ? show_mysql(*source) : show(*source);
    return problems_ ? exit_problems : exit_ok;
  }

 private:
  bool wants(const Component& source) const {
    if (sources_.empty()) return source.kind == "postgres" || source.kind == "mysql";
    return std::find(sources_.begin(), sources_.end(), source.name) != sources_.end();
  }

  // The row as muskrat.attached has it: what was asked for, and what is wrong now.
  static std::string row_json(const Attachment& a) {
    std::string json =
        "{\"relation\":" +
        json::quote(capture_mysql::quote_identifier(a.schema) + "." + capture_mysql::quote_identifier(a.table)) +
        ",\"attachment\":" + json::quote(a.name) + "," + a.options.substr(1);
    json.back() = ',';
    return json + "\"triggers\":" + a.triggers +
           ",\"problem\":" + (a.problem.empty() ? "null" : json::quote(a.problem)) + "}";
  }

  void show_mysql(const Component& source) {
    mysql::Connection db = open_mysql_server(source, dsn_);
    require_installed(db, source.name);
    const std::vector<Attachment> attachments = mysql_attached(db);
    if (!json_)
      print("Source " + source.name + ", " + db.place() + ": " + counted(attachments.size(), "attachment") + "\n");
    for (const Attachment& a : attachments) {
      problems_ |= !a.problem.empty();
      print(json_ ? with_source(source.name, row_json(a)) : readable(row_json(a)));
    }
  }

  void show(const Component& source) {
    pg::Connection db = open_source(source, dsn_);
    const pg::Result rows = attachments(db, source.name);
    if (!json_) {
      print("Source " + source.name + ", " + db.place() + ": " +
            counted(static_cast<size_t>(rows.rows()), "attachment") + "\n");
    }
    for (int i = 0; i < rows.rows(); ++i) {
      problems_ |= rows.boolean(i, 1);
      print(json_ ? with_source(source.name, rows.text(i, 0)) : readable(rows.text(i, 0)));
    }
  }

  static pg::Result attachments(pg::Connection& db, const std::string& source) {
    try {
      return db.exec("SELECT pg_catalog.row_to_json(a), a.problem IS NOT NULL FROM muskrat.attached() AS a",
                     Deadline::in(answer_time));
    } catch (const pg::SqlError& error) {
      explain_refusal(error, db.place(), "say what is attached", see_attachments_needs(source));
    }
  }

  static std::string with_source(const std::string& name, std::string_view row) {
    return "{\"source\":" + json::quote(name) + "," + std::string(row.substr(1)) + "\n";
  }

  // Each attachment as "  column: value" lines; what is NULL is left out.
  static std::string readable(std::string_view row) {
    std::string why, out;
    const auto document = json::Document::parse(row, why);
    if (!document) throw Failure(Remedy::stop, "muskrat.attached() answered what is " + why);
    const json::Value object = document->root();
    for (size_t i = 0; i < object.size(); ++i) {
      const auto text = object.member(i).scalar_text();
      if (!text || text->empty() || *text == "[]") continue;
      const std::string name(object.member_name(i));
      out += (out.empty() ? "  - " : "    ") + name + ": " + harmless(*text) + "\n";
    }
    return out;
  }

  std::vector<std::string> sources_;
  std::string dsn_;
  bool json_ = false, problems_ = false;
};

}  // namespace

std::unique_ptr<Command> make_attach(Arguments& arguments) { return std::make_unique<Attach>(arguments); }
std::unique_ptr<Command> make_detach(Arguments& arguments) { return std::make_unique<Detach>(arguments); }
std::unique_ptr<Command> make_attached(Arguments& arguments) { return std::make_unique<Attached>(arguments); }

}  // namespace muskrat::cli
