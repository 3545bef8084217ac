// muskrat verify: whether an endpoint's table is what a source's table says it should be.
//
// This file says what is compared and what is not; verify_run compares. The source's side is verify_source, the
// endpoint's the kind's own Mirror.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/backfill_reach.hpp"
#include "cli/context.hpp"
#include "cli/exit.hpp"
#include "cli/pace.hpp"
#include "cli/source_table.hpp"
#include "cli/terminal.hpp"
#include "cli/verbs.hpp"
#include "cli/verify_run.hpp"
#include "common/suggest.hpp"
#include "consumer/endpoints.hpp"

namespace muskrat::cli {
namespace {

// As diff and cmp have it, so that a script can tell a difference from a failure.
constexpr int exit_equal = 0, exit_different = 1, exit_trouble = 2, exit_undecided = 3;
constexpr std::array<std::string_view, 2> walked_kinds{"postgres", "mysql"};

std::unique_ptr<Mirror> mirror_of(const Component& endpoint) {
  std::vector<std::string_view> able;
  for (const EndpointKind& kind : endpoint_kinds()) {
    if (kind.mirror != nullptr) able.push_back(kind.name);
    if (kind.name == endpoint.kind && kind.mirror != nullptr) return kind.mirror(endpoint);
  }
  throw UsageError("the endpoint " + endpoint.name + " is of kind " + endpoint.kind +
                   ", whose data cannot be looked at; " + "kinds that can be verified: " + listed(able));
}

class Verify : public Command {
 public:
  explicit Verify(Arguments& arguments) {
    arguments.positional("TABLE", table_, "The table, as in SQL; SOURCE.TABLE names the source too.");
    arguments.positional("ENDPOINT", endpoint_, "The endpoint whose table is compared with it.");
    arguments.text("--source", "NAME", source_, "The source (default: the only one of kind postgres or mysql).");
    arguments.text("--attachment", "NAME", attachment_,
                   "Only as this attachment tells the rows (default: each attachment of the table).");
    arguments.flag("--repair", options_.repair,
                   "Tell missing and different rows to this endpoint again, each behind its lock, and look again.");
    arguments.flag("--no-extra", no_extra_, "Do not look for rows that the endpoint has and the source has not.");
    arguments.flag("--no-digests", no_digests_,
                   "Compare every row by itself, also where both databases could compare digests of many.");
    arguments.flag("--values", options_.values, "Show what was expected and found; that is customers' data.");
    arguments.text("--rate", "N", rate_,
                   "At most so many rows a second, such as 5000/s (default max: as fast as it goes).");
    arguments.number("--chunk", "N", options_.chunk, 1, 100'000, "Rows that one statement reads (default 1000).");
    arguments.number("--list", "N", list_, 0, INT32_MAX, "List at most so many rows, count the others (default 1000).");
    arguments.number("--grace", "MS", grace_, 0, 600'000,
                     "How long the host may have an event in its hands, in milliseconds (default 2000).");
    arguments.number("--patience", "SECONDS", patience_, 1, 86'400,
                     "How long a row that keeps changing is looked at again (default 60).");
    arguments.flag("--json", options_.json, "JSON objects, one a line: the rows, the progress, the end.");
    arguments.text(
        "--dsn", "DSN", dsn_,
        "Connect to the source with this instead of its dsn; the password belongs into PGPASSWORD, ~/.pgpass "
        "or MYSQL_PWD.");
  }

  int run(const Globals& globals) override {
    try {
      return verify(globals);
    } catch (const BrokenPipe&) {
      throw BrokenPipe{"The comparison has no result; run it again."};
    } catch (const std::exception& error) {  // of whatever kind: exit_failure would say that they differ
      complain(std::string("muskrat: ") + error.what() + "\n");
      return exit_trouble;
    }
  }

 private:
  int verify(const Globals& globals) {
    if (!rate_.empty()) options_.rate = rate_of(rate_, "rows");
    const Config config = load(globals);
    const Component& source = source_of_table(config, walked_kinds, source_, table_);
    const Component& endpoint = find_component(config.endpoints, endpoint_, "endpoint");
    const std::unique_ptr<Mirror> mirror = mirror_of(endpoint);
    Stop stop;
    SignalThread signals(stop);
    return verify(config, source, *mirror, stop);
  }

  int verify(const Config& config, const Component& source, Mirror& mirror, const Stop& stop) {
    const std::unique_ptr<VerifySource> opened = open_verify_source(source, dsn_, table_, attachment_);
    VerifySource& db = *opened;
    std::vector<Event> told;
    for (const VerifyPlan::Part& part : db.plan().parts) told.push_back(event_of(part, source.name));
    mirror.connect(told, Deadline::in(connect_time));
    db.keep([&](const VerifyPlan::Part& part) { return mirror.takes(event_of(part, source.name)); });
    std::vector<std::optional<Finder>> finders = finders_of(db, mirror);
    std::optional<Finder> digested = no_digests_ ? std::nullopt : digested_of(db, mirror);
    if (options_.repair) require_way_to(config, endpoint_);

    options_.source = source.name;
    options_.endpoint = endpoint_;
    options_.patience = std::chrono::seconds(patience_);
    VerifyReport report({options_.json, options_.values, list_});
    VerifyDelivery delivery(config, endpoint_, db, milliseconds(grace_), stop);
    const SteadyTime began = std::chrono::steady_clock::now();
    const bool whole =
        VerifyRun(db, mirror, delivery, report, std::move(finders), std::move(digested), options_, stop).run();
    report.end(db.plan().table, endpoint_, whole,
               std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - began));
    return code_of(report.sums(), whole);
  }

  static int code_of(const Sums& sums, bool whole) {
    if (sums.found() > sums.repaired) return exit_different;
    return whole && sums.undecided == 0 ? exit_equal : exit_undecided;
  }

  // ---- what is compared, and what is not ----

  std::vector<std::optional<Finder>> finders_of(VerifySource& db, Mirror& mirror) {
    std::vector<std::optional<Finder>> finders;
    for (size_t t = 0; t < mirror.tables().size(); ++t) {
      const MirroredTable& table = mirror.tables()[t];
      for (const std::string& column : table.uncompared)
        note(table.table + ": the column " + column + " tells of the event and not of the row; it is not compared");
      if (!reached(db, mirror, t, &VerifyPlan::Part::on_update))
        note(table.table + ": updates of the source do not reach it, so rows that were updated since are different");
      finders.push_back(finder_of(db, mirror, t));
    }
    return finders;
  }

  static bool reached(const VerifySource& db, const Mirror& mirror, size_t table, std::string VerifyPlan::Part::*word) {
    const auto& parts = db.plan().parts;
    return std::all_of(parts.begin(), parts.end(), [&](const VerifyPlan::Part& part) {
      return !(part.*word).empty() && mirror.reached_by(table, part.object + "." + part.*word);
    });
  }

  // Rows too many can be told from others only where deletes arrive, nothing else fills the table, and the source can
  // be asked by its key. What cannot be known is not passed over in silence.
  std::optional<Finder> finder_of(VerifySource& db, const Mirror& mirror, size_t t) const {
    const MirroredTable& table = mirror.tables()[t];
    if (no_extra_) return std::nullopt;
    if (!reached(db, mirror, t, &VerifyPlan::Part::on_delete)) {
      note(table.table +
           ": deletes of the source do not reach it, so rows that are gone may stand there; extra rows are not looked "
           "for");
      return std::nullopt;
    }
    std::string why = table.shared_with.empty() ? "" : "it is filled by " + table.shared_with + " too";
    if (why.empty()) {
      if (auto finder = finder_of(db, table, why)) return finder;
    }
    throw UsageError("extra rows of " + table.table + " cannot be told from others: " + why +
                     "; --no-extra compares the source's rows alone");
  }

  static std::optional<Finder> finder_of(VerifySource& db, const MirroredTable& table, std::string& why) {
    std::vector<std::string> columns;
    for (size_t k = 0; k < table.key.size(); ++k) {
      const std::string& path = table.key_paths[k];
      std::string column;
      for (const VerifyPlan::Part& part : db.plan().parts) {
        const auto found = part.columns.find(path);
        const std::string here = found == part.columns.end() ? "" : found->second;
        if (here.empty() || (!column.empty() && column != here)) {
          why = "its key column " + table.key[k] + " is no plain copy of a column of " + db.plan().table;
          return std::nullopt;
        }
        column = here;
      }
      columns.push_back(column);
    }
    return db.finder(columns, table.key_types, why);
  }

  // Digests say the same as rows do only where every column is a copy and both tables are walked in the same order.
  static std::optional<Finder> digested_of(VerifySource& db, const Mirror& mirror) {
    const auto& parts = db.plan().parts;
    const MirroredTable& table = mirror.tables().front();
    if (parts.size() != 1 || parts.front().conditional || mirror.tables().size() != 1) return std::nullopt;
    const auto column_of = [&](const std::string& path) {
      const auto found = parts.front().columns.find(path);
      return found == parts.front().columns.end() ? std::string() : found->second;
    };
    std::vector<std::string> walked, columns, types;
    for (const size_t k : table.walk) walked.push_back(column_of(table.key_paths[k]));
    for (const auto& [path, type] : table.copies) {
      columns.push_back(column_of(path));
      types.push_back(type);
    }
    if (columns.empty() || walked != db.plan().key) return std::nullopt;
    return db.digestible(columns, types);
  }

  void note(const std::string& text) const {
    if (!options_.json) return complain("note: " + text + "\n");
    json::Object object;
    complain(object.add("note", text).text() + "\n");
  }

  VerifyRun::Options options_;
  std::string table_, endpoint_, source_, attachment_, rate_, dsn_;
  int64_t list_ = 1000, grace_ = 2000, patience_ = 60;
  bool no_extra_ = false, no_digests_ = false;
};

}  // namespace

std::unique_ptr<Command> make_verify(Arguments& arguments) { return std::make_unique<Verify>(arguments); }

}  // namespace muskrat::cli
