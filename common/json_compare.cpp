#include "common/json_compare.hpp"

#include <algorithm>

namespace muskrat::json {
namespace {

class Comparison {
 public:
  void compare(const Value& expected, const Value& got, const std::string& path) {
    if (expected.type() == got.type() && expected.type() == Type::object) return objects(expected, got, path);
    if (expected.type() == got.type() && expected.type() == Type::array) return arrays(expected, got, path);
    if (expected.dump() != got.dump()) say(path, expected.dump(), got.dump());
  }
  std::vector<std::string> lines;

 private:
  void say(const std::string& path, const std::string& expected, const std::string& got) {
    lines.push_back((path.empty() ? "" : path + ": ") + "expected " + expected + ", got " + got);
  }
  static std::string inside(const std::string& path, std::string_view step) {
    return path.empty() ? std::string(step) : path + "." + std::string(step);
  }
  void objects(const Value& expected, const Value& got, const std::string& path) {
    for (size_t i = 0; i < expected.size(); ++i) {
      const std::string_view name = expected.member_name(i);
      if (const auto found = got.find(name))
        compare(expected.member(i), *found, inside(path, name));
      else
        say(inside(path, name), expected.member(i).dump(), "nothing");
    }
    for (size_t i = 0; i < got.size(); ++i) {
      const std::string_view name = got.member_name(i);
      if (!expected.find(name)) say(inside(path, name), "nothing", got.member(i).dump());
    }
  }
  void arrays(const Value& expected, const Value& got, const std::string& path) {
    for (size_t i = 0; i < std::max(expected.size(), got.size()); ++i) {
      const std::string place = inside(path, std::to_string(i));
      if (i >= got.size())
        say(place, expected.at(i).dump(), "nothing");
      else if (i >= expected.size())
        say(place, "nothing", got.at(i).dump());
      else
        compare(expected.at(i), got.at(i), place);
    }
  }
};

}  // namespace

std::vector<std::string> differences(const Value& expected, const Value& got) {
  Comparison comparison;
  comparison.compare(expected, got, "");
  return std::move(comparison.lines);
}

std::string pretty(const Value& value, const std::string& margin) {
  const bool object = value.type() == Type::object;
  if ((!object && value.type() != Type::array) || value.size() == 0) return value.dump();
  const std::string inner = margin + "  ";
  std::string out = object ? "{" : "[";
  for (size_t i = 0; i < value.size(); ++i) {
    out += (i > 0 ? ",\n" : "\n") + inner;
    if (object) out += quote(value.member_name(i)) + ": ";
    out += pretty(value.at(i), inner);
  }
  return out + "\n" + margin + (object ? "}" : "]");
}

}  // namespace muskrat::json
