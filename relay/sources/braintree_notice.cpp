#include "relay/sources/braintree_notice.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "common/digest.hpp"
#include "common/json.hpp"
#include "common/xml.hpp"
#include "relay/sources/braintree_records.hpp"

namespace muskrat::braintree {
namespace {

constexpr size_t shortest_challenge = 20, longest_challenge = 32;

bool hex_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool base64_letter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/' || c == '=' || c == '\n';
}

std::optional<std::string> decoded(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') plain += ' ';
    if (text[i] != '+' && text[i] != '%') plain += text[i];
    if (text[i] != '%') continue;
    unsigned char byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), byte, 16);
    if (digits.size() != 2 || read.ec != std::errc() || read.ptr != digits.data() + 2) return std::nullopt;
    plain += static_cast<char>(byte);
    i += 2;
  }
  return plain;
}

std::vector<std::string_view> parts_of(std::string_view text, char between) {
  std::vector<std::string_view> parts;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find(between, from), text.size());
    parts.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

std::string signature_of(const Keys& keys, std::string_view text) {
  return hex(hmac_sha1(sha1(keys.private_key), text));
}

// The line end that a payload has last is lost where frameworks strip a form's values.
bool is_signed_by(const Keys& keys, std::string_view hex, std::string_view payload) {
  const bool as_it_is = same_secret(hex, signature_of(keys, payload));
  const bool with_its_end = same_secret(hex, signature_of(keys, std::string(payload) + "\n"));
  return as_it_is || with_its_end;
}

// "subscription": Subscription; "local-payment": LocalPayment
std::string object_name(std::string_view element) {
  std::string name;
  bool upper = true;
  for (const char c : element) {
    if (c != '-' && c != '_') name += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = c == '-' || c == '_';
  }
  return name;
}

// What the notification is about. Some kinds have no id, but another member that tells theirs apart; and some have none
// at all (a check, a revoked access): each of these is a thing of its own, or a late one would pass for an old state of
// another.
std::string id_of(const xml::Element& about, std::string_view notification) {
  for (const char* name : {"id", "token", "payment-id", "merchant-public-id"})
    if (const std::string_view text = text_in(about, name); !text.empty()) return std::string(text);
  return hex(sha256(notification).substr(0, 16));
}

}  // namespace

std::optional<std::map<std::string, std::string>> form_of(std::string_view body) {
  std::map<std::string, std::string> form;
  for (const std::string_view pair : parts_of(body, '&')) {
    const size_t equals = pair.find('=');
    if (equals == pair.npos) return std::nullopt;
    auto name = decoded(pair.substr(0, equals)), value = decoded(pair.substr(equals + 1));
    if (!name || !value || !form.emplace(std::move(*name), std::move(*value)).second) return std::nullopt;
  }
  return form;
}

std::optional<std::string> answer_to(std::string_view challenge, const std::vector<Keys>& keys) {
  if (challenge.size() < shortest_challenge || challenge.size() > longest_challenge ||
      !std::all_of(challenge.begin(), challenge.end(), hex_digit))
    return std::nullopt;
  return keys.front().public_key + "|" + signature_of(keys.front(), challenge);
}

bool is_signed(std::string_view signature, std::string_view payload, const std::vector<Keys>& keys) {
  bool found = false;
  for (const std::string_view pair : parts_of(signature, '&'))
    for (const Keys& each : keys)
      if (pair.substr(0, pair.find('|')) == each.public_key && pair.find('|') != pair.npos)
        found = is_signed_by(each, pair.substr(pair.find('|') + 1), payload) || found;
  return found;
}

std::optional<Record> record_of(std::string_view payload, std::string& why) {
  const auto refuse = [&](const std::string& text) {
    why = text;
    return std::nullopt;
  };
  if (!std::all_of(payload.begin(), payload.end(), base64_letter)) return refuse("its payload is no base64");
  std::string letters(payload);
  std::erase(letters, '\n');
  const auto text = from_base64(letters);
  if (!text) return refuse("its payload is no base64");
  std::string fault;
  const auto root = xml::parse(*text, fault);
  if (!root) return refuse("its payload is no good XML: " + fault);
  const xml::Element* subject = root->child("subject");
  const std::string kind(text_in(*root, "kind")), timestamp(text_in(*root, "timestamp"));
  if (root->name != "notification" || kind.empty() || timestamp.empty() || subject == nullptr ||
      subject->children.empty())
    return refuse("its payload is no notification with kind, timestamp and subject");
  const xml::Element& about = subject->children.front();
  Record record;
  record.version = timestamp;
  record.body = R"({"object":)" + json::quote(object_name(about.name)) + ",\"kind\":" + json::quote(kind) +
                ",\"timestamp\":" + json::quote(timestamp) + ",\"id\":" + json::quote(id_of(about, *text)) +
                ",\"record\":" + json_of(about) + "}";
  return record;
}

}  // namespace muskrat::braintree
