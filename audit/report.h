/* audit/report.h - what a period came to, for audit/report*.c. One thread. */
#ifndef AUDIT_REPORT_H
#define AUDIT_REPORT_H

#include "audit/audit.h"
#include "audit/openset.h"
#include "base/buf.h"

enum { REPORT_NAME_BYTES = 128, REPORT_DAY_BYTES = 11, REPORT_MONEY_BYTES = 8 };

/* Counts of requests, and what they used. */
struct report_sums {
    uint64_t requests;
    uint64_t inside, outside; /* answered by a target in the zones process and private; approved */
    uint64_t refused, blocked, failed;
    uint64_t edited; /* sent with a value hidden */
    uint64_t found;  /* with findings in what was asked; of them: */
    uint64_t found_inside, found_blocked, found_edited, found_left;
    uint64_t by_class[GW_CLASS_COUNT]; /* with findings of that class */
    uint64_t found_answers;            /* with findings in the answer */
    uint64_t prompt_tokens, completion_tokens;
    uint64_t cost_nano;
    uint64_t saved_nano; /* what was answered inside or from the cache would have cost */
};

/* What one user did on one day, in one currency. */
struct report_row {
    char day[REPORT_DAY_BYTES];
    char team[REPORT_NAME_BYTES], user[REPORT_NAME_BYTES];
    char currency[REPORT_MONEY_BYTES];
    struct report_sums sums;
};

/* How rows are put together. */
enum report_by { REPORT_BY_DAY, REPORT_BY_TEAM, REPORT_BY_USER, REPORT_BY_CURRENCY };

struct report_data {
    struct report_row *rows;
    size_t n_rows, cap_rows;
    uint64_t records, open; /* open: requests without an end */
    int64_t first_ms, last_ms;
    uint64_t gaps; /* sluice.gap records */
};

/* The name that a row has when rows are put together so. */
const char *report_name(const struct report_row *row, enum report_by by);

/* Rows of that kind: days in their order, others by requests, most first. *out is malloc'ed; false: out of memory. */
bool report_group(const struct report_data *d, enum report_by by, struct report_row **out,
                  size_t *n);

void report_markdown(const struct report_data *d, struct gw_buf *out);
void report_html(const struct report_data *d, struct gw_buf *out);
void report_json(const struct report_data *d, struct gw_buf *out);

void report_add(struct report_sums *to, const struct report_sums *s);

/* What a name must not bring into a page: control characters. */
static inline char report_plain(char c)
{
    if ((unsigned char)c < 0x20 || c == 0x7F)
        c = ' ';
    return c;
}

/* "12.34 USD": cents rounded up, so that what costs something is never 0. */
void report_put_money(struct gw_buf *out, uint64_t nano, const char *currency);

#endif
