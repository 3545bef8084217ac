// JSON: reading event bodies with every digit of a number kept, and writing
// small documents (status, logs, dead letters).
//
// Bodies are read by RapidJSON with numbers as text (jansson turns
// 12345678901234567890.123 into a double and rejects integers above int64);
// documents of our own are written by jansson. Neither header leaves
// json_reader.cpp and json_writer.cpp.
// Thread rule: a Document and its Values belong to one thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muskrat::json {

enum class Type { null, boolean, number, string, array, object };

// A view of a value inside a Document.
class Value {
 public:
  Type type() const;
  bool boolean() const;
  std::string_view number() const;  // the digits as they stood
  std::string_view string() const;  // unescaped
  size_t size() const;              // array elements or object members
  Value at(size_t index) const;     // array element
  std::string_view member_name(size_t index) const;
  Value member(size_t index) const;
  std::optional<Value> find(std::string_view name) const;  // object member; the last one when a name repeats
  // "subscription.volume" or "items.0.id"; nullopt where a step is absent.
  std::optional<Value> path(std::string_view dotted) const;
  // Tight JSON text of this value; numbers keep their digits.
  std::string dump() const;
  // As SQL and CSV want it: strings bare, numbers and booleans as text, arrays and objects as JSON. null → nullopt.
  std::optional<std::string> scalar_text() const;

 private:
  friend class Document;
  const void* node_ = nullptr;
};

class Document {
 public:
  // nullopt + why (offset and reason, never the text) for what is not JSON, is nested deeper than 512, or has trailing
  // bytes.
  static std::optional<Document> parse(std::string_view text, std::string& why);
  Value root() const;
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

 private:
  Document();
  static std::optional<Document> read(std::string_view text, size_t size,
                                      const std::map<size_t, std::string_view>& put_back, std::string& why);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

bool is_utf8(std::string_view text);
// A quoted JSON string; invalid UTF-8 becomes U+FFFD.
std::string quote(std::string_view text);

// Builds an object member by member, in order: Object().add("a", 1).add("b", "x").text() == {"a":1,"b":"x"}
class Object {
 public:
  Object();
  ~Object();
  Object(Object&&) noexcept;
  Object& add(std::string_view name, std::string_view value);
  Object& add(std::string_view name, const char* value) { return add(name, std::string_view(value)); }
  Object& add(std::string_view name, int64_t value);
  Object& add(std::string_view name, int value) { return add(name, static_cast<int64_t>(value)); }
  Object& add(std::string_view name, uint64_t value) { return add(name, static_cast<int64_t>(value)); }
  Object& add(std::string_view name, double value);
  Object& add(std::string_view name, bool value);
  Object& add_null(std::string_view name);
  Object& add(std::string_view name, const Object& value);
  Object& add(std::string_view name, const std::vector<Object>& value);
  Object& add(std::string_view name, const std::vector<std::string>& value);
  std::string text() const;    // tight
  std::string pretty() const;  // indented by two

 private:
  std::shared_ptr<void> handle_;  // a json_t
};

}  // namespace muskrat::json
