// An attachment's specification, as it stands in its triggers' arguments.
//
// The trigger is the attachment: nothing else stores it, so pg_dump carries it and DROP TABLE removes it.
// sql/attach.sql checks and writes the arguments; plan_build.cpp reads them here for capture, attachment.cpp for the
// view muskrat.attached.
//
// One argument holds them all, for PostgreSQL copies every argument of every trigger of a table for each statement: a
// line each, word=value, in which \n is a line's end and \\ a backslash. Every trigger of an attachment carries all:
//   name=…                      the attachment's name, one per table
//   object=Frontend.Customer    the first two words of its routing keys
//   insert= update= delete= truncate=   the action word; absent: not captured
//   role=enter | role=leave     this trigger fires when an UPDATE makes the condition true, or no longer true
//   role=depart | role=arrive   this trigger sees one end of an UPDATE that moves a row to another partition
//   key=<column>                repeated; absent: the primary key
//   changes_of=<column>         repeated; only updates that change one of these are told
//   all=                        all columns, under their own names, or the body in its order:
//   column=<column>             a member; before it member=<name> when it is named otherwise
//   open=<name> … close=        a nested object, 32 levels at most
//
// It does not: know whether the columns exist (plan_build.cpp), check routing keys (routing.hpp).
#pragma once

enum class Role : char { rows, enter, leave, depart, arrive };

constexpr int most_nesting = 32;

enum class StepKind : char { column, open, close };

// One step of writing the body. Names borrow the trigger's arguments.
struct SpecStep {
  StepKind kind;
  const char* member;  // JSON name of a column or of a nested object
  const char* column;
};

struct Names {
  const char** items;
  int count;
};

struct Spec {
  const char* name;
  const char* object;
  const char* insert_word;  // null: not captured
  const char* update_word;
  const char* delete_word;
  const char* truncate_word;
  Role role;
  bool all_columns;
  Names key;
  Names changes_of;
  SpecStep* steps;
  int step_count;
};

struct SpecProblem {
  const char* message;  // null: none
  const char* hint;
};

// Reads arguments, which it takes apart where they are; allocates in the current memory context, strings stay the
// caller's. Stops at what it does not know. What has no problem opens and closes its nested objects in pairs.
Spec read_spec(char** arguments, int count, SpecProblem* problem);

// The same; ERROR MK004 for a problem.
Spec parse_spec(char** arguments, int count);
