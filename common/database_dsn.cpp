#include "common/database_dsn.hpp"

#include <string>

#include "common/mysql.hpp"
#include "common/pg.hpp"

namespace muskrat {
namespace {

void check(const Settings& settings, std::string_view option, std::vector<Problem>& problems,
           void (*parse)(const std::string& dsn)) {
  if (!settings.given(option)) return;
  try {
    parse(settings.text(option));
  } catch (const Failure& failure) {
    problems.push_back({settings.where(option), std::string(option) + ": " + failure.what(), true});
  }
}

}  // namespace

void check_postgres_dsn(const Settings& settings, std::string_view option, std::vector<Problem>& problems) {
  check(settings, option, problems, pg::check_dsn);
}

void check_mysql_dsn(const Settings& settings, std::string_view option, std::vector<Problem>& problems) {
  check(settings, option, problems, [](const std::string& dsn) { mysql::parse_dsn(dsn); });
}

bool names_mysql(std::string_view dsn) { return dsn.starts_with("mysql:") || dsn.starts_with("mariadb:"); }

}  // namespace muskrat
