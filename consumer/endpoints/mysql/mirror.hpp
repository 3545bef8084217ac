// The mysql endpoint's side of `muskrat verify`: its tables beside what events would make of them.
//
// Used by endpoint.cpp's entry in the list of kinds. The server itself says what a text becomes in a column: the
// expected rows are written into a temporary table of the same columns, under a delivery's settings, and joined with
// the target. So it needs CREATE TEMPORARY TABLES, and writes nothing that others could see. Thread rule: one thread.
#pragma once

#include <memory>

#include "common/config.hpp"
#include "consumer/mirror.hpp"

namespace muskrat::mysql_target {

std::unique_ptr<Mirror> make_mirror(const Component& component);

}  // namespace muskrat::mysql_target
