// MySQL addresses, and what is left of an error's text.
#include "common/mysql.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

std::string refusal(const std::string& dsn) {
  try {
    mysql::parse_dsn(dsn);
  } catch (const Failure& e) {
    assert_true(e.remedy() == Remedy::reconnect);
    return e.what();
  }
  fail_msg("nothing was refused");
  return "";
}

void test_dsn_with_every_part_is_read(void**) {
  auto at = mysql::parse_dsn("mysql://re%40lay:p%2Fw@db.example.com:3307/front%20end?ssl-ca=/etc/ca.pem");
  assert_text(at.user, "re@lay");
  assert_text(at.password, "p/w");
  assert_text(at.host, "db.example.com");
  assert_int_equal(at.port, 3307);
  assert_text(at.database, "front end");
  assert_text(at.ca, "/etc/ca.pem");
  assert_true(at.tls == mysql::Location::Tls::verify);
  assert_text(at.place(), "database front end on db.example.com:3307");
}

void test_dsn_on_this_machine_needs_no_tls_unless_told(void**) {
  assert_true(mysql::parse_dsn("mysql://u@localhost/d").tls == mysql::Location::Tls::disabled);
  assert_true(mysql::parse_dsn("mariadb://u@127.0.0.1/d").tls == mysql::Location::Tls::disabled);
  assert_true(mysql::parse_dsn("mysql://u@[::1]:3306/d").tls == mysql::Location::Tls::disabled);
  assert_true(mysql::parse_dsn("mysql://u@/d?socket=/run/s").tls == mysql::Location::Tls::disabled);
  assert_true(mysql::parse_dsn("mysql://u@localhost/d?ssl-mode=required").tls == mysql::Location::Tls::required);
  assert_true(mysql::parse_dsn("mysql://u@db/d?ssl-mode=disabled").tls == mysql::Location::Tls::disabled);
  assert_text(mysql::parse_dsn("mysql://u@/d?socket=%2Frun%2Fs").socket, "/run/s");
}

void test_broken_dsn_is_refused_without_being_shown(void**) {
  for (const char* dsn : {"postgres://u:hidden@h/d", "host=h password=hidden", "mysql://u:hidden@h:0/d",
                          "mysql://u:hidden@h/d?sslmode=no", "mysql://u:hidden@h/a/b", "mysql://u:hid%2@h/d",
                          "mysql://u:hidden@h/d?ssl-mode=maybe"}) {
    auto text = refusal(dsn);
    assert_holds(text, "mysql://user@host:port/database");
    assert_lacks(text, "hidden");
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_dsn_with_every_part_is_read),
      checked(test_dsn_on_this_machine_needs_no_tls_unless_told),
      checked(test_broken_dsn_is_refused_without_being_shown),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
