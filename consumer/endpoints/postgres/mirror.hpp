// The postgres endpoint's side of `muskrat verify`: its tables beside what events would make of them.
//
// Used by endpoint.cpp's entry in the list of kinds. A chunk of events is one statement for each shape of row: the
// expected texts travel as arrays, are cast as a delivery casts them, and the server answers with the rows that differ.
// Thread rule: one thread.
#pragma once

#include <memory>

#include "common/config.hpp"
#include "consumer/mirror.hpp"

namespace muskrat::postgres {

std::unique_ptr<Mirror> make_mirror(const Component& component);

}  // namespace muskrat::postgres
