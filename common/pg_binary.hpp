// Values as PostgreSQL sends them in its binary formats.
//
// Used by the relay's outbox reader, for which text would cost more than the event: the server would write each number
// and time in digits, and the relay read them. Source: the send functions that the server's catalogue names (int8send,
// timestamptz_send, uuid_send, tidsend), whose formats have not changed since integers became the only timestamps (10).
// Thread rule: pure functions, and CopyRows one owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace muskrat::pg {

// smallint, integer, bigint, boolean or "char", by its 2, 4, 8 or 1 bytes; 0 for none (NULL). Signed.
int64_t binary_integer(std::string_view bytes);
// timestamptz as microseconds since 1970 UTC.
int64_t binary_time_us(std::string_view bytes);
// uuid as text: 36 characters, lower case.
std::string binary_uuid(std::string_view bytes);

// The rows in what COPY … TO STDOUT (FORMAT binary) sends, however it is cut into messages.
class CopyRows {
 public:
  using Fields = std::vector<std::optional<std::string_view>>;

  // The next bytes. Views that next() gave are void from here on.
  void add(std::string_view bytes);
  // The next whole row, null when more bytes are needed or the end is reached. Failure{reconnect} for what is no COPY.
  const Fields* next();
  bool ended() const { return ended_; }

 private:
  bool read_header();

  std::string bytes_;
  size_t at_ = 0;
  bool begun_ = false, ended_ = false;
  Fields fields_;
};

}  // namespace muskrat::pg
