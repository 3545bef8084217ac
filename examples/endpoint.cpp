// An endpoint of its own kind in C++: `count` keeps a file with the number of events of each routing key.
//
//   endpoints:
//     counts: {kind: count, subscribe: [Frontend.*], path: /var/lib/muskrat/counts}
//
// To have it: this file in consumer/endpoints/, `const EndpointKind& count_endpoint();` and one entry in
// consumer/endpoints.cpp. Help, `muskrat check`, the reference of options and the contract test follow.
#include <array>
#include <fstream>
#include <map>

#include "common/json.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/state/guarded.hpp"

namespace muskrat {
namespace {

constexpr std::array options{
    Option{"path", OptionType::text, "", "", "The file to keep the counts in.", true}, state::guard_option,
    state::guard_key_option, state::seen_for_option,  // for host_keeps_state, below
};

class CountEndpoint : public Endpoint {
 public:
  explicit CountEndpoint(const Component& component) : path_(component.settings.text("path")) {}

  // Trouble of the endpoint is an exception: no event fails for it, and the host comes back.
  void connect(Deadline) override {
    std::ifstream file(path_);
    counts_.clear();
    for (std::string key; file >> key;) file >> counts_[key];
  }

  // The fate of each event is a value, in the order given: a bad one never fails its neighbours.
  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline) override {
    std::vector<Outcome> outcomes;
    for (const Event* event : batch) {
      std::string why;
      const bool good = json::Document::parse(event->body, why).has_value();
      if (good) ++counts_[event->routing_key];
      outcomes.push_back(good ? Outcome::done() : Outcome::dead("the body is not JSON: " + why));
    }
    std::ofstream file(path_);
    for (const auto& [key, count] : counts_) file << key << ' ' << count << '\n';
    if (!file.flush()) throw Failure(Remedy::reconnect, "cannot write " + path_ + "; look at its folder and disk");
    return outcomes;
  }

 private:
  const std::string path_;
  std::map<std::string, int64_t> counts_;
};

std::unique_ptr<Endpoint> make(const Component& component) { return std::make_unique<CountEndpoint>(component); }

}  // namespace

const EndpointKind& count_endpoint() {
  static const EndpointKind kind{{"count", "counts events by routing key", options, nullptr, 1}, make, 1, true};
  return kind;
}

}  // namespace muskrat
