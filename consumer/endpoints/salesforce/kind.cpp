// The entry of the endpoint kind `salesforce`: its options, what `muskrat check` says of them, and what it would send.
#include <array>

#include "common/salesforce_login.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/api/client.hpp"
#include "consumer/endpoints/salesforce/describe.hpp"
#include "consumer/endpoints/salesforce/endpoint.hpp"
#include "consumer/endpoints/salesforce/records.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat {
namespace {

using namespace salesforce;

constexpr std::array own_options{
    Option{"object", OptionType::text, "", "", "The sObject's API name, such as Contact or Plan__c.", true},
    Option{"external_id", OptionType::text, "", "",
           "The API name of the field, marked as External ID and Unique, by which records are told apart.", true},
    Option{"api_version", OptionType::text, "65.0", "", "The version of the REST API, from 46.0."},
    Option{"deletes", OptionType::choice, "delete", "delete|skip",
           "What becomes of events that delete a row: the record is deleted, each by a call of its own; or they are "
           "passed over."},
    Option{
        "bulk_from", OptionType::integer, "0", "0..10000",
        "How many upserts one delivery holds at least for them to go as one job of Bulk API 2.0, not as collections; "
        "batch_size and prefetch must be as large. 0: never."},
    Option{"parents", OptionType::text_list, "", "",
           "Members of the record that name its parent by its id, such as AccountId: no two calls under way name one "
           "parent, for whose lock they would fight. Relationships by external id count by themselves."},
    Option{"unanswered_rest", OptionType::duration, "2m", "0ms..10m",
           "How long external ids rest after a call that got no answer and may still be at work at Salesforce."},
    Option{"quota_share", OptionType::integer, "80", "1..100",
           "The percentage of the org's daily API calls, used by whomever, at which the endpoint parks until there are "
           "more again."},
    Option{"response_bytes", OptionType::bytes, "1MiB", "64KiB..1GiB", "How much of an answer is read, decompressed."},
    state::guard_option,
    state::guard_key_option,
    state::seen_for_option,
};

// A batch is what one call holds; its own deadline is longer than Salesforce's slow triggers take.
constexpr std::array own_defaults{
    KindDefault{"batch_size", "200"},
    KindDefault{"timeout", "3m"},
};

OptionTable options() {
  static const std::vector<Option> all =
      joined({login_options(), own_options, api::client_options(), mapping_options()});
  return all;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_login(settings, problems);
  check_mapping(settings, problems);
  check_records(settings, problems);
  for (const char* name : {"batch_size", "prefetch"})
    if (settings.knows(name) && settings.integer(name) < settings.integer("bulk_from"))
      problems.push_back({settings.where("bulk_from"), std::string("bulk_from: no delivery is ever as large, for ") +
                                                           name + " is " + std::to_string(settings.integer(name))});
  if (settings.integer("bulk_from") > 0 && settings.knows("held_most") &&
      settings.integer("held_most") < settings.integer("batch_size"))
    problems.push_back({settings.where("bulk_from"),
                        "bulk_from: held_most is " + std::to_string(settings.integer("held_most")) +
                            ", less than a job of " + std::to_string(settings.integer("batch_size")) +
                            " events (batch_size): while these wait for one that is at work still, the whole "
                            "endpoint would; set held_most to the prefetch",
                        false});
}

Explanation explain(const Component& component, const Event& event) {
  Outcome outcome;
  const auto record = Records(component.settings).record(event, outcome);
  if (!record)
    return {outcome.fate == Outcome::Fate::skipped ? Explanation::Fate::skips : Explanation::Fate::dead,
            outcome.reason};
  if (!record->remove) return {Explanation::Fate::sends, record->text};
  return {Explanation::Fate::sends, json::Object()
                                        .add("delete", component.settings.text("object"))
                                        .add(component.settings.text("external_id"), record->external_id)
                                        .text()};
}

bool each_is_a_call(const Settings&) { return false; }

}  // namespace

const EndpointKind& salesforce_endpoint() {
  static const EndpointKind kind{{"salesforce", "upserts records of Salesforce by external id, and deletes them",
                                  options(), validate, 10, own_defaults},
                                 salesforce::make_endpoint,
                                 2,
                                 true,
                                 milliseconds(500),
                                 explain,
                                 nullptr,  // not compared yet
                                 each_is_a_call,
                                 salesforce::describe};
  return kind;
}

}  // namespace muskrat
