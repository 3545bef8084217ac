/* A consumer that only takes and acknowledges: what consume_postgres_ratio is measured against.
 *   bare_consume <port> <vhost> <queue> <messages> <prefetch> <messages per ack>
 * Prints the seconds from the first delivery to the last acknowledgement. */
#include "bare.h"

int main(int argc, char **argv) {
  if (argc != 7) give_up("reading the arguments");
  amqp_connection_state_t connection = connect_to(atoi(argv[1]), argv[2]);
  int64_t messages = atoll(argv[4]), per_ack = atoll(argv[6]);
  if (!amqp_basic_qos(connection, 1, 0, (uint16_t)atoi(argv[5]), 0)) give_up("basic.qos");
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(argv[3]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  check(amqp_get_rpc_reply(connection), "basic.consume");

  double start = 0;
  for (int64_t taken = 1; taken <= messages; taken++) {
    amqp_envelope_t envelope;
    struct timeval limit = {30, 0};
    amqp_maybe_release_buffers(connection);
    check(amqp_consume_message(connection, &envelope, &limit, 0), "consume");
    if (taken == 1) start = seconds_now();
    if (taken % per_ack == 0 || taken == messages) amqp_basic_ack(connection, 1, envelope.delivery_tag, 1);
    amqp_destroy_envelope(&envelope);
  }
  printf("%.6f\n", seconds_now() - start);
  amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS);
  amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
  return 0;
}
