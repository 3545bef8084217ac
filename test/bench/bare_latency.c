/* What the broker alone takes from a publish to its delivery: the part of latency_p50_ms that is not ours.
 *   bare_latency <port> <vhost> <exchange> <routing key> <queue> <messages> <body bytes> <microseconds between two>
 * Persistent, with confirms; one connection publishes, another consumes and acknowledges each message. Prints the 50th
 * and the 99th percentile in milliseconds. */
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bare.h"

static int ascending(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return (difference > 0) - (difference < 0);
}

/* Everything that has come, answers and heartbeats alike, is thrown away. */
static void take_answers(amqp_connection_state_t connection) {
  for (;;) {
    amqp_frame_t frame;
    struct timeval none = {0, 0};
    amqp_maybe_release_buffers(connection);
    int status = amqp_simple_wait_frame_noblock(connection, &frame, &none);
    if (status == AMQP_STATUS_TIMEOUT) return;
    if (status != AMQP_STATUS_OK) give_up("waiting for confirms");
  }
}

static void sleep_until(double when) {
  struct timespec at = {(time_t)when, (long)((when - (double)(time_t)when) * 1e9)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
  }
}

static int publish(char **argv, int64_t messages, size_t size, double pause) {
  amqp_connection_state_t connection = connect_to(atoi(argv[1]), argv[2]);
  amqp_confirm_select(connection, 1);
  check(amqp_get_rpc_reply(connection), "confirm.select");
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = AMQP_DELIVERY_PERSISTENT};
  amqp_bytes_t body = amqp_bytes_malloc(size);
  memset(body.bytes, 'x', body.len);
  double due = seconds_now() + 1;
  for (int64_t n = 0; n < messages; n++, due += pause) {
    sleep_until(due);
    double now = seconds_now();
    memcpy(body.bytes, &now, sizeof now);
    if (amqp_basic_publish(connection, 1, amqp_cstring_bytes(argv[3]), amqp_cstring_bytes(argv[4]), 1, 0, &properties, body) !=
        AMQP_STATUS_OK)
      give_up("publish");
    take_answers(connection);
  }
  sleep_until(seconds_now() + 1);
  take_answers(connection);
  return 0;
}

static void consume(char **argv, int64_t messages, double *took) {
  amqp_connection_state_t connection = connect_to(atoi(argv[1]), argv[2]);
  if (!amqp_basic_qos(connection, 1, 0, 1000, 0)) give_up("basic.qos");
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(argv[5]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  check(amqp_get_rpc_reply(connection), "basic.consume");
  for (int64_t n = 0; n < messages; n++) {
    amqp_envelope_t envelope;
    struct timeval limit = {30, 0};
    double sent;
    amqp_maybe_release_buffers(connection);
    check(amqp_consume_message(connection, &envelope, &limit, 0), "consume");
    memcpy(&sent, envelope.message.body.bytes, sizeof sent);
    took[n] = (seconds_now() - sent) * 1000;
    amqp_basic_ack(connection, 1, envelope.delivery_tag, 0);
    amqp_destroy_envelope(&envelope);
  }
  amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS);
  amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
}

int main(int argc, char **argv) {
  if (argc != 9) give_up("reading the arguments");
  int64_t messages = atoll(argv[6]);
  size_t size = (size_t)atoll(argv[7]);
  double *took = calloc((size_t)messages, sizeof *took);
  if (took == NULL || messages < 1 || size < sizeof *took) give_up("reading the arguments");
  pid_t publisher = fork();
  if (publisher < 0) give_up("fork");
  if (publisher == 0) return publish(argv, messages, size, atof(argv[8]) / 1e6);
  consume(argv, messages, took);
  int status;
  if (waitpid(publisher, &status, 0) < 0 || status != 0) give_up("publishing");
  qsort(took, (size_t)messages, sizeof *took, ascending);
  printf("%.4f %.4f\n", took[messages / 2], took[messages * 99 / 100]);
  return 0;
}
