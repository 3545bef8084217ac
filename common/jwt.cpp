#include "common/jwt.hpp"

#include <memory>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "common/digest.hpp"
#include "common/failure.hpp"

namespace muskrat {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// OpenSSL would ask for a passphrase at the terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

Key read_key(const std::string& pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                       BIO_free);
  return {text ? PEM_read_bio_PrivateKey(text.get(), nullptr, no_passphrase, nullptr) : nullptr, EVP_PKEY_free};
}

std::string wrong_with(const Key& key, const std::string& pem) {
  if (!key && pem.find("PRIVATE KEY-----") == std::string::npos)
    return "is no private key in PEM (-----BEGIN PRIVATE KEY-----); a certificate will not do";
  if (!key) return "is a private key that cannot be read: damaged, or it needs a passphrase";
  if (EVP_PKEY_base_id(key.get()) != EVP_PKEY_RSA) return "is no RSA key";
  return "";
}

}  // namespace

std::string base64url(std::string_view bytes) {
  std::string text = base64(bytes);
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::string wrong_with_private_key(const std::string& pem) { return wrong_with(read_key(pem), pem); }

std::string signed_jwt(const std::string& pem, const std::string& claims) {
  const Key key = read_key(pem);
  if (const std::string wrong = wrong_with(key, pem); !wrong.empty())
    throw Failure(Remedy::reconnect, "what is given as private_key " + wrong);
  std::string text = base64url(R"({"alg":"RS256","typ":"JWT"})") + "." + base64url(claims);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  size_t size = 0;
  std::string signature;
  const bool begun = context && EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
                     EVP_DigestSign(context.get(), nullptr, &size, data, text.size()) == 1;
  if (begun) signature.resize(size);
  if (!begun ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, data, text.size()) != 1)
    throw Failure(Remedy::reconnect, "OpenSSL signs nothing with the private_key");
  signature.resize(size);
  return text + "." + base64url(signature);
}

}  // namespace muskrat
