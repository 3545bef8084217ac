#include "common/sqlite.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "common/state_path.hpp"

namespace muskrat::sqlite {
namespace {

// One that makes a file makes it for itself alone: it may hold keys of customers.
void make_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_EXCL, 0600);
  if (fd >= 0) {
    leave_to_owner_of_folder(fd, path);
    ::close(fd);
  } else if (errno != EEXIST) {
    throw Failure(Remedy::reconnect, "cannot make the file " + path + ": " + std::strerror(errno) +
                                         "; make its folder, or let this user write there");
  }
}

[[noreturn]] void fail(sqlite3* handle, const std::string& path, int code) {
  const int kind = code & 0xff;
  const bool broken = kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB;
  const char* advice = broken                    ? "; restore it, or move it away to start anew"
                       : kind == SQLITE_FULL     ? "; make room on its disk"
                       : kind == SQLITE_BUSY     ? "; another process writes to it for long"
                       : kind == SQLITE_READONLY ? "; let this user write to it and to its folder"
                                                 : "";
  throw Failure(broken ? Remedy::stop : Remedy::reconnect,
                path + ": " + (handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code)) + advice);
}

}  // namespace

// ---- Statement ----

struct Statement::Impl {
  sqlite3_stmt* handle = nullptr;
  std::shared_ptr<const std::string> path;
  ~Impl() { sqlite3_finalize(handle); }
  void check(int code) const {
    if (code != SQLITE_OK) fail(sqlite3_db_handle(handle), *path, code);
  }
};

Statement::Statement(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Statement::Statement(Statement&&) noexcept = default;
Statement& Statement::operator=(Statement&&) noexcept = default;
Statement::~Statement() = default;

Statement& Statement::bind(int parameter, int64_t value) {
  impl_->check(sqlite3_bind_int64(impl_->handle, parameter, value));
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view value) {
  // an empty view may be null, which SQLite would take for NULL
  const char* data = value.data() ? value.data() : "";
  impl_->check(sqlite3_bind_text64(impl_->handle, parameter, data, value.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(impl_->handle);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return reset(), false;
  try {
    fail(sqlite3_db_handle(impl_->handle), *impl_->path, code);
  } catch (...) {
    reset();
    throw;
  }
}

void Statement::run() {
  while (step()) {
  }
}

void Statement::reset() { sqlite3_reset(impl_->handle); }

int64_t Statement::integer(int column) const { return sqlite3_column_int64(impl_->handle, column); }

std::string_view Statement::text(int column) const {
  const void* data = sqlite3_column_blob(impl_->handle, column);
  return {static_cast<const char*>(data), static_cast<size_t>(sqlite3_column_bytes(impl_->handle, column))};
}

// ---- Database ----

struct Database::Impl {
  sqlite3* handle = nullptr;
  std::shared_ptr<const std::string> path;
  ~Impl() { sqlite3_close_v2(handle); }
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Database Database::open(const std::string& path, milliseconds patience) {
  make_private(path);
  auto impl = std::make_unique<Impl>();
  impl->path = std::make_shared<const std::string>(path);
  // each object keeps to one thread, so SQLite need not lock for us
  constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  if (const int code = sqlite3_open_v2(path.c_str(), &impl->handle, flags, nullptr); code != SQLITE_OK)
    fail(impl->handle, path, code);
  sqlite3_busy_timeout(impl->handle, static_cast<int>(patience.count()));
  Database database(std::move(impl));
  // Without secure_delete, Debian's default and not everybody's, the file keeps what was deleted until its room is used
  // again; and as pages leave copies where they are split, whoever writes must have it on, not only who deletes.
  database.exec(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON");
  return database;
}

void Database::exec(const std::string& sql) {
  const int code = sqlite3_exec(impl_->handle, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(impl_->handle, *impl_->path, code);
}

Statement Database::prepare(const std::string& sql) {
  auto statement = std::make_unique<Statement::Impl>();
  statement->path = impl_->path;
  const int code = sqlite3_prepare_v3(impl_->handle, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement->handle, nullptr);
  if (code != SQLITE_OK) fail(impl_->handle, *impl_->path, code);
  return Statement(std::move(statement));
}

void Database::empty_log() {
  Statement checkpoint = prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!checkpoint.step() || checkpoint.integer(0) != 0)
    throw Failure(Remedy::reconnect,
                  path() +
                      "-wal may still hold what was erased: another process is reading there; it goes when all "
                      "that have the file open have ended");
}

int64_t Database::changes() const { return sqlite3_changes(impl_->handle); }
int64_t Database::last_id() const { return sqlite3_last_insert_rowid(impl_->handle); }
const std::string& Database::path() const { return *impl_->path; }

// ---- Transaction ----

void Transaction::commit() {
  database_.exec("COMMIT");
  open_ = false;
}

Transaction::~Transaction() {
  if (!open_) return;
  try {
    database_.exec("ROLLBACK");
  } catch (const Failure&) {
    // SQLite has rolled it back itself (a full disk, an I/O error): there is nothing left to undo
    open_ = false;
  }
}

// ---- Reading ----

Reading::~Reading() {
  try {
    database_.exec("ROLLBACK");
  } catch (const Failure&) {
    // nothing was written: there is nothing that could be lost
  }
}

}  // namespace muskrat::sqlite
