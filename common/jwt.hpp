// JSON Web Tokens signed with RS256 (RFC 7519, RFC 7515). OpenSSL's headers are included in jwt.cpp alone.
//
// Used by logins that prove who we are with a private key (salesforce_login.cpp). Thread rule: free functions.
// What it does not do: verify tokens of others, other algorithms.
#pragma once

#include <string>
#include <string_view>

namespace muskrat {

// base64 with - and _ and without padding.
std::string base64url(std::string_view bytes);
// "" where `pem` holds an RSA private key that signs without a passphrase; else what is wrong with it, without its
// text.
std::string wrong_with_private_key(const std::string& pem);
// header.claims.signature. Failure{reconnect} for a key that does not do.
std::string signed_jwt(const std::string& pem, const std::string& claims);

}  // namespace muskrat
