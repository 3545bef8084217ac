-- Events that the application writes itself. Nobody but the owner may, until GRANTed: docs/capture.md, "Privileges".
CREATE FUNCTION muskrat.emit(
        routing_key text,                -- '<Source>.<Object>.<Action>'
        body        json,                -- any JSON value
        key         text DEFAULT NULL)   -- events of one key stay in order; NULL: no order asked for
    RETURNS void LANGUAGE C VOLATILE AS 'MODULE_PATHNAME', 'muskrat_emit';
COMMENT ON FUNCTION muskrat.emit(text, json, text) IS 'writes an event into the outbox, as part of this transaction';
