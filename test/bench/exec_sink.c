/* The program behind the figures of the exec endpoint: reads events, a line each, and answers each as done.
 *   exec_sink
 * It finds the message_id as text and parses nothing else, so that it is far from the limit of either side that talks
 * to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { room = 1 << 20 };

static int put(const char* data, size_t size) {
  while (size > 0) {
    ssize_t wrote = write(1, data, size);
    if (wrote <= 0) return 0;
    data += wrote;
    size -= (size_t)wrote;
  }
  return 1;
}

int main(void) {
  static const char before[] = "\"message_id\":\"";
  char *data = malloc(room + 1), *answers = malloc(room);
  size_t have = 0;
  if (data == NULL || answers == NULL) return 1;
  while (1) {
    ssize_t got = read(0, data + have, room - have);
    if (got <= 0) return 0;
    have += (size_t)got;
    data[have] = '\0';
    char *line = data, *end = NULL;
    size_t out = 0;
    while ((end = memchr(line, '\n', have - (size_t)(line - data))) != NULL) {
      *end = '\0';
      char *id = strstr(line, before), *quote = id != NULL ? strchr(id + sizeof before - 1, '"') : NULL;
      if (quote == NULL || room - out < 512) return 1;
      id += sizeof before - 1;
      out += (size_t)snprintf(answers + out, room - out, "{\"message_id\":\"%.*s\",\"result\":\"done\"}\n",
                              (int)(quote - id), id);
      line = end + 1;
    }
    if (!put(answers, out)) return 1;
    have -= (size_t)(line - data);
    if (have == room) return 1;
    memmove(data, line, have);
  }
}
