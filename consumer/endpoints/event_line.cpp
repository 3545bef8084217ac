#include "consumer/endpoints/event_line.hpp"

#include "common/field_source.hpp"
namespace muskrat {
namespace {

void append_member(std::string& line, std::string_view name, std::string_view value) {
  line.append(",\"").append(name).append("\":").append(json::quote(value));
}

}  // namespace

// The header is not ours where a foreign program published: whatever stands in it, this is one line of JSON.
std::string omitted_json(const Event& event) {
  if (event.omitted.empty()) return "";
  std::string ignored;
  const auto list = json::Document::parse(event.omitted, ignored);
  return list ? list->root().dump() : json::quote(event.omitted);
}

// Every byte is kept, unless it spans lines.
std::string one_line(const std::string& document) {
  // two searches: find_first_of() makes a call for each byte of the document
  if (document.find('\n') == std::string::npos && document.find('\r') == std::string::npos) return document;
  std::string why;
  const auto parsed = json::Document::parse(document, why);
  return parsed ? parsed->root().dump() : "null";
}

std::string event_line(const Event& event, const std::string& document) {
  std::string line = "{\"routing_key\":" + json::quote(event.routing_key);
  append_member(line, "message_id", event.message_id);
  append_member(line, "key", event.key);
  append_member(line, "op", op_name(event.op));
  line.append(",\"epoch\":").append(std::to_string(event.epoch)).append(",\"seq\":").append(std::to_string(event.seq));
  append_member(line, "source", event.source);
  if (event.captured_us > 0) append_member(line, "captured_at", iso_utc(event.captured_us));
  if (!event.omitted.empty()) line.append(",\"omitted\":").append(omitted_json(event));
  line.append(",\"body\":").append(one_line(document));
  line.append("}");
  return line;
}

}  // namespace muskrat
