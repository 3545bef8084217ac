/* A name server that never answers for *.hole, for one process: loaded into it with LD_PRELOAD. Says on stderr when it
 * is asked, so that a test knows. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char* host, const char* service, const struct addrinfo* hints, struct addrinfo** found) {
  int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**);
  *(void**)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  const char* end = host == NULL ? NULL : strrchr(host, '.');
  if (end != NULL && strcmp(end, ".hole") == 0 && !(hints != NULL && (hints->ai_flags & AI_NUMERICHOST))) {
    fprintf(stderr, "black hole: asked for %s\n", host);
    for (;;) pause();
  }
  return real(host, service, hints, found);
}
