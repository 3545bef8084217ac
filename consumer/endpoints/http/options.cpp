#include "consumer/endpoints/http/options.hpp"

#include <array>
#include <vector>

#include "common/document_mapping.hpp"
#include "consumer/endpoints/api/client.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat::http_endpoint {
namespace {

constexpr std::array header_options{
    Option{"name", OptionType::text, "", "", "The header's name.", true},
    Option{"value", OptionType::text, "", "", "Its value, a template as in url.", true},
};

constexpr std::array own_options{
    Option{"url", OptionType::text, "", "",
           "Where the requests go: a template with places for members of the body and facts of the event, such as "
           "https://api.example.com/customers/{id}?on={$action}; what is filled in is percent-encoded.",
           true},
    Option{"method", OptionType::text, "POST", "", "The request's method."},
    Option{"delete_method", OptionType::text, "", "",
           "The method for events that delete a row, such as DELETE (sent without a body). Default: method."},
    Option{"headers", OptionType::records, "", "",
           "More headers; a template may not bring a control character into one, such an event is a dead letter.",
           false, header_options},
    Option{"payload", OptionType::choice, "body", "body|event",
           "What is sent of each event: its body alone, or the event with its facts as the file endpoint writes it."},
    Option{"batch", OptionType::choice, "single", "single|array|lines",
           "One request for each event, or one for many: as a JSON array, or as JSON lines (application/x-ndjson). "
           "Events whose templates come out differently never share one."},
    Option{"results", OptionType::choice, "none", "none|expected",
           "Whether the answer to a batch holds a result for each record; with none, its status counts for all."},
    Option{"username", OptionType::text, "", "", "The user for basic authentication."},
    Option{"password", OptionType::secret, "", "", "The password for basic authentication; read anew at each connect."},
    Option{"bearer", OptionType::secret, "", "", "The token for Authorization: Bearer; read anew at each connect."},
    Option{"signing_secret", OptionType::secret, "", "",
           "Sign each request as Standard Webhooks has it, with this secret (whsec_ and base64, or any text)."},
    Option{"signing_secret_old", OptionType::secret, "", "",
           "A second secret to sign with, while receivers move from the old one to the new."},
    Option{"idempotency_header", OptionType::text, "Idempotency-Key", "",
           "The header that carries the message_id (for a batch: a hash of all); \"\" sends none."},
    Option{"retry_on", OptionType::text_list, "", "",
           "Statuses that are the event's failure and may pass, beside the usual ones, such as 404 or 4xx."},
    Option{"dead_on", OptionType::text_list, "", "", "Statuses that make the event a dead letter."},
    Option{"park_on", OptionType::text_list, "", "",
           "Statuses that are the endpoint's failure: it stops consuming for a while."},
    Option{"response_bytes", OptionType::bytes, "1MiB", "1KiB..1GiB", "How much of an answer is read, decompressed."},
    Option{"private_networks", OptionType::choice, "allow", "allow|refuse",
           "Whether connections into private networks (and loopback, link-local) are made; looked at on the address "
           "itself, so a name that resolves there is refused too."},
    state::guard_option,
    state::guard_key_option,
    state::seen_for_option,
};

}  // namespace

OptionTable options() {
  static const std::vector<Option> all = joined({own_options, api::client_options(), mapping_options()});
  return all;
}

}  // namespace muskrat::http_endpoint
