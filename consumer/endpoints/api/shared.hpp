// One object for all instances of an endpoint: what its lanes must have in common, such as a token.
//
// Used by endpoint kinds that call an API (marketo). It lives as long as one of its holders; `key` tells which one is
// meant, among those of one type. Thread rule: any thread; what it hands out guards itself.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace muskrat::api {

template <typename Thing>
std::shared_ptr<Thing> shared_by(const std::string& key) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Thing>> all;
  std::lock_guard lock(mutex);
  auto thing = all[key].lock();
  if (!thing) all[key] = thing = std::make_shared<Thing>();
  return thing;
}

}  // namespace muskrat::api
