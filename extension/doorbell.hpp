// The doorbell: wakes a sleeping relay when a transaction that wrote events commits. Used by outbox.cpp.
//
// NOTIFY takes one lock of the whole cluster until after the commit's flush, so it is sent only when the cell
// muskrat.doorbell holds the pid of a backend that lives: a relay that has said that it sleeps.
//
// Thread rule: a backend has one thread. Regime: nothing here may raise an error; a ring that is not sent costs the
// relay one poll.
#pragma once

// Registers the transaction callback.
void doorbell_init();

// This transaction has written an event. A rolled back savepoint does not unsay it, which is harmless.
void doorbell_ring_at_commit();
