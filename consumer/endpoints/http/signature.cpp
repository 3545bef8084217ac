#include "consumer/endpoints/http/signature.hpp"

#include "common/digest.hpp"

namespace muskrat::http_endpoint {

std::optional<std::string> signing_key(const std::string& secret) {
  constexpr std::string_view prefix = "whsec_";
  return secret.starts_with(prefix) ? from_base64(std::string_view(secret).substr(prefix.size())) : secret;
}

std::string signature(const std::vector<std::string>& keys, const std::string& id, int64_t timestamp_s,
                      const std::string& body) {
  const std::string signed_text = id + "." + std::to_string(timestamp_s) + "." + body;
  std::string text;
  for (const std::string& key : keys) text += (text.empty() ? "v1," : " v1,") + base64(hmac_sha256(key, signed_text));
  return text;
}

}  // namespace muskrat::http_endpoint
