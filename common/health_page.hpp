// What the health server answers: the status page, /status, and the verdicts of
// /healthz and /readyz, as texts; and what /metrics says of readiness. No HTTP here,
// so tests need no socket.
//
// Used by health.cpp. Thread rule: free functions.
#pragma once

#include "common/health.hpp"
#include "common/metrics.hpp"

namespace muskrat {

struct Verdict {
  bool ok;
  std::string body;
  std::string brief;  // the body for those who may not know more
};

// Alive: every component that has not ended gave a beat within a minute.
Verdict alive(const std::vector<StatusBoard::Row>& rows, SteadyTime now);
// Ready: every component is. The body is JSON that gives each one's reason.
Verdict ready(const std::vector<StatusBoard::Row>& rows);
// The gauge muskrat_ready: 1 for each component that is ready and alive, else 0. A row "source x" has the label
// source="x".
metrics::Snapshot readiness(const std::vector<StatusBoard::Row>& rows, SteadyTime now);
std::string status_json(const std::vector<StatusBoard::Row>& rows, SteadyTime now);
// Self-contained HTML that loads itself again every few seconds.
std::string status_page(const std::vector<StatusBoard::Row>& rows, SteadyTime now);

}  // namespace muskrat
