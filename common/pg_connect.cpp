// Opening a PostgreSQL connection: options, TLS defaults, the non-blocking handshake.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include <poll.h>
#include <sys/stat.h>

#include "common/log.hpp"
#include "common/lookup.hpp"
#include "common/pg_impl.hpp"

namespace muskrat::pg {

namespace {

using Options = std::map<std::string, std::string>;

// The DSN's own options; libpq adds its environment and .pgpass later. What libpq says about a bad DSN is not passed
// on: it quotes the text around the fault, which may be the password.
Options parse_dsn(const std::string& dsn) {
  std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(PQconninfoParse(dsn.c_str(), nullptr),
                                                                      PQconninfoFree);
  if (!parsed) {
    // One that was right at load was rotated by hand; the next look may find it mended.
    throw Failure(Remedy::reconnect,
                  "the PostgreSQL DSN cannot be parsed (it is not shown here, for it may hold a password); write "
                  "postgresql://user@host:port/database or host=… dbname=… user=…, quote values with spaces, and check "
                  "the option names");
  }
  Options options;
  for (auto* option = parsed.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) options[option->keyword] = option->val;
  return options;
}

bool given(const Options& options, const char* name, const char* environment) {
  return options.contains(name) || (environment != nullptr && getenv(environment) != nullptr);
}

void set_default(Options& options, const char* name, const char* environment, const std::string& value) {
  if (!given(options, name, environment)) options[name] = value;
}

std::string effective(const Options& options, const char* name, const char* environment) {
  if (auto found = options.find(name); found != options.end()) return found->second;
  const char* value = getenv(environment);
  return value == nullptr ? "" : value;
}

bool local_host(std::string_view host) {
  return host.empty() || host.front() == '/' || host.front() == '@' || host == "localhost" || host == "::1" ||
         host.starts_with("127.");
}

// Every host of a comma-separated list is this machine.
bool all_local(std::string_view hosts) {
  for (;;) {
    auto comma = hosts.find(',');
    if (!local_host(hosts.substr(0, comma))) return false;
    if (comma == std::string_view::npos) return true;
    hosts.remove_prefix(comma + 1);
  }
}

bool goes_abroad(const Options& options) {
  auto address = effective(options, "hostaddr", "PGHOSTADDR");
  return !all_local(address.empty() ? effective(options, "host", "PGHOST") : address);
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

// libpq before 16 knows no system CAs by itself: verify-full fails unless a file is named.
void default_root_certificate(Options& options) {
  static const std::string system_file = "/etc/ssl/certs/ca-certificates.crt";
  const char* home = getenv("HOME");
  if (home != nullptr && exists(std::string(home) + "/.postgresql/root.crt")) return;
  if (exists(system_file)) set_default(options, "sslrootcert", "PGSSLROOTCERT", system_file);
}

// True where TLS is verified because we say so, and not who configured it.
bool default_tls(Options& options) {
  // A service file may name host and sslmode, and what we set here would override it: leave it its say.
  if (given(options, "service", "PGSERVICE") || given(options, "sslmode", "PGSSLMODE")) return false;
  const bool verified = goes_abroad(options);
  options["sslmode"] = verified ? "verify-full" : "prefer";
  if (verified) default_root_certificate(options);
  return verified;
}

// What is asked for, and whether verifying TLS is our own doing.
struct Wanted {
  Options options;
  bool verified_by_default = false;
};

Wanted complete(const Address& address) {
  auto options = parse_dsn(address.dsn);
  if (!address.password.empty()) options["password"] = address.password;
  options["client_encoding"] = "UTF8";
  set_default(options, "application_name", "PGAPPNAME", address.application_name);
  // A peer that vanished is noticed in about half a minute, idle or not. To the kernel a server whose buffers are full
  // because it is busy is no other.
  set_default(options, "keepalives_idle", nullptr, "15");
  set_default(options, "keepalives_interval", nullptr, "5");
  set_default(options, "keepalives_count", nullptr, "3");
  set_default(options, "tcp_user_timeout", nullptr,
              std::to_string(std::max(milliseconds(30'000), address.longest_statement).count()));
  const bool verified = default_tls(options);
  return {std::move(options), verified};
}

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t at = 0, comma = 0; comma != std::string::npos; at = comma + 1) {
    comma = text.find(',', at);
    parts.push_back(text.substr(at, comma - at));
  }
  return parts;
}

void append(std::string& list, const std::string& part, bool first) { list += (first ? "" : ",") + part; }

// libpq looks names up by itself, for as long as the resolver likes, and none of the hosts behind is tried meanwhile.
// So it is given no name of which there is no answer in time; of one that does not exist it says so itself.
void drop_unanswered(Options& options, Deadline deadline, const Stop* stop) {
  if (given(options, "hostaddr", "PGHOSTADDR") || given(options, "service", "PGSERVICE")) return;
  const std::string all = effective(options, "host", "PGHOST");
  const auto hosts = split_at_commas(all), ports = split_at_commas(effective(options, "port", "PGPORT"));
  std::string kept, kept_ports, why;
  size_t count = 0;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const bool named = !hosts[i].empty() && hosts[i].front() != '/' && hosts[i].front() != '@';
    const Deadline share = hosts.size() == 1 ? deadline : Deadline::in(milliseconds(deadline.poll_timeout() / 2));
    if (const Lookup found = named ? look_up(hosts[i], share, stop) : Lookup{}; !found.in_time) {
      why = found.why;
      continue;
    }
    append(kept, hosts[i], count == 0);
    if (ports.size() == hosts.size()) append(kept_ports, ports[i], count == 0);
    ++count;
  }
  if (count == 0)
    throw Failure(Remedy::reconnect, "cannot connect to PostgreSQL: cannot find the address of its host " + all + ": " +
                                         why + "; check the host in the configuration and the name server");
  if (count == hosts.size()) return;
  options["host"] = kept;
  if (ports.size() == hosts.size()) options["port"] = kept_ports;
}

PGconn* start(const Options& options) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : options) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  // 0: a dbname is a database's name, never another DSN
  return PQconnectStartParams(names.data(), values.data(), 0);
}

std::string describe(PGconn* conn) {
  auto text = [](const char* value) { return std::string(value == nullptr ? "" : value); };
  auto host = text(PQhost(conn));
  return "database " + text(PQdb(conn)) + " on " + (host.empty() ? "the local socket" : host) + ":" +
         text(PQport(conn));
}

// TLS did not come about, and the address and what is behind it are not to blame.
bool failed_over_tls(PGconn* conn, const std::string& why) {
  // The server may speak of SSL too (pg_hba.conf), but then it is reached over it.
  return PQsslInUse(conn) == 0 &&
         (why.find("SSL") != std::string::npos || why.find("certificate") != std::string::npos);
}

[[noreturn]] void refuse(PGconn* conn, const std::string& secret, bool verified_by_default) {
  const std::string why = tidy(PQerrorMessage(conn), secret);
  std::string remedy =
      "check that the server runs, and the host, port, user, password and database in the configuration";
  if (verified_by_default && failed_over_tls(conn, why))
    remedy =
        "TLS is verified beyond this machine where the DSN says nothing else: give it sslrootcert=FILE with the "
        "authority that signed the server's certificate, or the sslmode that you want";
  throw Failure(Remedy::reconnect, "cannot connect to " + describe(conn) + ": " + why + "; " + remedy);
}

void handshake(PGconn* conn, const std::string& secret, bool verified_by_default, Deadline deadline, const Stop* stop) {
  // libpq: before the first PQconnectPoll behave as if it had said WRITING
  auto status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK) {
    if (status == PGRES_POLLING_FAILED) refuse(conn, secret, verified_by_default);
    if (!wait_socket(PQsocket(conn), status == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, stop)) {
      bool stopped = stop != nullptr && stop->requested();
      throw Failure(Remedy::reconnect, "gave up connecting to " + describe(conn) +
                                           (stopped ? ": asked to stop"
                                                    : ": no answer in time; check that the host is reachable and no "
                                                      "firewall drops the packets"));
    }
    status = PQconnectPoll(conn);
  }
}

}  // namespace

bool wait_socket(int fd, short events, Deadline deadline, const Stop* stop) {
  for (;;) {
    pollfd entries[2] = {{fd, events, 0}, {stop == nullptr ? -1 : stop->fd(), POLLIN, 0}};
    int ready = ::poll(entries, 2, deadline.poll_timeout());
    if (entries[1].revents != 0) return false;
    if (ready > 0) return true;
    if (deadline.passed()) return false;
  }
}

std::string tidy(const char* text, const std::string& secret) {
  std::string line = text == nullptr ? "" : text;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  for (size_t at; (at = line.find('\n')) != std::string::npos;) line.replace(at, 1, "; ");
  // Shorter ones would blot out ordinary words, and libpq does not print passwords on purpose.
  if (secret.size() < 4) return line;
  for (size_t at; (at = line.find(secret)) != std::string::npos;) line.replace(at, secret.size(), "***");
  return line;
}

void Connection::Impl::on_notice(void* self, const PGresult* notice) {
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  auto* impl = static_cast<Impl*>(self);
  if (severity != nullptr && std::string_view(severity) == "WARNING") ++impl->warnings;
  const char* text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
  if (text != nullptr && impl->told_of_notices) impl->told_of_notices(text);
  log::debug("postgres", "notice",
             {{"severity", severity == nullptr ? "" : severity}, {"text", text == nullptr ? "" : text}});
}

void check_dsn(const std::string& dsn) { parse_dsn(dsn); }

Connection Connection::open(const Address& address, Deadline deadline, const Stop* stop) {
  auto [options, verified_by_default] = complete(address);
  auto impl = std::make_unique<Impl>();
  impl->secret = effective(options, "password", "PGPASSWORD");
  drop_unanswered(options, deadline, stop);
  impl->conn.reset(start(options));
  if (!impl->conn) throw Failure(Remedy::stop, "out of memory while connecting to PostgreSQL");
  if (PQstatus(impl->raw()) == CONNECTION_BAD) refuse(impl->raw(), impl->secret, verified_by_default);
  handshake(impl->raw(), impl->secret, verified_by_default, deadline, stop);
  PQsetnonblocking(impl->raw(), 1);
  PQsetNoticeReceiver(impl->raw(), Impl::on_notice, impl.get());
  impl->place = describe(impl->raw());
  return Connection(std::move(impl));
}

}  // namespace muskrat::pg
