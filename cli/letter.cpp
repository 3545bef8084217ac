#include "cli/letter.hpp"

#include <algorithm>

#include "cli/event_text.hpp"
#include "cli/terminal.hpp"
#include "common/digest.hpp"
#include "common/wire.hpp"
#include "consumer/dead_letters.hpp"

namespace muskrat::cli {
namespace {

constexpr size_t most_reasons = 1000;
constexpr std::string_view behind = "held behind ";

std::string time_text(int64_t ms) { return iso_time(ms * 1000); }

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead >= 0xC2 && lead < 0xE0 ? 2 : lead >= 0xE0 && lead < 0xF0 ? 3 : 4;
    if (lead >= 0x80 && (lead < 0xC2 || lead > 0xF4)) return false;
    if (i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k)
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    i += length;
  }
  return true;
}

json::Object headers_object(const amqp::Table& headers) {
  json::Object object;
  for (const auto& [name, value] : headers) {
    if (const auto* text = std::get_if<std::string>(&value)) object.add(name, *text);
    if (const auto* number = std::get_if<int64_t>(&value)) object.add(name, *number);
    if (const auto* truth = std::get_if<bool>(&value)) object.add(name, *truth);
  }
  return object;
}

}  // namespace

Letter::Letter(const amqp::Delivery& delivery)
    : message_id(delivery.message_id),
      routing_key(delivery.headers.text(wire::header_routing_key)),
      key(delivery.headers.text(wire::header_key)),
      reason(delivery.headers.text(dead::header_reason)),
      cause(delivery.headers.text(dead::header_cause)),
      source(delivery.headers.text(wire::header_source)),
      op(delivery.headers.text(wire::header_op)),
      trail(delivery.headers.text(dead::header_trail)),
      attempts(delivery.headers.number(dead::header_attempts)),
      dead_at_ms(delivery.headers.number(dead::header_at)),
      retries(delivery.headers.number(dead::header_retries)),
      epoch(delivery.headers.number(wire::header_epoch)),
      seq(delivery.headers.number(wire::header_seq)) {
  if (routing_key.empty()) routing_key = delivery.routing_key;
}

std::string identity_of(const amqp::Delivery& letter) {
  return letter.message_id + "/" + std::to_string(letter.headers.number(dead::header_at));
}

json::Object letter_object(const Letter& letter) {
  json::Object object;
  object.add("dead_at", time_text(letter.dead_at_ms)).add("routing_key", letter.routing_key).add("key", letter.key);
  object.add("reason", letter.reason).add("class", letter.cause).add("attempts", letter.attempts);
  object.add("retries", letter.retries).add("message_id", letter.message_id).add("source", letter.source);
  object.add("op", letter.op).add("epoch", letter.epoch).add("seq", letter.seq);
  return object;
}

std::string export_line(const amqp::Delivery& letter) {
  json::Object object = letter_object(Letter(letter));
  object.add("content_type", letter.content_type).add("type", letter.type).add("app_id", letter.app_id);
  object.add("correlation_id", letter.correlation_id).add("timestamp", letter.timestamp_s);
  object.add("headers", headers_object(letter.headers));
  std::string why;
  if (const auto body = json::Document::parse(letter.body, why)) {
    std::string text = object.text();
    // Dumped from the parsed tree: one line, whatever white space the body has, and every digit as it was.
    text.back() = ',';
    return text + "\"body\":" + body->root().dump() + "}\n";
  }
  const bool readable = is_utf8(letter.body);
  return object.add(readable ? "text" : "base64", readable ? letter.body : base64(letter.body)).text() + "\n";
}

void ReasonCounts::add(const Letter& letter) {
  Key key{letter.cause, letter.reason.starts_with(behind) ? "held behind another letter" : letter.reason};
  if (counts_.size() >= most_reasons && !counts_.contains(key)) key = {"", "(other reasons)"};
  Count& count = counts_[key];
  ++count.letters;
  if (letter.dead_at_ms == 0) return;
  count.first_ms = count.first_ms == 0 ? letter.dead_at_ms : std::min(count.first_ms, letter.dead_at_ms);
  count.last_ms = std::max(count.last_ms, letter.dead_at_ms);
}

std::vector<std::pair<ReasonCounts::Key, ReasonCounts::Count>> ReasonCounts::sorted() const {
  std::vector<std::pair<Key, Count>> list(counts_.begin(), counts_.end());
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.second.letters > b.second.letters; });
  return list;
}

std::string ReasonCounts::text(size_t most) const {
  Table table({"LETTERS", "FIRST", "LAST", "CLASS", "REASON"});
  const auto list = sorted();
  for (size_t i = 0; i < std::min(most, list.size()); ++i) {
    const auto& [key, count] = list[i];
    table.add({std::to_string(count.letters), time_text(count.first_ms), time_text(count.last_ms), harmless(key.first),
               harmless(key.second.empty() ? "(no reason)" : key.second)});
  }
  if (table.empty()) return "";
  const std::string rest =
      list.size() > most ? "  and " + counted(list.size() - most, "other reason") + ": --json shows all.\n" : "";
  return table.text("  ") + rest;
}

std::vector<json::Object> ReasonCounts::objects() const {
  std::vector<json::Object> objects;
  for (const auto& [key, count] : sorted()) {
    json::Object object;
    object.add("reason", key.second).add("class", key.first).add("letters", count.letters);
    object.add("first", time_text(count.first_ms)).add("last", time_text(count.last_ms));
    objects.push_back(std::move(object));
  }
  return objects;
}

}  // namespace muskrat::cli
