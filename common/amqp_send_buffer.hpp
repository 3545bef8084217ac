// Messages on their way out, as frames, until the socket has taken them.
//
// Used by amqp_publish.cpp on connections without TLS: rabbitmq-c writes each frame by itself, three system calls a
// message; here one carries many. rabbitmq-c still writes a message's method and properties; the frames around them,
// and when they go out, are ours. Thread rule: its connection's thread.
// What it does not do: wait. What the socket does not take stays, and nothing else may be written before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

struct amqp_basic_properties_t_;

namespace muskrat::amqp {

struct Message;

class SendBuffer {
 public:
  explicit SendBuffer(size_t frame_max) : frame_max_(frame_max) {}

  // As agreed with the broker; while the buffer is empty.
  void limit_frames(size_t frame_max) { frame_max_ = frame_max; }
  size_t frame_max() const { return frame_max_; }

  // Adds a message. Negative, and nothing is added: rabbitmq-c's status, for one whose headers are larger than a frame.
  int add(const Message& message, amqp_basic_properties_t_& properties);

  enum class Left { nothing, some, failed };
  // Writes what the socket takes now. failed: `errno` says why, and the connection has come to its end.
  Left write_to(int fd);

  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  void clear();

 private:
  void begin_frame(int type);
  void end_frame(size_t payload);
  void put_number(uint64_t value, int bytes);
  int add_method(const Message& message);
  int add_properties(const Message& message, amqp_basic_properties_t_& properties);
  void add_body(std::string_view body);

  size_t frame_max_;
  std::vector<char> bytes_;
  size_t begin_ = 0, end_ = 0;  // what is not written yet
  size_t frame_ = 0;            // where the frame at hand begins
};

}  // namespace muskrat::amqp
