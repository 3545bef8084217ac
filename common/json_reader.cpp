// The reading half of common/json.hpp. RapidJSON is included here alone.
#include <charconv>
#include <cstring>
#include <memory_resource>
#include <span>

#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "common/json.hpp"
#include "common/json_numbers.hpp"

namespace muskrat::json {
namespace {

constexpr size_t max_depth = 512;
constexpr std::string_view beyond_double = "a number is beyond 1e308";

// Texts view Document::Impl::text, children live in its arena: a node costs 48 bytes and no allocation of its own.
struct Node {
  Type type = Type::null;
  bool boolean = false;
  std::string_view name;  // as a member of an object
  std::string_view text;  // a string unescaped, a number's digits
  std::span<const Node> children;
};

const Node& node_of(const void* node) {
  static const Node nothing;
  return node ? *static_cast<const Node*>(node) : nothing;
}

// Takes RapidJSON's events and stacks finished nodes; a closing bracket moves its children into the arena.
class Builder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Builder> {
 public:
  // `put_back`: numbers that were taken out of the text, by ordinal.
  Builder(std::string& text, std::pmr::memory_resource& arena, const std::map<size_t, std::string_view>& put_back)
      : text_(text), arena_(arena), put_back_(put_back) {}

  bool Null() { return push({}); }
  bool Bool(bool value) {
    Node node;
    node.type = Type::boolean;
    node.boolean = value;
    return push(node);
  }
  bool RawNumber(const char* digits, rapidjson::SizeType length, bool) {
    const auto taken = put_back_.find(numbers_++);
    const std::string_view number = taken == put_back_.end() ? std::string_view(digits, length) : taken->second;
    return push_text(Type::number, number.data(), number.size());
  }
  bool String(const char* text, rapidjson::SizeType length, bool) {
    return whole({text, length}) && push_text(Type::string, text, length);
  }
  bool Key(const char* text, rapidjson::SizeType length, bool) {
    if (!whole({text, length})) return false;
    names_.back() = keep(text, length);
    return true;
  }
  bool StartObject() { return open(); }
  bool StartArray() { return open(); }
  bool EndObject(rapidjson::SizeType count) { return close(Type::object, count); }
  bool EndArray(rapidjson::SizeType count) { return close(Type::array, count); }

  bool too_deep() const { return names_.size() > max_depth; }
  bool half_surrogate() const { return half_surrogate_; }
  const Node& root() const { return stack_.front(); }

 private:
  // RapidJSON writes an escaped lone low surrogate as if it were a character: then it is no UTF-8 any more.
  bool whole(std::string_view text) {
    for (size_t i = 0; (i = text.find('\xed', i)) != std::string_view::npos && !half_surrogate_; ++i) {
      half_surrogate_ = i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) >= 0xa0;
    }
    return !half_surrogate_;
  }
  bool push(Node node) {
    if (!names_.empty()) node.name = names_.back();
    stack_.push_back(node);
    return true;
  }
  bool push_text(Type type, const char* text, size_t length) {
    Node node;
    node.type = type;
    node.text = keep(text, length);
    return push(node);
  }
  std::string_view keep(const char* text, size_t length) {
    const size_t start = text_.size();
    text_.append(text, length);
    return std::string_view(text_).substr(start);
  }
  bool open() {
    names_.emplace_back();
    return !too_deep();
  }
  bool close(Type type, size_t count) {
    names_.pop_back();
    Node node;
    node.type = type;
    if (count > 0) {
      auto* children = static_cast<Node*>(arena_.allocate(count * sizeof(Node), alignof(Node)));
      std::uninitialized_copy(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end(), children);
      stack_.resize(stack_.size() - count);
      node.children = {children, count};
    }
    return push(node);
  }

  std::string& text_;
  std::pmr::memory_resource& arena_;
  std::vector<Node> stack_;
  std::vector<std::string_view> names_;  // per open bracket, the member being read
  const std::map<size_t, std::string_view>& put_back_;
  size_t numbers_ = 0;
  bool half_surrogate_ = false;
};

std::string_view reason_of(rapidjson::ParseErrorCode code) {
  using namespace rapidjson;
  switch (code) {
    case kParseErrorDocumentEmpty:
      return "it is empty";
    case kParseErrorDocumentRootNotSingular:
      return "something follows the document";
    case kParseErrorValueInvalid:
      return "a value was expected";
    case kParseErrorObjectMissName:
      return "a member's name was expected";
    case kParseErrorObjectMissColon:
      return "a colon was expected after a member's name";
    case kParseErrorObjectMissCommaOrCurlyBracket:
      return "a comma or a closing brace was expected";
    case kParseErrorArrayMissCommaOrSquareBracket:
      return "a comma or a closing bracket was expected";
    case kParseErrorStringUnicodeEscapeInvalidHex:
    case kParseErrorStringEscapeInvalid:
      return "a string has a bad escape or holds a control character";
    case kParseErrorStringUnicodeSurrogateInvalid:
      return "a string has half a surrogate pair";
    case kParseErrorStringMissQuotationMark:
      return "a string does not end";
    case kParseErrorStringInvalidEncoding:
      return "a string is not UTF-8 or holds a control character";
    case kParseErrorNumberMissFraction:
    case kParseErrorNumberMissExponent:
      return "a number is malformed";
    case kParseErrorNumberTooBig:
      return beyond_double;
    default:
      return "it is malformed";
  }
}

std::string at_byte(std::string_view reason, size_t offset) {
  return "not JSON: " + std::string(reason) + " (at byte " + std::to_string(offset) + ")";
}

void dump_node(const Node& node, std::string& out);

void dump_children(const Node& node, std::string& out) {
  const bool object = node.type == Type::object;
  out += object ? '{' : '[';
  bool first = true;
  for (const Node& child : node.children) {
    if (!first) out += ',';
    first = false;
    if (object) out += quote(child.name) + ':';
    dump_node(child, out);
  }
  out += object ? '}' : ']';
}

void dump_node(const Node& node, std::string& out) {
  switch (node.type) {
    case Type::null:
      out += "null";
      break;
    case Type::boolean:
      out += node.boolean ? "true" : "false";
      break;
    case Type::number:
      out += node.text;
      break;
    case Type::string:
      out += quote(node.text);
      break;
    case Type::array:
    case Type::object:
      dump_children(node, out);
      break;
  }
}

const Node* find_child(const Node& node, std::string_view name) {
  if (node.type != Type::object) return nullptr;
  for (size_t i = node.children.size(); i-- > 0;) {
    if (node.children[i].name == name) return &node.children[i];
  }
  return nullptr;
}

const Node* element(const Node& node, std::string_view index) {
  size_t i = 0;
  const auto [end, error] = std::from_chars(index.data(), index.data() + index.size(), i);
  if (node.type != Type::array || error != std::errc() || end != index.data() + index.size()) return nullptr;
  return i < node.children.size() ? &node.children[i] : nullptr;
}

}  // namespace

struct Document::Impl {
  std::pmr::monotonic_buffer_resource arena{1024};
  std::string text;
  Node root;
};

Document::Document() : impl_(std::make_unique<Impl>()) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

std::optional<Document> Document::parse(std::string_view text, std::string& why) {
  // RapidJSON takes a NUL byte for the end of the text.
  if (const auto* nul = text.empty() ? nullptr : static_cast<const char*>(std::memchr(text.data(), 0, text.size()))) {
    why = at_byte("it holds a NUL byte", static_cast<size_t>(nul - text.data()));
    return std::nullopt;
  }
  auto document = read(text, text.size(), {}, why);
  if (document || why.find(beyond_double) == std::string::npos) return document;
  const WithoutHugeNumbers smaller = without_huge_numbers(text);
  return read(smaller.text, text.size(), smaller.taken, why);
}

std::optional<Document> Document::read(std::string_view text, size_t size,
                                       const std::map<size_t, std::string_view>& put_back, std::string& why) {
  Document document;
  document.impl_->text.reserve(size);  // never grows: unescaped text is no longer than escaped text
  Builder builder(document.impl_->text, document.impl_->arena, put_back);
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  constexpr unsigned flags =
      rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  const rapidjson::ParseResult result = reader.Parse<flags>(stream, builder);
  if (result.IsError()) {
    const std::string_view reason = builder.too_deep()         ? "nested deeper than 512"
                                    : builder.half_surrogate() ? "a string has half a surrogate pair"
                                                               : reason_of(result.Code());
    why = at_byte(reason, result.Offset());
    return std::nullopt;
  }
  document.impl_->root = builder.root();
  return document;
}

Value Document::root() const {
  Value value;
  value.node_ = &impl_->root;
  return value;
}

Type Value::type() const { return node_of(node_).type; }
bool Value::boolean() const { return node_of(node_).boolean; }
std::string_view Value::number() const { return type() == Type::number ? node_of(node_).text : std::string_view(); }
std::string_view Value::string() const { return type() == Type::string ? node_of(node_).text : std::string_view(); }
size_t Value::size() const { return node_of(node_).children.size(); }

Value Value::at(size_t index) const {
  Value value;
  if (index < size()) value.node_ = &node_of(node_).children[index];
  return value;
}

std::string_view Value::member_name(size_t index) const {
  return index < size() ? node_of(node_).children[index].name : std::string_view();
}

Value Value::member(size_t index) const { return at(index); }

std::optional<Value> Value::find(std::string_view name) const {
  const Node* child = find_child(node_of(node_), name);
  if (!child) return std::nullopt;
  Value value;
  value.node_ = child;
  return value;
}

std::optional<Value> Value::path(std::string_view dotted) const {
  const Node* node = &node_of(node_);
  for (;;) {
    // A member's own name may hold dots: the longest reading wins.
    const Node* next = find_child(*node, dotted);
    const size_t dot = next ? std::string_view::npos : dotted.find('.');
    const std::string_view step = dotted.substr(0, dot);
    if (!next) next = node->type == Type::array ? element(*node, step) : find_child(*node, step);
    if (!next) return std::nullopt;
    node = next;
    if (dot == std::string_view::npos) break;
    dotted.remove_prefix(dot + 1);
  }
  Value value;
  value.node_ = node;
  return value;
}

std::string Value::dump() const {
  std::string out;
  dump_node(node_of(node_), out);
  return out;
}

std::optional<std::string> Value::scalar_text() const {
  switch (type()) {
    case Type::null:
      return std::nullopt;
    case Type::string:
      return std::string(string());
    default:
      return dump();
  }
}

}  // namespace muskrat::json
