// Conditions: an SQL expression over bare column names, made ready for a trigger's WHEN clause.
//
// Used by sql/attach.sql alone. PostgreSQL's own parser finds the column references; each gets OLD. or NEW. in front,
// at its place in the text. From then on PostgreSQL tracks renamed columns in the trigger itself.
extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/array.h"
#include "utils/builtins.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

#include "extension/errors.hpp"

namespace {

constexpr char before_condition[] = "SELECT (";
constexpr char after_condition[] = "\n)";  // the condition may end in a comment
constexpr int most_references = 1000;

struct References {
  ColumnRef* items[most_references];
  int count;
};

[[noreturn]] void refuse(const char* detail, const char* hint) {
  ereport(ERROR, (errcode(ERRCODE_MUSKRAT_BAD_ATTACHMENT), errmsg("the condition cannot be used"),
                  errdetail("%s", detail), errhint("%s", hint)));
  pg_unreachable();
}

void collect(References& references, ColumnRef* reference) {
  if (list_length(reference->fields) != 1 || IsA(linitial(reference->fields), A_Star))
    refuse("It names a column with something before or after it.",
           "Use bare column names: volume > 5, not customer.volume > 5; (address).city for a part of a composite.");
  if (references.count == most_references) refuse("It has more than 1,000 column references.", "Shorten it.");
  references.items[references.count++] = reference;
}

bool walk(Node* node, void* context) {
  if (!node) return false;
  if (IsA(node, SubLink)) refuse("It has a subquery.", "A trigger's condition sees the row alone.");
  if (IsA(node, ColumnRef)) {
    collect(*static_cast<References*>(context), reinterpret_cast<ColumnRef*>(node));
    return false;
  }
  return raw_expression_tree_walker(node, reinterpret_cast<bool (*)()>(walk), context);
}

// One SELECT of one expression and nothing else: what closes our parenthesis early does not look like that.
Node* only_expression(List* statements) {
  const char* hint = "Give one SQL expression over the table's columns, for example: volume > 5 AND NOT deleted.";
  if (list_length(statements) != 1) refuse("It is not one expression.", hint);
  auto* select = reinterpret_cast<SelectStmt*>(linitial_node(RawStmt, statements)->stmt);
  bool plain = select->op == SETOP_NONE && list_length(select->targetList) == 1 && !select->fromClause &&
               !select->whereClause && !select->groupClause && !select->havingClause && !select->sortClause &&
               !select->limitCount && !select->limitOffset && !select->lockingClause && !select->intoClause &&
               !select->withClause && !select->windowClause && !select->distinctClause && !select->valuesLists;
  if (!plain) refuse("It is not one expression.", hint);
  auto* target = linitial_node(ResTarget, select->targetList);
  if (target->name) refuse("It is not one expression.", hint);
  return target->val;
}

// Within our parentheses `a) OR (b` is one expression; by itself, as PostgreSQL will see it beside others, it is none.
void require_balance(const char* query) {
  const char* condition = query + strlen(before_condition);
  raw_parser(psprintf("SELECT %.*s", static_cast<int>(strlen(condition) - 1), condition), RAW_PARSE_DEFAULT);
}

// Column references of the condition, in the order in which they stand; locations count from `query`.
References* references_of(const char* query) {
  auto* references = static_cast<References*>(palloc0(sizeof(References)));
  walk(only_expression(raw_parser(query, RAW_PARSE_DEFAULT)), references);
  require_balance(query);
  qsort(references->items, references->count, sizeof(ColumnRef*), [](const void* a, const void* b) {
    return (*static_cast<ColumnRef* const*>(a))->location - (*static_cast<ColumnRef* const*>(b))->location;
  });
  return references;
}

char* as_query(const char* condition) { return psprintf("%s%s%s", before_condition, condition, after_condition); }

}  // namespace

extern "C" {
PG_FUNCTION_INFO_V1(muskrat_condition_columns);
PG_FUNCTION_INFO_V1(muskrat_qualify);

// muskrat.condition_columns(condition text) → text[]: the columns it names
PGDLLEXPORT Datum muskrat_condition_columns(PG_FUNCTION_ARGS) {
  References* references = references_of(as_query(text_to_cstring(PG_GETARG_TEXT_PP(0))));
  auto* names = static_cast<Datum*>(palloc(sizeof(Datum) * Max(references->count, 1)));
  for (int i = 0; i < references->count; i++)
    names[i] = CStringGetTextDatum(strVal(linitial(references->items[i]->fields)));
  PG_RETURN_ARRAYTYPE_P(construct_array(names, references->count, TEXTOID, -1, false, TYPALIGN_INT));
}

// muskrat.qualify(condition text, row_name text) → text: volume > 5, NEW → NEW.volume > 5
PGDLLEXPORT Datum muskrat_qualify(PG_FUNCTION_ARGS) {
  const char* query = as_query(text_to_cstring(PG_GETARG_TEXT_PP(0)));
  const char* row = text_to_cstring(PG_GETARG_TEXT_PP(1));
  References* references = references_of(query);
  StringInfoData out;
  initStringInfo(&out);
  int written = static_cast<int>(strlen(before_condition));
  for (int i = 0; i < references->count; i++) {
    int location = references->items[i]->location;
    appendBinaryStringInfo(&out, query + written, location - written);
    appendStringInfo(&out, "%s.", row);
    written = location;
  }
  int end = static_cast<int>(strlen(query) - strlen(after_condition));
  appendBinaryStringInfo(&out, query + written, end - written);
  appendStringInfoChar(&out, '\n');
  PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
}
