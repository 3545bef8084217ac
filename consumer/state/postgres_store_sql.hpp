// The statements of the state database in PostgreSQL, and its tables.
//
// Used by postgres_store.cpp alone. What a statement takes stands with it. Thread rule: constants.
#pragma once

namespace muskrat::state::sql {

inline constexpr const char* tables = R"(
SELECT pg_advisory_xact_lock(7301, 1);
CREATE SCHEMA IF NOT EXISTS muskrat_host;
CREATE TABLE IF NOT EXISTS muskrat_host.scope (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, endpoint text NOT NULL,
  source text NOT NULL, object text NOT NULL, target text NOT NULL, truncated_epoch bigint, truncated_seq bigint,
  UNIQUE (endpoint, source, object, target));
CREATE TABLE IF NOT EXISTS muskrat_host.guard (scope int NOT NULL, row_key text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL, seq bigint NOT NULL, deleted boolean NOT NULL, PRIMARY KEY (scope, row_key))
  WITH (fillfactor = 80);
CREATE TABLE IF NOT EXISTS muskrat_host.seen (endpoint text NOT NULL, message_id text COLLATE "C" NOT NULL,
  forget_at timestamptz NOT NULL, PRIMARY KEY (endpoint, message_id));
CREATE INDEX IF NOT EXISTS seen_forget_at ON muskrat_host.seen (forget_at);
CREATE TABLE IF NOT EXISTS muskrat_host.paused (endpoint text PRIMARY KEY, since_us bigint NOT NULL, by text NOT NULL,
  why text NOT NULL);
CREATE TABLE IF NOT EXISTS muskrat_host.parked (endpoint text PRIMARY KEY, until_us bigint NOT NULL,
  seen_us bigint NOT NULL, reason text NOT NULL, why text NOT NULL);
CREATE TABLE IF NOT EXISTS muskrat_host.quota (endpoint text NOT NULL, slot_us bigint NOT NULL, amount bigint NOT NULL,
  PRIMARY KEY (endpoint, slot_us));
CREATE TABLE IF NOT EXISTS muskrat_host.under_way (place text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
  until_us bigint NOT NULL, text text NOT NULL, PRIMARY KEY (place, id));
CREATE TABLE IF NOT EXISTS muskrat_host.superseded (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  endpoint text NOT NULL, message_id text NOT NULL, key text NOT NULL, routing_key text NOT NULL, epoch bigint NOT NULL,
  seq bigint NOT NULL, by text NOT NULL, at_us bigint NOT NULL);
CREATE INDEX IF NOT EXISTS superseded_endpoint ON muskrat_host.superseded (endpoint, id);
)";

// $1 endpoint; $2 numbers of questions, $3 sources, $4 objects, $5 targets, $6 row keys: number, epoch, seq.
inline constexpr const char* get_newest = R"(
SELECT q.i, (n.version).epoch, (n.version).seq
FROM unnest($2::int[], $3::text[], $4::text[], $5::text[], $6::text[]) AS q (i, source, object, target, row_key)
JOIN muskrat_host.scope s USING (source, object, target), LATERAL (
  SELECT v AS version FROM (
    SELECT g.epoch, g.seq FROM muskrat_host.guard g WHERE g.scope = s.id AND g.row_key = q.row_key
    UNION ALL SELECT s.truncated_epoch, s.truncated_seq WHERE s.truncated_epoch IS NOT NULL) v
  ORDER BY v.epoch DESC, v.seq DESC LIMIT 1) n
WHERE s.endpoint = $1)";

// $1 endpoint, $2 message ids.
inline constexpr const char* get_seen =
    "SELECT message_id FROM muskrat_host.seen WHERE endpoint = $1 AND message_id = ANY ($2::text[])";

// $1 scopes, $2 row keys, $3 epochs, $4 seqs, $5 whether deleted. One order for all who lock, or two hosts deadlock. Of
// a key that comes twice the newest counts.
inline constexpr const char* set_marks = R"(
INSERT INTO muskrat_host.guard AS g (scope, row_key, epoch, seq, deleted)
SELECT DISTINCT ON (scope, row_key COLLATE "C") * FROM unnest($1::int[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[])
  AS m (scope, row_key, epoch, seq, deleted) ORDER BY scope, row_key COLLATE "C", epoch DESC, seq DESC
ON CONFLICT (scope, row_key) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, deleted = excluded.deleted
WHERE (g.epoch, g.seq) < (excluded.epoch, excluded.seq))";

// $1 endpoint, $2 message ids, $3 milliseconds.
inline constexpr const char* set_seen = R"(
INSERT INTO muskrat_host.seen AS s SELECT DISTINCT $1::text, id, now() + $3::bigint * interval '1 millisecond'
FROM unnest($2::text[]) AS ids (id) ORDER BY id
ON CONFLICT (endpoint, message_id) DO UPDATE SET forget_at = greatest(s.forget_at, excluded.forget_at))";

// $1 scope, $2 epoch, $3 seq.
inline constexpr const char* set_truncate = R"(
UPDATE muskrat_host.scope SET truncated_epoch = $2, truncated_seq = $3
WHERE id = $1 AND (truncated_epoch IS NULL OR (truncated_epoch, truncated_seq) < ($2::bigint, $3::bigint)))";

// $1 how many at most.
inline constexpr const char* forget = R"(
DELETE FROM muskrat_host.seen WHERE ctid = ANY (ARRAY (SELECT ctid FROM muskrat_host.seen WHERE forget_at < now()
ORDER BY forget_at LIMIT $1 FOR UPDATE SKIP LOCKED)))";

// $1 endpoint, $2 how many stay.
inline constexpr const char* trim_superseded = R"(
DELETE FROM muskrat_host.superseded WHERE endpoint = $1 AND id <=
  (SELECT id FROM muskrat_host.superseded WHERE endpoint = $1 ORDER BY id DESC OFFSET $2 LIMIT 1))";

}  // namespace muskrat::state::sql
