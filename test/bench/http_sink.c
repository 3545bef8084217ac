/* The server of the HTTP figures: reads each request whole and answers 200 and {}, keeping connections alive, a thread each.
 *   http_sink
 * Prints its port and serves until its standard input ends. It is far from the limit of either client, and the same for both. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
enum { room = 4 << 20 };

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

static void *take(void *context) {
  int listener = (int)(intptr_t)context, one = 1;
  while (1) {
    int fd = accept(listener, NULL, NULL);
    pthread_t thread;
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0) pthread_detach(thread);
  }
  return NULL;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  pthread_t thread;
  char byte;
  if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 64) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0)
    return 1;
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  if (pthread_create(&thread, NULL, take, (void *)(intptr_t)listener) != 0) return 1;
  while (read(0, &byte, 1) > 0) continue;
  return 0;
}
