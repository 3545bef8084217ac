// What the endpoint kind mysql makes of a time's text. What is none goes to the server as it is, which refuses it.
#include "consumer/endpoints/mysql/target.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using unit::assert_text;

namespace {

void test_mysql_time_with_a_zone_becomes_utc_and_what_is_none_stays_as_it_is(void**) {
  const std::pair<const char*, const char*> cases[] = {
      {"2026-11-25T09:50:00.5+01:00", "2026-11-25 08:50:00.5"},
      {"2026-01-01T00:30:00+01", "2025-12-31 23:30:00"},
      {"2026-01-02T03:04:05.678901Z", "2026-01-02 03:04:05.678901"},
      {"2026-01-02T03:04:05", "2026-01-02 03:04:05"},
      {"2026-01-02 03:04:05.25", "2026-01-02 03:04:05.25"},
      {"1890-01-01T00:00:00+00:53:28", "1889-12-31 23:06:32"},
      {"2026-01-02", "2026-01-02"},
      {"0000-00-00 00:00:00", "0000-00-00 00:00:00"},
      {"2024-02-30T10:00:00Z", "2024-02-30T10:00:00Z"},
      {"2026-01-01T25:61:00Z", "2026-01-01T25:61:00Z"},
      {"0044-03-15T00:00:00+00:00 BC", "0044-03-15T00:00:00+00:00 BC"},
      {"2026-01-01T00:00:00 Europe/Berlin", "2026-01-01T00:00:00 Europe/Berlin"},
      {"infinity", "infinity"},
      {"", ""},
  };
  for (const auto& [text, utc] : cases) assert_text(mysql_target::utc_time(text), utc);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_mysql_time_with_a_zone_becomes_utc_and_what_is_none_stays_as_it_is),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
