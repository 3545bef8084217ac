/* A consumer that takes, writes the rows in batches and acknowledges: the limit of queue → PostgreSQL without what makes events
 * count once. What consume_postgres_upsert_ratio is measured against.
 *   bare_upsert <port> <vhost> <queue> <messages> <prefetch> <rows per batch> <connections> <dsn> <table> <column,column,…>
 * The first column is the key. A batch is one transaction (BEGIN, INSERT … ON CONFLICT DO UPDATE of unnested arrays, COMMIT, one
 * round trip); the connections take turns, and a batch is acknowledged after its commit. Prints the seconds from the first delivery to
 * the last acknowledgement. */
#include "bare.h"

#include <jansson.h>
#include <libpq-fe.h>

enum { most_columns = 32, most_connections = 16 };

struct text {
  char *at;
  size_t size, room;
};

struct worker {
  PGconn *connection;
  uint64_t last_tag; /* of the batch under way; 0: none */
};

static void add(struct text *text, const char *bytes, size_t size) {
  if (text->size + size + 1 > text->room) {
    text->room = (text->size + size + 1) * 2;
    text->at = realloc(text->at, text->room);
    if (text->at == NULL) give_up("realloc");
  }
  memcpy(text->at + text->size, bytes, size);
  text->size += size;
  text->at[text->size] = '\0';
}

static void add_quoted(struct text *text, const char *value) {
  add(text, "\"", 1);
  for (; *value != '\0'; value++) {
    if (*value == '"' || *value == '\\') add(text, "\\", 1);
    add(text, value, 1);
  }
  add(text, "\"", 1);
}

/* One row: an element for each column's array. */
static void take_row(const amqp_bytes_t *body, char **columns, int count, struct text *arrays) {
  json_t *row = json_loadb(body->bytes, body->len, 0, NULL);
  if (row == NULL) give_up("reading a body");
  for (int i = 0; i < count; i++) {
    json_t *value = json_object_get(row, columns[i]);
    char number[64];
    if (arrays[i].size > 1) add(&arrays[i], ",", 1);
    if (json_is_string(value)) {
      add_quoted(&arrays[i], json_string_value(value));
    } else if (json_is_integer(value)) {
      add(&arrays[i], number, (size_t)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value)));
    } else if (json_is_real(value)) {
      add(&arrays[i], number, (size_t)snprintf(number, sizeof number, "%.10g", json_real_value(value)));
    } else {
      add(&arrays[i], "NULL", 4);
    }
  }
  json_decref(row);
}

static void append(char *sql, size_t room, const char *format, int number, const char *name) {
  size_t used = strlen(sql);
  snprintf(sql + used, room - used, format, number, name);
}

/* The casts are the columns' own types, as the catalog has them. */
static void write_statement(PGconn *connection, const char *table, char **columns, int count, char *sql, size_t room) {
  const char *params[2] = {table, NULL};
  snprintf(sql, room, "INSERT INTO %s (", table);
  for (int i = 0; i < count; i++) append(sql, room, i == 0 ? "%.0d%s" : ", %.0d%s", 0, columns[i]);
  append(sql, room, ") SELECT %.0d%s", 0, "");
  for (int i = 0; i < count; i++) {
    params[1] = columns[i];
    PGresult *type = PQexecParams(connection,
                                  "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2",
                                  2, NULL, params, NULL, NULL, 0);
    if (PQntuples(type) != 1) give_up("looking a column up");
    append(sql, room, i == 0 ? "c%d::%s" : ", c%d::%s", i, PQgetvalue(type, 0, 0));
    PQclear(type);
  }
  append(sql, room, " FROM unnest(%.0d%s", 0, "");
  for (int i = 0; i < count; i++) append(sql, room, i == 0 ? "$%d::text[]%s" : ", $%d::text[]%s", i + 1, "");
  append(sql, room, ") AS u(%.0d%s", 0, "");
  for (int i = 0; i < count; i++) append(sql, room, i == 0 ? "c%d%s" : ", c%d%s", i, "");
  append(sql, room, ") ON CONFLICT (%.0d%s) DO UPDATE SET ", 0, columns[0]);
  for (int i = 1; i < count; i++) {
    append(sql, room, i == 1 ? "%.0d%s = " : ", %.0d%s = ", 0, columns[i]);
    append(sql, room, "excluded.%.0d%s", 0, columns[i]);
  }
}

static void send_batch(struct worker *worker, const char *sql, struct text *arrays, int count, uint64_t last_tag) {
  const char *values[most_columns];
  for (int i = 0; i < count; i++) {
    add(&arrays[i], "}", 1);
    values[i] = arrays[i].at;
  }
  if (PQsendQueryParams(worker->connection, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) != 1 ||
      PQsendQueryParams(worker->connection, sql, count, NULL, values, NULL, NULL, 0) != 1 ||
      PQsendQueryParams(worker->connection, "COMMIT", 0, NULL, NULL, NULL, NULL, 0) != 1 || PQpipelineSync(worker->connection) != 1)
    give_up(PQerrorMessage(worker->connection));
  worker->last_tag = last_tag;
  for (int i = 0; i < count; i++) {
    arrays[i].size = 0;
    add(&arrays[i], "{", 1);
  }
}

/* Waits for the batch's commit, then acknowledges it; batches end in the order in which they began. */
static void finish(struct worker *worker, amqp_connection_state_t broker) {
  if (worker->last_tag == 0) return;
  for (int syncs = 0; syncs == 0;) {
    PGresult *result = PQgetResult(worker->connection);
    if (result == NULL) continue;
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) syncs++;
    else if (PQresultStatus(result) != PGRES_COMMAND_OK) give_up(PQerrorMessage(worker->connection));
    PQclear(result);
  }
  amqp_basic_ack(broker, 1, worker->last_tag, 1);
  worker->last_tag = 0;
}

int main(int argc, char **argv) {
  static char sql[8192];
  if (argc != 11) give_up("reading the arguments");
  int64_t messages = atoll(argv[4]), batch = atoll(argv[6]);
  int connections = atoi(argv[7]), count = 0, turn = 0;
  char *columns[most_columns];
  struct worker workers[most_connections] = {0};
  struct text arrays[most_columns] = {0};
  for (char *name = strtok(argv[10], ","); name != NULL && count < most_columns; name = strtok(NULL, ",")) columns[count++] = name;
  for (int i = 0; i < count; i++) add(&arrays[i], "{", 1);
  if (connections < 1 || connections > most_connections) give_up("reading the number of connections");
  for (int i = 0; i < connections; i++) {
    workers[i].connection = PQconnectdb(argv[8]);
    if (PQstatus(workers[i].connection) != CONNECTION_OK) give_up(PQerrorMessage(workers[i].connection));
    if (i == 0) write_statement(workers[0].connection, argv[9], columns, count, sql, sizeof sql);
    if (PQenterPipelineMode(workers[i].connection) != 1) give_up("pipeline mode");
  }

  amqp_connection_state_t broker = connect_to(atoi(argv[1]), argv[2]);
  if (!amqp_basic_qos(broker, 1, 0, (uint16_t)atoi(argv[5]), 0)) give_up("basic.qos");
  amqp_basic_consume(broker, 1, amqp_cstring_bytes(argv[3]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  check(amqp_get_rpc_reply(broker), "basic.consume");
  double start = 0;
  for (int64_t taken = 1; taken <= messages; taken++) {
    amqp_envelope_t envelope;
    struct timeval limit = {30, 0};
    amqp_maybe_release_buffers(broker);
    check(amqp_consume_message(broker, &envelope, &limit, 0), "consume");
    if (taken == 1) start = seconds_now();
    take_row(&envelope.message.body, columns, count, arrays);
    if (taken % batch == 0 || taken == messages) {
      send_batch(&workers[turn], sql, arrays, count, envelope.delivery_tag);
      turn = (turn + 1) % connections;
      finish(&workers[turn], broker);
    }
    amqp_destroy_envelope(&envelope);
  }
  for (int i = 0; i < connections; i++) finish(&workers[(turn + i) % connections], broker);
  printf("%.6f\n", seconds_now() - start);
  return 0;
}
