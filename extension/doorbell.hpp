// The doorbell: wakes a relay that waits when a transaction that wrote events commits. Used by outbox.cpp (writers) and
// reading.cpp (the relay's session).
//
// The cell muskrat.doorbell says who waits, and how it is to be woken:
// - a session that waits in the server for what is committed next (muskrat.read_new): its latch is set, after the
//   commit. That costs a writer nothing that others wait for. Between two statements the session is left alone, and
//   while it is at work the latch is set without a system call.
// - a relay that has said that it sleeps, and listens (muskrat.doze): by NOTIFY, which takes one lock of the whole
//   cluster until after the commit's flush, so it is sent only while a backend of that pid lives.
//
// Thread rule: a backend has one thread. Regime: nothing that a writer calls may raise an error; a ring that is
// not sent costs the relay one poll.
#pragma once

// Registers the transaction callback.
void doorbell_init();

// This transaction has written an event. A rolled back savepoint does not unsay it, which is harmless.
void doorbell_ring_at_commit();

// From now on writers set this session's latch, until another value is in the cell.
void doorbell_ring_me();
