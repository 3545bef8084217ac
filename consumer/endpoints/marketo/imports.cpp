#include "consumer/endpoints/marketo/imports.hpp"

#include <algorithm>
#include <utility>

#include "common/utc_text.hpp"

namespace muskrat::marketo {

void Imports::add(const std::string& import, const Members& members, const Origin& origin) {
  std::lock_guard lock(mutex_);
  imports_[import] = {members, origin, false, {}, members.size()};
  for (const auto& member : members) by_key_[member.first] = import;
}

void Imports::end(const std::string& import, const std::set<std::string>& done) {
  std::lock_guard lock(mutex_);
  const auto found = imports_.find(import);
  if (found == imports_.end() || found->second.over) return;
  found->second.over = true;
  found->second.done = done;
}

std::optional<std::string> Imports::under_way(const std::string& key) const {
  std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end() || imports_.at(found->second).over) return std::nullopt;
  return found->second;
}

size_t Imports::rows(const std::string& import) const {
  std::lock_guard lock(mutex_);
  const auto found = imports_.find(import);
  return found == imports_.end() ? 0 : found->second.rows;
}

Imports::Origin Imports::origin(const std::string& import) const {
  std::lock_guard lock(mutex_);
  const auto found = imports_.find(import);
  return found == imports_.end() ? Origin{} : found->second.origin;
}

bool Imports::at_work(const std::string& import) const {
  std::lock_guard lock(mutex_);
  const auto found = imports_.find(import);
  return found != imports_.end() && !found->second.over;
}

std::vector<std::string> Imports::keys(const std::string& import) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> keys;
  const auto found = imports_.find(import);
  if (found == imports_.end()) return keys;
  for (const auto& member : found->second.members) keys.push_back(member.first);
  return keys;
}

bool Imports::take_done(const std::string& key, const std::string& version) {
  std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return false;
  const std::string name = found->second;
  Import& import = imports_.at(name);
  if (!import.over) return false;
  const bool done = import.members.at(key) == version && import.done.contains(key);
  import.members.erase(key);
  by_key_.erase(found);
  if (!import.members.empty()) return done;
  told_.push_back(name);
  imports_.erase(name);
  return done;
}

std::vector<std::string> Imports::take_told() {
  std::lock_guard lock(mutex_);
  return std::exchange(told_, {});
}

std::string Imports::note_text(const std::string& import, const Members& members, const Origin& origin) {
  std::vector<std::string> keys, versions;
  for (const auto& [key, version] : members) {
    keys.push_back(key);
    versions.push_back(version);
  }
  return json::Object()
      .add("import", import)
      .add("endpoint", origin.endpoint)
      .add("since", utc_text_exact(origin.since_us))
      .add("keys", keys)
      .add("versions", versions)
      .text();
}

bool Imports::add_noted(const json::Value& note) {
  const auto import = note.type() == json::Type::object ? note.find("import") : std::nullopt;
  if (!import || import->type() != json::Type::string) return false;
  const auto keys = note.find("keys"), versions = note.find("versions");
  Members members;
  if (keys && versions && keys->type() == json::Type::array && versions->type() == json::Type::array)
    for (size_t i = 0; i < std::min(keys->size(), versions->size()); ++i)
      members[std::string(keys->at(i).string())] = versions->at(i).string();
  const auto text = [&](const char* name) {
    const auto value = note.find(name);
    return value && value->type() == json::Type::string ? std::string(value->string()) : "";
  };
  const Origin origin{text("endpoint"), utc_from_text(text("since")).value_or(0)};
  if (!members.empty()) add(std::string(import->string()), members, origin);
  return true;
}

}  // namespace muskrat::marketo
