// Hashes, HMAC and base64. OpenSSL's headers are included in digest.cpp alone.
//
// Used by the http endpoint (signatures, ids of batches). Thread rule: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace muskrat {

std::string sha256(std::string_view data);                             // 32 bytes
std::string hmac_sha256(std::string_view key, std::string_view data);  // 32 bytes
std::string hex(std::string_view bytes);
std::string base64(std::string_view bytes);                     // with padding
std::optional<std::string> from_base64(std::string_view text);  // nullopt for what is none

}  // namespace muskrat
