#include "relay/sources/braintree.hpp"

#include "relay/scheduled/instant.hpp"
#include "relay/scheduled/reader.hpp"
#include "relay/scheduled/source.hpp"
#include "relay/sources/braintree_reader.hpp"

namespace muskrat::braintree {
namespace {

constexpr Option own_options[] = {
    {"object", OptionType::choice, "", "transactions|customers|subscriptions", "What is read.", true},
    {"key", OptionType::text_list, "id", "", "The members that identify a record; they are its ordering key."},
    {"start", OptionType::text, "2007-01-01", "",
     "Of what age records are: so long ago, or a date or time; what was created before is left out of scans."},
    {"overlap", OptionType::duration, "15m", "1m..7d",
     "Each run begins so long before the last one's end, for what becomes visible late; repeats are known."},
    {"rescan", OptionType::duration, "30d", "1d..366d",
     "Transactions that were created so long ago or later are looked at in each scan; of all else a scan sees all."},
    {"rescan_every", OptionType::duration, "1d", "1m..366d",
     "How often all is looked at anew, for changes that no search finds."},
    {"deletes", OptionType::choice, "scan", "scan|none",
     "Of customers, the only ones that can be deleted: whether those that a scan of all does not find, and Braintree "
     "does not know by their id, are told as deleted."},
    {"most_deleted", OptionType::integer, "50", "0..100",
     "A run in which more of the known customers than so many percent are gone, and at least 100, fails before it "
     "tells "
     "of the first."},
    {"search_limit", OptionType::integer, "", "2..1000000",
     "How many results Braintree gives to one search at most. Default: 20000 transactions, 10000 of all else."},
};

// The routing key has a default here.
std::vector<Option> scheduled_with_template() {
  const OptionTable all = scheduled_options();
  std::vector<Option> table(all.begin(), all.end());
  for (Option& option : table) {
    if (option.name != "routing_key") continue;
    option.required = false;
    option.default_value = "Braintree.{object}.{change}";
    option.help = "The events' routing key; {path} stands for that member of the record.";
  }
  return table;
}

OptionTable options() {
  static const std::vector<Option> scheduled = scheduled_with_template();
  static const std::vector<Option> all = joined({own_options, gateway_options(), scheduled});
  return all;
}

void validate(const Settings& settings, std::vector<Problem>& problems) {
  check_scheduled(settings, problems);
  check_gateway(settings, problems);
  if (settings.texts("key").empty()) problems.push_back({settings.where("key"), "key: it names no member"});
  if (tells_deletions(settings) && settings.texts("key") != std::vector<std::string>{"id"})
    problems.push_back(
        {settings.where("key"), "key: a deleted customer is known by id alone; let key be id, or deletes be none"});
  if (!instant_of(settings.text("start")))
    problems.push_back({settings.where("start"), "start: give a duration such as 30d, or a time such as 2026-01-01"});
}

class Reader : public RecordReader {
 public:
  explicit Reader(const Component& component) : settings_(component.settings) {}

  std::string shape() const override { return settings_.text("object") + ": reached, scanned, begun, place"; }
  void read(Run& run) override { Reading(settings_, run).read(); }
  std::vector<std::string> probe(const Stop& stop) override;

 private:
  const Settings& settings_;
};

// A minute of long ago: nothing is found, and it is seen whether we may search.
std::vector<std::string> Reader::probe(const Stop& stop) {
  constexpr int64_t long_ago = 1'167'609'600'000'000, minute = 60'000'000;
  Gateway(settings_, stop, nullptr).find(criteria_text({"created-at"}, long_ago, long_ago + minute));
  return {"Braintree lets us search for " + settings_.text("object")};
}

std::unique_ptr<RecordReader> make(const Component& component) { return std::make_unique<Reader>(component); }

}  // namespace

const SourceKind kind{
    {"braintree",
     "Transactions, customers or subscriptions of a Braintree merchant that are new or changed, on a schedule.",
     muskrat::braintree::options(), muskrat::braintree::validate},
    nullptr,
    muskrat::braintree::make};

}  // namespace muskrat::braintree
