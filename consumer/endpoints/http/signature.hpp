// Signatures of requests as Standard Webhooks has them (https://www.standardwebhooks.com): the receiver verifies
// webhook-signature over "<webhook-id>.<webhook-timestamp>.<body>" with the secret it shares with us.
//
// Used by the http endpoint. Thread rule: free functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace muskrat::http_endpoint {

// "whsec_" and base64, or any other text as it is; nullopt for a whsec_ that is no base64.
std::optional<std::string> signing_key(const std::string& secret);
// "v1,<base64>" for each key, separated by spaces: while secrets are rotated, the receiver takes either.
std::string signature(const std::vector<std::string>& keys, const std::string& id, int64_t timestamp_s,
                      const std::string& body);

}  // namespace muskrat::http_endpoint
