// Hashes, HMAC and base64. OpenSSL's headers are included in digest.cpp alone.
//
// Used by the http endpoint (signatures, ids of batches) and by who checks others' signatures. SHA-1 is for those that
// are made with it. Thread rule: free functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace muskrat {

std::string sha256(std::string_view data);                             // 32 bytes
std::string hmac_sha256(std::string_view key, std::string_view data);  // 32 bytes
std::string sha1(std::string_view data);                               // 20 bytes
std::string hmac_sha1(std::string_view key, std::string_view data);    // 20 bytes
// Whether two are the same, in a time that does not tell where they differ.
bool same_secret(std::string_view given, std::string_view expected);
std::string hex(std::string_view bytes);
std::string base64(std::string_view bytes);                     // with padding
std::optional<std::string> from_base64(std::string_view text);  // nullopt for what is none

}  // namespace muskrat
