#include "common/mysql.hpp"

#include <algorithm>
#include <charconv>

#include <sys/socket.h>

#include "common/mysql_impl.hpp"

namespace muskrat::mysql {

// ---- errors ----

namespace {

// Locks, limits, shutdowns, resources, read-only servers: not this statement's fault.
constexpr int transient_codes[] = {1020, 1021, 1030, 1037, 1038, 1040, 1041, 1053, 1114, 1129, 1153, 1158,
                                   1159, 1160, 1161, 1180, 1181, 1203, 1205, 1206, 1213, 1226, 1290, 1297,
                                   1317, 1412, 1637, 1792, 1836, 1927, 1969, 3024, 3032, 3100, 3101, 3572};
// Those of a statement that would be fine elsewhere, beside the classes of SQLSTATE below: files and tables that are
// damaged, gone or to be upgraded (1016 to 1036, 1194, 1195, 1459, 1707, 1712, 1812, 1814, 1815, 1877, 3185), a
// password to be changed (1820), triggers, views and functions that cannot work (1356, 1418, 1422, 1442, 1449, 1457,
// 1548, 1558, 1710, 1711), columns that are computed (1906, 3105), and settings of its binary log or its replication
// (1598, 1661 to 1668, 1785, 1787, 3098).
constexpr int server_codes[] = {1016, 1017, 1024, 1026, 1034, 1035, 1036, 1194, 1195, 1356, 1418, 1422, 1442, 1449,
                                1457, 1459, 1548, 1558, 1598, 1661, 1662, 1663, 1664, 1665, 1666, 1667, 1668, 1707,
                                1710, 1711, 1712, 1785, 1787, 1812, 1814, 1815, 1820, 1877, 1906, 3098, 3105, 3185};
constexpr std::string_view server_classes[] = {"08", "0A", "25", "28", "3D", "42"};
constexpr int statements_are_logged = 1665;
// These quote the names of things and people only; all others may quote values.
constexpr int naming_codes[] = {1036, 1044, 1045, 1046, 1048, 1049, 1050, 1051, 1054, 1060, 1061, 1072, 1091,
                                1104, 1142, 1143, 1146, 1153, 1194, 1195, 1205, 1213, 1227, 1235, 1264, 1265,
                                1290, 1304, 1305, 1321, 1356, 1359, 1360, 1364, 1370, 1406, 1412, 1418, 1419,
                                1442, 1449, 1644, 1698, 1792, 1812, 1814, 1836, 1906, 3105, 3819, 4025, 4031};

template <size_t n>
bool among(int code, const int (&codes)[n]) {
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

// Below 1000 are the errors of the server's files and memory: 3 no room in tmpdir, 5 no memory, 23 no file handle. A
// trigger that signals such a number of its own gives it an SQLSTATE of its own.
bool passes(int code, std::string_view sqlstate) {
  return among(code, transient_codes) || (code < 1000 && sqlstate == "HY000");
}

// The last '…' of a message that ends in it, as in "Duplicate entry '…' for key 'name'".
std::string last_quoted(const std::string& message, const char* before) {
  auto at = message.rfind(before);
  if (at == std::string::npos) return "";
  at += std::char_traits<char>::length(before);
  auto end = message.find('\'', at);
  return end == std::string::npos ? "" : message.substr(at, end - at);
}

// "… for column `db`.`table`.`name` at row 1" (MariaDB), "… for column 'name' at row 1".
std::string column_named(const std::string& message) {
  auto at = message.rfind("olumn ");
  if (at == std::string::npos) return "";
  auto end = message.find_last_of("'`");
  if (end == std::string::npos || end < at) return "";
  auto begin = message.find_last_of("'`.", end - 1);
  return begin == std::string::npos || begin < at ? "" : message.substr(begin + 1, end - begin - 1);
}

}  // namespace

SqlError::SqlError(Remedy remedy, const std::string& what, int code, std::string sqlstate, std::string constraint,
                   std::string column)
    : Failure(remedy, what),
      code_(code),
      sqlstate_(std::move(sqlstate)),
      constraint_(std::move(constraint)),
      column_(std::move(column)) {}

bool SqlError::transient() const { return passes(code_, sqlstate_); }

bool SqlError::of_the_server() const {
  const auto is_of = [&](std::string_view group) { return sqlstate_.starts_with(group); };
  return transient() || among(code_, server_codes) ||
         std::any_of(std::begin(server_classes), std::end(server_classes), is_of);
}

std::string without_values(int code, const std::string& message) {
  if (among(code, naming_codes)) return message;
  auto begin = message.find('\''), end = message.rfind('\'');
  if (begin == std::string::npos || begin == end) return begin == end ? message.substr(0, begin) : message;
  // A name that stands behind the value is worth keeping.
  for (const char* before : {" for key '", " for column '"})
    if (auto at = message.rfind(before); at != std::string::npos && at > begin) end = at - 1;
  return message.substr(0, begin) + "'…'" + message.substr(end + 1);
}

SqlError sql_error(int code, const std::string& sqlstate, const std::string& message) {
  auto remedy = passes(code, sqlstate) ? Remedy::reconnect : Remedy::stop;
  const bool logged = code == statements_are_logged;  // what the server says of it is long, and not what to do
  auto what = logged ? "the server logs statements (binlog_format STATEMENT), which cannot be combined with READ "
                       "COMMITTED; set binlog_format to ROW or MIXED"
                     : without_values(code, message);
  what += " [" + std::to_string(code) + ", SQLSTATE " + sqlstate + "]";
  return {remedy, what, code, sqlstate, code == 1062 ? last_quoted(message, " for key '") : "", column_named(message)};
}

std::string tidy(const char* text, const std::string& secret) {
  std::string line = text == nullptr ? "" : text;
  std::replace(line.begin(), line.end(), '\n', ' ');
  if (secret.size() < 4) return line;
  for (size_t at; (at = line.find(secret)) != std::string::npos;) line.replace(at, secret.size(), "***");
  return line;
}

// ---- results ----

int Result::rows() const { return columns_ == 0 ? 0 : static_cast<int>(cells_.size()) / columns_; }
int Result::columns() const { return columns_; }

bool Result::null(int row, int column) const { return cell(row, column).data == nullptr; }

const Result::Cell& Result::cell(int row, int column) const {
  return cells_.at(static_cast<size_t>(row) * static_cast<size_t>(columns_) + static_cast<size_t>(column));
}

std::string_view Result::text(int row, int column) const {
  const Cell& found = cell(row, column);
  return found.data == nullptr ? std::string_view() : std::string_view(found.data, found.size);
}

int64_t Result::int64(int row, int column) const {
  auto digits = text(row, column);
  int64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size() && !digits.empty()) return value;
  throw Failure(Remedy::stop, "column " + head_.at(static_cast<size_t>(column)).name + " holds no integer");
}

bool Result::boolean(int row, int column) const { return !text(row, column).empty() && text(row, column) != "0"; }

// ---- the connection's small questions ----

Connection::Impl::~Impl() {
  if (handle == nullptr) return;
  // mysql_close says goodbye, and a stream reads itself to its end: neither must wait for a server that is gone or for
  // a statement under way.
  if ((spoiled || streaming != nullptr) && mysql_get_socket(handle) >= 0)
    ::shutdown(static_cast<int>(mysql_get_socket(handle)), SHUT_RDWR);
  if (streaming != nullptr) mysql_free_result(streaming);
  mysql_close(handle);
}

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

void Connection::attend(const Stop& stop, std::function<void()> beat) {
  impl_->attended = &stop;
  impl_->beat = std::move(beat);
}

int Connection::socket() const { return static_cast<int>(mysql_get_socket(impl_->handle)); }
uint64_t Connection::session_id() const { return mysql_thread_id(impl_->handle); }
int Connection::server_version() const { return static_cast<int>(mysql_get_server_version(impl_->handle)); }
bool Connection::mariadb() const { return mariadb_connection(impl_->handle) != 0; }
int64_t Connection::max_statement_bytes() const { return impl_->max_packet; }
const std::string& Connection::place() const { return impl_->place; }

bool Connection::in_transaction() const {
  unsigned int status = 0;
  mariadb_get_infov(impl_->handle, MARIADB_CONNECTION_SERVER_STATUS, &status);
  return (status & SERVER_STATUS_IN_TRANS) != 0;
}

std::string Connection::quote_identifier(std::string_view name) {
  std::string quoted = "`";
  for (char c : name) quoted += c == '`' ? std::string("``") : std::string(1, c);
  return quoted += '`';
}

}  // namespace muskrat::mysql
