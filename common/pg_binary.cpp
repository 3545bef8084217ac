#include "common/pg_binary.hpp"

#include "common/failure.hpp"

namespace muskrat::pg {
namespace {

constexpr std::string_view signature("PGCOPY\n\377\r\n\0", 11);
constexpr int64_t us_from_1970_to_2000 = 946'684'800'000'000;

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

}  // namespace

int64_t binary_integer(std::string_view bytes) {
  const uint64_t value = big_endian(bytes);
  switch (bytes.size()) {
    case 1:
      return static_cast<int8_t>(value);
    case 2:
      return static_cast<int16_t>(value);
    case 4:
      return static_cast<int32_t>(value);
    default:
      return static_cast<int64_t>(value);
  }
}

int64_t binary_time_us(std::string_view bytes) { return binary_integer(bytes) + us_from_1970_to_2000; }

std::string binary_uuid(std::string_view bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text = "00000000-0000-0000-0000-000000000000";
  size_t at = 0;
  for (const char byte : bytes.substr(0, 16)) {
    if (text[at] == '-') at++;
    text[at++] = digits[static_cast<unsigned char>(byte) >> 4];
    text[at++] = digits[byte & 15];
  }
  return text;
}

// ---- COPY ----

void CopyRows::add(std::string_view bytes) {
  bytes_.erase(0, at_);
  at_ = 0;
  bytes_ += bytes;
}

// Signature, flags, and an extension of the length that it says.
bool CopyRows::read_header() {
  constexpr size_t fixed = signature.size() + 8;
  if (bytes_.size() < fixed) return false;
  if (!bytes_.starts_with(signature)) throw Failure(Remedy::reconnect, "the server's COPY is not in binary format");
  const auto extension = static_cast<size_t>(big_endian(std::string_view(bytes_).substr(fixed - 4, 4)));
  if (bytes_.size() < fixed + extension) return false;
  at_ = fixed + extension;
  begun_ = true;
  return true;
}

const CopyRows::Fields* CopyRows::next() {
  if (ended_ || (!begun_ && !read_header())) return nullptr;
  std::string_view left = std::string_view(bytes_).substr(at_);
  if (left.size() < 2) return nullptr;
  const int64_t count = binary_integer(left.substr(0, 2));
  left.remove_prefix(2);
  ended_ = count < 0;
  if (ended_) return nullptr;
  fields_.clear();
  for (int64_t field = 0; field < count; field++) {
    if (left.size() < 4) return nullptr;
    const int64_t size = binary_integer(left.substr(0, 4));
    left.remove_prefix(4);
    const size_t bytes = size < 0 ? 0 : static_cast<size_t>(size);
    if (left.size() < bytes) return nullptr;
    fields_.push_back(size < 0 ? std::nullopt : std::optional(left.substr(0, bytes)));
    left.remove_prefix(bytes);
  }
  at_ = bytes_.size() - left.size();
  return &fields_;
}

}  // namespace muskrat::pg
