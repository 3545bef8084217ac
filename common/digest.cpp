#include "common/digest.hpp"

#include <array>
#include <stdexcept>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace muskrat {
namespace {

const unsigned char* bytes_of(std::string_view data) { return reinterpret_cast<const unsigned char*>(data.data()); }
unsigned char* bytes_of(std::string& data) { return reinterpret_cast<unsigned char*>(data.data()); }

std::string digest(const EVP_MD* kind, size_t bytes, std::string_view data) {
  std::string out(bytes, '\0');
  unsigned size = 0;
  if (EVP_Digest(data.data(), data.size(), bytes_of(out), &size, kind, nullptr) != 1)
    throw std::runtime_error("OpenSSL computes no digest");
  return out;
}

std::string hmac(const EVP_MD* kind, size_t bytes, std::string_view key, std::string_view data) {
  std::string out(bytes, '\0');
  unsigned size = 0;
  if (HMAC(kind, key.data(), static_cast<int>(key.size()), bytes_of(data), data.size(), bytes_of(out), &size) ==
      nullptr)
    throw std::runtime_error("OpenSSL computes no HMAC");
  return out;
}

}  // namespace

std::string sha256(std::string_view data) { return digest(EVP_sha256(), 32, data); }
std::string hmac_sha256(std::string_view key, std::string_view data) { return hmac(EVP_sha256(), 32, key, data); }
std::string sha1(std::string_view data) { return digest(EVP_sha1(), 20, data); }
std::string hmac_sha1(std::string_view key, std::string_view data) { return hmac(EVP_sha1(), 20, key, data); }

bool same_secret(std::string_view given, std::string_view expected) {
  return given.size() == expected.size() && CRYPTO_memcmp(given.data(), expected.data(), given.size()) == 0;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += {digits[byte >> 4], digits[byte & 15]};
  }
  return out;
}

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  out.resize(static_cast<size_t>(EVP_EncodeBlock(bytes_of(out), bytes_of(bytes), static_cast<int>(bytes.size()))));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int size = EVP_DecodeBlock(bytes_of(out), bytes_of(text), static_cast<int>(text.size()));
  if (size < 0 || text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  out.resize(static_cast<size_t>(size) - padding);
  return out;
}

}  // namespace muskrat
