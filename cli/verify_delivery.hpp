// Whether what the source's database has committed has come through to an endpoint, as far as can be seen from outside.
//
// Used by VerifyRun between two looks at a row. Three things are waited for: the relay has published everything that
// was committed before; the endpoint's queue was empty once after that; and then `grace`, for what the host had in its
// hands. An event that the host tries again and again is not seen from here. Thread rule: the main thread.
#pragma once

#include <optional>
#include <string>

#include "cli/verify_source.hpp"
#include "common/amqp.hpp"
#include "common/config.hpp"
#include "common/stop.hpp"

namespace muskrat::cli {

class VerifyDelivery {
 public:
  VerifyDelivery(const Config& config, const std::string& endpoint, VerifySource& source, milliseconds grace,
                 const Stop& stop)
      : config_(config), queue_(config.topology.queue(endpoint)), source_(source), grace_(grace), stop_(stop) {}

  // Waits until all that is committed by now is through, or the deadline has passed, or stop is requested. "": it is;
  // else what was waited for.
  std::string settle(Deadline deadline);

 private:
  std::string published(const std::string& position);
  std::string taken();

  const Config& config_;
  const std::string queue_;
  VerifySource& source_;
  const milliseconds grace_;
  const Stop& stop_;
  std::optional<amqp::Connection> broker_;
};

}  // namespace muskrat::cli
