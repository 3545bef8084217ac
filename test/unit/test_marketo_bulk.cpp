// Bulk imports of the kind marketo, and notes of calls under way: what a file holds, what is remembered of it.
#include "common/json.hpp"
#include "consumer/endpoints/api/call_notes.hpp"
#include "consumer/endpoints/api/keys_in_use.hpp"
#include "consumer/endpoints/marketo/csv.hpp"
#include "consumer/endpoints/marketo/imports.hpp"
#include "consumer/state/store.hpp"
#include "test/unit/endpoint_fixture.hpp"
#include "test/unit/unit.hpp"

using namespace muskrat;
using namespace muskrat::marketo;
using namespace muskrat::unit;

namespace {

// ---- the file ----

std::optional<Cells> cells(const std::string& text) {
  Record record;
  record.text = text;
  return cells_of(record);
}

void test_marketo_csv_holds_records_whose_fields_have_values(void**) {
  const auto made =
      cells(R"({"firstName":"Löwe, \"&\"\nSöhne","email":"a@example.com","leadScore":1.50,"optIn":true})");
  assert_true(made.has_value());
  assert_text(csv_header(*made), "email,firstName,leadScore,optIn\n");
  assert_text(csv_row(*made), "a@example.com,\"Löwe, \"\"&\"\"\nSöhne\",1.50,true\n");
}

// What an empty cell would do to a field with a value nobody says.
void test_marketo_csv_is_not_for_what_is_empty_or_may_mean_that(void**) {
  for (const char* text :
       {R"({"email":"a@example.com","firstName":null})", R"({"email":"a@example.com","firstName":""})",
        R"({"email":"a@example.com","firstName":"NULL"})", R"({"email":"a@example.com","email":"b@example.com"})"})
    assert_false(cells(text).has_value());
}

void test_marketo_upload_is_one_part_named_file(void**) {
  const Upload upload = upload_of("email\na@example.com\n");
  const std::string boundary = upload.content_type.substr(upload.content_type.find("boundary=") + 9);
  assert_true(upload.body.starts_with("--" + boundary + "\r\n"));
  assert_true(upload.body.ends_with("\r\n--" + boundary + "--\r\n"));
  assert_holds(upload.body, "name=\"file\"");
  assert_holds(upload.body, "\r\n\r\nemail\na@example.com\n\r\n--");
}

void test_marketo_rows_that_failed_are_told_by_their_key(void**) {
  const Folder folder;
  const Loaded loaded =
      load_endpoint(folder, "marketo", "    url: http://localhost/\n    client_id: a\n    client_secret: ${HOME}\n");
  const Target target(loaded.config.endpoints.front().settings);
  const auto keys = keys_of_rows("email,Import Failure Reason\n A@Example.com,\"no, really\"\n", target);
  assert_true(keys && keys->size() == 1);
  assert_text(*keys->begin(), target.key_of({"a@example.com"}));
  assert_false(keys_of_rows("mail,Import Failure Reason\na,b\n", target).has_value());
  assert_false(keys_of_rows("email,Import Failure Reason\na\n", target).has_value());
  assert_false(keys_of_rows("<html>", target).has_value());
}

// ---- imports ----

void test_imports_event_is_done_by_the_import_that_did_just_it(void**) {
  Imports imports;
  imports.add("3404", {{"a", "v1"}, {"b", "v2"}, {"c", "v3"}}, {});
  assert_true(imports.under_way("a") == "3404");
  assert_true(imports.at_work("3404"));
  assert_false(imports.take_done("a", "v1"));  // not over
  imports.end("3404", {"a", "b"});
  assert_false(imports.under_way("a").has_value());
  assert_false(imports.at_work("3404"));
  assert_true(imports.take_done("a", "v1"));
  assert_false(imports.take_done("a", "v1"));  // told
  assert_false(imports.take_done("b", "v9"));  // another event of the same key
  assert_true(imports.take_told().empty());
  assert_false(imports.take_done("c", "v3"));  // it failed there
  assert_true(imports.take_told() == std::vector<std::string>{"3404"});
  assert_int_equal(imports.rows("3404"), 0);
}

void test_imports_note_is_read_as_it_was_written(void**) {
  std::string why;
  const auto note = json::Document::parse(
      Imports::note_text("3404", {{"a", "v1"}, {"b", "v2"}}, {"crm", 1'700'000'000'000'001}), why);
  Imports imports;
  assert_true(imports.add_noted(note->root()));
  assert_int_equal(imports.rows("3404"), 2);
  assert_text(imports.origin("3404").endpoint, "crm");
  assert_int_equal(imports.origin("3404").since_us, 1'700'000'000'000'001);
  imports.end("3404", {"a", "b"});
  assert_true(imports.take_done("b", "v2"));
  const auto other = json::Document::parse(R"({"keys":["a"]})", why);
  assert_false(imports.add_noted(other->root()));
}

// ---- notes ----

struct NotesFixture {
  Folder folder;
  Settings consumer;
  NotesFixture() {
    std::vector<Problem> problems;
    consumer = parse_settings(consumer_options(), "state: " + (folder / "state.sqlite"), "test", problems);
  }
  std::unique_ptr<state::Store> store() const { return state::open_store(consumer, soon()); }
};

std::vector<std::string> read(api::CallNotes& notes) {
  std::vector<std::string> found;
  notes.read([&](const std::string& id, const std::string&, milliseconds left) {
    assert_true(left > milliseconds(0));
    found.push_back(id);
  });
  return found;
}

void test_notes_of_others_are_read_once_and_forgotten_when_their_time_is_over(void**) {
  const NotesFixture it;
  api::CallNotes first("place 1"), second("place 1");
  first.open(&it.consumer, soon());
  second.open(&it.consumer, soon());
  it.store()->note_call("place 1", {"killed", wall_clock_us() + 60'000'000, "{}"}, soon());
  it.store()->note_call("place 1", {"old", wall_clock_us() - 1, "{}"}, soon());
  first.write("own", "{}", milliseconds(60'000));
  assert_true(read(second) == std::vector<std::string>{"killed"});
  assert_true(read(first).empty());
  assert_int_equal(it.store()->calls("place 1", soon()).size(), 2);
  first.forget("own");
  assert_int_equal(it.store()->calls("place 1", soon()).size(), 1);
}

void test_notes_call_is_noted_without_its_keys_until_it_is_over(void**) {
  const NotesFixture it;
  api::CallNotes notes("place 2");
  notes.open(&it.consumer, soon());
  api::KeysInUse keys;
  const std::string key = api::key_digest("ann@example.com");
  {
    api::HeldKeys held(keys, &notes);
    assert_true(held.add(key));
    held.note(milliseconds(90'000));
    const auto calls = it.store()->calls("place 2", soon());
    assert_int_equal(calls.size(), 1);
    const auto call = it.store()->call("place 2", calls[0].id, soon());
    assert_holds(call->text, key);
    assert_lacks(call->text, "ann");
    std::string why;
    const auto note = json::Document::parse(call->text, why);
    assert_true(api::keys_in(note->root()) == std::vector<std::string>{key});
  }
  assert_true(it.store()->calls("place 2", soon()).empty());
  {
    api::HeldKeys held(keys, &notes);
    assert_true(held.add(key));
    held.note(milliseconds(90'000));
    held.may_run_until(std::chrono::steady_clock::now() + milliseconds(60'000));
  }
  assert_int_equal(it.store()->calls("place 2", soon()).size(), 1);  // nobody knows if it is over
  assert_false(keys.take(key));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      checked(test_marketo_csv_holds_records_whose_fields_have_values),
      checked(test_marketo_csv_is_not_for_what_is_empty_or_may_mean_that),
      checked(test_marketo_upload_is_one_part_named_file),
      checked(test_marketo_rows_that_failed_are_told_by_their_key),
      checked(test_imports_event_is_done_by_the_import_that_did_just_it),
      checked(test_imports_note_is_read_as_it_was_written),
      checked(test_notes_of_others_are_read_once_and_forgotten_when_their_time_is_over),
      checked(test_notes_call_is_noted_without_its_keys_until_it_is_over),
  };
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
