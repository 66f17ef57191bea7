/* audit/tail_line.c - a record as a line: time, request, kind, who, model -> target, action, the rest.
 * Owns nothing; thread: any. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/event_read.h"
#include "audit/tail.h"
#include "base/clock.h"
#include "base/utf8.h"

enum { TEXT_BYTES = 512 };

/* Appends text so that a terminal shows it and does nothing else; returns the columns it takes. */
static size_t add_safe(struct gw_buf *out, struct gw_span text)
{
    size_t columns = 0;

    for (size_t i = 0; i < text.len; columns++) {
        uint32_t cp = 0;
        unsigned n = gw_utf8_decode(text.ptr + i, text.len - i, &cp);

        /* C0, DEL, C1, and the marks that reverse the direction of what follows */
        if (n == 0 || cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || (cp >= 0x200B && cp <= 0x200F) ||
            (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xFEFF) {
            gw_buf_addc(out, '?');
            i += n == 0 ? 1 : n;
            continue;
        }
        gw_buf_add(out, (struct gw_span){text.ptr + i, n});
        i += n;
    }
    return columns;
}

static void pad(struct gw_buf *out, size_t have, size_t width)
{
    do {
        gw_buf_addc(out, ' ');
        have++;
    } while (have < width);
}

static void column(struct gw_buf *out, struct gw_span text, size_t width)
{
    pad(out, add_safe(out, text.len == 0 ? GW_SPAN("-") : text), width);
}

static void paint(struct gw_buf *out, bool color, const char *code)
{
    if (color)
        gw_buf_adds(out, code);
}

#define RED    "\x1b[31m"
#define YELLOW "\x1b[33m"
#define GREEN  "\x1b[32m"
#define DIM    "\x1b[2m"
#define RESET  "\x1b[0m"

enum {
    WIDTH_TIME = 24,
    WIDTH_ID = 27,
    WIDTH_KIND = 10,
    WIDTH_USER = 16,
    WIDTH_ROUTE = 34,
    WIDTH_ACTION = 9
};

void tail_heading(bool color, struct gw_buf *out)
{
    paint(out, color, DIM);
    column(out, GW_SPAN("TIME (UTC)"), WIDTH_TIME);
    column(out, GW_SPAN("REQUEST"), WIDTH_ID);
    column(out, GW_SPAN("RECORD"), WIDTH_KIND);
    column(out, GW_SPAN("USER"), WIDTH_USER);
    column(out, GW_SPAN("MODEL -> TARGET"), WIDTH_ROUTE);
    column(out, GW_SPAN("ACTION"), WIDTH_ACTION);
    gw_buf_adds(out, "MORE");
    paint(out, color, RESET);
    gw_buf_addc(out, '\n');
}

/* "key=value " when the record has it. */
static void add_text(struct gw_buf *out, struct gw_span json, const char *label, const char *key)
{
    char bytes[TEXT_BYTES];
    struct gw_span v = event_str(json, key, bytes, sizeof(bytes));

    if (v.len == 0)
        return;
    gw_buf_adds(out, label);
    gw_buf_addc(out, '=');
    (void)add_safe(out, v);
    gw_buf_addc(out, ' ');
}

static bool add_number(struct gw_buf *out, struct gw_span json, const char *label, const char *key)
{
    uint64_t n;

    if (!event_num(json, key, &n))
        return false;
    gw_buf_printf(out, "%s=%" PRIu64 " ", label, n);
    return true;
}

static void add_route(struct gw_buf *out, struct gw_span json)
{
    char model[TEXT_BYTES], target[TEXT_BYTES], zone[64];
    struct gw_span m = event_str(json, "sluice.model", model, sizeof(model));
    struct gw_span t = event_str(json, "sluice.target", target, sizeof(target));
    struct gw_span z = event_str(json, "sluice.zone", zone, sizeof(zone));
    size_t n = 0;

    if (m.len == 0 && t.len == 0)
        t = event_str(json, "dst_endpoint.hostname", target, sizeof(target));
    if (m.len != 0)
        n += add_safe(out, m);
    if (m.len != 0 && t.len != 0) {
        gw_buf_adds(out, " -> ");
        n += 4;
    }
    if (t.len != 0)
        n += add_safe(out, t);
    if (z.len != 0) {
        gw_buf_adds(out, " (");
        n += 3 + add_safe(out, z);
        gw_buf_addc(out, ')');
    }
    if (n == 0) {
        gw_buf_addc(out, '-');
        n = 1;
    }
    pad(out, n, WIDTH_ROUTE);
}

static void add_action(struct gw_buf *out, struct gw_span json, bool color)
{
    char bytes[32];
    struct gw_span a = event_str(json, "sluice.action", bytes, sizeof(bytes));
    bool blocked = json.len != 0 && memmem(json.ptr, json.len, "\"blocked\":true", 14) != NULL;

    if (blocked)
        a = GW_SPAN("block");
    paint(out, color,
          gw_span_is(a, "block")                  ? RED
          : a.len != 0 && !gw_span_is(a, "allow") ? YELLOW
                                                  : RESET);
    column(out, a, WIDTH_ACTION);
    paint(out, color, RESET);
}

static void add_ending(struct gw_buf *out, struct gw_span json, bool color)
{
    char bytes[32];
    struct gw_span end = event_str(json, "sluice.end", bytes, sizeof(bytes));
    uint64_t ms;

    if (end.len == 0)
        return;
    add_text(out, json, "status", "status_code");
    paint(out, color, gw_span_is(end, "complete") ? GREEN : RED);
    gw_buf_adds(out, "end=");
    (void)add_safe(out, end);
    paint(out, color, RESET);
    gw_buf_addc(out, ' ');
    if (event_num(json, "duration", &ms))
        gw_buf_printf(out, "%" PRIu64 "ms ", ms);
    json = event_tokens_of(json);
    if (add_number(out, json, "tokens", "prompt_tokens") &&
        gw_buf_ok(out)) { /* 12+34: prompt and answer */
        uint64_t answer;

        if (event_num(json, "completion_tokens", &answer)) {
            out->len--;
            gw_buf_printf(out, "+%" PRIu64 " ", answer);
        }
    }
    add_text(out, json, "error", "status_detail");
}

static const char *kind_name(const struct spool_rec *rec)
{
    switch (rec->kind) {
    case SPOOL_KIND_DECIDED:
        return "decided";
    case SPOOL_KIND_COMPLETED:
        return "completed";
    case SPOOL_KIND_FINDING:
        return "finding";
    case SPOOL_KIND_SHADOW:
        return "shadow";
    case SPOOL_KIND_LIFECYCLE:
        break;
    }
    return "sluice";
}

static void add_more(struct gw_buf *out, const struct spool_rec *rec, bool color)
{
    struct gw_span json = rec->payload;

    if (rec->kind == SPOOL_KIND_FINDING) {
        add_text(out, json, "rule", "sluice.rule");
        add_text(out, json, "class", "sluice.class");
        add_text(out, json, "where", "sluice.where");
        (void)add_number(out, json, "confidence", "confidence_score");
        return;
    }
    if (rec->kind == SPOOL_KIND_SHADOW) {
        add_text(out, json, "sni", "sluice.sni");
        (void)add_number(out, json, "out", "bytes_out");
        (void)add_number(out, json, "in", "bytes_in");
        return;
    }
    (void)add_number(out, json, "findings", "sluice.findings");
    if (rec->kind == SPOOL_KIND_DECIDED) {
        add_text(out, json, "sensitivity", "sluice.sensitivity");
        add_text(out, json, "policy", "policy.name");
        add_text(out, json, "why", "sluice.route_reason");
    }
    add_ending(out, json, color);
}

static void add_life(struct gw_buf *out, struct gw_span json)
{
    add_text(out, json, "change", "api.operation"); /* a person changed something */
    add_text(out, json, "name", "sluice.entity_name");
    add_text(out, json, "by", "user.uid");
    add_text(out, json, "cause", "sluice.cause");
    add_text(out, json, "sink", "sluice.sink");
    add_text(out, json, "segment", "sluice.segment");
    (void)add_number(out, json, "records", "sluice.records");
    (void)add_number(out, json, "bytes", "sluice.bytes");
    (void)add_number(out, json, "spool_records", "sluice.spool_records");
    (void)add_number(out, json, "requests_lost", "sluice.requests_lost");
}

void tail_line(const struct spool_rec *rec, bool color, struct gw_buf *out)
{
    char when[GW_RFC3339_BYTES], id[EVENT_ID_BYTES], text[TEXT_BYTES];
    struct gw_span json = rec->payload;

    gw_clock_rfc3339(rec->time_ms, when);
    when[10] = ' ';
    paint(out, color, DIM);
    column(out, (struct gw_span){when, 23}, WIDTH_TIME);
    paint(out, color, RESET);
    if (rec->kind == SPOOL_KIND_LIFECYCLE) {
        /* "sluice.started": about the gateway, so there is no request, user or route */
        column(out, event_str(json, "event_code", text, sizeof(text)), WIDTH_ID);
        add_life(out, json);
    } else {
        column(out, event_request_id(json, id), WIDTH_ID);
        column(out, gw_span_str(kind_name(rec)), WIDTH_KIND);
        column(out, event_str(json, "user.uid", text, sizeof(text)), WIDTH_USER);
        add_route(out, json);
        add_action(out, json, color);
        add_more(out, rec, color);
    }
    while (out->len != 0 && out->ptr[out->len - 1] == ' ')
        out->len--;
    gw_buf_addc(out, '\n');
}
