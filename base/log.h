/* base/log.h - levelled lines of key=value pairs, or of JSON, on standard error.
 *
 * Never takes payload bytes: callers log ids, names, lengths and counts. One call is one write(2) of
 * one line. Thread: any. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/err.h"

enum gw_log_level { GW_LOG_DEBUG, GW_LOG_INFO, GW_LOG_WARN, GW_LOG_ERROR };

/* Lines below level are dropped. Thread: any. */
void gw_log_set_level(enum gw_log_level level);
/* How lines look: `time level event key=value key="a b"`, or one JSON object. Thread: any. */
enum gw_log_format { GW_LOG_TEXT, GW_LOG_JSON };
void gw_log_set_format(enum gw_log_format f);
bool gw_log_enabled(enum gw_log_level level);

/* Writes one line. event is a fixed snake_case word; fmt makes the pairs, `key=%u key="%s"`: quotes where a value may hold
 * blanks. What arguments hold stays inside their values (log_pairs.h says how, and which conversions there are). The line
 * is cut at 2,000 bytes, between pairs or inside a value; control bytes, and bytes that are not UTF-8, become '?'. */
void gw_log(enum gw_log_level level, const char *event, const char *fmt, ...) GW_PRINTF(3, 4);

#endif
