#include "consumer/endpoints/api/client.hpp"

#include <array>

namespace muskrat::api {

OptionTable client_options() {
  static constexpr std::array table{
      Option{"connect_timeout", OptionType::duration, "10s", "100ms..5m", "How long a connection may take to be made."},
      Option{"ca_file", OptionType::text, "", "",
             "The certificate authorities (PEM) that may vouch for the server. Default: the system's."},
      Option{"proxy", OptionType::choice, "none", "none|environment",
             "Whether https_proxy and its kind in the environment are obeyed."},
  };
  return table;
}

http::Options client_of(const Settings& settings) {
  http::Options options;
  options.connect_timeout = settings.duration("connect_timeout");
  options.response_bytes = static_cast<size_t>(settings.bytes("response_bytes"));
  options.ca_file = settings.text("ca_file");
  options.proxy_from_environment = settings.text("proxy") == "environment";
  return options;
}

}  // namespace muskrat::api
