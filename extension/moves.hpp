// An update that moves a row to another partition: PostgreSQL fires no trigger for updates then, but one for the
// deletion in the old partition and, right after it, one for the insertion in the new.
//
// Used by capture.cpp, for attachments of partitioned tables that have a word for updates and none for inserts: to them
// the insertion is an update, if it is one. Their trigger `depart` notes where a row left from; their trigger `arrive`
// asks whether a row is the one that left just before. Others tell the deletion and the insertion as what they are.
//
// Notes are a backend's own, and good for the command that made them. Heap tables only.
#pragma once

#include "extension/newest.hpp"

// Notes the row that was deleted, if an update moved it.
void note_departure(const Firing& firing);

// Whether the row that was inserted came from another partition.
bool has_arrived(const Firing& firing);

// Of a row that has: whether it is news, for it did not meet the condition before, or a column that is watched changed.
bool arrival_is_news(const Firing& firing);
