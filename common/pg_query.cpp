// Asking PostgreSQL: every statement is sent and read through poll() with a deadline.
#include <random>
#include <thread>

#include <poll.h>

#include "common/pg_impl.hpp"

namespace muskrat::pg {

namespace {

// libpq would cut a text there in silence. To be called before anything is sent: it leaves the connection usable.
void refuse_nul(std::span<const Param> params) {
  for (const auto& param : params) {
    if (!param || param->find('\0') == std::string_view::npos) continue;
    throw SqlError(Remedy::stop, "a text value holds a NUL character, which PostgreSQL cannot store [SQLSTATE 22021]",
                   "22021", "", "");
  }
}

// Parameters as libpq wants them: C strings, in one allocation.
class Values {
 public:
  explicit Values(std::span<const Param> params) {
    refuse_nul(params);
    size_t bytes = 0;
    for (const auto& param : params) bytes += param ? param->size() + 1 : 0;
    text_.reserve(bytes);  // pointers into it must stay
    pointers_.reserve(params.size());
    for (const auto& param : params) pointers_.push_back(param ? add(*param) : nullptr);
  }
  const char* const* data() const { return pointers_.data(); }
  int count() const { return static_cast<int>(pointers_.size()); }

 private:
  const char* add(std::string_view value) {
    size_t at = text_.size();
    text_.append(value).push_back('\0');
    return text_.data() + at;
  }

  std::string text_;
  std::vector<const char*> pointers_;
};

std::shared_ptr<PGresult> owned(PGresult* result) { return {result, PQclear}; }

bool copying(const PGresult* result) {
  auto status = PQresultStatus(result);
  return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

// PQcancel connects anew, without a deadline: so on a thread that nobody waits for.
void cancel_in_background(PGconn* conn) {
  PGcancel* cancel = PQgetCancel(conn);
  if (cancel == nullptr) return;
  std::thread([cancel] {
    char ignored[256];
    PQcancel(cancel, ignored, sizeof ignored);
    PQfreeCancel(cancel);
  }).detach();
}

}  // namespace

// ---- waiting ----

void Connection::Impl::expect_usable() const {
  if (spoiled) throw Failure(Remedy::reconnect, "the connection to " + place + " has failed before; connect anew");
}

void Connection::Impl::lost(const std::string& what) {
  spoiled = true;
  throw Failure(Remedy::reconnect, "lost the connection to " + place + (what.empty() ? "" : ": " + what));
}

void Connection::Impl::gave_up(const std::string& why) {
  spoiled = true;
  cancel_in_background(raw());
  throw Failure(Remedy::reconnect, why);
}

void Connection::Impl::timed_out(const char* doing) {
  gave_up("no answer in time from " + place + " while " + doing +
          "; the server is overloaded, waits for a lock, or is out of reach");
}

void Connection::Impl::check_sent(int ok, const char* doing) {
  if (ok == 0) lost(std::string(doing) + ": " + tidy(PQerrorMessage(raw()), secret));
}

void Connection::Impl::wait(short events, Deadline deadline, const char* doing) {
  if (PQsocket(raw()) < 0) lost(tidy(PQerrorMessage(raw()), secret));
  for (Deadline wake = deadline;; beat_in_mid_statement()) {
    if (beat) wake = deadline.sooner(Deadline::in(milliseconds(1000)));
    if (wait_socket(PQsocket(raw()), events, wake, stop)) return;
    if (stop != nullptr && stop->requested()) gave_up("asked to stop while " + std::string(doing));
    if (!beat || deadline.passed()) timed_out(doing);
  }
}

void Connection::Impl::beat_in_mid_statement() {
  try {
    beat();
  } catch (...) {
    spoiled = true;
    cancel_in_background(raw());
    throw;
  }
}

void Connection::Impl::flush(Deadline deadline) {
  for (;;) {
    int left = PQflush(raw());
    if (left == 0) return;
    if (left < 0) lost(tidy(PQerrorMessage(raw()), secret));
    wait(POLLIN | POLLOUT, deadline, "sending a statement");
    // Harmless when only writable: libpq looks before it reads.
    check_sent(PQconsumeInput(raw()), "sending a statement");
  }
}

std::shared_ptr<PGresult> Connection::Impl::next_result(Deadline deadline) {
  while (PQisBusy(raw()) != 0) {
    wait(POLLIN, deadline, "waiting for a statement");
    // Its failure shows in the result below, with the server's last words where there were any.
    if (PQconsumeInput(raw()) == 0) break;
  }
  return owned(PQgetResult(raw()));
}

std::shared_ptr<PGresult> Connection::Impl::finish(Deadline deadline) {
  std::shared_ptr<PGresult> last, error;
  while (auto result = next_result(deadline)) {
    if (copying(result.get())) lost("a COPY was started where none was expected");
    if (refused(result.get()) && !error) error = result;
    last = std::move(result);
  }
  if (PQstatus(raw()) == CONNECTION_BAD)
    lost(error ? tidy(PQresultErrorMessage(error.get()), secret) : tidy(PQerrorMessage(raw()), secret));
  if (error) throw sql_error(error.get());
  return last;
}

// ---- statements ----

Result Connection::exec(const std::string& sql, Deadline deadline) {
  impl_->expect_usable();
  impl_->check_sent(PQsendQuery(impl_->raw(), sql.c_str()), "sending a statement");
  impl_->flush(deadline);
  Result result;
  result.handle_ = impl_->finish(deadline);
  return result;
}

Result Connection::exec(const std::string& sql, std::span<const Param> params, Deadline deadline) {
  impl_->expect_usable();
  Result result;
  result.handle_ = impl_->ask(sql, params, Format::text, deadline);
  return result;
}

std::shared_ptr<PGresult> Connection::Impl::ask(const std::string& sql, std::span<const Param> params, Format format,
                                                Deadline deadline) {
  Values values(params);
  check_sent(PQsendQueryParams(raw(), sql.c_str(), values.count(), nullptr, values.data(), nullptr, nullptr,
                               static_cast<int>(format)),
             "sending a statement");
  flush(deadline);
  return finish(deadline);
}

// Behind a pooler that hands sessions round, another connection's statements may be there: none may have a name of
// ours.
std::string Connection::Impl::next_name() {
  if (prepared_count++ == 0) {
    std::random_device dice;
    prefix = "muskrat_" + std::to_string(dice()) + std::to_string(dice()) + "_";
  }
  return prefix + std::to_string(prepared_count);
}

const std::string& Connection::Impl::prepare(const std::string& sql, Deadline deadline) {
  if (auto known = prepared.find(sql); known != prepared.end()) return known->second;
  auto name = next_name();
  check_sent(PQsendPrepare(raw(), name.c_str(), sql.c_str(), 0, nullptr), "preparing a statement");
  flush(deadline);
  finish(deadline);
  return prepared[sql] = name;
}

Result Connection::exec_prepared(const std::string& sql, std::span<const Param> params, Deadline deadline,
                                 Format format) {
  send_prepared(sql, params, deadline, format);
  try {
    return receive(deadline);
  } catch (const SqlError&) {
    if (impl_->prepared.contains(sql) || in_transaction()) throw;
  }
  Result result;
  result.handle_ = impl_->ask(sql, params, format, deadline);
  return result;
}

void Connection::send_prepared(const std::string& sql, std::span<const Param> params, Deadline deadline,
                               Format format) {
  impl_->expect_usable();
  Values values(params);
  const auto& name = impl_->prepare(sql, deadline);
  impl_->check_sent(PQsendQueryPrepared(impl_->raw(), name.c_str(), values.count(), values.data(), nullptr, nullptr,
                                        static_cast<int>(format)),
                    "sending a statement");
  impl_->flush(deadline);
  impl_->sent = sql;
}

Result Connection::receive(Deadline deadline) {
  Result result;
  try {
    result.handle_ = impl_->finish(deadline);
  } catch (const SqlError& error) {
    // The statement is gone (a pooler gave us another session) or a table's shape has changed under it.
    if (error.sqlstate() == "26000" || error.sqlstate() == "0A000") impl_->prepared.erase(impl_->sent);
    throw;
  }
  return result;
}

int64_t Connection::stream(const std::string& sql, std::span<const Param> params,
                           const std::function<void(const Result&)>& row, Deadline deadline) {
  impl_->expect_usable();
  Values values(params);
  impl_->check_sent(
      PQsendQueryParams(impl_->raw(), sql.c_str(), values.count(), nullptr, values.data(), nullptr, nullptr, 0),
      "sending a statement");
  PQsetSingleRowMode(impl_->raw());
  impl_->flush(deadline);
  int64_t rows = 0;
  while (auto result = impl_->next_result(deadline)) {
    if (PQresultStatus(result.get()) != PGRES_SINGLE_TUPLE) {
      if (refused(result.get())) impl_->refuse(result, deadline);
      continue;
    }
    Result one;
    one.handle_ = std::move(result);
    impl_->spoiled = true;  // until `row` returns: rows of an abandoned statement are still on their way
    row(one);
    impl_->spoiled = false;
    ++rows;
  }
  return rows;
}

// ---- pipeline ----

bool Connection::Impl::send_in_pipeline(const Connection::Statement& statement,
                                        std::map<std::string, std::string>& fresh) {
  constexpr size_t most_prepared = 200;  // the server keeps each in memory
  Values values(statement.params);
  const auto known = prepared.find(statement.sql);
  const bool named = known != prepared.end() || fresh.contains(statement.sql);
  const bool prepares = !named && statement.repeated && prepared.size() + fresh.size() < most_prepared;
  if (!named && !prepares) {
    check_sent(
        PQsendQueryParams(raw(), statement.sql.c_str(), values.count(), nullptr, values.data(), nullptr, nullptr, 0),
        "sending a statement");
    return false;
  }
  if (prepares) fresh[statement.sql] = next_name();
  const std::string& name = known != prepared.end() ? known->second : fresh[statement.sql];
  if (prepares)
    check_sent(PQsendPrepare(raw(), name.c_str(), statement.sql.c_str(), 0, nullptr), "preparing a statement");
  check_sent(PQsendQueryPrepared(raw(), name.c_str(), values.count(), values.data(), nullptr, nullptr, 0),
             "sending a statement");
  return prepares;
}

void Connection::replan_every(milliseconds span) {
  impl_->replan_every = span;
  impl_->planned_at = std::chrono::steady_clock::now();
}

// True once in so long.
bool Connection::Impl::plans_are_old() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (replan_every == milliseconds(0) || now - planned_at < replan_every) return false;
  planned_at = now;
  return true;
}

std::vector<Result> Connection::pipeline(std::span<const Statement> statements, Deadline deadline) {
  impl_->expect_usable();
  for (const auto& statement : statements) refuse_nul(statement.params);
  auto* conn = impl_->raw();
  impl_->check_sent(PQenterPipelineMode(conn), "starting a pipeline");
  impl_->spoiled = true;  // until the pipeline is left: an exception in between leaves answers on their way
  std::map<std::string, std::string> fresh;
  std::vector<bool> prepares;
  const size_t before = impl_->plans_are_old() ? 1 : 0;
  if (before > 0) impl_->send_in_pipeline({"DISCARD PLANS", {}}, fresh);
  for (const auto& statement : statements) prepares.push_back(impl_->send_in_pipeline(statement, fresh));
  impl_->check_sent(PQpipelineSync(conn), "sending a pipeline");
  impl_->flush(deadline);
  const auto results = impl_->pipeline_results(before + statements.size() + fresh.size(), deadline);
  impl_->check_sent(PQexitPipelineMode(conn), "leaving a pipeline");
  impl_->spoiled = false;
  std::vector<Result> answer(statements.size());
  auto next = results.begin();
  const auto take = [&] {
    if (next == results.end()) impl_->lost("a pipeline has fewer answers than statements");
    if (refused(next->get())) {
      if (sql_error(next->get()).sqlstate() == "26000") impl_->prepared.clear();
      throw sql_error(next->get());
    }
    return *next++;
  };
  if (before > 0) take();
  for (size_t i = 0; i < statements.size(); ++i) {
    if (prepares[i]) {  // kept whatever becomes of the transaction: prepared statements are the session's
      take();
      impl_->prepared[statements[i].sql] = fresh[statements[i].sql];
    }
    answer[i].handle_ = take();
  }
  if (next != results.end()) take();
  return answer;
}

std::vector<std::shared_ptr<PGresult>> Connection::Impl::pipeline_results(size_t count, Deadline deadline) {
  std::vector<std::shared_ptr<PGresult>> results;
  for (;;) {
    auto result = next_result(deadline);
    if (PQstatus(raw()) == CONNECTION_BAD) lost(tidy(PQerrorMessage(raw()), secret));
    if (!result) continue;  // ends one statement's results
    if (PQresultStatus(result.get()) == PGRES_PIPELINE_SYNC) break;
    if (copying(result.get())) lost("COPY cannot run in a pipeline");
    // Beyond the statements' own comes what the commit was refused for.
    if (results.size() < count || refused(result.get())) results.push_back(std::move(result));
  }
  while (next_result(deadline)) {
  }
  return results;
}

// ---- COPY ----

int64_t Connection::copy_out(const std::string& query, const std::function<void(const CopyRows::Fields&)>& row,
                             Deadline deadline) {
  impl_->expect_usable();
  impl_->check_sent(PQsendQuery(impl_->raw(), ("COPY (" + query + ") TO STDOUT (FORMAT binary)").c_str()),
                    "starting a COPY");
  impl_->flush(deadline);
  auto started = impl_->next_result(deadline);
  if (!started || PQresultStatus(started.get()) != PGRES_COPY_OUT) impl_->refuse(started, deadline);
  impl_->spoiled = true;  // until its end is read
  CopyRows rows;
  int64_t count = 0;
  size_t bytes = 0;
  while (const auto copied = impl_->next_copied(bytes, deadline)) {
    rows.add({copied.get(), bytes});
    while (const auto* fields = rows.next()) {
      row(*fields);
      ++count;
    }
  }
  impl_->spoiled = false;
  impl_->finish(deadline);
  if (!rows.ended()) impl_->lost("a COPY ended in the middle of its rows");
  return count;
}

std::unique_ptr<char, decltype(&PQfreemem)> Connection::Impl::next_copied(size_t& bytes, Deadline deadline) {
  for (;;) {
    char* buffer = nullptr;
    const int got = PQgetCopyData(raw(), &buffer, 1);
    bytes = got > 0 ? static_cast<size_t>(got) : 0;
    if (got > 0) return {buffer, PQfreemem};
    if (got == -1) return {nullptr, PQfreemem};
    if (got < -1) lost(tidy(PQerrorMessage(raw()), secret));
    wait(POLLIN, deadline, "waiting for rows");
    check_sent(PQconsumeInput(raw()), "waiting for rows");
  }
}

int64_t Connection::copy_in(const std::string& copy_sql, std::string_view data, Deadline deadline) {
  impl_->expect_usable();
  impl_->check_sent(PQsendQuery(impl_->raw(), copy_sql.c_str()), "starting a COPY");
  impl_->flush(deadline);
  auto started = impl_->next_result(deadline);
  if (!started || PQresultStatus(started.get()) != PGRES_COPY_IN) impl_->refuse(started, deadline);
  impl_->spoiled = true;  // until its end is said
  impl_->send_copy(data, deadline);
  impl_->spoiled = false;
  Result result;
  result.handle_ = impl_->finish(deadline);
  return result.affected();
}

void Connection::Impl::send_copy(std::string_view data, Deadline deadline) {
  constexpr size_t chunk = 65536;  // keeps libpq's own buffer small
  for (size_t at = 0; at < data.size(); at += chunk) {
    auto part = data.substr(at, chunk);
    check_sent(PQputCopyData(raw(), part.data(), static_cast<int>(part.size())) > 0, "copying rows");
    flush(deadline);
  }
  check_sent(PQputCopyEnd(raw(), nullptr) > 0, "ending a COPY");
  flush(deadline);
}

void Connection::Impl::refuse(const std::shared_ptr<PGresult>& result, Deadline deadline) {
  finish(deadline);
  if (PQstatus(raw()) == CONNECTION_BAD) lost(tidy(PQerrorMessage(raw()), secret));
  if (result && refused(result.get())) throw sql_error(result.get());
  lost("the server did not start the COPY that was asked for");
}

}  // namespace muskrat::pg
