// The mode diff of the kind sql-query: all rows as of one instant, of which those are told that are not as they were at
// the run before, and those that are gone.
#include <algorithm>

#include "common/utc_text.hpp"
#include "relay/sources/sql_query_db.hpp"

namespace muskrat::sql_query {
namespace {

class Reader : public RecordReader {
 public:
  explicit Reader(const Component& source)
      : source_(source), settings_(source.settings), shape_(shape_of(settings_)), page_(settings_.integer("page")) {}

  std::string shape() const override { return "all rows by " + shape_text(shape_); }
  void read(Run& run) override;
  std::vector<std::string> probe(const Stop& stop) override;

 private:
  std::vector<std::string> beside_key(Db& db) const;
  bool read_all(Db& db, Run& run, Comparison& with, std::string& as_of) const;
  void check_gone(Run& run, const Comparison& with) const;
  void tell_gone(Run& run, Comparison& with, const std::string& as_of) const;
  Page page_at(const std::string& as_of, std::string cursor, Comparison& with) const;

  const Component& source_;
  const Settings& settings_;
  Shape shape_;
  int64_t page_;
};

void Reader::read(Run& run) {
  if (run.since())
    throw Failure(Remedy::stop, "--since: a difference is one from the run before, and has nothing else to begin from");
  const auto db = open_db(source_, run.stop());
  db->attend(run);
  if (const auto rows = db->estimate_all()) run.expect(*rows);
  Comparison& with = run.compare(settings_.text("first_run") == "baseline", beside_key(*db));
  std::string as_of;
  if (!read_all(*db, run, with, as_of)) return;
  check_gone(run, with);
  // A row that is deleted and comes back is another one: the cursor moves before the first deletion is told.
  if (!run.deliver(page_at(as_of, as_of, with)) || !run.settle()) return;
  tell_gone(run, with, as_of);
}

bool Reader::read_all(Db& db, Run& run, Comparison& with, std::string& as_of) const {
  as_of = db.begin_rows(false);
  for (bool last = false; !last;) {
    std::vector<std::string> rows = db.next_rows(page_);
    last = static_cast<int64_t>(rows.size()) < page_;
    Page page = page_at(as_of, run.cursor(), with);
    for (std::string& row : rows) page.records.push_back({std::move(row), "", 0});
    if (!run.deliver(std::move(page))) return false;
    if (!last && !run.pace(settings_.integer("rate"))) return false;
  }
  db.end_rows();
  return run.settle();
}

// An empty view, or one of another tenant, must not delete what others hold.
void Reader::check_gone(Run& run, const Comparison& with) const {
  int64_t all = 0, gone = 0;
  std::string place;
  for (Comparison::Gone part; (part = with.gone_behind(place, 10'000)).looked_at > 0; place = part.last) {
    all += static_cast<int64_t>(part.looked_at);
    gone += static_cast<int64_t>(part.rows.size());
    run.beat();
  }
  refuse_many_gone(gone, all, settings_.integer("most_deleted"), "the query");
}

void Reader::tell_gone(Run& run, Comparison& with, const std::string& as_of) const {
  std::string place;
  for (Comparison::Gone part; (part = with.gone_behind(place, static_cast<size_t>(page_))).looked_at > 0;
       place = part.last) {
    if (part.rows.empty()) continue;
    Page page = page_at(as_of, as_of, with);
    page.gone = std::move(part.rows);
    if (!run.deliver(std::move(page))) return;
  }
}

Page Reader::page_at(const std::string& as_of, std::string cursor, Comparison& with) const {
  Page page;
  page.captured_us = utc_from_text(as_of);
  page.cursor = std::move(cursor);
  page.against = &with;
  return page;
}

std::vector<std::string> Reader::beside_key(Db& db) const {
  std::vector<std::string> names = db.columns();
  std::erase_if(names, [&](const std::string& name) {
    return std::find(shape_.keys.begin(), shape_.keys.end(), name) != shape_.keys.end();
  });
  return names;
}

std::vector<std::string> Reader::probe(const Stop& stop) {
  const auto db = open_db(source_, stop);
  db->columns();
  return {"connected to " + db->place(), "the query runs and has its key"};
}

}  // namespace

std::unique_ptr<RecordReader> make_diff(const Component& source) { return std::make_unique<Reader>(source); }

}  // namespace muskrat::sql_query
