#include "common/config_reader.hpp"

#include <algorithm>

#include "common/json.hpp"
#include "common/secrets.hpp"
#include "common/suggest.hpp"

namespace muskrat {
namespace {

using yaml::Node;

const Option* find_option(OptionTable table, std::string_view name) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Option& option) { return option.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::vector<std::string_view> names_of(OptionTable table) {
  std::vector<std::string_view> names;
  for (const Option& option : table) names.push_back(option.name);
  return names;
}

std::string_view kind_word(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::list:
      return "a list";
    case Node::Kind::map:
      return "a map";
  }
  return "";
}

// The value as it stands in the file, when showing it gives nothing away.
std::string found_words(const Option& option, const ScalarText& scalar) {
  if (option.type == OptionType::secret || scalar.raw != scalar.text) return "";
  return ", found \"" + scalar.raw.substr(0, 40) + (scalar.raw.size() > 40 ? "…\"" : "\"");
}

}  // namespace

void ConfigReader::enter(const std::string& file, const std::string& folder) {
  file_ = file;
  folder_ = folder;
}

std::optional<ScalarText> ConfigReader::scalar(const Node& node, const std::string& path) {
  if (node.kind == Node::Kind::list || node.kind == Node::Kind::map) {
    wrong(node.line, path + ": expected a single value, found " + std::string(kind_word(node.kind)));
    return std::nullopt;
  }
  ScalarText scalar;
  scalar.raw = node.text;
  scalar.folder = folder_;
  scalar.quoted = node.quoted;
  scalar.where = {file_, node.line};
  Resolved resolved = resolve_references(node.text, folder_);
  if (!resolved.error.empty()) {
    wrong(node.line, path + ": " + resolved.error);
    return std::nullopt;
  }
  scalar.text = std::move(resolved.text);
  return scalar;
}

void ConfigReader::watch_for_secrets(const Option& option, const ScalarText& scalar, const std::string& path) {
  // Most connection strings hold no password at all.
  const bool connection = option.type == OptionType::text || option.name == "dsn" || option.name == "url";
  const bool in_clear = !scalar.raw.empty() && !resolve_references(scalar.raw, folder_).indirect;
  const bool shown = connection ? shows_password(scalar.raw) : option.type == OptionType::secret && in_clear;
  if (!shown) return;
  files_with_secrets_.insert(file_);
  warn(scalar.where.line, path +
                              ": a secret stands here in clear text; ${NAME} takes it from the environment, "
                              "${file:PATH} from a file");
}

void ConfigReader::read_scalar(SettingsBuilder& builder, const Option& option, const Node& node,
                               const std::string& path) {
  if (node.kind == Node::Kind::null && option.type != OptionType::scalar) {
    return wrong(node.line, path + ": has no value; expected " + expectation(option) + ", or remove the line");
  }
  const auto value = scalar(node, path);
  if (!value) return;
  watch_for_secrets(option, *value, path);
  const std::string fault = builder.set(option, *value);
  if (!fault.empty()) wrong(node.line, path + ": " + fault + found_words(option, *value));
}

void ConfigReader::read_texts(SettingsBuilder& builder, const Option& option, const Node& node,
                              const std::string& path) {
  if (node.kind != Node::Kind::list) return read_scalar(builder, option, node, path);
  std::vector<std::string> texts;
  for (const Node& item : node.items) {
    if (item.kind == Node::Kind::null) {
      wrong(item.line, path + ": an element has no value");
    } else if (auto value = scalar(item, path)) {
      texts.push_back(std::move(value->text));
    }
  }
  if (option.required && node.items.empty()) wrong(node.line, path + ": must not be empty");
  builder.set_texts(option, std::move(texts), {file_, node.line});
}

std::string ConfigReader::json_of(const Node& node, const std::string& path) {
  std::string out;
  if (node.kind == Node::Kind::list) {
    for (const Node& item : node.items) out += (out.empty() ? "" : ",") + json_of(item, path);
    return "[" + out + "]";
  }
  if (node.kind == Node::Kind::map) {
    for (const auto& [key, line, value] : node.members)
      out += (out.empty() ? "" : ",") + json::quote(key) + ":" + json_of(value, path + "." + key);
    return "{" + out + "}";
  }
  const auto value = scalar(node, path);
  return value ? canonical_json(value->text, value->quoted) : "null";
}

void ConfigReader::read_json(SettingsBuilder& builder, const Option& option, const Node& node,
                             const std::string& path) {
  builder.set_json(option, json_of(node, path), {file_, node.line});
}

Settings ConfigReader::read_record(const Option& option, const Node& node, const std::string& path) {
  if (node.kind == Node::Kind::map) return read(option.children, node, path);
  const auto shorthand =
      std::find_if(option.children.begin(), option.children.end(), [](const Option& child) { return child.shorthand; });
  if (node.kind != Node::Kind::scalar || shorthand == option.children.end()) {
    wrong(node.line, path + ": expected a map" + (shorthand == option.children.end() ? "" : " or a name") + ", found " +
                         std::string(kind_word(node.kind)));
    return SettingsBuilder(option.children, {file_, node.line}).finish();
  }
  SettingsBuilder builder(option.children, {file_, node.line});
  read_scalar(builder, *shorthand, node, path);
  return builder.finish();
}

void ConfigReader::read_records(SettingsBuilder& builder, const Option& option, const Node& node,
                                const std::string& path) {
  std::vector<Settings> records;
  if (node.kind == Node::Kind::map) {
    records.push_back(read_record(option, node, path));
    return builder.set_records(option, std::move(records), {file_, node.line});
  }
  if (node.kind != Node::Kind::list) {
    return wrong(node.line, path + ": expected a list, found " + std::string(kind_word(node.kind)));
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    records.push_back(read_record(option, node.items[i], path + "[" + std::to_string(i + 1) + "]"));
  }
  if (option.required && records.empty()) wrong(node.line, path + ": must not be empty");
  builder.set_records(option, std::move(records), {file_, node.line});
}

void ConfigReader::read_option(SettingsBuilder& builder, const Option& option, const Node& node,
                               const std::string& path) {
  switch (option.type) {
    case OptionType::text_list:
      return read_texts(builder, option, node, path);
    case OptionType::json:
      return read_json(builder, option, node, path);
    case OptionType::records:
      return read_records(builder, option, node, path);
    case OptionType::section:
      return builder.set_records(option, {read(option.children, node, path)}, {file_, node.line});
    default:
      return read_scalar(builder, option, node, path);
  }
}

Settings ConfigReader::read(OptionTable table, const Node& map, const std::string& path) {
  SettingsBuilder builder(table, {file_, map.line});
  if (map.kind != Node::Kind::map && map.kind != Node::Kind::null) {
    wrong(map.line, path + ": expected a map, found " + std::string(kind_word(map.kind)));
    return builder.finish();
  }
  std::set<std::string_view> seen;
  for (const auto& [key, line, node] : map.members) {
    const std::string inner = path.empty() ? key : path + "." + key;
    if (const Option* option = find_option(table, key)) {
      seen.insert(key);
      read_option(builder, *option, node, inner);
    } else {
      const auto names = names_of(table);
      wrong(line, inner + ": unknown key" + did_you_mean(key, names) + "; allowed are " + listed(names));
    }
  }
  for (std::string_view name : builder.missing()) {
    if (!seen.contains(name)) wrong(map.line, path + ": " + std::string(name) + " is required and missing");
  }
  return builder.finish();
}

}  // namespace muskrat
