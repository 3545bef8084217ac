#include "relay/sources/postgres_outbox_sql.hpp"

#include "common/failure.hpp"

namespace muskrat::postgres_outbox::sql {
namespace {

const char* const event_columns = "id, captured_at, message_id, op, routing_key, ordering_key, body, headers";

// Raises on a standby, once a statement, as the functions do. A pooler may send there what only reads, and what has not
// come there yet would be passed over for ever.
const char* const on_primary = " AND (SELECT pg_current_wal_flush_lsn()) IS NOT NULL";

// `query` for each segment, with every '#' its number.
std::string for_each_segment(const std::string& query) {
  std::string all;
  for (char segment : {'1', '2', '3'}) {
    if (!all.empty()) all += " UNION ALL ";
    for (char c : query) all += c == '#' ? segment : c;
  }
  return all;
}

// A COPY takes no parameters: what goes into its text must be what a snapshot or an array of numbers consists of.
const std::string& plain(const std::string& text) {
  if (text.find_first_not_of("0123456789:,{}") != std::string::npos)
    throw Failure(Remedy::stop, "not a pg_snapshot: its text holds more than digits");
  return text;
}

}  // namespace

const std::string& small_read() {
  static const std::string query =
#ifdef MUSKRAT_BUG_order_by_xid
      "SELECT r.* FROM muskrat.read_new($1::xid8, $2::xid8[], $3::bigint, $4::bigint, $5::int, $6::int) AS r "
      "LEFT JOIN muskrat.outbox AS o ON o.id = r.id ORDER BY o.xid, r.id";
#else
      "SELECT * FROM muskrat.read_new($1::xid8, $2::xid8[], $3::bigint, $4::bigint, $5::int, $6::int)";
#endif
  return query;
}

std::string between(uint64_t from, uint64_t to) {
  return "'" + std::to_string(from) + "'::xid8, '" + std::to_string(to) + "'::xid8, '{}'::xid8[]";
}

std::string among(const std::string& xids) { return "'0'::xid8, '0'::xid8, '" + plain(xids) + "'::xid8[]"; }

std::string list(const std::string& transactions, const std::string& snapshot, int64_t after, int64_t before,
                 size_t most) {
  return "SELECT segment, place, id, bytes FROM muskrat.list_new(" + transactions + ", '" + plain(snapshot) +
         "'::pg_snapshot, '" + std::to_string(after) + "'::bigint, '" + std::to_string(before) + "'::bigint, '" +
         std::to_string(most) + "'::bigint)";
}

const std::string& range() {
  static const std::string query =
      "SELECT lowest, highest, events FROM muskrat.range_new($3::xid8, $4::xid8, $1::pg_snapshot, $2::bigint)";
  return query;
}

const std::string& by_place() {
  static const std::string query =
      for_each_segment(std::string("SELECT ") + event_columns + " FROM muskrat.outbox_# WHERE ctid = ANY ($#::tid[])");
  return query;
}

const std::string& by_place_without_bodies() {
  static const std::string query = for_each_segment(
      "SELECT id, captured_at, message_id, op, routing_key, ordering_key, '', headers "
      "FROM muskrat.outbox_# WHERE ctid = ANY ($#::tid[])");
  return query;
}

const std::string& locate() {
  static const std::string query =
      for_each_segment(std::string("SELECT #, ctid, id, ordering_key, routing_key, octet_length(body) "
                                   "FROM muskrat.outbox_# WHERE id = ANY ($1::bigint[])") +
                       on_primary);
  return query;
}

// Scans of whole segments: there is no index on anything that a person asks for.
static const char* const published =
    " FROM muskrat.outbox_# WHERE ((xid < $1::xid8 AND xid <> ALL ($2::xid8[])) OR ($3::pg_snapshot IS NOT NULL AND "
    "pg_visible_in_snapshot(xid, $3::pg_snapshot) AND id <= $4::bigint)) AND id <> ALL ($5::bigint[]) "
    "AND ($6::timestamptz IS NULL OR captured_at >= $6::timestamptz) "
    "AND ($7::timestamptz IS NULL OR captured_at < $7::timestamptz) "
    "AND ($8::text[] IS NULL OR ordering_key = ANY ($8::text[])) "
    "AND ($9::text[] IS NULL OR message_id::text = ANY ($9::text[])) "
    "AND ($10::text[] IS NULL OR headers IS NULL OR coalesce(headers::json ->> 'to' = ANY ($10::text[]), true)) "
    "AND ($11::text[] IS NULL OR routing_key = ANY ($11::text[]) OR "
    "($12::bool AND headers IS NOT NULL AND headers::json ->> 'to' IS NOT NULL)) AND id > $13::bigint";

const std::string& published_counts() {
  static const std::string query =
      "SELECT routing_key, addressee, count(*), sum(bytes), min(id), max(id), (extract(epoch FROM min(captured_at)) * "
      "1000000)::bigint, (extract(epoch FROM max(captured_at)) * 1000000)::bigint FROM (" +
      for_each_segment(std::string("SELECT routing_key, coalesce(headers::json ->> 'to', '') AS addressee, "
                                   "octet_length(body)::bigint AS bytes, id, captured_at") +
                       published) +
      ") AS p GROUP BY 1, 2 ORDER BY 1, 2";
  return query;
}

const std::string& published_places() {
  static const std::string query = for_each_segment(std::string("SELECT #, ctid, id, octet_length(body)") + published);
  return query;
}

const std::string& published_by_place() {
  static const std::string query = for_each_segment(
      std::string("SELECT ") + event_columns +
      ", coalesce((SELECT max(h.epoch) FROM muskrat.history AS h WHERE (o.xid >= pg_snapshot_xmax(h.resumed_after) OR "
      "o.xid IN (SELECT pg_snapshot_xip(h.resumed_after))) AND NOT (h.resumed_current IS NOT NULL AND "
      "pg_visible_in_snapshot(o.xid, h.resumed_current) AND o.id <= h.resumed_id)), (SELECT min(epoch) FROM "
      "muskrat.history)) FROM muskrat.outbox_# AS o WHERE ctid = ANY ($#::tid[])");
  return query;
}

}  // namespace muskrat::postgres_outbox::sql
