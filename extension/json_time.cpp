// Dates and times, as ISO 8601 with up to six digits of a second, trailing zeros cut. Years before Christ carry " BC"
// as PostgreSQL reads them back; infinity is a string.
extern "C" {
#include "postgres.h"

#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
}

#include "extension/json_types.hpp"

namespace {

// Text of a time under construction; the longest interval has fewer than 80 bytes.
struct Text {
  char data[96];
  int length;
};

void put(Text& text, char c) { text.data[text.length++] = c; }

void put(Text& text, const char* s) {
  while (*s) put(text, *s++);
}

// As %0*lld, which costs more than the rest of a timestamp; intervals have negative numbers.
void put_number(Text& text, int64 value, int width) {
  constexpr int most_digits = 20;
  char digits[most_digits];
  int count = 0;
  uint64 rest = value < 0 ? 0 - static_cast<uint64>(value) : static_cast<uint64>(value);
  for (; rest != 0 || count == 0; rest /= 10) digits[count++] = static_cast<char>('0' + rest % 10);
  if (value < 0) {
    put(text, '-');
    width--;
  }
  for (int i = count; i < width; i++) put(text, '0');
  while (count > 0) put(text, digits[--count]);
}

void put_two(Text& text, int value) {
  put(text, static_cast<char>('0' + value / 10));
  put(text, static_cast<char>('0' + value % 10));
}

void put_fraction(Text& text, int microseconds) {
  if (!microseconds) return;
  put(text, '.');
  put_number(text, microseconds, 6);
  while (text.data[text.length - 1] == '0') text.length--;
}

// PostgreSQL counts years as astronomers do: 0 is 1 BC.
void put_date(Text& text, int year, int month, int day) {
  put_number(text, year > 0 ? year : 1 - year, 4);
  put(text, '-');
  put_two(text, month);
  put(text, '-');
  put_two(text, day);
}

void put_time_of_day(Text& text, int64 microseconds) {
  put_two(text, static_cast<int>(microseconds / USECS_PER_HOUR));
  put(text, ':');
  put_two(text, static_cast<int>(microseconds / USECS_PER_MINUTE % 60));
  put(text, ':');
  put_two(text, static_cast<int>(microseconds / USECS_PER_SEC % 60));
  put_fraction(text, static_cast<int>(microseconds % USECS_PER_SEC));
}

void finish(Json& json, Text& text) {
  put(text, '"');
  json_raw(json, text.data, text.length);
}

void write_instant(Json& json, Timestamp instant, bool utc) {
  if (TIMESTAMP_IS_NOBEGIN(instant)) return json_raw(json, "\"-infinity\"");
  if (TIMESTAMP_IS_NOEND(instant)) return json_raw(json, "\"infinity\"");
  pg_tm tm;
  fsec_t fraction;
  if (timestamp2tm(instant, nullptr, &tm, &fraction, nullptr, nullptr) != 0)
    ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
  Text text{{'"'}, 1};
  put_date(text, tm.tm_year, tm.tm_mon, tm.tm_mday);
  put(text, 'T');
  put_time_of_day(text, ((tm.tm_hour * 60LL + tm.tm_min) * 60 + tm.tm_sec) * USECS_PER_SEC + fraction);
  if (utc) put(text, 'Z');
  if (tm.tm_year <= 0) put(text, " BC");
  finish(json, text);
}

void put_part(Text& text, int64 value, char unit) {
  if (!value) return;
  put_number(text, value, 1);
  put(text, unit);
}

void put_seconds(Text& text, int64 microseconds) {
  if (!microseconds) return;
  int64 size = microseconds < 0 ? -microseconds : microseconds;
  if (microseconds < 0) put(text, '-');
  put_number(text, size / USECS_PER_SEC, 1);
  put_fraction(text, static_cast<int>(size % USECS_PER_SEC));
  put(text, 'S');
}

}  // namespace

void write_date(Json& json, Datum value, TypePlan&) {
  DateADT date = DatumGetDateADT(value);
  if (DATE_IS_NOBEGIN(date)) return json_raw(json, "\"-infinity\"");
  if (DATE_IS_NOEND(date)) return json_raw(json, "\"infinity\"");
  int year, month, day;
  j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
  Text text{{'"'}, 1};
  put_date(text, year, month, day);
  if (year <= 0) put(text, " BC");
  finish(json, text);
}

void write_time(Json& json, Datum value, TypePlan&) {
  Text text{{'"'}, 1};
  put_time_of_day(text, DatumGetTimeADT(value));
  finish(json, text);
}

void write_timetz(Json& json, Datum value, TypePlan&) {
  const TimeTzADT* time = DatumGetTimeTzADTP(value);
  Text text{{'"'}, 1};
  put_time_of_day(text, time->time);
  int east = -time->zone;  // the stored zone counts seconds west of Greenwich
  int size = east < 0 ? -east : east;
  put(text, east < 0 ? '-' : '+');
  put_two(text, size / SECS_PER_HOUR);
  put(text, ':');
  put_two(text, size / SECS_PER_MINUTE % 60);
  if (size % SECS_PER_MINUTE) {
    put(text, ':');
    put_two(text, size % SECS_PER_MINUTE);
  }
  finish(json, text);
}

void write_timestamp(Json& json, Datum value, TypePlan&) { write_instant(json, DatumGetTimestamp(value), false); }

void write_timestamptz(Json& json, Datum value, TypePlan&) { write_instant(json, DatumGetTimestampTz(value), true); }

// P1Y2M3DT4H5M6.789S; each part has its own sign, since months, days and time are three numbers.
void write_interval(Json& json, Datum value, TypePlan&) {
  const Interval* span = DatumGetIntervalP(value);
#if PG_VERSION_NUM >= 170000
  if (INTERVAL_IS_NOBEGIN(span)) return json_raw(json, "\"-infinity\"");
  if (INTERVAL_IS_NOEND(span)) return json_raw(json, "\"infinity\"");
#endif
  if (!span->month && !span->day && !span->time) return json_raw(json, "\"PT0S\"");
  Text text{{'"', 'P'}, 2};
  put_part(text, span->month / 12, 'Y');
  put_part(text, span->month % 12, 'M');
  put_part(text, span->day, 'D');
  if (span->time) put(text, 'T');
  put_part(text, span->time / USECS_PER_HOUR, 'H');
  put_part(text, span->time / USECS_PER_MINUTE % 60, 'M');
  put_seconds(text, span->time % USECS_PER_MINUTE);
  finish(json, text);
}
