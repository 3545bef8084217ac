#include "consumer/endpoints/postgres/comparison.hpp"

namespace muskrat::postgres {
namespace {

std::string parameter(size_t n) { return "$" + std::to_string(n); }
std::string input(size_t column) { return "i.c" + std::to_string(column); }

// "unnest($2::text[]), …" and the names of what comes out: "c0, …"
struct Arrays {
  std::string unnested, names;

  Arrays(const std::vector<size_t>& columns, size_t first_parameter) {
    for (const size_t column : columns) {
      const char* comma = names.empty() ? "" : ", ";
      unnested += comma + ("pg_catalog.unnest(" + parameter(first_parameter++) + "::text[])");
      names += comma + ("c" + std::to_string(column));
    }
  }
};

template <typename Each>
std::string joined(const std::vector<size_t>& columns, const char* between, Each each) {
  std::string text;
  for (const size_t column : columns) text.append(text.empty() ? "" : between).append(each(column));
  return text;
}

std::string same_key(const Target& target, const std::vector<size_t>& key) {
  return joined(key, " AND ", [&](size_t column) {
    return "t." + target.columns[column].quoted + " = " + target.columns[column].as_stored(input(column));
  });
}

std::string names_of(const Target& target, const std::vector<size_t>& key, const char* cast) {
  return joined(key, ", ", [&](size_t column) { return "t." + target.columns[column].quoted + cast; });
}

// " WHERE (a, b) > ($1, $2) AND (a, b) <= ($3, $4)"; `n` counts the parameters.
std::string in_range(const Target& target, const std::vector<size_t>& key, bool after, bool upto, size_t& n) {
  const auto bound = [&](const char* compare) {
    return "(" + names_of(target, key, "") + ") " + compare + " (" +
           joined(key, ", ",
                  [&](size_t column) { return target.columns[column].from_text(parameter(++n) + "::text"); }) +
           ")";
  };
  const std::string low = after ? bound(">") : "";
  const std::string high = upto ? bound("<=") : "";
  if (low.empty() && high.empty()) return "";
  return " WHERE " + low + (low.empty() || high.empty() ? "" : " AND ") + high;
}

}  // namespace

std::string comparison_of(const Route& route, const Target& target, const std::vector<size_t>& columns,
                          const std::vector<size_t>& compared, bool with_values) {
  const Arrays arrays(columns, 2);
  const std::string missing = "t." + target.columns[route.key.front()].quoted + " IS NULL";
  std::string answers, any = missing;
  for (const size_t column : compared) {
    const Column& made = target.columns[column];
    const std::string differs = made.differs("t", input(column));
    answers += ", " + differs;
    any += " OR " + differs;
    if (with_values) answers += ", (" + made.as_stored(input(column)) + ")::text, t." + made.quoted + "::text";
  }
  return "WITH input AS MATERIALIZED (SELECT * FROM ROWS FROM (pg_catalog.unnest($1::int[]), " + arrays.unnested +
         ") AS u(n, " + arrays.names + ")) SELECT i.n, " + missing + answers + " FROM input i LEFT JOIN " +
         target.quoted + " t ON " + same_key(target, route.key) + " WHERE " + any;
}

std::string keys_of(const Target& target, const std::vector<size_t>& key, bool after, bool upto) {
  size_t n = 0;
  const std::string rows = in_range(target, key, after, upto, n);
  return "SELECT " + names_of(target, key, "::text") + " FROM " + target.quoted + " t" + rows + " ORDER BY " +
         names_of(target, key, "") + " LIMIT " + parameter(n + 1) + "::bigint";
}

std::string digest_of(const Target& target, const std::vector<size_t>& key, const std::vector<size_t>& columns,
                      const std::vector<std::string>& as, bool after, bool upto) {
  size_t n = 0;
  std::string values;
  for (size_t c = 0; c < columns.size(); ++c)
    values += (c > 0 ? ", t." : "t.") + target.columns[columns[c]].quoted + "::" + as[c];
  return "SELECT pg_catalog.count(*), pg_catalog.sum(pg_catalog.hash_record_extended(ROW(" + values + "), 0)) FROM " +
         target.quoted + " t" + in_range(target, key, after, upto, n);
}

std::string versions_of(const Target& target, const std::vector<size_t>& key) {
  const Arrays arrays(key, 1);
  return "SELECT i.n, t.xmin::text FROM ROWS FROM (" + arrays.unnested + ") WITH ORDINALITY AS i(" + arrays.names +
         ", n) JOIN " + target.quoted + " t ON " + same_key(target, key);
}

}  // namespace muskrat::postgres
