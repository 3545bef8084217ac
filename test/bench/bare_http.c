/* A client that only posts what the host posts: what consume_http_ratio is measured against. One connection, kept alive, one request at a time.
 *   bare_http <url> <file with the body> <requests>
 * Prints the seconds from the first request to the last answer. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static size_t drop(char *data, size_t size, size_t count, void *context) {
  (void)data, (void)context;
  return size * count;
}

static double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  static char body[8 << 20];
  if (argc != 4) return 1;
  FILE *file = fopen(argv[2], "rb");
  if (file == NULL) return 1;
  size_t size = fread(body, 1, sizeof body, file);
  fclose(file);
  CURL *curl = curl_easy_init();
  /* the headers of the host's requests */
  static const char *const lines[] = {"Expect:",
                                      "Content-Type: application/json",
                                      "User-Agent: muskrat/0.1.0",
                                      "Accept-Encoding: deflate, gzip, br, zstd",
                                      "Idempotency-Key: 00000000-0000-7000-8000-000000000000",
                                      "X-Muskrat-Routing-Key: Frontend.Customer.insert",
                                      "X-Muskrat-Op: insert",
                                      "X-Muskrat-Epoch: 1764082800",
                                      "X-Muskrat-Seq: 12345"};
  struct curl_slist *headers = NULL;
  for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) headers = curl_slist_append(headers, lines[i]);
  curl_easy_setopt(curl, CURLOPT_URL, argv[1]);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, drop);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)size);
  double start = seconds_now();
  for (long left = atol(argv[3]); left > 0; left--) {
    long status = 0;
    if (curl_easy_perform(curl) != CURLE_OK) return 1;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) return 1;
  }
  printf("%.6f\n", seconds_now() - start);
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return 0;
}
