-- Of which version Muskrat's tables are: 1: outbox, history and attachments; 2: backfills too; 3: when the relay gave
-- its last sign of life, and the highest id it published. Run last; `muskrat install`
-- and `muskrat check --online` compare it with what they know. A version only ever adds: the relay of the one before goes on
-- working while it is brought up to date.
UPDATE muskrat.relay SET version = GREATEST(version, 3);
