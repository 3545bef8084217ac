// Which attachments an endpoint's guard would mix up. The command line is not part of the library, so its source is
// taken in here.
#include <array>

#include "cli/guarded_rows.cpp"  // NOLINT(bugprone-suspicious-include)
#include "consumer/state/guarded.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::unit;
using cli::GuardedRows;

namespace {

constexpr std::array options{Option{"subscribe", OptionType::text_list, "", "", ""}, state::guard_option,
                             state::guard_key_option};

GuardedRows attachment(const std::string& name, const std::string& columns, const std::string& action) {
  return {"frontend", "public.customers", name, "Frontend.Customer", columns, {"Frontend.Customer." + action}, ""};
}
const GuardedRows signup = attachment("Frontend.Customer", R"(["id", "email"])", "Signup");
const GuardedRows plan = attachment("plan changes", R"(["id", "plan"])", "PlanChange");
const GuardedRows orders{"frontend", "public.orders",           "Frontend.Order", "Frontend.Order",
                         "*",        {"Frontend.Order.Insert"}, "customer, day"};

// "" where nothing is wrong; a line for each warning.
std::string warnings_of(const std::string& yaml, const std::vector<GuardedRows>& attached) {
  std::vector<Problem> problems;
  std::string text;
  for (const std::string& warning : cli::guard_warnings(parse_settings(options, yaml, "test", problems), attached))
    text += warning + "\n";
  for (const Problem& problem : problems) fail_msg("%s", describe(problem).c_str());
  return text;
}

void test_guarded_rows_attachments_with_different_columns_are_warned_of(void**) {
  const std::string warning = warnings_of("subscribe: ['Frontend.*']\n", {signup, plan});
  assert_holds(warning, "Frontend.Customer has several attachments with different columns");
  assert_holds(warning, R"(("Frontend.Customer", "plan changes" of public.customers))");
  assert_int_equal(std::count(warning.begin(), warning.end(), '\n'), 1);
}

void test_guarded_rows_attachments_that_tell_the_same_or_go_elsewhere_are_well(void**) {
  const GuardedRows updates = attachment("updates", signup.columns, "Update");
  assert_text(warnings_of("subscribe: ['#']\n", {signup, updates}), "");
  assert_text(warnings_of("subscribe: [Frontend.Customer.Signup]\n", {signup, plan}), "");
  assert_text(warnings_of("subscribe: ['#']\nguard: events\n", {signup, plan, orders}), "");
  GuardedRows elsewhere = plan;
  elsewhere.source = "backend";
  assert_text(warnings_of("subscribe: ['#']\n", {signup, elsewhere}), "");
}

void test_guarded_rows_key_that_spans_rows_needs_a_guard_key(void**) {
  const std::string warning = warnings_of("subscribe: ['Frontend.Order.*']\n", {signup, orders});
  assert_holds(warning, "Frontend.Order are ordered by customer, day, which several rows of public.orders may share");
  assert_holds(warning, "set guard_key");
  assert_text(warnings_of("subscribe: ['#']\nguard_key: [id]\n", {signup, orders}), "");
  assert_text(warnings_of("subscribe: ['Frontend.Customer.*']\n", {signup, orders}), "");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_guarded_rows_attachments_with_different_columns_are_warned_of),
      checked(test_guarded_rows_attachments_that_tell_the_same_or_go_elsewhere_are_well),
      checked(test_guarded_rows_key_that_spans_rows_needs_a_guard_key),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
