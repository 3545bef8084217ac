#include "consumer/endpoints/marketo/codes.hpp"

#include <algorithm>
#include <array>

#include "common/tame.hpp"
#include "common/time_zone.hpp"

namespace muskrat::marketo {
namespace {

struct Code {
  std::string_view code;
  Whose whose;
  std::string_view words;
};

constexpr std::array codes{
    Code{"500", Whose::later, "an error inside Marketo"},
    Code{"502", Whose::down, "Marketo's gateway got no answer"},
    Code{"600", Whose::setup, "the request reached Marketo without an access token"},
    Code{"601", Whose::token, "the access token is invalid"},
    Code{"602", Whose::token, "the access token has expired"},
    Code{"603", Whose::setup, "access denied: give the API user's role the right to do this"},
    Code{"604", Whose::down, "the request took Marketo too long"},
    Code{"605", Whose::setup, "Marketo does not take this method there"},
    Code{"606", Whose::window, "more than 100 calls in 20 seconds, over all applications"},
    Code{"607", Whose::quota, "the day's quota of calls is used up"},
    Code{"608", Whose::down, "the API is unavailable for now"},
    Code{"609", Whose::setup, "Marketo cannot read the request as JSON"},
    Code{"610", Whose::setup, "there is nothing at this address; look at url"},
    Code{"611", Whose::later, "an error inside Marketo"},
    Code{"612", Whose::setup, "Marketo does not take this content type"},
    Code{"613", Whose::setup, "Marketo cannot read the multipart request"},
    Code{"614", Whose::down, "the subscription cannot be reached"},
    Code{"615", Whose::crowded, "more than 10 calls at once, over all applications"},
    Code{"616", Whose::setup, "the subscription is not of a type that may do this"},
    Code{"703", Whose::setup, "the feature is switched off in this subscription"},
    Code{"713", Whose::down, "a passing error inside Marketo"},
    Code{"719", Whose::down, "Marketo waited too long for a lock"},
    Code{"1001", Whose::dead, "a value is of the wrong type"},
    Code{"1002", Whose::dead, "a required value is missing"},
    Code{"1003", Whose::dead, "invalid data"},
    Code{"1004", Whose::dead, "there is no such lead"},
    Code{"1005", Whose::none, "the lead exists already"},
    Code{"1006", Whose::dead, "there is no such field"},
    Code{"1007", Whose::dead, "several leads match the lookup field; merge them"},
    Code{"1008", Whose::dead, "the API user may not use the partition"},
    Code{"1009", Whose::dead, "a partition must be named"},
    Code{"1010", Whose::dead, "the lead is in another partition"},
    Code{"1011", Whose::dead, "the field is not one that can be looked up by"},
    Code{"1013", Whose::dead, "the object was not found"},
    Code{"1015", Whose::none, "the lead is not in the list"},
    Code{"1016", Whose::later, "too many imports at once"},
    Code{"1017", Whose::dead, "the object exists already"},
    Code{"1018", Whose::setup, "the subscription is tied to a CRM that does not allow this"},
    Code{"1019", Whose::later, "an import into it is under way"},
    Code{"1020", Whose::later, "too many copies of it are being made"},
    Code{"1021", Whose::dead, "a company cannot be changed this way"},
    Code{"1026", Whose::setup, "the subscription does not allow this"},
    Code{"1029", Whose::quota, "the day's quota, or the queue, of jobs is used up"},
    Code{"1036", Whose::dead, "the same record stands twice in the request"},
    Code{"1037", Whose::none, "the lead is as far or further already"},
    Code{"1042", Whose::dead, "refused by Marketo"},
    Code{"1049", Whose::dead, "refused by Marketo"},
    Code{"1077", Whose::dead, "a value is too long for its field"},
};

const Code* find(std::string_view code) {
  const auto found = std::find_if(codes.begin(), codes.end(), [&](const Code& one) { return one.code == code; });
  return found == codes.end() ? nullptr : &*found;
}

}  // namespace

Whose whose_code(std::string_view code) {
  const Code* known = find(code);
  return known == nullptr ? Whose::later : known->whose;
}

std::string code_text(std::string_view code) {
  const Code* known = find(code);
  return tame(code.substr(0, 10)) + ": " + std::string(known == nullptr ? "a code we do not know" : known->words);
}

bool may_still_run(std::string_view code) { return code == "502" || code == "604"; }

milliseconds until_reset(int64_t now_us) {
  const auto zone = TimeZone::find("America/Chicago");
  if (!zone) return std::chrono::hours(1);  // no tzdata: asked again every hour
  return std::chrono::ceil<milliseconds>(std::chrono::microseconds(zone->next_day_begin(now_us) - now_us));
}

}  // namespace muskrat::marketo
