/* audit/report_text.c - a report in Markdown, and as JSON. Thread: any. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "audit/report.h"
#include "base/clock.h"

enum { MOST_USERS = 50 };

static void put_time(struct gw_buf *out, int64_t ms)
{
    char when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(ms, when);
    gw_buf_add(out, (struct gw_span){when, 16});
}

/* ---- Markdown --------------------------------------------------------------------------- */

/* Names come from clients: nothing of them may end a cell or a line, or be markup. */
static void put_cell(struct gw_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("\\|`*_<>[]#&", *text) != NULL)
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, report_plain(*text));
    }
}

static void put_row(const struct report_row *r, const char *name, struct gw_buf *out)
{
    const struct report_sums *s = &r->sums;

    gw_buf_adds(out, "| ");
    put_cell(out, name);
    gw_buf_printf(out,
                  " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64
                  " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | ",
                  s->requests, s->inside, s->outside, s->blocked, s->refused + s->failed, s->found,
                  s->edited, s->prompt_tokens + s->completion_tokens);
    report_put_money(out, s->cost_nano, r->currency);
    gw_buf_adds(out, " | ");
    report_put_money(out, s->saved_nano, r->currency);
    gw_buf_adds(out, " |\n");
}

static void put_table(const struct report_data *d, enum report_by by, const char *title,
                      const char *first, size_t most, struct gw_buf *out)
{
    struct report_row *rows = NULL;
    size_t n = 0;

    if (!report_group(d, by, &rows, &n)) {
        gw_buf_adds(out, "\nout of memory\n");
        return;
    }
    gw_buf_printf(
        out,
        "\n## %s\n\n"
        "| %s | requests | inside | outside | blocked | refused or failed | with findings "
        "| sent with values hidden | tokens | cost | saved |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        title, first);
    for (size_t i = 0; i < n && i < most; i++)
        put_row(&rows[i], report_name(&rows[i], by), out);
    if (n > most)
        gw_buf_printf(out, "\n%zu more are in `--format json`.\n", n - most);
    free(rows);
}

static void put_findings(const struct report_sums *s, struct gw_buf *out)
{
    gw_buf_printf(out,
                  "\n## What was found\n\n"
                  "%" PRIu64 " requests had findings: %" PRIu64 " were answered inside, %" PRIu64
                  " blocked, %" PRIu64 " sent outside with values hidden, %" PRIu64
                  " sent outside as they were. %" PRIu64 " had findings in their answers.\n\n",
                  s->found, s->found_inside, s->found_blocked, s->found_edited, s->found_left,
                  s->found_answers);
    if (s->found != 0)
        gw_buf_adds(out, "| class | requests |\n|---|---:|\n");
    for (unsigned k = 0; k < GW_CLASS_COUNT; k++)
        if (s->by_class[k] != 0)
            gw_buf_printf(out, "| %s | %" PRIu64 " |\n", gw_class_name((enum gw_class)k),
                          s->by_class[k]);
}

void report_markdown(const struct report_data *d, struct gw_buf *out)
{
    struct report_row *all = NULL;
    struct report_sums s = {0};
    size_t n = 0;

    gw_buf_adds(out, "# AI gateway report\n\n");
    if (d->n_rows == 0) {
        gw_buf_adds(out, "No request ended in this time.\n");
        return;
    }
    gw_buf_adds(out, "From ");
    put_time(out, d->first_ms);
    gw_buf_adds(out, " to ");
    put_time(out, d->last_ms);
    gw_buf_printf(out,
                  " UTC. %" PRIu64 " records read; %" PRIu64 " requests without an end, %" PRIu64
                  " gaps declared.\n",
                  d->records, d->open, d->gaps);
    for (size_t i = 0; i < d->n_rows; i++)
        report_add(&s, &d->rows[i].sums);
    put_findings(&s, out);
    if (report_group(d, REPORT_BY_CURRENCY, &all, &n) && n > 1)
        put_table(d, REPORT_BY_CURRENCY, "By currency", "currency", SIZE_MAX, out);
    free(all);
    put_table(d, REPORT_BY_DAY, "By day", "day (UTC)", SIZE_MAX, out);
    put_table(d, REPORT_BY_TEAM, "By team", "team", MOST_USERS, out);
    put_table(d, REPORT_BY_USER, "By user", "user", MOST_USERS, out);
}

/* ---- JSON ------------------------------------------------------------------------------- */

static void put_number(struct gw_buf *out, const char *name, uint64_t n)
{
    gw_buf_printf(out, ",\"%s\":%" PRIu64, name, n);
}

static void put_amount(struct gw_buf *out, const char *name, uint64_t nano)
{
    gw_buf_printf(out, ",\"%s\":%" PRIu64 ".%09" PRIu64, name, nano / 1000000000,
                  nano % 1000000000);
}

static void put_object(const struct report_row *r, struct gw_buf *out)
{
    const struct report_sums *s = &r->sums;

    gw_buf_printf(out, "{\"day\":\"%s\",\"team\":", r->day);
    gw_buf_add_json_str(out, gw_span_str(r->team));
    gw_buf_adds(out, ",\"user\":");
    gw_buf_add_json_str(out, gw_span_str(r->user));
    put_number(out, "requests", s->requests);
    put_number(out, "inside", s->inside);
    put_number(out, "outside", s->outside);
    put_number(out, "blocked", s->blocked);
    put_number(out, "refused", s->refused);
    put_number(out, "failed", s->failed);
    put_number(out, "values_hidden", s->edited);
    put_number(out, "with_findings", s->found);
    put_number(out, "found_inside", s->found_inside);
    put_number(out, "found_blocked", s->found_blocked);
    put_number(out, "found_hidden", s->found_edited);
    put_number(out, "found_sent", s->found_left);
    put_number(out, "found_in_answers", s->found_answers);
    gw_buf_adds(out, ",\"classes\":{");
    for (unsigned k = 0, first = 1; k < GW_CLASS_COUNT; k++) {
        if (s->by_class[k] == 0)
            continue;
        gw_buf_printf(out, "%s\"%s\":%" PRIu64, first ? "" : ",", gw_class_name((enum gw_class)k),
                      s->by_class[k]);
        first = 0;
    }
    gw_buf_addc(out, '}');
    put_number(out, "prompt_tokens", s->prompt_tokens);
    put_number(out, "completion_tokens", s->completion_tokens);
    put_amount(out, "cost", s->cost_nano);
    put_amount(out, "saved", s->saved_nano);
    gw_buf_adds(out, ",\"currency\":");
    gw_buf_add_json_str(out, gw_span_str(r->currency));
    gw_buf_addc(out, '}');
}

void report_json(const struct report_data *d, struct gw_buf *out)
{
    char when[GW_RFC3339_BYTES];

    gw_buf_addc(out, '{');
    if (d->n_rows != 0) {
        gw_clock_rfc3339(d->first_ms, when);
        gw_buf_printf(out, "\"from\":\"%s\",", when);
        gw_clock_rfc3339(d->last_ms, when);
        gw_buf_printf(out, "\"to\":\"%s\",", when);
    }
    gw_buf_printf(
        out, "\"records\":%" PRIu64 ",\"without_end\":%" PRIu64 ",\"gaps\":%" PRIu64 ",\"rows\":[",
        d->records, d->open, d->gaps);
    for (size_t i = 0; i < d->n_rows; i++) {
        gw_buf_adds(out, i == 0 ? "\n" : ",\n");
        put_object(&d->rows[i], out);
    }
    gw_buf_adds(out, "\n]}\n");
}
