// YAML as a plain tree with line numbers. yaml-cpp is included in config_yaml.cpp alone.
//
// Used by config.cpp and config_reader.cpp. Why not yaml-cpp's own nodes: they
// keep a repeated key silently, share aliased nodes (a few lines can stand for
// millions), and throw where a problem should be noted and reading go on.
// Thread rule: plain values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/options.hpp"

namespace muskrat::yaml {

struct Member;

struct Node {
  enum class Kind { null, scalar, list, map } kind = Kind::null;
  std::string text;     // of a scalar; "null" where a null is spelt so
  bool quoted = false;  // "12" is a text, 12 a number
  int line = 1;
  std::vector<Node> items;      // of a list
  std::vector<Member> members;  // of a map, in file order, each key once

  const Node* find(std::string_view key) const;
};

struct Member {
  std::string key;
  int line = 1;  // of the key
  Node value;
};

// One document. nullopt when it is not YAML at all; repeated keys, keys that are no plain text, more than one document
// and more than 32 levels or 100,000 nodes are problems too.
std::optional<Node> parse(const std::string& text, const std::string& file, std::vector<Problem>& problems);

}  // namespace muskrat::yaml
