// The mode snapshot of the kind sql-query: all rows as of one instant, stamped with it.
#include "common/utc_text.hpp"
#include "relay/sources/sql_query_db.hpp"

namespace muskrat::sql_query {
namespace {

class Reader : public RecordReader {
 public:
  explicit Reader(const Component& source)
      : source_(source), settings_(source.settings), page_(settings_.integer("page")) {}

  std::string shape() const override { return "as_of"; }
  void read(Run& run) override;
  std::vector<std::string> probe(const Stop& stop) override;

 private:
  bool hand_over(std::vector<std::string>&& rows, const std::string& as_of, bool last, Run& run) const;

  const Component& source_;
  const Settings& settings_;
  int64_t page_;
};

void Reader::read(Run& run) {
  if (run.since()) throw Failure(Remedy::stop, "--since: a snapshot has all rows, and nothing to begin from");
  const auto db = open_db(source_, run.stop());
  db->attend(run);
  if (const auto rows = db->estimate_all()) run.expect(*rows);
  const std::string as_of = db->begin_rows(true);
  for (bool last = false; !last;) {
    std::vector<std::string> rows = db->next_rows(page_);
    last = static_cast<int64_t>(rows.size()) < page_;
    if (!hand_over(std::move(rows), as_of, last, run)) return;
    if (!last && !run.pace(settings_.integer("rate"))) return;
  }
  db->end_rows();
}

bool Reader::hand_over(std::vector<std::string>&& rows, const std::string& as_of, bool last, Run& run) const {
  Page page;
  for (std::string& row : rows) page.records.push_back({std::move(row), as_of, 0});
  page.captured_us = utc_from_text(as_of);
  page.cursor = last ? as_of : run.cursor();
  return run.deliver(std::move(page));
}

std::vector<std::string> Reader::probe(const Stop& stop) {
  const auto db = open_db(source_, stop);
  db->columns();
  return {"connected to " + db->place(), "the query runs and has its key"};
}

}  // namespace

std::unique_ptr<RecordReader> make_snapshot(const Component& source) { return std::make_unique<Reader>(source); }

}  // namespace muskrat::sql_query
