/* A writer and reader of lines, and nothing else: what consume_exec_ratio is measured against. It hands the child the
 * same line over and over, so many at once, and waits for as many answers. bare_exec <child> <file with the line>
 * <events> <lines at once> Prints the seconds from the first line to the last answer. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Writes the text and reads until so many lines have come; 0 when the child has ended. */
static int exchange(int to, int from, const char* text, size_t size, long lines) {
  static char part[1 << 16];
  while (lines > 0) {
    struct pollfd fds[2] = {{from, POLLIN, 0}, {size > 0 ? to : -1, POLLOUT, 0}};
    if (poll(fds, 2, -1) < 0) return 0;
    if (fds[1].revents != 0) {
      ssize_t wrote = write(to, text, size);
      if (wrote <= 0) return 0;
      text += wrote;
      size -= (size_t)wrote;
    }
    if (fds[0].revents != 0) {
      ssize_t got = read(from, part, sizeof part);
      if (got <= 0) return 0;
      for (ssize_t i = 0; i < got; i++) lines -= part[i] == '\n';
    }
  }
  return 1;
}

int main(int argc, char** argv) {
  static char line[1 << 16];
  if (argc != 5) return 1;
  FILE* file = fopen(argv[2], "rb");
  if (file == NULL) return 1;
  size_t size = fread(line, 1, sizeof line, file);
  fclose(file);
  long events = atol(argv[3]), at_once = atol(argv[4]);
  char* text = malloc(size * (size_t)at_once);
  int in[2], out[2];
  if (text == NULL || pipe(in) != 0 || pipe(out) != 0) return 1;
  for (long i = 0; i < at_once; i++) memcpy(text + (size_t)i * size, line, size);
  signal(SIGPIPE, SIG_IGN);
  pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[1]);
    close(out[0]);
    execl(argv[1], argv[1], (char*)NULL);
    _exit(127);
  }
  close(in[0]);
  close(out[1]);
  fcntl(in[1], F_SETFL, O_NONBLOCK);
  double start = seconds_now();
  for (long left = events; left > 0; left -= at_once) {
    long lines = left < at_once ? left : at_once;
    if (!exchange(in[1], out[0], text, size * (size_t)lines, lines)) return 1;
  }
  printf("%.6f\n", seconds_now() - start);
  close(in[1]);
  waitpid(child, NULL, 0);
  return 0;
}
