// A map of the file becomes a Settings: every key is known, every value fits, or there is a problem with its line.
//
// Used by config.cpp for each section and component. It collects problems and
// goes on, so that one run shows them all; values of secrets and resolved
// references never get into a problem's text.
// Thread rule: one owner.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "common/config_yaml.hpp"
#include "common/settings_builder.hpp"

namespace muskrat {

class ConfigReader {
 public:
  explicit ConfigReader(std::vector<Problem>& problems) : problems_(problems) {}

  // The file that the following nodes come from; ${file:…} is relative to its folder.
  void enter(const std::string& file, const std::string& folder);
  const std::string& file() const { return file_; }
  const std::string& folder() const { return folder_; }

  // `path` is the map's place in the document ("endpoints.analytics"), for messages.
  Settings read(OptionTable table, const yaml::Node& map, const std::string& path);

  // A scalar with its references resolved; a problem and nullopt when that fails or the node is no scalar.
  std::optional<ScalarText> scalar(const yaml::Node& node, const std::string& path);

  void wrong(int line, std::string text) { problems_.push_back({{file_, line}, std::move(text), true}); }
  void warn(int line, std::string text) { problems_.push_back({{file_, line}, std::move(text), false}); }

  // Files with a secret in clear text.
  const std::set<std::string>& files_with_secrets() const { return files_with_secrets_; }

 private:
  void read_option(SettingsBuilder& builder, const Option& option, const yaml::Node& node, const std::string& path);
  void read_scalar(SettingsBuilder& builder, const Option& option, const yaml::Node& node, const std::string& path);
  void read_texts(SettingsBuilder& builder, const Option& option, const yaml::Node& node, const std::string& path);
  void read_json(SettingsBuilder& builder, const Option& option, const yaml::Node& node, const std::string& path);
  std::string json_of(const yaml::Node& node, const std::string& path);
  void read_records(SettingsBuilder& builder, const Option& option, const yaml::Node& node, const std::string& path);
  Settings read_record(const Option& option, const yaml::Node& node, const std::string& path);
  void watch_for_secrets(const Option& option, const ScalarText& scalar, const std::string& path);

  std::vector<Problem>& problems_;
  std::string file_, folder_;
  std::set<std::string> files_with_secrets_;
};

}  // namespace muskrat
