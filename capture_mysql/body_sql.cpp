#include "capture_mysql/body_sql.hpp"

#include <algorithm>
#include <set>

#include "capture_mysql/value_sql.hpp"
#include "common/json.hpp"
#include "common/suggest.hpp"

namespace muskrat::capture_mysql {
namespace {

constexpr const char* example =
    R"(give * for all columns, or a list such as ["id", "email", {"plan": ["volume", "rate"]}, {"mail": "email2"}])";
constexpr size_t deepest = 32;

class Lists {
 public:
  explicit Lists(const Table& table) : table_(table) {}

  std::vector<Member> level(const json::Value& list, const std::string& path, size_t depth) const {
    if (list.type() != json::Type::array || list.size() == 0)
      throw Refused(std::string("the columns are no list; ") + example);
    if (depth > deepest) throw Refused("the body is nested too deeply; nest 32 levels at most");
    std::vector<Member> members;
    for (size_t i = 0; i < list.size(); ++i) element(list.at(i), path, depth, members);
    std::set<std::string> seen;
    for (const Member& m : members) {
      if (!seen.insert(m.name).second) {
        throw Refused("the body would have the member \"" + m.path +
                      R"(" twice; give one of them another name: {"name": "column"})");
      }
    }
    return members;
  }

  const Column* column(const std::string& name) const {
    const Column* found = table_.find(name);
    if (found == nullptr) {
      std::vector<std::string_view> names;
      for (const Column& c : table_.columns) names.push_back(c.name);
      throw Refused("table " + table_.quoted() + " has no column " + quote_identifier(name) +
                    did_you_mean(name, names));
    }
    if (const std::string problem = column_problem(*found, table_.mariadb); !problem.empty()) throw Refused(problem);
    return found;
  }

 private:
  void element(const json::Value& e, const std::string& path, size_t depth, std::vector<Member>& to) const {
    if (e.type() == json::Type::string) {
      const std::string name(e.string());
      to.push_back({name, path + name, column(name), {}});
    } else if (e.type() == json::Type::object) {
      for (size_t i = 0; i < e.size(); ++i)
        to.push_back(member(std::string(e.member_name(i)), e.member(i), path, depth));
    } else {
      throw Refused(e.dump() + R"( is no column; a list has "column", {"name": "column"} and {"name": ["column", …]})");
    }
  }

  Member member(const std::string& name, const json::Value& made_of, const std::string& path, size_t depth) const {
    if (made_of.type() == json::Type::string) return {name, path + name, column(std::string(made_of.string())), {}};
    return {name, path + name, nullptr, level(made_of, path + name + ".", depth + 1)};
  }

  const Table& table_;
};

bool is_star(const std::string& columns) { return columns == "*" || columns == "\"*\"" || columns == "[\"*\"]"; }

class Writer {
 public:
  Writer(const Table& table, const std::string& row, std::string threshold, const std::vector<const Column*>& kept)
      : table_(table), row_(row), threshold_(std::move(threshold)), kept_(kept) {}

  std::string object(const std::vector<Member>& members, bool omitting) const {
    std::string pieces;
    for (const Member& m : members) pieces += (pieces.empty() ? "" : ", ") + piece(m, omitting);
    return "CONCAT('{', SUBSTR(CONCAT(" + pieces + "), 2), '}')";
  }

  // Without the detour by SUBSTR, which only a member that may be absent needs.
  std::string whole(const std::vector<Member>& members) const {
    return "CONCAT('" + std::string("{'") + inside(members) + ", '}')";
  }

  std::string omitted(const std::vector<Member>& members) const {
    std::string pieces;
    for (const Member& m : members) {
      const std::string one = m.column == nullptr   ? omitted(m.members)
                              : can_omit(*m.column) ? "IF(" + too_large(*m.column) + ", " +
                                                          quote_literal("," + json::quote(m.path)) + ", '')"
                                                    : "";
      if (!one.empty()) pieces += (pieces.empty() ? "" : ", ") + one;
    }
    return pieces;
  }

  bool can_omit(const Column& c) const {
    return may_be_large(c) && std::find(kept_.begin(), kept_.end(), &c) == kept_.end();
  }

 private:
  std::string value(const Column& c) const { return value_sql(c, row_, table_.mariadb); }

  // NULL: it is beyond max_allowed_packet by itself.
  std::string too_large(const Column& c) const {
    return "COALESCE(LENGTH(" + value(c) + ") > " + threshold_ + ", TRUE)";
  }

  std::string inside(const std::vector<Member>& members) const {
    std::string out;
    const char* comma = "";
    for (const Member& m : members) {
      out += ", " + quote_literal(comma + json::quote(m.name) + ":") + ", " +
             (m.column != nullptr ? value(*m.column) : whole(m.members));
      comma = ",";
    }
    return out;
  }

  std::string piece(const Member& m, bool omitting) const {
    const std::string name = quote_literal("," + json::quote(m.name) + ":");
    if (m.column == nullptr) return "CONCAT(" + name + ", " + object(m.members, omitting) + ")";
    const std::string text = "CONCAT(" + name + ", " + value(*m.column) + ")";
    return omitting && can_omit(*m.column) ? "IF(" + too_large(*m.column) + ", '', " + text + ")" : text;
  }

  const Table& table_;
  const std::string& row_;
  std::string threshold_;
  const std::vector<const Column*>& kept_;
};

void collect(const std::vector<Member>& members, std::vector<const Column*>& to) {
  for (const Member& m : members) {
    if (m.column != nullptr) {
      to.push_back(m.column);
    } else {
      collect(m.members, to);
    }
  }
}

}  // namespace

std::vector<Member> body_members(const Table& table, const std::string& columns) {
  const Lists lists(table);
  if (columns.empty()) throw Refused(std::string("no columns are named, and what is captured is chosen; ") + example);
  if (is_star(columns)) {
    std::vector<Member> all;
    for (const Column& c : table.columns) {
      if (table.in_star(c)) all.push_back({c.name, c.name, lists.column(c.name), {}});
    }
    return all;
  }
  std::string why;
  const auto document = json::Document::parse(columns, why);
  if (!document) throw Refused("the columns are " + why + "; " + example);
  return lists.level(document->root(), "", 1);
}

std::vector<const Column*> columns_of(const std::vector<Member>& members) {
  std::vector<const Column*> columns;
  collect(members, columns);
  return columns;
}

BodySql body_sql(const Table& table, const std::vector<Member>& members, const std::vector<const Column*>& kept,
                 const std::string& row, size_t limit) {
  const Writer plain(table, row, "0", kept);
  const auto columns = columns_of(members);
  const auto large = static_cast<size_t>(
      std::count_if(columns.begin(), columns.end(), [&](const Column* c) { return plain.can_omit(*c); }));
  // A quarter is left to the names and to what is small. A server with a smaller packet has a smaller limit.
  const std::string share = "LEAST(" + std::to_string(limit) + ", @@max_allowed_packet) * 3 DIV " +
                            std::to_string(4 * std::max<size_t>(large, 1));
  const Writer writer(table, row, share, kept);
  BodySql sql;
  sql.whole = writer.whole(members);
  sql.can_omit = large > 0;
  if (!sql.can_omit) return sql;
  sql.without = writer.object(members, true);
  sql.omitted = "CONCAT('[', SUBSTR(CONCAT(" + writer.omitted(members) + "), 2), ']')";
  return sql;
}

}  // namespace muskrat::capture_mysql
