/* audit/report_html.c - a report as one HTML page without scripts or anything from elsewhere; charts are inline SVG.
 * Thread: any. */
#include <inttypes.h>
#include <stdlib.h>

#include "audit/report.h"
#include "base/clock.h"

enum { MOST_BARS = 62, MOST_USERS = 50, CHART_WIDTH = 720, CHART_HEIGHT = 160, LABEL_WIDTH = 120 };

static void put_text(struct gw_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            gw_buf_adds(out, "&lt;");
            break;
        case '>':
            gw_buf_adds(out, "&gt;");
            break;
        case '&':
            gw_buf_adds(out, "&amp;");
            break;
        case '"':
            gw_buf_adds(out, "&quot;");
            break;
        default:
            gw_buf_addc(out, report_plain(*text));
        }
    }
}

/* One piece of a bar, and where the next begins. */
static double piece(struct gw_buf *out, double x, double bottom, double width, double height,
                    const char *class_)
{
    if (height > 0)
        gw_buf_printf(out,
                      "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
                      class_, x, bottom - height, width, height);
    return bottom - height;
}

/* Requests a day: inside, outside, blocked, the rest, one above the other. */
static void put_days(const struct report_data *d, struct gw_buf *out)
{
    struct report_row *rows = NULL;
    size_t n = 0, from;
    uint64_t most = 1;
    double width;

    if (!report_group(d, REPORT_BY_DAY, &rows, &n))
        return;
    from = n > MOST_BARS ? n - MOST_BARS : 0;
    for (size_t i = from; i < n; i++)
        most = rows[i].sums.requests > most ? rows[i].sums.requests : most;
    width = (double)CHART_WIDTH / (double)(n - from);
    if (width > 48)
        width = 48;
    gw_buf_printf(out,
                  "<h2>Requests a day</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" "
                  "aria-label=\"requests a day\">",
                  CHART_WIDTH, CHART_HEIGHT + 20);
    for (size_t i = from; i < n; i++) {
        const struct report_sums *s = &rows[i].sums;
        const double unit = (double)CHART_HEIGHT / (double)most;
        const double x = (double)(i - from) * width, w = width * 0.85;
        const uint64_t known = s->inside + s->outside + s->blocked;
        double y = CHART_HEIGHT;

        gw_buf_printf(out, "<g><title>%s: %" PRIu64 " requests</title>", rows[i].day, s->requests);
        y = piece(out, x, y, w, (double)s->inside * unit, "in");
        y = piece(out, x, y, w, (double)s->outside * unit, "out");
        y = piece(out, x, y, w, (double)s->blocked * unit, "no");
        if (s->requests > known)
            (void)piece(out, x, y, w, (double)(s->requests - known) * unit, "rest");
        gw_buf_adds(out, "</g>");
        if (i == from || i + 1 == n)
            gw_buf_printf(out, "<text x=\"%.1f\" y=\"%d\">%s</text>", x, CHART_HEIGHT + 14,
                          rows[i].day);
    }
    gw_buf_adds(out, "</svg>\n<p class=\"key\"><b class=\"in\"></b> inside <b class=\"out\"></b> "
                     "outside <b class=\"no\"></b> blocked <b class=\"rest\"></b> refused or "
                     "failed</p>\n");
    free(rows);
}

static void put_classes(const struct report_sums *s, struct gw_buf *out)
{
    uint64_t most = 1;
    unsigned line = 0;

    for (unsigned k = 0; k < GW_CLASS_COUNT; k++) {
        most = s->by_class[k] > most ? s->by_class[k] : most;
        line += s->by_class[k] != 0;
    }
    gw_buf_printf(out,
                  "<h2>What was found</h2>\n<p>%" PRIu64 " requests had findings: %" PRIu64
                  " were answered inside, %" PRIu64 " blocked, %" PRIu64
                  " sent outside with values hidden, %" PRIu64
                  " sent outside as they were. %" PRIu64 " had findings in their answers.</p>\n"
                  "<svg viewBox=\"0 0 %d %u\" role=\"img\" aria-label=\"requests by class\">",
                  s->found, s->found_inside, s->found_blocked, s->found_edited, s->found_left,
                  s->found_answers, CHART_WIDTH, 24 * line + 1);
    line = 0;
    for (unsigned k = 0; k < GW_CLASS_COUNT; k++) {
        const double room = CHART_WIDTH - LABEL_WIDTH - 80;

        if (s->by_class[k] == 0)
            continue;
        gw_buf_printf(out,
                      "<text x=\"0\" y=\"%u\">%s</text><rect class=\"no\" x=\"%d\" y=\"%u\" "
                      "width=\"%.1f\" height=\"16\"/><text x=\"%.1f\" y=\"%u\">%" PRIu64 "</text>",
                      24 * line + 14, gw_class_name((enum gw_class)k), LABEL_WIDTH, 24 * line + 1,
                      room * (double)s->by_class[k] / (double)most,
                      LABEL_WIDTH + 6 + room * (double)s->by_class[k] / (double)most,
                      24 * line + 14, s->by_class[k]);
        line++;
    }
    gw_buf_adds(out, "</svg>\n");
}

static void put_table(const struct report_data *d, enum report_by by, const char *title,
                      struct gw_buf *out)
{
    struct report_row *rows = NULL;
    size_t n = 0;

    if (!report_group(d, by, &rows, &n))
        return;
    gw_buf_printf(
        out,
        "<h2>%s</h2>\n<table><tr><th></th><th>requests</th><th>inside</th><th>outside</th>"
        "<th>blocked</th><th>refused or failed</th><th>with findings</th><th>sent with "
        "values hidden</th><th>tokens</th><th>cost</th><th>saved</th></tr>\n",
        title);
    for (size_t i = 0; i < n && (by == REPORT_BY_DAY || i < MOST_USERS); i++) {
        const struct report_sums *s = &rows[i].sums;

        gw_buf_adds(out, "<tr><td>");
        put_text(out, report_name(&rows[i], by));
        gw_buf_printf(out,
                      "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64
                      "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64
                      "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>",
                      s->requests, s->inside, s->outside, s->blocked, s->refused + s->failed,
                      s->found, s->edited, s->prompt_tokens + s->completion_tokens);
        report_put_money(out, s->cost_nano, rows[i].currency);
        gw_buf_adds(out, "</td><td>");
        report_put_money(out, s->saved_nano, rows[i].currency);
        gw_buf_adds(out, "</td></tr>\n");
    }
    gw_buf_adds(out, "</table>\n");
    if (by != REPORT_BY_DAY && n > MOST_USERS)
        gw_buf_printf(out, "<p>%zu more are in <code>--format json</code>.</p>\n", n - MOST_USERS);
    free(rows);
}

static void put_moment(struct gw_buf *out, int64_t ms)
{
    char when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(ms, when);
    when[10] = ' ';
    gw_buf_add(out, (struct gw_span){when, 16});
}

void report_html(const struct report_data *d, struct gw_buf *out)
{
    struct report_sums s = {0};

    gw_buf_adds(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width\"><title>AI gateway report</title>\n"
        "<style>body{font:15px/1.45 system-ui,sans-serif;max-width:60em;margin:2em auto;"
        "padding:0 1em;color:#1b2430}table{border-collapse:collapse;font-size:13px}"
        "td,th{padding:.25em .7em;border-bottom:1px solid #dde3ea;text-align:right}"
        "td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto}"
        "svg text{font-size:11px;fill:#4a5663}.in{fill:#2f7d5b;background:#2f7d5b}"
        ".out{fill:#3f6fb5;background:#3f6fb5}.no{fill:#b8443c;background:#b8443c}"
        ".rest{fill:#aeb7c2;background:#aeb7c2}.key b{display:inline-block;width:.8em;"
        "height:.8em;margin:0 .2em 0 1em}</style></head><body>\n<h1>AI gateway report</h1>\n");
    if (d->n_rows == 0) {
        gw_buf_adds(out, "<p>No request ended in this time.</p></body></html>\n");
        return;
    }
    gw_buf_adds(out, "<p>From ");
    put_moment(out, d->first_ms);
    gw_buf_adds(out, " to ");
    put_moment(out, d->last_ms);
    gw_buf_printf(out,
                  " UTC. %" PRIu64 " records read; %" PRIu64 " requests without an end, %" PRIu64
                  " gaps declared.</p>\n",
                  d->records, d->open, d->gaps);
    for (size_t i = 0; i < d->n_rows; i++)
        report_add(&s, &d->rows[i].sums);
    put_days(d, out);
    put_classes(&s, out);
    put_table(d, REPORT_BY_DAY, "By day (UTC)", out);
    put_table(d, REPORT_BY_TEAM, "By team", out);
    put_table(d, REPORT_BY_USER, "By user", out);
    gw_buf_adds(out, "</body></html>\n");
}
