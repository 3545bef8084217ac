// The generator of MySQL triggers: text from plain values. That a server takes the text, test/e2e/test_mysql_capture.py
// shows.
#include "capture_mysql/body_sql.hpp"
#include "capture_mysql/condition.hpp"
#include "capture_mysql/generator.hpp"
#include "capture_mysql/install_sql.hpp"
#include "capture_mysql/value_sql.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat::capture_mysql;
using muskrat::unit::assert_holds;
using muskrat::unit::assert_lacks;
using muskrat::unit::assert_text;

namespace {

Table table() {
  Table t;
  t.schema = "shop";
  t.name = "customers";
  t.columns = {{"id", "int", "int(11)", "", 0, false},
               {"email", "varchar", "varchar(50)", "latin1", 0, false},
               {"a`b", "text", "text", "utf8mb4", 0, false},
               {"since", "timestamp", "timestamp(3)", "", 3, false},
               {"hidden", "int", "int(11)", "", 0, true}};
  t.primary_key = {"id"};
  return t;
}

Options options(const std::string& columns = "*") {
  Options o;
  o.object = "Shop.Customer";
  o.columns = columns;
  return o;
}

// What refusing says; fails when nothing is refused.
std::string refusal(const Options& o, const Table& t = table()) {
  try {
    plan_of(t, o);
  } catch (const Refused& refused) {
    return refused.what();
  }
  fail_msg("nothing was refused");
  return "";
}

void test_quote_names_and_texts_double_their_quotes(void**) {
  assert_text(quote_identifier("a`b"), "`a``b`");
  assert_text(quote_identifier("sel\"ect'"), "`sel\"ect'`");
  assert_text(quote_literal("it's \\ \"x\""), "'it''s \\\\ \"x\"'");
}

void test_plan_of_table_makes_a_trigger_per_operation(void**) {
  const Plan plan = plan_of(table(), options());
  assert_int_equal(plan.triggers.size(), 3);
  for (const Trigger& t : plan.triggers) {
    assert_true(t.name.size() <= 64);
    assert_holds(t.sql, "CREATE DEFINER = 'muskrat_capture'@'localhost' TRIGGER `shop`.`" + t.name + "`");
    assert_lacks(t.sql, "`hidden`");
  }
  assert_holds(plan.triggers[0].sql, "AFTER INSERT ON `shop`.`customers`");
  assert_holds(plan.triggers[0].sql, "'Shop.Customer.Insert'");
}

void test_plan_of_word_left_out_makes_no_trigger(void**) {
  Options o = options();
  o.on_insert.reset();
  o.on_delete.reset();
  const Plan plan = plan_of(table(), o);
  assert_int_equal(plan.triggers.size(), 1);
  assert_holds(plan.triggers[0].sql, "AFTER UPDATE");
}

void test_plan_of_another_definition_has_another_name(void**) {
  Options other = options();
  other.condition = "id > 1";
  assert_text(plan_of(table(), options()).triggers[0].name, plan_of(table(), options()).triggers[0].name);
  assert_string_not_equal(plan_of(table(), options()).triggers[0].name.c_str(),
                          plan_of(table(), other).triggers[0].name.c_str());
}

void test_plan_of_wrong_options_says_why(void**) {
  Options o = options();
  o.object = "Shop";
  assert_holds(refusal(o), "is no routing key");
  assert_holds(refusal(options("")), "no columns are named");
  assert_holds(refusal(options("[\"emial\"]")), "did you mean email?");
  assert_holds(refusal(options("[\"id\",\"id\"]")), "twice");
  assert_holds(refusal(options("[{\"a\":{}}]")), "the columns are no list");
  Table keyless = table();
  keyless.primary_key.clear();
  assert_holds(refusal(options(), keyless), "no primary key");
  Table shapes = table();
  shapes.columns[0].data_type = "geometry";
  assert_holds(refusal(options(), shapes), "has no JSON form");
}

void test_body_members_nest_and_rename_in_order(void**) {
  const Table t = table();
  const auto members = body_members(t, R"(["id",{"in":["email",{"x":"a`b"}]}])");
  const BodySql sql = body_sql(t, members, {&t.columns[0]}, "NEW", 1000);
  assert_holds(sql.whole, "'\"id\":'");
  assert_true(sql.whole.find("\"in\":") < sql.whole.find("\"email\":"));
  assert_holds(sql.whole, "',\"x\":', IF(NEW.`a``b` IS NULL");
  assert_true(sql.can_omit);
  assert_holds(sql.omitted, "',\"in.x\"'");
  assert_holds(sql.omitted, " > LEAST(1000, @@max_allowed_packet) * 3 DIV 4, TRUE)");
  assert_lacks(sql.omitted, "email");
}

void test_value_sql_reads_no_session_setting(void**) {
  const Table t = table();
  assert_holds(value_sql(t.columns[1], "NEW", true), "CONVERT(NEW.`email` USING utf8mb4)");
  for (const bool mariadb : {true, false}) {
    const std::string since = value_sql(t.columns[3], "NEW", mariadb);
    assert_holds(since, "(TIMESTAMP'1970-01-01 00:00:00' + INTERVAL UNIX_TIMESTAMP(NEW.`since`) SECOND)");
    assert_lacks(since, "TIME ZONE");
  }
  assert_holds(changed_sql(t.columns[1]), "CAST(OLD.`email` AS BINARY) <=> CAST(NEW.`email` AS BINARY)");
}

void test_value_sql_of_zeros_before_a_number_adds_it_up(void**) {
  const Column year{"y", "year", "year(4)", "", 0, false}, filled{"n", "int", "int(9) unsigned zerofill", "", 0, false};
  for (const Column& c : {year, filled}) {
    assert_holds(value_sql(c, "NEW", true), "CONCAT(NEW.`" + c.name + "` + 0)");
    assert_holds(key_value_sql(c, "NEW", true), "CONCAT(NEW.`" + c.name + "` + 0)");
  }
}

void test_fits_of_what_cannot_grow_beyond_a_megabyte_asks_packet_and_lengths(void**) {
  const Table t = table();
  assert_text(fits_sql({&t.columns[0], &t.columns[1]}, 10, "NEW"), "@@max_allowed_packet >= 1048576");
  assert_holds(fits_sql({&t.columns[0], &t.columns[2]}, 10, "NEW"),
               "@@max_allowed_packet >= 1048576 AND COALESCE(LENGTH(NEW.`a``b`), 0) <= ");
  assert_text(fits_sql({&t.columns[2]}, 200'000, "NEW"), "FALSE");
  Column members{"members", "enum", "enum('" + std::string(100'000, 'x') + "')", "utf8mb4", 0, false};
  assert_text(fits_sql({&t.columns[2], &members}, 10, "NEW"), "FALSE");
}

void test_generated_column_is_captured_in_mariadb_and_refused_or_left_out_in_mysql(void**) {
  Table t = table();
  t.columns.push_back({"domain", "varchar", "varchar(50)", "utf8mb4", 0, false, true});
  Options watching = options(R"(["id"])"), keyed = watching, conditional = watching;
  watching.changes_of = {"domain"};
  keyed.key = {"domain"};
  conditional.condition = "id > 1 AND Domain <> 'x'";
  const Options naming[] = {options(R"(["id",{"in":["domain"]}])"), watching, keyed, conditional};
  assert_holds(plan_of(t, options()).triggers[0].sql, "NEW.`domain`");
  for (const Options& o : naming) plan_of(t, o);
  t.mariadb = false;
  const Plan all = plan_of(t, options());
  for (const Trigger& trigger : all.triggers) assert_lacks(trigger.sql, "`domain`");
  assert_false(drift_of(t, options(), all.columns_seen).any());
  for (const Options& o : naming) assert_holds(refusal(o, t), "column `domain` is generated");
  t.primary_key = {"domain"};
  assert_holds(refusal(options(), t), "column `domain` is generated");
  t.columns[0].data_type = "geometry";
  assert_lacks(refusal(options(), t), "a generated column can");
}

void test_condition_qualifies_columns_alone(void**) {
  std::vector<std::string> used;
  assert_text(
      qualified_condition(table(), "ID > 1.5e3 AND email LIKE 'id ''email''\\' (' AND id(id) <> `a``b`", "OLD", &used),
      "OLD.`id` > 1.5e3 AND OLD.`email` LIKE 'id ''email''\\' (' AND id(OLD.`id`) <> OLD.`a``b`");
  assert_int_equal(used.size(), 4);
}

void test_condition_of_more_than_an_expression_is_refused(void**) {
  for (const char* wrong :
       {"id = 1; DROP TABLE x", "id = (SELECT 1)", "id = @x", "id -- x", "id /* x", "id # x", "id = 'x", "(id",
        "id) OR (1", "NEW.id", "id = \"x\"", "`nothing`", "customers.id = 1", "id = 'x\\"}) {
    Options o = options();
    o.condition = wrong;
    assert_holds(refusal(o), "the condition ");
  }
}

void test_options_survive_being_stored(void**) {
  Options o = options(R"(["id"])");
  o.on_update.reset();
  o.key = {"a`b"};
  o.condition = "id > 1";
  o.name = "näme \"1\"";
  assert_text(Options::from_json(o.to_json()).to_json(), o.to_json());
  assert_false(Options::from_json(o.to_json()).on_update.has_value());
}

void test_drift_of_altered_table_names_what_changed(void**) {
  const std::vector<std::string> seen = plan_of(table(), options()).columns_seen;
  assert_false(drift_of(table(), options(), seen).any());
  Table now = table();
  now.columns[1].column_type = "varchar(90)";
  now.columns.erase(now.columns.begin() + 2);
  now.columns.push_back({"new", "int", "int(11)", "", 0, false});
  const Drift drift = drift_of(now, options(), seen);
  assert_int_equal(drift.gone.size(), 1);
  assert_text(drift.gone[0], "`a``b`");
  assert_text(drift.changed.at(0), "`email` varchar(50) latin1 is now varchar(90) latin1");
  assert_text(drift.added.at(0), "`new`");
  assert_true(drift_of(now, options("[\"id\"]"), {"`id` int(11)"}).added.empty());
}

// ---- the scripts of muskrat install ----

const char* const script =
    "-- a comment; CREATE nothing\n"
    "CREATE DATABASE IF NOT EXISTS muskrat;\n\n"
    "DELIMITER $$\n"
    "/*!80000 DROP FUNCTION IF EXISTS muskrat.f */ $$\n"
    "CREATE /*M! OR REPLACE */ DEFINER = 'x'@'localhost' FUNCTION muskrat.f(a INT) RETURNS INT\n"
    "    COMMENT 'it''s; one'\nBEGIN\n    RETURN a;\nEND $$\n"
    "DELIMITER ;\n"
    "DO 0;\n";

void test_statements_of_script_are_cut_at_the_delimiter(void**) {
  const std::vector<std::string> statements = statements_of(script);
  assert_int_equal(statements.size(), 4);
  assert_text(statements[0], "CREATE DATABASE IF NOT EXISTS muskrat");
  assert_true(statements[2].ends_with("    RETURN a;\nEND "));
  assert_text(statements[3], "DO 0");
  for (const std::string& statement : statements)
    assert_int_equal(makes_room(statement), statement.starts_with("/*!80000"));
}

// By its comment MySQL's routine is known to be as it should be, or not.
void test_routine_of_another_definition_has_another_comment(void**) {
  const std::vector<std::string> statements = statements_of(script);
  assert_false(routine_of(statements[0]).has_value());
  assert_false(routine_of(statements[1]).has_value());
  const std::optional<Routine> one = routine_of(statements[2]), again = routine_of(statements[2]);
  assert_text(one->kind + " " + one->name, "FUNCTION f");
  assert_text(one->comment.substr(0, 11), "it's; one [");
  assert_holds(one->sql, "COMMENT 'it''s; one" + one->comment.substr(9) + "'\nBEGIN");
  assert_text(again->comment, one->comment);
  std::string other = statements[2];
  other.replace(other.find("RETURN a"), 8, "RETURN 1");
  assert_string_not_equal(routine_of(other)->comment.c_str(), one->comment.c_str());
}

void test_version_problem_of_a_server_too_old_names_what_is_needed(void**) {
  for (const char* good : {"8.0.17", "8.0.36-28", "8.4.3", "9.1.0-commercial", "10.10.2-MariaDB", "11.8.1-MariaDB-log",
                           "10.11.19-MariaDB-0+deb12u1", "nothing", ""})
    assert_text(version_problem(good), "");
  for (const char* old : {"8.0.16", "8.0.4-rc-log", "5.7.44"}) assert_holds(version_problem(old), "needs MySQL 8.0.17");
  for (const char* old : {"10.6.20-MariaDB", "10.9.8-MariaDB-log"})
    assert_holds(version_problem(old), "needs MariaDB 10.10");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_quote_names_and_texts_double_their_quotes),
      checked(test_plan_of_table_makes_a_trigger_per_operation),
      checked(test_plan_of_word_left_out_makes_no_trigger),
      checked(test_plan_of_another_definition_has_another_name),
      checked(test_plan_of_wrong_options_says_why),
      checked(test_body_members_nest_and_rename_in_order),
      checked(test_value_sql_reads_no_session_setting),
      checked(test_value_sql_of_zeros_before_a_number_adds_it_up),
      checked(test_fits_of_what_cannot_grow_beyond_a_megabyte_asks_packet_and_lengths),
      checked(test_generated_column_is_captured_in_mariadb_and_refused_or_left_out_in_mysql),
      checked(test_condition_qualifies_columns_alone),
      checked(test_condition_of_more_than_an_expression_is_refused),
      checked(test_options_survive_being_stored),
      checked(test_drift_of_altered_table_names_what_changed),
      checked(test_statements_of_script_are_cut_at_the_delimiter),
      checked(test_routine_of_another_definition_has_another_comment),
      checked(test_version_problem_of_a_server_too_old_names_what_is_needed),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
