/* base/log_pairs.h - the pairs of a log line, for log.c. */
#ifndef BASE_LOG_PAIRS_H
#define BASE_LOG_PAIRS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* A line in the making. n stays at least LOG_PAIRS_TAIL below cap, so that it can always be ended. */
struct log_line {
    char *p;
    size_t n, cap;
    bool json;
};
enum { LOG_PAIRS_TAIL = 4 };

/* Appends a literal, as it stands. */
void log_line_add(struct log_line *l, const char *text);

/* Appends the pairs that fmt and its arguments make: ` key=value key="value"`, or `,"key":"value","n":1`. The keys and the
 * quotes are the format's alone: whatever an argument holds stays inside its value, escaped. Conversions: %s %.*s %.Ns %c
 * %d %u %lld %llu %ld %lu %zu %0Nu and their like, %.Nf (what is no finite number becomes -); no others. */
void log_pairs(struct log_line *l, const char *fmt, va_list ap);

#endif
