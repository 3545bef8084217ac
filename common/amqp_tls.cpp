// TLS towards the broker: verified by default, 1.2 at least. rabbitmq-c 0.11 has neither a floor nor default CAs.
#include <openssl/ssl.h>

#include "common/amqp_impl.hpp"

namespace muskrat::amqp {

namespace {

void expect(bool ok, const std::string& what) {
  if (!ok) throw Failure(Remedy::reconnect, what);
}

void trust(amqp_socket_t* socket, SSL_CTX* context, const Address& address) {
  if (address.tls_ca.empty()) {
    expect(SSL_CTX_set_default_verify_paths(context) == 1,
           "cannot load the system's CA certificates; install ca-certificates or set broker.tls.ca");
    return;
  }
  expect(amqp_ssl_socket_set_cacert(socket, address.tls_ca.c_str()) == AMQP_STATUS_OK,
         "cannot read the CA certificates in " + address.tls_ca + "; check broker.tls.ca");
}

}  // namespace

amqp_socket_t* new_tls_socket(amqp_connection_state_t state, const Address& address) {
  amqp_socket_t* socket = amqp_ssl_socket_new(state);
  expect(socket != nullptr, "cannot set up TLS: out of memory");
  auto* context = static_cast<SSL_CTX*>(amqp_ssl_socket_get_context(socket));
  expect(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1, "cannot require TLS 1.2");
  trust(socket, context, address);
  amqp_ssl_socket_set_verify_peer(socket, address.tls_verify);
  amqp_ssl_socket_set_verify_hostname(socket, address.tls_verify);
  if (!address.tls_cert.empty()) {
    expect(amqp_ssl_socket_set_key(socket, address.tls_cert.c_str(), address.tls_key.c_str()) == AMQP_STATUS_OK,
           "cannot use the client certificate " + address.tls_cert + " with the key " + address.tls_key +
               "; check that both can be read and belong together");
  }
  return socket;
}

}  // namespace muskrat::amqp
