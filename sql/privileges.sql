-- Nobody may do anything here but the owner, and the two roles what their work needs. In particular nobody else may
-- execute the trigger function: EXECUTE is only checked at CREATE TRIGGER, so PUBLIC could forge events with it.

REVOKE ALL ON SCHEMA muskrat FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA muskrat FROM PUBLIC;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA muskrat FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA muskrat FROM PUBLIC;

GRANT USAGE ON SCHEMA muskrat TO muskrat_relay, muskrat_monitor;

GRANT SELECT ON muskrat.outbox_1, muskrat.outbox_2, muskrat.outbox_3, muskrat.outbox, muskrat.cursor, muskrat.history TO muskrat_relay;
GRANT EXECUTE ON FUNCTION
    muskrat.relay_hello(),
    muskrat.commit_is_flushed(xid8),
    muskrat.read_new(xid8, xid8[], bigint, bigint, int, int),
    muskrat.list_new(xid8, xid8, xid8[], pg_snapshot, bigint, bigint, bigint),
    muskrat.range_new(xid8, xid8, pg_snapshot, bigint),
    muskrat.lease_take(bigint, bigint, text),
    muskrat.lease_beat(bigint),
    muskrat.lease_release(bigint),
    muskrat.cursor_save(bigint, pg_snapshot, pg_snapshot, bigint, bigint[]),
    muskrat.doze(bigint, int),
    muskrat.segments_tend(bigint, bigint, interval)
    TO muskrat_relay;

GRANT SELECT ON muskrat.cursor, muskrat.history TO muskrat_monitor;
GRANT EXECUTE ON FUNCTION muskrat.status() TO muskrat_relay, muskrat_monitor;
