// The writing half of common/json.hpp. jansson is included here alone.
#include <cmath>
#include <cstdlib>

#include <jansson.h>

#include "common/failure.hpp"
#include "common/json.hpp"

namespace muskrat::json {
namespace {

// Length of the well-formed UTF-8 sequence at `at`, 0 for none (overlong forms and surrogates are none).
size_t sequence_length(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xf5 ? 0 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (length == 0 || at + length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  const unsigned second = byte(at + 1);
  const bool bad = (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0) ||
                   (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90);
  return bad ? 0 : length;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t length = sequence_length(text, i);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++i;
    } else {
      out.append(text, i, length);
      i += length;
    }
  }
  return out;
}

void append_escaped(std::string& out, char c) {
  static constexpr char hex[] = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    default:
      break;
  }
  const auto code = static_cast<unsigned char>(c);
  if (code >= 0x20) {
    out += c;
  } else {
    out += "\\u00";
    out += hex[code >> 4];
    out += hex[code & 15];
  }
}

json_t* handle_of(const std::shared_ptr<void>& handle) { return static_cast<json_t*>(handle.get()); }

json_t* string_value(std::string_view text) {
  const std::string clean = valid_utf8(text);
  return json_stringn(clean.data(), clean.size());
}

// Takes the value over. A member name is a constant of ours or already UTF-8; jansson would refuse any other.
void put(json_t* object, std::string_view name, json_t* value) {
  if (json_object_set_new(object, valid_utf8(name).c_str(), value) != 0) {
    throw Failure(Remedy::stop, "out of memory while writing JSON");
  }
}

std::string dumped(const json_t* object, size_t flags) {
  std::unique_ptr<char, decltype(&std::free)> text(json_dumps(object, flags), &std::free);
  if (!text) throw Failure(Remedy::stop, "out of memory while writing JSON");
  return text.get();
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t length = sequence_length(text, i);
    if (length == 0) return false;
    i += length;
  }
  return true;
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (char c : valid_utf8(text)) append_escaped(out, c);
  out += '"';
  return out;
}

Object::Object() : handle_(json_object(), [](void* json) { json_decref(static_cast<json_t*>(json)); }) {
  if (!handle_) throw Failure(Remedy::stop, "out of memory while writing JSON");
}
Object::~Object() = default;
Object::Object(Object&&) noexcept = default;

Object& Object::add(std::string_view name, std::string_view value) {
  put(handle_of(handle_), name, string_value(value));
  return *this;
}

Object& Object::add(std::string_view name, int64_t value) {
  put(handle_of(handle_), name, json_integer(value));
  return *this;
}

Object& Object::add(std::string_view name, double value) {
  put(handle_of(handle_), name, std::isfinite(value) ? json_real(value) : json_null());
  return *this;
}

Object& Object::add(std::string_view name, bool value) {
  put(handle_of(handle_), name, json_boolean(value));
  return *this;
}

Object& Object::add_null(std::string_view name) {
  put(handle_of(handle_), name, json_null());
  return *this;
}

Object& Object::add(std::string_view name, const Object& value) {
  put(handle_of(handle_), name, json_incref(handle_of(value.handle_)));
  return *this;
}

Object& Object::add(std::string_view name, const std::vector<Object>& value) {
  json_t* array = json_array();
  for (const Object& object : value) json_array_append(array, handle_of(object.handle_));
  put(handle_of(handle_), name, array);
  return *this;
}

Object& Object::add(std::string_view name, const std::vector<std::string>& value) {
  json_t* array = json_array();
  for (const std::string& text : value) json_array_append_new(array, string_value(text));
  put(handle_of(handle_), name, array);
  return *this;
}

std::string Object::text() const { return dumped(handle_of(handle_), JSON_COMPACT | JSON_REAL_PRECISION(15)); }
std::string Object::pretty() const { return dumped(handle_of(handle_), JSON_INDENT(2) | JSON_REAL_PRECISION(15)); }

}  // namespace muskrat::json
