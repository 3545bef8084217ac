#include "common/config_yaml.hpp"

#include <algorithm>
#include <sstream>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace muskrat::yaml {
namespace {

constexpr int max_levels = 32;
constexpr int max_nodes = 100'000;

int line_of(const YAML::Node& node, int otherwise) { return node.Mark().line < 0 ? otherwise : node.Mark().line + 1; }

// Sees where documents start and nothing else.
class DocumentStarts : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { line = mark.line + 1; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  int line = 0;
};

// 0 = there is none. YAML::LoadAll would say so too, were it not endless on a document that starts with a comma.
int line_of_second_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStarts starts;
  return parser.HandleNextDocument(starts) && parser.HandleNextDocument(starts) ? starts.line : 0;
}

class Copier {
 public:
  Copier(const std::string& text, const std::string& file, std::vector<Problem>& problems)
      : text_(text), file_(file), problems_(problems) {}

  Node copy(const YAML::Node& from, int level, int parent_line) {
    Node node;
    node.line = line_of(from, parent_line);
    if (!within_bounds(level, node.line)) return node;
    switch (from.Type()) {
      case YAML::NodeType::Undefined:
        break;
      case YAML::NodeType::Null:
        node.text = spelt_null(from.Mark().pos);
        if (node.text.empty()) node.line = parent_line;  // its own mark is wherever the next thing stands
        break;
      case YAML::NodeType::Scalar:
        node.kind = Node::Kind::scalar;
        node.text = from.Scalar();
        node.quoted = from.Tag() == "!";
        break;
      case YAML::NodeType::Sequence:
        node.kind = Node::Kind::list;
        for (const auto& item : from) node.items.push_back(copy(item, level + 1, node.line));
        break;
      case YAML::NodeType::Map:
        node.kind = Node::Kind::map;
        for (const auto& member : from) add_member(node, member.first, member.second, level);
        break;
    }
    return node;
  }

 private:
  // `kind: null` names a kind, `kind:` does not; yaml-cpp tells them apart by nothing but their place.
  std::string spelt_null(int pos) const {
    const bool spelt = pos >= 0 && text_.compare(static_cast<size_t>(pos), 4, "null") == 0;
    return spelt ? "null" : "";
  }

  void add_member(Node& map, const YAML::Node& key, const YAML::Node& value, int level) {
    const int line = line_of(key, map.line);
    if (!key.IsScalar()) return wrong(line, "a key must be a plain text");
    const std::string& name = key.Scalar();
    for (const Member& member : map.members) {
      if (member.key != name) continue;
      return wrong(line, "the key " + name + " stands here a second time (first in line " +
                             std::to_string(member.line) + "); remove one");
    }
    map.members.push_back({name, line, copy(value, level + 1, line)});
  }

  bool within_bounds(int level, int line) {
    if (level <= max_levels && ++nodes_ <= max_nodes) return true;
    if (!overflowed_) wrong(line, "the document is nested too deeply or too large (32 levels, 100,000 nodes)");
    overflowed_ = true;
    return false;
  }

  void wrong(int line, std::string text) { problems_.push_back({{file_, line}, std::move(text)}); }

  const std::string& text_;
  const std::string& file_;
  std::vector<Problem>& problems_;
  int nodes_ = 0;
  bool overflowed_ = false;
};

}  // namespace

const Node* Node::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.key == key; });
  return found == members.end() ? nullptr : &found->value;
}

std::optional<Node> parse(const std::string& text, const std::string& file, std::vector<Problem>& problems) {
  try {
    const int second = line_of_second_document(text);
    if (second > 0) {
      problems.push_back({{file, second},
                          "the document ends here and something follows; one file is one document (a "
                          "line ---, or a comma or bracket out of place, ends it)"});
    }
    return Copier(text, file, problems).copy(YAML::Load(text), 0, 1);
  } catch (const YAML::Exception& e) {
    problems.push_back({{file, std::max(e.mark.line, 0) + 1}, "not YAML: " + e.msg});
    return std::nullopt;
  }
}

}  // namespace muskrat::yaml
