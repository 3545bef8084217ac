// muskrat.yaml: a loose document becomes a sealed, validated Config by load_config.
//
// Used by the CLI, which hands the parts to relay and host. yaml-cpp is included
// in config_yaml.cpp alone. Errors are collected, all of them, each with file and
// line; an unknown key gets a suggestion. ${NAME} and ${file:PATH} are resolved
// in every scalar, at load time (and again at SIGHUP and at each reconnect for
// secrets, through Settings::fresh_secret and Config::broker_now); a missing variable is an error.
//
//   broker:    {url, password, prefix, heartbeat, tls: …}
//   sources:   {<name>: {kind: postgres, …the kind's options}}
//   endpoints: {<name>: {kind: file, subscribe: […], …common options, …the kind's options}}
//   relay:     {listen, …}      consumer: {listen, …}      log: {level, format}
// A file may lack sources (a consumer's) or endpoints (a relay's); `include: [other.yaml]` joins split files.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/amqp.hpp"
#include "common/options.hpp"
#include "common/topology.hpp"

namespace muskrat {

// What one kind has as default of an option that every kind has.
struct KindDefault {
  std::string_view option, value;
};

// One entry of the explicit lists in relay/sources.cpp and consumer/endpoints.cpp, as far as configuration cares.
struct Kind {
  std::string_view name;
  std::string_view help;
  OptionTable options;
  // Rules across options; appends what it finds. May be null.
  void (*validate)(const Settings& settings, std::vector<Problem>& problems) = nullptr;
  unsigned most_lanes = 64;  // of endpoints; 1: instances cannot share what they write to
  std::span<const KindDefault> defaults = {};
};

struct Component {
  std::string name;  // [A-Za-z0-9_-]+
  std::string kind;
  Settings settings;
  Where where;
};

struct Config {
  // The broker's address with its secrets resolved anew: to be asked for at every connect, so that a rotated password
  // needs no restart. Failure{reconnect} when a secret's file is gone.
  amqp::Address broker_now() const;

  amqp::Address broker;  // as it was at load
  Settings broker_settings;
  Topology topology;
  UnroutedBound unrouted;
  std::vector<Component> sources;
  std::vector<Component> endpoints;  // settings hold the host's common options too (consumer_options below)
  Settings relay, consumer, log;
  std::vector<Problem> warnings;
  std::string file;
};

// Sections whose tables are fixed; the two daemons own theirs and hand them in, as they do their kinds.
struct Schema {
  std::vector<const Kind*> sources;
  std::vector<const Kind*> endpoints;
  OptionTable relay;            // relay/options.hpp
  OptionTable consumer;         // consumer/options.hpp
  OptionTable endpoint_common;  // consumer/options.hpp: subscribe, lanes, batch, retry, on_dead …
  // Rules across the options of every endpoint, whatever its kind. May be null.
  void (*validate_endpoint)(const Settings& settings, std::vector<Problem>& problems) = nullptr;
};

struct Loaded {
  Config config;                  // meaningful only when there are no errors
  std::vector<Problem> problems;  // errors and warnings, in file order
  bool ok() const;
};

// Why no endpoint can have that name; empty when one can.
std::string objection_to_endpoint_name(std::string_view name);

// Never throws for what is in the file; Failure{stop} when the file cannot be read.
Loaded load_config(const std::string& path, const Schema& schema);

// A table read from YAML text by itself, for tests and tools: `file` names it in problems.
Settings parse_settings(OptionTable table, const std::string& yaml, const std::string& file,
                        std::vector<Problem>& problems);

// The reference of all options as Markdown: docs/configuration.md is generated from it.
std::string describe_options(const Schema& schema);

}  // namespace muskrat
