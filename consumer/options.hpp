// What every endpoint can be told, whatever its kind: the option table and the sealed struct read from it.
//
// Used by the host (consumer/host.cpp) and, through consumer.hpp, by the loader of the configuration.
// Each default stands in the table in options.cpp, once. Thread rule: plain values.
#pragma once

#include "common/config.hpp"
#include "consumer/due_letters.hpp"
#include "consumer/endpoints.hpp"

namespace muskrat {

enum class OnDead { go_on, hold };
enum class OnTruncate { dead, apply };

struct HostOptions {
  unsigned lanes = 1;
  uint16_t prefetch = 1;
  size_t in_hand_bytes = 0;
  size_t batch_size = 1, batch_bytes = 0;
  milliseconds batch_age{0}, scarce_batch_age{0};  // the latter while calls are scarce
  unsigned concurrency = 1;                        // deliveries under way at once; a lane makes one call at a time
  milliseconds hold_for{0};
  milliseconds timeout{0};
  unsigned retry_attempts = 1;
  milliseconds retry_first{0}, retry_most{0};
  size_t held_most = 0, held_bytes = 0;
  OnDead on_dead = OnDead::go_on;
  RetryPlan dead_retry;
  OnTruncate on_truncate = OnTruncate::dead;
  milliseconds give_back_after{0};
  unsigned circuit_after = 1;
  milliseconds circuit_first{0}, circuit_most{0};
  milliseconds drain{0};
};

HostOptions host_options(const EndpointKind& kind, const Component& component, const Settings& consumer);

}  // namespace muskrat
