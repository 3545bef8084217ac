// Rows that are read as the server makes them, and what their columns hold.
#include <deque>
#include <string_view>
#include <utility>

#include "common/mysql_impl.hpp"

namespace muskrat::mysql {
namespace {

constexpr unsigned int binary_charset = 63;

// MariaDB tells of JSON, UUID and INET columns apart; to its protocol they are texts.
std::string_view attribute(const MYSQL_FIELD& field, mariadb_field_attr_t which) {
  MARIADB_CONST_STRING found{};
  if (mariadb_field_attr(&found, &field, which) != 0 || found.str == nullptr) return {};
  return {found.str, found.length};
}

Column::Kind text_kind(const MYSQL_FIELD& field) {
  if (attribute(field, MARIADB_FIELD_ATTR_FORMAT_NAME) == "json") return Column::Kind::json;
  const bool has_text = !attribute(field, MARIADB_FIELD_ATTR_DATA_TYPE_NAME).empty();
  return field.charsetnr == binary_charset && !has_text ? Column::Kind::bytes : Column::Kind::text;
}

Column::Kind kind_of(const MYSQL_FIELD& field) {
  switch (field.type) {
    case MYSQL_TYPE_TINY:
      return field.length == 1 ? Column::Kind::boolean : Column::Kind::integer;
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
      return Column::Kind::integer;
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
      return Column::Kind::decimal;
    case MYSQL_TYPE_FLOAT:
      return Column::Kind::single;
    case MYSQL_TYPE_DOUBLE:
      return Column::Kind::real;
    case MYSQL_TYPE_BIT:
      return Column::Kind::bits;
    case MYSQL_TYPE_DATE:
    case MYSQL_TYPE_NEWDATE:
      return Column::Kind::date;
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_DATETIME2:
      return Column::Kind::datetime;
    case MYSQL_TYPE_TIMESTAMP:
    case MYSQL_TYPE_TIMESTAMP2:
      return Column::Kind::timestamp;
    case MYSQL_TYPE_TIME:
    case MYSQL_TYPE_TIME2:
      return Column::Kind::time;
    case MYSQL_TYPE_JSON:
      return Column::Kind::json;
    case MYSQL_TYPE_GEOMETRY:
      return Column::Kind::geometry;
    default:
      return text_kind(field);
  }
}

}  // namespace

std::vector<Column> columns_of(MYSQL_RES* rows) {
  std::vector<Column> head;
  const MYSQL_FIELD* fields = mysql_fetch_fields(rows);
  for (unsigned int i = 0; i < mysql_num_fields(rows); ++i)
    head.push_back({fields[i].name, kind_of(fields[i]), fields[i].type == MYSQL_TYPE_BIT ? fields[i].length : 0});
  return head;
}

void Connection::stream(std::string_view sql, std::span<const Param> params, Deadline deadline) {
  impl_->expect_usable();
  impl_->send(render(sql, params), deadline);
  impl_->streaming = mysql_use_result(impl_->handle);  // reads nothing
  if (impl_->streaming == nullptr) impl_->refused("running a statement");
}

MYSQL_ROW Connection::Impl::fetch(Deadline deadline) {
  MYSQL_ROW row = nullptr;
  drive([&] { return mysql_fetch_row_start(&row, streaming); },
        [&](int ready) { return mysql_fetch_row_cont(&row, streaming, ready); }, deadline, nullptr, "reading rows");
  return row;
}

void Connection::Impl::end_stream(Deadline deadline) {
  const bool failed = mysql_errno(handle) != 0;
  mysql_free_result(std::exchange(streaming, nullptr));  // at its end: nothing is read
  if (failed) refused("reading rows");
  while (next(deadline)) {
  }
}

Result Connection::next_rows(int most, Deadline deadline) {
  Result result;
  if (impl_->streaming == nullptr) return result;
  impl_->expect_usable();
  result.head_ = columns_of(impl_->streaming);
  result.columns_ = static_cast<int>(result.head_.size());
  const auto texts = std::make_shared<std::deque<std::string>>();
  result.handle_ = texts;
  for (int rows = 0; rows < most; ++rows) {
    char** row = impl_->fetch(deadline);
    if (row == nullptr) {
      impl_->end_stream(deadline);
      return result;
    }
    const unsigned long* sizes = mysql_fetch_lengths(impl_->streaming);
    for (int i = 0; i < result.columns_; ++i) {
      if (row[i] != nullptr) texts->emplace_back(row[i], sizes[i]);
      result.cells_.push_back({row[i] == nullptr ? nullptr : texts->back().data(), row[i] == nullptr ? 0 : sizes[i]});
    }
  }
  return result;
}

}  // namespace muskrat::mysql
