// The mode incremental of the kind sql-query: pages of rows by a column that grows. Each statement is a transaction of
// its own: none holds back the database's vacuum.
#include "common/duration.hpp"
#include "common/json.hpp"
#include "relay/sources/sql_query_db.hpp"

namespace muskrat::sql_query {
namespace {

struct Overlap {
  bool by_time = false;
  std::string text;    // as a parameter
  int64_t amount = 0;  // microseconds, or the number
};

std::optional<Overlap> parse_overlap(const std::string& text) {
  if (!text.empty() && text.size() <= 15 && text.find_first_not_of("0123456789") == text.npos)
    return Overlap{false, text, std::stoll(text)};
  const auto span = parse_duration(text);
  if (!span || span->count() < 0) return std::nullopt;
  return Overlap{true, std::to_string(span->count()) + " milliseconds", span->count() * 1000};
}

std::string text_of(const Place& place) {
  std::string text;
  for (const std::string& part : place) text += (text.empty() ? "[" : ",") + json::quote(part);
  return text + "]";
}

Place place_of(const std::string& text) {
  std::string why;
  const auto document = json::Document::parse(text, why);
  if (!document) throw Failure(Remedy::stop, "the stored cursor cannot be read: " + why);
  Place place;
  for (size_t i = 0; i < document->root().size(); ++i) place.emplace_back(document->root().at(i).string());
  return place;
}

class Reader : public RecordReader {
 public:
  explicit Reader(const Component& component)
      : source_(component),
        settings_(component.settings),
        shape_(shape_of(settings_)),
        overlap_(*parse_overlap(settings_.text("overlap"))),
        page_(settings_.integer("page")) {}

  std::string shape() const override { return shape_text(shape_); }
  void read(Run& run) override;
  std::vector<std::string> probe(const Stop& stop) override;

 private:
  struct Standing {
    Place mark;                   // where the cursor stands
    std::optional<int64_t> rank;  // up to which all has been read; what comes later stands further on
  };
  CursorType cursor_type(Db& db) const;
  PageOrder begin(Db& db, Run& run) const;
  bool hand_over(PageRows&& rows, PageOrder& way, Standing& standing, Run& run) const;
  bool overlaps() const { return overlap_.amount > 0; }

  const Component& source_;
  const Settings& settings_;
  Shape shape_;
  Overlap overlap_;
  int64_t page_;
};

void Reader::read(Run& run) {
  const auto db = open_db(source_, run.stop());
  db->attend(run);
  PageOrder way = begin(*db, run);
  // Once it lies behind the mark, the mark is where it stands.
  Standing standing{way.mark, {}};
  if (const auto rows = db->estimate(way)) run.expect(*rows);
  while (!run.stop().requested()) {
    PageRows rows = db->page(way);
    const auto count = static_cast<int64_t>(rows.records.size());
    if (count > 0 && !hand_over(std::move(rows), way, standing, run)) return;
    // Fewer than asked for: there are no more.
    if (count < page_ || !run.pace(settings_.integer("rate"))) return;
  }
}

std::vector<std::string> Reader::probe(const Stop& stop) {
  const auto db = open_db(source_, stop);
  std::vector<std::string> good{"connected to " + db->place()};
  const CursorType type = cursor_type(*db);
  good.push_back("the query has its columns " + shape() + "; the cursor is of type " + type.name);
  return good;
}

CursorType Reader::cursor_type(Db& db) const {
  CursorType type = db.cursor_type();
  if (overlaps() && type.by_time != overlap_.by_time)
    throw Failure(Remedy::reconnect, "overlap: the cursor column " + shape_.cursor + " is of type " + type.name +
                                         "; give " +
                                         (type.by_time ? "a duration such as 5m" : "a number of its, or 0"));
  return type;
}

PageOrder Reader::begin(Db& db, Run& run) const {
  const CursorType type = cursor_type(db);
  PageOrder way;
  way.rows = page_;
  way.by_time = type.by_time;
  // Without an overlap only those are remembered that are ahead of the clock.
  way.ranked = overlaps() || type.by_time;
  Place mark;
  if (!run.cursor().empty()) mark = place_of(run.cursor());
  if (run.since()) {
    way.from = From::value;
    way.place = {db.since(type, *run.since())};
    if (!mark.empty() && db.behind(type, way.place[0], mark[0])) run.leave_cursor();
  } else if (!mark.empty() && overlaps()) {
    way.from = From::value;
    way.place = {db.before(type, mark[0], overlap_.amount)};
  } else if (!mark.empty()) {
    way.from = From::place;
    way.place = mark;
  }
  if (way.from == From::value) way.mark = std::move(mark);
  return way;
}

// The cursor never passes the server's clock: one row of the year 9999 would leave out all that comes before it. Rows
// that are ahead are told, read again by each run, and known by their content.
bool Reader::hand_over(PageRows&& rows, PageOrder& way, Standing& standing, Run& run) const {
  Page page;
  page.records = std::move(rows.records);
  // Rows come in order: when the last one lies before the mark, all do.
  if (rows.come > 0 && rows.behind_mark) standing.mark = std::move(rows.reached);
  if (rows.come > 0) standing.rank = page.records[rows.come - 1].rank;
  if (!standing.rank) standing.rank = page.records.front().rank;
  page.cursor = standing.mark.empty() ? run.cursor() : text_of(standing.mark);
  // What lies further back than the overlap will not be read again. (One more for the rank's rounding.)
  if (way.ranked) page.forget_below = *standing.rank - overlap_.amount - 1;
  if (!run.deliver(std::move(page))) return false;
  way.from = From::place;
  way.place = std::move(rows.last);
  return true;
}

}  // namespace

void check_incremental(const Settings& settings, std::vector<Problem>& problems) {
  const auto wrong = [&](const char* option, const std::string& text) {
    problems.push_back({settings.where(option), std::string(option) + ": " + text});
  };
  if (settings.text("cursor").empty()) wrong("cursor", "name the column that grows with every change, or give a mode");
  if (!parse_overlap(settings.text("overlap"))) wrong("overlap", "give a duration such as 5m, or a number, or 0");
}

std::unique_ptr<RecordReader> make_incremental(const Component& source) { return std::make_unique<Reader>(source); }

}  // namespace muskrat::sql_query
