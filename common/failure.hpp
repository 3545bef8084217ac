// The one exception of the daemons: something failed that ends a connection or
// the program, and the place where it was born says what to do about it.
//
// Used by every wrapper and both daemons. The fate of an *event* is never an
// exception: it is a value (consumer/endpoint.hpp's Outcome).
// Messages say what happened, to what, and what to do next; they never carry a
// password, a DSN or a payload.
#pragma once

#include <stdexcept>
#include <string>

namespace muskrat {

enum class Remedy {
  reconnect,  // the connection is spoiled; a new one may work: back off, try again, for ever
  stop,       // trying again cannot help until a person changes something
};

class Failure : public std::runtime_error {
 public:
  Failure(Remedy remedy, const std::string& what) : std::runtime_error(what), remedy_(remedy) {}
  Remedy remedy() const { return remedy_; }

 private:
  Remedy remedy_;
};

// What is meant for one holder has one. For a daemon a failure like others; `muskrat check` asks whether it is ours.
class InUse : public Failure {
 public:
  explicit InUse(const std::string& what) : Failure(Remedy::reconnect, what) {}
};

}  // namespace muskrat
