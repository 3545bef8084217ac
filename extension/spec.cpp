extern "C" {
#include "postgres.h"
}

#include "extension/errors.hpp"
#include "extension/spec.hpp"

namespace {

struct Reading {
  Spec spec;
  const char* member;  // the name given for the column that comes next
  int depth;           // nested objects that are open
  bool misplaced;      // something stands where it cannot
};

const char* after(const char* argument, const char* word) {
  size_t length = strlen(word);
  if (strncmp(argument, word, length) != 0 || argument[length] != '=') return nullptr;
  return argument + length + 1;
}

void add_step(Reading& reading, StepKind kind, const char* member, const char* column) {
  if (reading.depth < 0 || reading.depth > most_nesting) reading.misplaced = true;
  reading.spec.steps[reading.spec.step_count++] = SpecStep{kind, member, column};
}

bool take_body(Reading& reading, const char* argument) {
  if (reading.member && !after(argument, "column")) reading.misplaced = true;
  if (const char* column = after(argument, "column")) {
    add_step(reading, StepKind::column, reading.member ? reading.member : column, column);
    reading.member = nullptr;
  } else if (const char* member = after(argument, "member")) {
    reading.member = member;
  } else if (const char* nested = after(argument, "open")) {
    reading.depth++;
    add_step(reading, StepKind::open, nested, nullptr);
  } else if (after(argument, "close")) {
    reading.depth--;
    add_step(reading, StepKind::close, nullptr, nullptr);
  } else if (after(argument, "all")) {
    reading.spec.all_columns = true;
  } else {
    return false;
  }
  return true;
}

bool take_word(Spec& spec, const char* argument) {
  const struct {
    const char* word;
    const char** into;
  } words[] = {{"name", &spec.name},          {"object", &spec.object},      {"insert", &spec.insert_word},
               {"update", &spec.update_word}, {"delete", &spec.delete_word}, {"truncate", &spec.truncate_word}};
  for (const auto& w : words) {
    const char* value = after(argument, w.word);
    if (!value) continue;
    *w.into = value;
    return true;
  }
  return false;
}

bool take_list(Spec& spec, const char* argument) {
  if (const char* column = after(argument, "key"))
    spec.key.items[spec.key.count++] = column;
  else if (const char* watched = after(argument, "changes_of"))
    spec.changes_of.items[spec.changes_of.count++] = watched;
  else
    return false;
  return true;
}

bool take_role(Spec& spec, const char* argument) {
  const char* role = after(argument, "role");
  if (!role) return false;
  if (strcmp(role, "enter") == 0)
    spec.role = Role::enter;
  else if (strcmp(role, "leave") == 0)
    spec.role = Role::leave;
  else if (strcmp(role, "depart") == 0)
    spec.role = Role::depart;
  else if (strcmp(role, "arrive") == 0)
    spec.role = Role::arrive;
  else
    return false;
  return true;
}

int lines_of(const char* text) {
  int lines = 1;
  for (; *text; text++) lines += *text == '\n';
  return lines;
}

// Writes each line's end and the backslashes' meaning into the text itself.
int take_lines(char* text, char** lines) {
  int count = 0;
  char* to = text;
  lines[count++] = to;
  for (const char* from = text; *from; from++) {
    const bool escaped = *from == '\\' && (from[1] == '\\' || from[1] == 'n');
    if (escaped) from++;
    if (!escaped && *from == '\n') {
      *to++ = '\0';
      lines[count++] = to;
    } else {
      *to++ = escaped && *from == 'n' ? '\n' : *from;
    }
  }
  *to = '\0';
  return count;
}

struct Lines {
  char** at;
  int count;
};

Lines all_lines(char** arguments, int count) {
  int room = 0;
  for (int i = 0; i < count; i++) room += lines_of(arguments[i]);
  Lines lines{static_cast<char**>(palloc(sizeof(char*) * Max(room, 1))), 0};
  for (int i = 0; i < count; i++) lines.count += take_lines(arguments[i], lines.at + lines.count);
  return lines;
}

Names room_for(int count) { return Names{static_cast<const char**>(palloc(sizeof(char*) * Max(count, 1))), 0}; }

SpecProblem problem_of(const Reading& reading) {
  if (!reading.spec.name || !reading.spec.object)
    return {"a trigger on muskrat.capture() has no name or no object among its arguments",
            "Triggers are made by muskrat.attach()."};
  if (reading.misplaced || reading.depth != 0 || reading.member)
    return {psprintf("the nested objects or names among the trigger arguments of \"%s\" do not fit together",
                     reading.spec.name),
            "Triggers are made by muskrat.attach()."};
  return {};
}

}  // namespace

Spec read_spec(char** arguments, int count, SpecProblem* problem) {
  Reading reading{};
  *problem = SpecProblem{};
  const Lines lines = all_lines(arguments, count);
  reading.spec.key = room_for(lines.count);
  reading.spec.changes_of = room_for(lines.count);
  reading.spec.steps = static_cast<SpecStep*>(palloc(sizeof(SpecStep) * Max(lines.count, 1)));
  for (int i = 0; i < lines.count; i++) {
    const char* argument = lines.at[i];
    if (take_word(reading.spec, argument) || take_list(reading.spec, argument) || take_role(reading.spec, argument) ||
        take_body(reading, argument))
      continue;
    *problem = SpecProblem{psprintf("muskrat does not know the trigger argument \"%s\"", argument),
                           "Triggers are made by muskrat.attach(). If a newer muskrat made this one, reconnect: this "
                           "session still has the older library."};
    return reading.spec;
  }
  *problem = problem_of(reading);
  return reading.spec;
}

Spec parse_spec(char** arguments, int count) {
  SpecProblem problem;
  Spec spec = read_spec(arguments, count, &problem);
  if (problem.message)
    ereport(ERROR, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT), errmsg_internal("%s", problem.message),
                    errhint("%s", problem.hint)));
  return spec;
}
