#include "relay/sources/salesforce.hpp"

#include "relay/scheduled/instant.hpp"
#include "relay/scheduled/source.hpp"
#include "relay/sources/salesforce_reader.hpp"

namespace muskrat::salesforce_source {
namespace {

constexpr size_t longest_query = 16'200;  // of a URI of 16,384 bytes, as long as Salesforce takes: the rest is its path

constexpr Option own_options[] = {
    {"object", OptionType::text, "", "", "The object, such as Contact or Invoice__c.", true},
    {"select", OptionType::text_list, "", "",
     "The fields of a record, such as [Email, Account.Name]; Id and the stamp come with them.", true},
    {"where", OptionType::text, "", "", "A condition in SOQL, such as Type = 'Customer'. What leaves it says nothing."},
    {"key", OptionType::text_list, "Id", "", "The fields that identify a record; they are its ordering key."},
    {"mode", OptionType::choice, "incremental", "incremental|snapshot",
     "What is new or changed, by its stamp; or all records each time."},
    {"stamp", OptionType::text, "SystemModstamp", "",
     "The time that grows with every change; of an object without SystemModstamp another, such as LastModifiedDate."},
    {"overlap", OptionType::duration, "5m", "0s..7d",
     "Each run begins so long before the cursor, for what becomes visible late; repeats are known."},
    {"covered", OptionType::boolean, "true", "",
     "The cursor waits for the oldest transaction under way; costs a call in each run."},
    {"start", OptionType::text, "", "", "Where the first run begins: so long ago, or a date or time. Default: all."},
    {"deletes", OptionType::choice, "query", "query|log|none",
     "How deletions are found: in the query, as long as they are in the recycle bin; in Salesforce's list of what was "
     "deleted, with those that were deleted for good; or not."},
    {"own_fields", OptionType::text_list, "", "",
     "The fields that an endpoint of yours writes; what own_users changed in these alone is not told."},
    {"own_users", OptionType::text_list, "", "",
     "The ids of the users as whom your endpoints write. Default: the user as whom this source reads."},
    {"page", OptionType::integer, "2000", "200..2000", "Records in an answer, at most."},
};

// The routing key has a default here.
std::vector<Option> scheduled_with_template() {
  const OptionTable all = scheduled_options();
  std::vector<Option> table(all.begin(), all.end());
  for (Option& option : table) {
    if (option.name != "routing_key") continue;
    option.required = false;
    option.default_value = "Salesforce.{object}.{change}";
    option.help = "The events' routing key; {path} stands for that member of the record.";
  }
  return table;
}

OptionTable options() {
  static const std::vector<Option> scheduled = scheduled_with_template();
  static const std::vector<Option> all = joined({own_options, api_options(), scheduled});
  return all;
}

void check_names(const Settings& settings, const char* option, bool related, std::vector<Problem>& problems) {
  for (const std::string& name : settings.texts(option))
    if (!good_name(name, related))
      problems.push_back({settings.where(option), std::string(option) + ": " + name + " is no name of a field"});
}

// With all that a run may add: the fields it looks at beside those that are asked for, and where it goes on.
std::string longest_soql(const Settings& settings) {
  Query query{settings.text("object"), settings.texts("select"), settings.text("where"), settings.text("stamp")};
  for (const char* field : {"Id", "IsDeleted", "CreatedDate", "LastModifiedById", "CreatedById"})
    query.fields.emplace_back(field);
  query.fields.push_back(query.stamp);
  return soql(query, {wall_clock_us(), std::string(18, '0')});
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_scheduled(settings, problems);
  salesforce::check_login(settings, problems);
  const auto wrong = [&](const char* option, const std::string& text) {
    problems.push_back({settings.where(option), std::string(option) + ": " + text});
  };
  if (!good_name(settings.text("object"), false)) wrong("object", "it is no name of an object");
  if (!good_name(settings.text("stamp"), false)) wrong("stamp", "it is no name of a field");
  check_names(settings, "select", true, problems);
  check_names(settings, "key", true, problems);
  check_names(settings, "own_fields", true, problems);
  if (settings.texts("select").empty()) wrong("select", "it names no field");
  if (settings.texts("key").empty()) wrong("key", "it names no field");
  if (http::percent_encode(longest_soql(settings)).size() > longest_query)
    wrong("select", "Salesforce takes no query so long; name fewer fields, or let where be shorter");
  const std::string& version = settings.text("api_version");
  if (version.size() < 3 || !version.ends_with(".0") || version.find_first_not_of("0123456789") != version.size() - 2)
    wrong("api_version", "give one such as 65.0");
  if (const std::string fault = condition_fault(settings.text("where")); !fault.empty()) wrong("where", fault);
  if (const std::string& start = settings.text("start"); !start.empty() && !instant_of(start))
    wrong("start", "give a duration such as 30d, or a time such as 2026-01-01");
  for (const std::string& user : settings.texts("own_users"))
    if (!is_id(user)) wrong("own_users", "an id of a user has 15 or 18 letters and digits");
  if (settings.text("deletes") == "log" && settings.texts("key") != std::vector<std::string>{"Id"})
    wrong("deletes", "Salesforce's list of what was deleted knows Ids alone; let key be Id");
}

class Reader : public RecordReader {
 public:
  explicit Reader(const Component& component) : settings_(component.settings) {}

  std::string shape() const override {
    return settings_.text("mode") == "snapshot" ? "as_of" : settings_.text("stamp") + ", Id";
  }
  void read(Run& run) override;
  std::vector<std::string> probe(const Stop& stop) override;

 private:
  void check(const Described& described) const;

  const Settings& settings_;
  Session session_;
  std::optional<Described> described_;  // until a run fails
};

void Reader::read(Run& run) {
  try {
    if (!described_) {
      Api api(settings_, session_, run.stop(), &run);
      described_ = describe(settings_, api);
      check(*described_);
    }
    Reading reading(settings_, session_, *described_, run);
    if (settings_.text("mode") == "snapshot")
      reading.snapshot();
    else
      reading.incremental();
  } catch (const Failure&) {
    described_.reset();
    throw;
  }
}

void Reader::check(const Described& described) const {
  const auto refuse = [&](const std::string& why) {
    throw Failure(Remedy::reconnect, "object " + described.object + ": " + why);
  };
  if (settings_.text("deletes") == "log" && !described.replicated)
    refuse("Salesforce keeps no list of what was deleted of it; let deletes be query or none");
  if (settings_.given("deletes") && settings_.text("deletes") == "query" && !described.has("IsDeleted"))
    refuse("it has no IsDeleted; let deletes be none");
  if (!settings_.texts("own_fields").empty() && !described.has("LastModifiedById"))
    refuse("it does not say who changed it last; leave out own_fields");
}

std::vector<std::string> Reader::probe(const Stop& stop) {
  Api api(settings_, session_, stop, nullptr);
  const Described described = describe(settings_, api);
  check(described);
  return {"Salesforce lets us in", "object " + described.object + " has all fields that are asked for"};
}

std::unique_ptr<RecordReader> make(const Component& component) { return std::make_unique<Reader>(component); }

}  // namespace

const SourceKind kind{
    {"salesforce", "Records of an object of a Salesforce org that are new, changed or deleted, on a schedule.",
     muskrat::salesforce_source::options(), muskrat::salesforce_source::validate},
    nullptr,
    muskrat::salesforce_source::make};

}  // namespace muskrat::salesforce_source
