// A webhook of Braintree's: its form, its signature, and the record that it becomes.
//
// Used by braintree_webhooks.cpp. The signature has a pair for each of the merchant's keys, public|hex, the hex an
// HMAC-SHA1 of the payload as it was sent, under the SHA-1 of the private key; it is compared in constant time. The
// record is {"object": "Subscription", "kind": …, "timestamp": …, "id": …, "record": {…}}; its id is the subject's id,
// token, payment-id or merchant-public-id, whichever comes first, or else a digest of the notification, never empty.
// Reasons hold nothing of what was sent. Pure: no sockets. Thread rule: plain values and free functions.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/scheduled/record.hpp"

namespace muskrat::braintree {

struct Keys {
  std::string public_key, private_key;
};

// An application/x-www-form-urlencoded body; nullopt for what is none, or names a field twice.
std::optional<std::map<std::string, std::string>> form_of(std::string_view body);

// What a destination answers to bt_challenge, under the first of the keys; nullopt for what is no challenge.
std::optional<std::string> answer_to(std::string_view challenge, const std::vector<Keys>& keys);

// Whether one of the keys has signed the payload.
bool is_signed(std::string_view signature, std::string_view payload, const std::vector<Keys>& keys);

// Of a payload that is signed; nullopt + why.
std::optional<Record> record_of(std::string_view payload, std::string& why);

}  // namespace muskrat::braintree
