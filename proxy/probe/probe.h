/* proxy/probe/probe.h - `serve --check --probe`: asks everything that the configuration names whether it is there.
 *
 * Each question is a row with what was found and, where it is not well, what to do. Nothing is changed anywhere: a GET at
 * each server with each key, a file that is made and removed on each disk, metadata from Kafka, PING to Redis. Commands
 * only: these functions block, each question for PROBE_TIMEOUT_S at most; servers are asked side by side. */
#ifndef PROXY_PROBE_H
#define PROXY_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "proxy/config/config.h"

enum { PROBE_TIMEOUT_S = 10, PROBE_SOON_DAYS = 21 };

enum probe_state { PROBE_OK, PROBE_WARN, PROBE_FAIL };

struct probe_row {
    enum probe_state state;
    char what[96];    /* "targets.openai", "audit.spool" */
    char found[240];  /* "answers in 84 ms, the key is accepted, certificate for 61 days" */
    char remedy[240]; /* "" where there is nothing to do */
};

struct probe_report {
    struct probe_row *rows; /* in the order of the configuration */
    unsigned n, cap;
};

/* Fills *out, which the caller frees with probe_report_free(), also after a failure. GW_ENOMEM. */
enum gw_status probe_all(const struct proxy_config *cfg, struct probe_report *out,
                         struct gw_err *err);
void probe_report_free(struct probe_report *r);

/* ---- between proxy/probe/probe*.c ------------------------------------------------------------- */

/* A new row, PROBE_OK; NULL: out of memory. Valid until the next one is made. */
struct probe_row *probe_row(struct probe_report *r, const char *fmt, ...) GW_PRINTF(2, 3);
/* Makes it worse, never better, and says what to do. */
void probe_bad(struct probe_row *row, enum probe_state state, const char *fmt, ...) GW_PRINTF(3, 4);

void probe_targets(const struct proxy_config *cfg, struct probe_report *r);
void probe_certificates(const struct proxy_config *cfg, struct probe_report *r);
void probe_identity(const struct proxy_config *cfg, struct probe_report *r);
void probe_disks(const struct proxy_config *cfg, struct probe_report *r);
void probe_sinks(const struct proxy_config *cfg, struct probe_report *r);
void probe_stores(const struct proxy_config *cfg, struct probe_report *r); /* keys, Kafka, Redis */

/* What the certificate's end means for a row: appends "certificate for N days" to found. */
void probe_expiry(struct probe_row *row, int days);
/* Days until the end of the first certificate of a PEM text; false: there is none. */
bool probe_pem_days(const char *pem, size_t len, int *days);

#endif
