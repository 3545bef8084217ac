// Asking MySQL: every statement is sent and read through poll() with a deadline.
#include <errmsg.h>

#include "common/mysql_impl.hpp"

namespace muskrat::mysql {
namespace {

// Where the quoted text, name or comment that begins at `at` ends (behind it); `at` itself when none begins there.
size_t skip_quoted(std::string_view sql, size_t at) {
  char c = sql[at];
  auto line_comment = [&] { return std::min(sql.find('\n', at), sql.size()); };
  if (c == '#') return line_comment();
  if (c == '-' && sql.substr(at, 3) == "-- ") return line_comment();
  if (c == '/' && sql.substr(at, 2) == "/*") return std::min(sql.find("*/", at + 2), sql.size() - 2) + 2;
  if (c != '\'' && c != '"' && c != '`') return at;
  for (size_t i = at + 1; i < sql.size(); ++i) {
    if (sql[i] == '\\' && c != '`') {
      ++i;
    } else if (sql[i] == c) {
      if (i + 1 == sql.size() || sql[i + 1] != c) return i + 1;
      ++i;
    }
  }
  return sql.size();
}

}  // namespace

void Connection::Impl::expect_usable() const {
  if (spoiled || handle == nullptr)
    throw Failure(Remedy::reconnect, "the connection to " + place + " is no longer usable; connect anew");
}

void Connection::Impl::lost(const std::string& what) {
  spoiled = true;
  throw Failure(Remedy::reconnect, "lost the connection to " + place + ": " + what);
}

// libmariadb's own errors have two ranges of numbers. All others are the server's: MySQL's go beyond 6000, and a
// trigger may signal any.
void Connection::Impl::refused(const char* doing) {
  int code = static_cast<int>(mysql_errno(handle));
  bool own = (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) || (code >= CER_MIN_ERROR && code <= CER_MAX_ERROR);
  // The server says these while it closes: shutdown, killed session, packet too large.
  bool closing = code == 1053 || code == 1927 || code == 1153 || code == 1156 || code == 1157 || code == 1158 ||
                 code == 1159 || code == 1160 || code == 1161;
  if (closing) spoiled = true;
  if (own || code == 0) lost(std::string(doing) + ": " + tidy(mysql_error(handle), secret));
  throw sql_error(code, mysql_sqlstate(handle), tidy(mysql_error(handle), secret));
}

std::string Connection::quote_literal(std::string_view text) const {
  std::string quoted(2 * text.size() + 3, '\0');
  quoted[0] = '\'';
  auto size = mysql_real_escape_string(impl_->handle, quoted.data() + 1, text.data(), text.size());
  quoted.resize(size + 1);
  return quoted += '\'';
}

std::string Connection::render(std::string_view sql, std::span<const Param> params) const {
  if (params.empty()) return std::string(sql);
  std::string text;
  size_t next = 0;
  for (size_t i = 0; i < sql.size();) {
    if (size_t end = skip_quoted(sql, i); end != i) {
      text.append(sql.substr(i, end - i));
      i = end;
    } else if (sql[i++] != '?') {
      text += sql[i - 1];
    } else if (next == params.size()) {
      throw std::logic_error("a statement has more ? than parameters");
    } else {
      const Param& param = params[next++];
      if (param.kind_ == Param::Kind::null) text += "NULL";
      if (param.kind_ == Param::Kind::number) text += std::to_string(param.number_);
      if (param.kind_ == Param::Kind::text) text += quote_literal(param.text_);
    }
  }
  if (next != params.size()) throw std::logic_error("a statement has fewer ? than parameters");
  return text;
}

void Connection::Impl::send(const std::string& sql, Deadline deadline) {
  int failed = 0;
  drive([&] { return mysql_real_query_start(&failed, handle, sql.data(), sql.size()); },
        [&](int ready) { return mysql_real_query_cont(&failed, handle, ready); }, deadline, nullptr,
        "running a statement");
  if (failed != 0) refused("running a statement");
}

MYSQL_RES* Connection::Impl::store(Deadline deadline) {
  MYSQL_RES* rows = nullptr;
  drive([&] { return mysql_store_result_start(&rows, handle); },
        [&](int ready) { return mysql_store_result_cont(&rows, handle, ready); }, deadline, nullptr, "reading rows");
  if (rows == nullptr && mysql_errno(handle) != 0) refused("reading rows");
  return rows;
}

bool Connection::Impl::next(Deadline deadline) {
  if (mysql_more_results(handle) == 0) return false;
  int failed = 0;
  drive([&] { return mysql_next_result_start(&failed, handle); },
        [&](int ready) { return mysql_next_result_cont(&failed, handle, ready); }, deadline, nullptr,
        "running a statement");
  if (failed > 0) refused("running a statement");
  return true;
}

std::vector<Result> Connection::exec_all(std::string_view sql, std::span<const Param> params, Deadline deadline) {
  impl_->expect_usable();
  auto text = render(sql, params);
  // The server would only close the connection, and libmariadb call it lost.
  if (impl_->max_packet > 0 && static_cast<int64_t>(text.size()) >= impl_->max_packet) {
    throw sql_error(1153, "08S01",
                    "a statement of " + std::to_string(text.size()) +
                        " bytes is larger than the server takes; raise "
                        "max_allowed_packet there (it is " +
                        std::to_string(impl_->max_packet) + ")");
  }
  impl_->send(text, deadline);
  std::vector<Result> results;
  do {
    Result result;
    auto* rows = impl_->store(deadline);
    result.affected_ = rows == nullptr ? static_cast<int64_t>(mysql_affected_rows(impl_->handle)) : 0;
    result.insert_id_ = static_cast<int64_t>(mysql_insert_id(impl_->handle));
    if (rows != nullptr) {
      result.handle_ = std::shared_ptr<void>(rows, [](void* p) { mysql_free_result(static_cast<MYSQL_RES*>(p)); });
      result.columns_ = static_cast<int>(mysql_num_fields(rows));
      result.head_ = columns_of(rows);
      result.cells_.reserve(mysql_num_rows(rows) * static_cast<size_t>(result.columns_));
      while (MYSQL_ROW row = mysql_fetch_row(rows)) {  // all of it is here: nothing waits
        auto* sizes = mysql_fetch_lengths(rows);
        for (int i = 0; i < result.columns_; ++i) result.cells_.push_back({row[i], sizes[i]});
      }
    }
    results.push_back(std::move(result));
  } while (impl_->next(deadline));
  return results;
}

Result Connection::exec(std::string_view sql, std::span<const Param> params, Deadline deadline) {
  auto results = exec_all(sql, params, deadline);
  for (size_t i = results.size(); i-- > 0;)
    if (results[i].columns() > 0) return std::move(results[i]);
  return std::move(results.back());
}

}  // namespace muskrat::mysql
