// How an endpoint reaches its server over HTTP: the options that say it, and what an http::Client makes of them.
//
// Used by endpoint kinds that call a server (http, marketo, salesforce). A kind's own table adds response_bytes, whose
// default depends on what it is answered. Thread rule: free functions.
#pragma once

#include "common/http.hpp"
#include "common/options.hpp"

namespace muskrat::api {

// connect_timeout, ca_file, proxy
OptionTable client_options();
http::Options client_of(const Settings& settings);

}  // namespace muskrat::api
