// The entry of the endpoint kind `marketo`: its options, what `muskrat check` says of them, and what it would send.
#include <array>

#include "consumer/endpoints.hpp"
#include "consumer/endpoints/api/client.hpp"
#include "consumer/endpoints/marketo/describe.hpp"
#include "consumer/endpoints/marketo/endpoint.hpp"
#include "consumer/endpoints/marketo/target.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat {
namespace {

using namespace marketo;

constexpr std::array own_options{
    Option{"url", OptionType::text, "", "",
           "The instance's address without /rest, such as https://123-ABC-456.mktorest.com (Admin, Web Services).",
           true},
    Option{"identity_url", OptionType::text, "", "",
           "The address of its identity service, without /oauth. Default: url with /identity."},
    Option{"client_id", OptionType::text, "", "", "The client id of the API user's service (Admin, LaunchPoint).",
           true},
    Option{"client_secret", OptionType::secret, "", "", "Its client secret; read anew with each token.", true},
    Option{"action", OptionType::choice, "createOrUpdate", "createOrUpdate|createOnly|updateOnly",
           "Whether leads that are not there are made, and those that are there changed."},
    Option{
        "lookup_field", OptionType::text, "email", "",
        "The field by which Marketo finds a lead; it must be in every one. A row whose value of it changes is another "
        "lead from then on: where addresses change, let it be a field of yours that holds the row's id. No two calls "
        "with one value of it are ever under way."},
    Option{"object", OptionType::text, "", "",
           "The API name of a custom object, such as car_c: events become its objects, and not leads."},
    Option{"dedupe_fields", OptionType::text_list, "", "",
           "The custom object's dedupe fields, by which Marketo finds its objects; they must be in every one, and no "
           "two calls with the same values of them are ever under way."},
    Option{"partition", OptionType::text, "", "", "The lead partition for new leads. Default: the API user's."},
    Option{"missing_lead", OptionType::choice, "dead", "dead|retry",
           "What becomes of an event whose lead is not there (1004: with action: updateOnly, or a custom object before "
           "its lead): a dead letter, or tried again first, for leads that others make."},
    Option{"deletes", OptionType::choice, "dead", "dead|skip|apply",
           "What becomes of events that delete a row: dead letters, passed over, or the lead (or custom object) is "
           "deleted in Marketo too."},
    Option{
        "bulk_from", OptionType::integer, "0", "0..10000",
        "How many records that are made or changed one delivery holds at least for them to go as one bulk import, not "
        "as calls; batch_size and prefetch must be as large. 0: never."},
    Option{"bulk_look", OptionType::duration, "10s", "100ms..1m",
           "How often an import is looked at until Marketo is done with it; each look is a call."},
    Option{"unanswered_rest", OptionType::duration, "90s", "0ms..10m",
           "How long the keys of a call rest that got no answer, or whose host was killed, and that may still be at "
           "work at Marketo. With object it is 130s where nothing is given: Marketo works on custom objects for up to "
           "two minutes."},
    Option{"response_bytes", OptionType::bytes, "4MiB", "64KiB..1GiB", "How much of an answer is read, decompressed."},
    state::guard_option,
    state::guard_key_option,
    state::seen_for_option,
};

// Adobe asks integrations for no more than half of what Marketo takes (100 calls in 20 s, 10 at once): with five lanes,
// five at once. Calls are dear, so that enough events are in hand to fill each lane's; and the keys of five lanes'
// calls may rest, with what follows them.
constexpr std::array own_defaults{
    KindDefault{"batch_size", "300"},
    KindDefault{"prefetch", "6000"},
    KindDefault{"held_most", "4000"},
    KindDefault{"rate", "50 per 20s"},
    KindDefault{"quota_zone", "America/Chicago"},
    KindDefault{"timeout", "3m"},
};

OptionTable options() {
  static const std::vector<Option> all = joined({own_options, api::client_options(), mapping_options()});
  return all;
}

void check_url(const Settings& settings, const char* name, std::vector<Problem>& problems) {
  const std::string& url = settings.text(name);
  const auto wrong = [&](const std::string& what) {
    problems.push_back({settings.where(name), std::string(name) + ": " + what});
  };
  const std::string_view rest = std::string_view(url).substr(std::min(url.size(), size_t{7}));
  const bool near = rest.starts_with("localhost") || rest.starts_with("127.") || rest.starts_with("[::1]");
  if (url.starts_with("http://") ? !near : !url.starts_with("https://"))
    return wrong("it begins with no https://, and the secret would travel in clear text");
  if (url.find_first_of("?# ") != std::string::npos) return wrong("it holds more than an address: ?, # or a space");
  if (url.ends_with("/rest") || url.ends_with("/rest/")) wrong("leave out /rest at its end");
}

void check_bulk(const Settings& settings, std::vector<Problem>& problems) {
  const int64_t from = settings.integer("bulk_from");
  const auto wrong = [&](const std::string& what) {
    problems.push_back({settings.where("bulk_from"), "bulk_from: " + what});
  };
  if (from == 0) return;
  if (settings.knows("timeout") && settings.duration("timeout") < settings.duration("bulk_look") * 2)
    wrong("timeout is shorter than two looks of bulk_look");
  if (settings.text("action") != "createOrUpdate") wrong("Marketo imports with action: createOrUpdate alone");
  for (const char* name : {"batch_size", "prefetch"})
    if (settings.knows(name) && settings.integer(name) < from)
      wrong("no delivery is ever as large, for " + std::string(name) + " is " + std::to_string(settings.integer(name)));
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_bulk(settings, problems);
  check_url(settings, "url", problems);
  if (settings.has("identity_url")) check_url(settings, "identity_url", problems);
  check_target(settings, problems);
}

// The request that the event alone would make.
Explanation explain(const Component& component, const Event& event) {
  const Target target(component.settings);
  Outcome outcome;
  const auto record = target.record(event, outcome);
  if (!record)
    return {outcome.fate == Outcome::Fate::skipped ? Explanation::Fate::skips : Explanation::Fate::dead,
            outcome.reason};
  // whose id only Marketo knows
  if (record->removes && target.finds_before_delete())
    return {Explanation::Fate::sends, "{\"delete\":" + record->text + "}"};
  const std::array one{&*record};
  return {Explanation::Fate::sends, target.request(one, record->removes)};
}

bool each_is_a_call(const Settings&) { return false; }

}  // namespace

const EndpointKind& marketo_endpoint() {
  static const EndpointKind kind{
      {"marketo", "creates, updates and deletes leads or custom objects in Marketo, many in a call", options(),
       validate, 10, own_defaults},
      marketo::make_endpoint,
      5,
      true,
      milliseconds(500),
      explain,
      nullptr,  // what Marketo holds is not compared
      each_is_a_call,
      describe};
  return kind;
}

}  // namespace muskrat
