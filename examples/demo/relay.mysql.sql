-- The relay logs in as a user that can read and mark the outbox, and nothing else. After `muskrat install`.
CREATE USER relay@'%';
GRANT SELECT, DELETE ON muskrat.outbox TO relay@'%';
GRANT SELECT, UPDATE ON muskrat.relay TO relay@'%';
GRANT SELECT, INSERT, DELETE ON muskrat.history TO relay@'%';
