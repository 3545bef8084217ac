// Marketo's identity service: client id and secret become an access token.
//
// Used by the marketo endpoint, through common/api_token.hpp. Not counted in Marketo's quota. Failure{reconnect} says
// what to do, and quotes nothing of the answer. Thread rule: the client's.
#pragma once

#include "common/api_token.hpp"
#include "common/http.hpp"
#include "common/options.hpp"

namespace muskrat::marketo {

// The secret is read anew.
api::Token fetch_token(http::Client& client, const Settings& settings, Deadline deadline);

// `url` and `identity_url` without a slash at the end; the latter follows from the former where it is not given.
std::string base_url(const Settings& settings);
std::string identity_url(const Settings& settings);

}  // namespace muskrat::marketo
