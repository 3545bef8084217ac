/* The broker of the figure relay_read_rate: takes AMQP 0-9-1 from one publisher at a time, says yes to everything, throws
 * each message away and confirms it. What is measured against it is the relay alone: reading, encoding, and its window.
 *   stub_broker
 * Prints its port and serves until its standard input ends. It keeps no message and checks no login: no test of what Muskrat
 * promises may stand on it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

enum { room = 4 << 20, frame_end = 0xCE, head_bytes = 7 };

/* class and method in one number, as they stand in the frame */
enum {
  connection_start_ok = 10 << 16 | 11,
  connection_tune_ok = 10 << 16 | 31,
  connection_open = 10 << 16 | 40,
  connection_close = 10 << 16 | 50,
  channel_open = 20 << 16 | 10,
  channel_close = 20 << 16 | 40,
  exchange_declare = 40 << 16 | 10,
  queue_declare = 50 << 16 | 10,
  queue_bind = 50 << 16 | 20,
  basic_publish = 60 << 16 | 40,
  confirm_select = 85 << 16 | 10,
};

struct client {
  int fd;
  uint64_t published, confirmed, body_left;
  unsigned char out[256];
  size_t length;
};

static void put(struct client *c, uint64_t value, int bytes) {
  while (bytes-- > 0) c->out[c->length++] = (unsigned char)(value >> (8 * bytes));
}

static void put_text(struct client *c, const char *text, int length_bytes) {
  put(c, strlen(text), length_bytes);
  memcpy(c->out + c->length, text, strlen(text));
  c->length += strlen(text);
}

static void begin(struct client *c, unsigned channel, unsigned class, unsigned method) {
  c->length = 0;
  put(c, 1, 1);
  put(c, channel, 2);
  put(c, 0, 4);
  put(c, class, 2);
  put(c, method, 2);
}

static int send_frame(struct client *c) {
  size_t size = c->length - head_bytes;
  for (int i = 0; i < 4; i++) c->out[3 + i] = (unsigned char)(size >> (8 * (3 - i)));
  put(c, frame_end, 1);
  return write(c->fd, c->out, c->length) == (ssize_t)c->length;
}

static int answer_empty(struct client *c, unsigned channel, unsigned class, unsigned method) {
  begin(c, channel, class, method);
  return send_frame(c);
}

static int greet(struct client *c) {
  begin(c, 0, 10, 10);
  put(c, 0x0009, 2);
  put(c, 0, 4); /* no server properties */
  put_text(c, "PLAIN", 4);
  put_text(c, "en_US", 4);
  return send_frame(c);
}

static int tune(struct client *c) {
  begin(c, 0, 10, 30);
  put(c, 2047, 2);
  put(c, 131072, 4);
  put(c, 0, 2);
  return send_frame(c);
}

/* 0 when it cannot go on */
static int method(struct client *c, unsigned channel, uint32_t id) {
  switch (id) {
    case connection_start_ok:
      return tune(c);
    case connection_tune_ok:
    case basic_publish:
      return 1;
    case connection_open:
      begin(c, 0, 10, 41);
      put_text(c, "", 1);
      return send_frame(c);
    case connection_close:
      answer_empty(c, 0, 10, 51);
      return 0;
    case channel_open:
      c->published = c->confirmed = 0;
      begin(c, channel, 20, 11);
      put_text(c, "", 4);
      return send_frame(c);
    case channel_close:
      return answer_empty(c, channel, 20, 41);
    case exchange_declare:
      return answer_empty(c, channel, 40, 11);
    case queue_declare:
      begin(c, channel, 50, 11);
      put_text(c, "stub", 1);
      put(c, 0, 4);
      put(c, 0, 4);
      return send_frame(c);
    case queue_bind:
      return answer_empty(c, channel, 50, 21);
    case confirm_select:
      return answer_empty(c, channel, 85, 11);
    default:
      fprintf(stderr, "stub_broker: method %u.%u is not one of those it knows\n", id >> 16, id & 0xffff);
      return 0;
  }
}

static uint64_t number(const unsigned char *at, int bytes) {
  uint64_t value = 0;
  while (bytes-- > 0) value = value << 8 | *at++;
  return value;
}

static int frame(struct client *c, const unsigned char *at, size_t size) {
  const unsigned char *payload = at + head_bytes;
  if (at[0] == 1) return size >= 4 && method(c, (unsigned)number(at + 1, 2), (uint32_t)number(payload, 4));
  if (at[0] == 2) c->body_left = size >= 12 ? number(payload + 4, 8) : 0;
  if (at[0] == 3) c->body_left -= size < c->body_left ? size : c->body_left;
  if ((at[0] == 2 || at[0] == 3) && c->body_left == 0) c->published++;
  return 1;
}

/* One acknowledgement for all that one read brought. */
static int confirm(struct client *c) {
  if (c->published == c->confirmed) return 1;
  begin(c, 1, 60, 80);
  put(c, c->published, 8);
  put(c, 1, 1);
  c->confirmed = c->published;
  return send_frame(c);
}

static void *serve(void *context) {
  struct client c = {.fd = (int)(intptr_t)context};
  unsigned char *data = malloc(room);
  size_t have = 0, greeted = 0;
  while (data != NULL) {
    ssize_t got = read(c.fd, data + have, room - have);
    if (got <= 0) break;
    have += (size_t)got;
    size_t at = 0;
    if (!greeted && have >= 8) {
      greeted = at = 8;
      if (!greet(&c)) break;
    }
    int goes_on = 1;
    while (goes_on && greeted && have - at >= head_bytes + 1) {
      size_t size = number(data + at + 3, 4);
      if (size > room / 2) goes_on = 0;
      if (!goes_on || have - at < head_bytes + size + 1) break;
      goes_on = frame(&c, data + at, size);
      at += head_bytes + size + 1;
    }
    memmove(data, data + at, have - at);
    have -= at;
    if (!goes_on || !confirm(&c)) break;
  }
  free(data);
  close(c.fd);
  return NULL;
}

int main(void) { return serve_clients(); }
