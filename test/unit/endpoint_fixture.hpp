// Endpoints as the host makes them, from a configuration written for the test; and events to deliver to them.
//
// Used by test_endpoints.cpp and test/integration/test_postgres_endpoint.cpp. Thread rule: one thread.
#pragma once

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <unistd.h>

#include "consumer/consumer.hpp"
#include "consumer/endpoints.hpp"
#include "relay/relay.hpp"

namespace muskrat::unit {

inline Deadline soon() { return Deadline::in(milliseconds(10'000)); }

// A folder that goes when the test does.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/muskrat-test-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for the test");
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline Schema consumer_schema() {
  Schema schema;
  for (const EndpointKind& kind : endpoint_kinds()) schema.endpoints.push_back(&kind);
  schema.relay = relay_options();
  schema.consumer = consumer_options();
  schema.endpoint_common = endpoint_common_options();
  schema.validate_endpoint = check_endpoint;
  return schema;
}

// Loads `options` (YAML, indented by four) as the one endpoint of a file.
inline Loaded load_endpoint(const Folder& folder, const std::string& kind, const std::string& options) {
  const std::string path = folder / "muskrat.yaml";
  std::ofstream(path) << "broker: {url: \"amqp://localhost\"}\nendpoints:\n  it:\n    kind: '" << kind
                      << "'\n    subscribe: ['#']\n"
                      << options;
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return load_config(path, consumer_schema());
}

inline const EndpointKind& kind_named(const std::string& name) {
  for (const EndpointKind& kind : endpoint_kinds())
    if (kind.name == name) return kind;
  throw std::runtime_error("no endpoint kind " + name);
}

// One endpoint instance with the configuration it lives on.
struct Made {
  Folder folder;
  Config config;
  std::unique_ptr<Endpoint> endpoint;

  void make(const std::string& kind, const std::string& options) {
    Loaded loaded = load_endpoint(folder, kind, options);
    if (!loaded.ok()) throw std::runtime_error(describe(loaded.problems.front()));
    config = std::move(loaded.config);
    endpoint = kind_named(kind).make(config.endpoints.front());
    endpoint->connect(soon());
  }
  std::vector<Outcome> deliver(const std::vector<Event>& events) {
    std::vector<const Event*> batch;
    batch.reserve(events.size());
    for (const Event& event : events) batch.push_back(&event);
    return endpoint->deliver(batch, soon());
  }
};

inline Event event(int64_t id, int64_t seq, const std::string& body, Op op = Op::insert) {
  Event made;
  const char* action = op == Op::remove ? "Cancel" : op == Op::truncate ? "Truncate" : "Signup";
  made.routing_key = std::string("Frontend.Customer.") + action;
  made.message_id = "00000000-0000-7000-8000-" + std::to_string(100000000000 + seq);
  made.key = "Frontend.Customer:[" + std::to_string(id) + "]";
  made.source = "frontend";
  made.op = op;
  made.epoch = 1;
  made.seq = seq;
  made.captured_us = 1'700'000'000'000'000 + seq;
  made.body = body;
  return made;
}

}  // namespace muskrat::unit
