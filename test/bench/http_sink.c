/* The server of the HTTP figures: reads each request whole and answers 200 and {}, keeping connections alive, a thread each.
 *   http_sink [µs]
 * Each answer takes so many microseconds, none by default. Prints its port and serves until its standard input ends. It is far from the
 * limit of either client, and the same for both. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "serve.h"

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
enum { room = 4 << 20 };
static long taken_us;

static void *serve(void *context) {
  int fd = (int)(intptr_t)context;
  char *data = malloc(room);
  size_t have = 0;
  while (data != NULL) {
    data[have] = '\0';
    char *end = strstr(data, "\r\n\r\n");
    size_t need = 0;
    if (end != NULL) {
      char *length = strcasestr(data, "content-length:");
      need = (size_t)(end - data) + 4 + (length != NULL && length < end ? strtoul(length + 15, NULL, 10) : 0);
    }
    if (need != 0 && have >= need) {
      struct timespec taken = {taken_us / 1000000, taken_us % 1000000 * 1000};
      if (taken_us > 0) nanosleep(&taken, NULL);
      if (write(fd, answer, sizeof answer - 1) < 0) break;
      memmove(data, data + need, have - need);
      have -= need;
      continue;
    }
    if (need >= room || have + 1 >= room) break;
    ssize_t got = read(fd, data + have, room - 1 - have);
    if (got <= 0) break;
    have += (size_t)got;
  }
  free(data);
  close(fd);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1) taken_us = atol(argv[1]);
  return serve_clients();
}
