#include "common/pg.hpp"

#include <charconv>

#include "common/pg_array.hpp"
#include "common/pg_impl.hpp"

namespace muskrat::pg {

// ---- errors ----

SqlError::SqlError(Remedy remedy, const std::string& what, std::string sqlstate, std::string constraint,
                   std::string column)
    : Failure(remedy, what),
      sqlstate_(std::move(sqlstate)),
      constraint_(std::move(constraint)),
      column_(std::move(column)) {}

namespace {

bool transient_state(std::string_view state) {
  for (std::string_view whole : {"25006", "40001", "40P01", "55P03"})
    if (state == whole) return true;
  for (std::string_view group : {"08", "53", "57", "58", "XX"})
    if (state.starts_with(group)) return true;
  return false;
}

std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? "" : text;
}

}  // namespace

bool SqlError::transient() const { return transient_state(sqlstate_); }

bool refused(const PGresult* result) {
  auto status = PQresultStatus(result);
  return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

// DETAIL and CONTEXT stay out: they quote rows and statements.
SqlError sql_error(const PGresult* result) {
  auto state = field(result, PG_DIAG_SQLSTATE);
  auto what = field(result, PG_DIAG_MESSAGE_PRIMARY);
  auto hint = field(result, PG_DIAG_MESSAGE_HINT);
  if (what.empty()) what = "the server refused the statement without saying why";
  if (!hint.empty()) what += " (hint: " + hint + ")";
  what += " [SQLSTATE " + state + "]";
  auto remedy = transient_state(state) ? Remedy::reconnect : Remedy::stop;
  return {remedy, what, state, field(result, PG_DIAG_CONSTRAINT_NAME), field(result, PG_DIAG_COLUMN_NAME)};
}

// ---- results ----

namespace {

const PGresult* rows_of(const std::shared_ptr<void>& handle) { return static_cast<const PGresult*>(handle.get()); }

}  // namespace

int Result::rows() const { return handle_ ? PQntuples(rows_of(handle_)) : 0; }
std::string Result::name(int column) const { return PQfname(rows_of(handle_), column); }

int Result::columns() const { return handle_ ? PQnfields(rows_of(handle_)) : 0; }
bool Result::null(int row, int column) const { return PQgetisnull(rows_of(handle_), row, column) != 0; }

std::string_view Result::text(int row, int column) const {
  auto* result = rows_of(handle_);
  return {PQgetvalue(result, row, column), static_cast<size_t>(PQgetlength(result, row, column))};
}

int64_t Result::int64(int row, int column) const {
  auto digits = text(row, column);
  int64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size() && !digits.empty()) return value;
  throw Failure(Remedy::stop, std::string("column ") + PQfname(rows_of(handle_), column) + " holds no integer");
}

int64_t Result::binary_int(int row, int column) const { return binary_integer(text(row, column)); }

bool Result::boolean(int row, int column) const { return text(row, column) == "t"; }

int64_t Result::affected() const {
  if (!handle_) return 0;
  // libpq takes it without const, and only reads it
  std::string_view digits = PQcmdTuples(static_cast<PGresult*>(handle_.get()));
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

// ---- the connection's small questions ----

Connection::Connection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

void Connection::on_notice(std::function<void(std::string_view)> told) { impl_->told_of_notices = std::move(told); }
void Connection::on_wait(std::function<void()> beat) { impl_->beat = std::move(beat); }

void Connection::attend(const Stop& stop, std::function<void()> beat) {
  impl_->stop = &stop;
  impl_->beat = std::move(beat);
}

bool Connection::answered() const { return PQisBusy(impl_->raw()) == 0; }
int Connection::socket() const { return PQsocket(impl_->raw()); }
int Connection::backend_pid() const { return PQbackendPID(impl_->raw()); }
int Connection::server_version() const { return PQserverVersion(impl_->raw()); }
int Connection::warnings_seen() const { return impl_->warnings; }
const std::string& Connection::place() const { return impl_->place; }

bool Connection::in_transaction() const {
  auto status = PQtransactionStatus(impl_->raw());
  return status != PQTRANS_IDLE && status != PQTRANS_UNKNOWN;
}

void Connection::consume_input() {
  impl_->expect_usable();
  if (PQconsumeInput(impl_->raw()) == 0) impl_->lost(tidy(PQerrorMessage(impl_->raw()), impl_->secret));
}

std::optional<Notification> Connection::next_notification() {
  std::unique_ptr<PGnotify, decltype(&PQfreemem)> notify(PQnotifies(impl_->raw()), PQfreemem);
  if (!notify) return std::nullopt;
  return Notification{notify->relname, notify->extra, notify->be_pid};
}

namespace {

std::string taken(char* escaped, const char* what) {
  std::unique_ptr<char, decltype(&PQfreemem)> owner(escaped, PQfreemem);
  if (!owner) throw Failure(Remedy::stop, std::string("cannot quote ") + what + ": it is not valid UTF-8");
  return owner.get();
}

}  // namespace

std::string Connection::quote_identifier(std::string_view name) const {
  return taken(PQescapeIdentifier(impl_->raw(), name.data(), name.size()), "a name");
}

std::string Connection::quote_literal(std::string_view text) const {
  return taken(PQescapeLiteral(impl_->raw(), text.data(), text.size()), "a text");
}

std::string text_array(const std::vector<std::string>& items) {
  ArrayText array;
  for (const std::string& item : items) array.add(item);
  return array.text();
}

}  // namespace muskrat::pg
