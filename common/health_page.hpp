// What the health server answers: the status page, /status, and the verdicts of
// /healthz and /readyz, as texts. No HTTP here, so tests need no socket.
//
// Used by health.cpp. Thread rule: free functions.
#pragma once

#include "common/health.hpp"

namespace muskrat {

struct Verdict {
  bool ok;
  std::string body;
};

// Alive: every component that has not ended gave a beat within a minute.
Verdict alive(const std::vector<StatusBoard::Row>& rows, SteadyTime now);
// Ready: every component is. The body is JSON that gives each one's reason.
Verdict ready(const std::vector<StatusBoard::Row>& rows);
std::string status_json(const std::vector<StatusBoard::Row>& rows, SteadyTime now);
// Self-contained HTML that loads itself again every few seconds.
std::string status_page(const std::vector<StatusBoard::Row>& rows, SteadyTime now);

}  // namespace muskrat
