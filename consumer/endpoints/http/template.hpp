// Templates of URLs and headers: text with places for the event's facts and members of its body.
//
//   https://api.example.com/customers/{id}?plan={subscription.volume}&on={$action}
//
// A place is {path.into.the.body} or one of $routing_key $source $object $action $op $message_id $key $epoch $seq.
// {{ and }} stand for the braces themselves. Used by the http endpoint. Thread rule: immutable after parse().
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/event.hpp"
#include "common/json.hpp"

namespace muskrat::http_endpoint {

class Template {
 public:
  // nullopt + why for an unclosed brace, an empty place or an unknown $name.
  static std::optional<Template> parse(std::string_view text, std::string& why);
  // nullopt + why (names the place, never its value) where the body has no such member, or one that is no scalar.
  // `encode` percent-encodes what is filled in.
  std::optional<std::string> fill(const Event& event, const json::Value& body, bool encode, std::string& why) const;
  bool constant() const;

 private:
  struct Part {
    bool place = false;
    std::string text;
  };
  std::vector<Part> parts_;
};

}  // namespace muskrat::http_endpoint
