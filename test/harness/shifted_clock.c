/* A wall clock that is wrong by SHIFTED_BY_US microseconds, for one process: loaded into it with LD_PRELOAD, so that a
 * test need not wait for midnight. The monotonic clock, by which all waits go, stays right. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec* now) {
  static const long long second = 1000000000;
  long failed = syscall(SYS_clock_gettime, clock, now);
  const char* shift = clock == CLOCK_REALTIME ? getenv("SHIFTED_BY_US") : NULL;
  if (failed != 0 || shift == NULL) return (int)failed;
  long long ns = now->tv_sec * second + now->tv_nsec + atoll(shift) * 1000;
  now->tv_sec = ns / second;
  now->tv_nsec = ns % second;
  return 0;
}
