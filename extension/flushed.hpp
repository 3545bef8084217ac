// Whether a committed transaction is on disk: what the relay must know of every event before it publishes it.
//
// Used by reading.cpp, and by whoever asks in SQL (muskrat.commit_is_flushed).
// Thread rule: a backend has one thread. Regime: no exceptions, nothing with a destructor.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
}

// Of a transaction whose commit is visible. False may be said of one that shares its place in the log with a later one.
bool commit_is_flushed(FullTransactionId committed);
