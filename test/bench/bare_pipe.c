/* A publisher of what comes in, a line a message, that waits for confirms: with a COPY before it what scrape_ratio is measured against.
 *   bare_pipe <port> <vhost> <exchange> <routing key> <window>
 * Persistent, mandatory, the properties and headers that a source sends. Prints the seconds from the first line to the last confirm,
 * and how many there were. */
#include "bare.h"

static int64_t unconfirmed;
static uint64_t sent;
static char *confirmed; /* a ring by delivery tag: tags are confirmed within one window of each other */
static uint64_t low = 1, ring;

static void confirm(uint64_t tag) {
  if (tag < low || confirmed[tag % ring]) return;
  confirmed[tag % ring] = 1;
  unconfirmed--;
}

/* Takes one frame: an ack counts, anything else but silence ends us. Acks are not in the order of their tags. */
static void take_frame(amqp_connection_state_t connection, struct timeval *limit) {
  amqp_frame_t frame;
  int status = amqp_simple_wait_frame_noblock(connection, &frame, limit);
  if (status == AMQP_STATUS_TIMEOUT && limit->tv_sec == 0) return;
  if (status != AMQP_STATUS_OK || frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
    give_up("waiting for confirms");
  amqp_basic_ack_t *ack = frame.payload.method.decoded;
  if (ack->multiple)
    for (uint64_t tag = low; tag < ack->delivery_tag; tag++) confirm(tag);
  confirm(ack->delivery_tag);
  for (; low <= sent && confirmed[low % ring]; low++) confirmed[low % ring] = 0;
}

static amqp_table_entry_t text_header(const char *name, const char *text) {
  amqp_table_entry_t entry;
  entry.key = amqp_cstring_bytes(name);
  entry.value.kind = AMQP_FIELD_KIND_UTF8;
  entry.value.value.bytes = amqp_cstring_bytes(text);
  return entry;
}

static amqp_table_entry_t number_header(const char *name, int64_t number) {
  amqp_table_entry_t entry;
  entry.key = amqp_cstring_bytes(name);
  entry.value.kind = AMQP_FIELD_KIND_I64;
  entry.value.value.i64 = number;
  return entry;
}

int main(int argc, char **argv) {
  if (argc != 6) give_up("reading the arguments");
  amqp_connection_state_t connection = connect_to(atoi(argv[1]), argv[2]);
  amqp_bytes_t exchange = amqp_cstring_bytes(argv[3]), routing_key = amqp_cstring_bytes(argv[4]);
  int64_t window = atoll(argv[5]);
  ring = (uint64_t)window * 64; /* an old tag that is late must not be overtaken by a ring's length */
  confirmed = calloc(ring, 1);
  if (confirmed == NULL) give_up("calloc");
  amqp_confirm_select(connection, 1);
  check(amqp_get_rpc_reply(connection), "confirm.select");

  char key[64];
  amqp_table_entry_t headers[6] = {text_header("x-muskrat-op", "record"),   text_header("x-muskrat-source", "scraped"),
                                   number_header("x-muskrat-epoch", 1),     number_header("x-muskrat-seq", 0),
                                   number_header("timestamp_in_ms", 1),     text_header("x-muskrat-key", key)};
  amqp_basic_properties_t properties;
  memset(&properties, 0, sizeof properties);
  properties._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG |
                      AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_TYPE_FLAG | AMQP_BASIC_APP_ID_FLAG |
                      AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_HEADERS_FLAG;
  properties.content_type = amqp_cstring_bytes("application/json");
  properties.delivery_mode = 2;
  properties.message_id = amqp_cstring_bytes("019aaaaa-0000-8000-8000-000000000000");
  properties.timestamp = (uint64_t)time(NULL);
  properties.type = amqp_cstring_bytes("Record");
  properties.app_id = amqp_cstring_bytes("muskrat");
  properties.headers.num_entries = 6;
  properties.headers.entries = headers;

  struct timeval at_once = {0, 0}, half_a_minute = {30, 0};
  char *line = NULL;
  size_t room = 0;
  ssize_t length = 0;
  double start = 0;
  while ((length = getline(&line, &room, stdin)) > 0) {
    if (sent == 0) start = seconds_now();
    snprintf(key, sizeof key, "Billing.Customer:[%llu]", (unsigned long long)sent);
    headers[5] = text_header("x-muskrat-key", key);
    headers[3] = number_header("x-muskrat-seq", (int64_t)sent);
    properties.correlation_id = amqp_cstring_bytes(key);
    amqp_bytes_t body = {.len = (size_t)length - 1, .bytes = line};
    if (amqp_basic_publish(connection, 1, exchange, routing_key, 1, 0, &properties, body) != AMQP_STATUS_OK)
      give_up("publish");
    sent++;
    unconfirmed++;
    if (sent % 64 == 0) take_frame(connection, &at_once);
    amqp_maybe_release_buffers(connection);
    while (unconfirmed >= window || sent - low >= ring - 1) take_frame(connection, &half_a_minute);
  }
  while (unconfirmed > 0) take_frame(connection, &half_a_minute);
  printf("%.6f %lld\n", seconds_now() - start, (long long)sent);
  return 0;
}
