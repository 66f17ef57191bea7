/* base/log.h - levelled key=value lines on standard error.
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
bool gw_log_enabled(enum gw_log_level level);

/* Writes `time level event key=value ...`. event is a fixed snake_case word; fmt makes the pairs. The
 * text is cut at 1,000 bytes, control bytes are replaced by '?'. */
void gw_log(enum gw_log_level level, const char *event, const char *fmt, ...) GW_PRINTF(3, 4);

#endif
