/* base/clock.h - time, in one place, so that tests can set it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_NS_PER_MS  1000000ull
#define GW_NS_PER_SEC 1000000000ull

/* Nanoseconds of a clock that never goes back (CLOCK_MONOTONIC). Thread: any. */
uint64_t gw_clock_ns(void);

/* Milliseconds since 1970 UTC. Thread: any. */
int64_t gw_clock_wall_ms(void);

/* Writes "2026-11-21T14:45:27.123Z" (RFC 3339) and its NUL; out holds at least 25 bytes. */
enum { GW_RFC3339_BYTES = 25 };
void gw_clock_rfc3339(int64_t wall_ms, char out[GW_RFC3339_BYTES]);

/* Reads a day, "2026-11-21" (its first millisecond; *is_day true), or a moment, "2026-11-21T14:45:27Z". False, and nothing set:
 * neither of them, or no day of the calendar. */
bool gw_clock_parse(const char *text, int64_t *wall_ms, bool *is_day);

#endif
