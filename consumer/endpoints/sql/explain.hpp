// What an SQL endpoint would do with an event: the rows, as JSON.
//
// Used by the endpoint kinds postgres and mysql for `muskrat explain` and `muskrat test`. It goes through the same
// routes and field tables as a delivery does; what a column's type makes of a value is known to the database alone.
// Thread rule: free function.
#pragma once

#include "consumer/explain.hpp"

namespace muskrat::sql {

// sends: [{"table":"public.customers","effect":"upsert","values":{"id":7,…}}, …]; columns that are left alone are
// absent.
Explanation explain(const Component& component, const Event& event);

}  // namespace muskrat::sql
