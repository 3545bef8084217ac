/* What the two bare programs share: a connection to the broker, and giving up. They are the limits that the relay and the
 * host are measured against, so they do nothing that need not be done. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

static inline void give_up(const char *what) {
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

static inline void check(amqp_rpc_reply_t reply, const char *what) {
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) give_up(what);
}

static inline amqp_connection_state_t connect_to(int port, const char *vhost) {
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (socket == NULL || amqp_socket_open(socket, "127.0.0.1", port) != AMQP_STATUS_OK) give_up("connect");
  check(amqp_login(connection, vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest"), "login");
  amqp_channel_open(connection, 1);
  check(amqp_get_rpc_reply(connection), "channel.open");
  return connection;
}

static inline double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
