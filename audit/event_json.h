/* audit/event_json.h - writing JSON members, for audit/event*.c. Header only, thread: any. */
#ifndef AUDIT_EVENT_JSON_H
#define AUDIT_EVENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* Limits of texts in bytes, before escaping, which makes six bytes of one at worst. With some 40 texts,
 * 64 groups and one path the largest record is about 230 KiB. */
enum {
    EVENT_TEXT_BYTES = 512,
    EVENT_PATH_BYTES = 2048,
    EVENT_GROUP_BYTES = 128,
    EVENT_MAX_GROUPS = 64
};

struct event_json {
    struct gw_buf *b;
    bool comma;   /* a member stands before in this object */
    uint64_t cut; /* bytes of texts that were left out */
};

struct audit_event;
/* Money: a JSON number with all nine digits behind the point, so that no reader has to know the unit (event_cost.c). */
void event_money(struct event_json *j, struct gw_span key, uint64_t nano);
/* Tokens beyond OCSF's two, and money, as members (event_cost.c). */
void event_write_cost(struct event_json *j, const struct audit_event *ev);

/* Which guards a completed request passed (event_guards.c). */
void event_write_guards(struct event_json *j, const struct audit_event *ev);

/* The sealed text, if it fits (event_payload.c). */
void event_write_payload(struct event_json *j, const struct audit_event *ev);

/* The attempts of a completed request (event_attempts.c). */
void event_write_attempts(struct event_json *j, const struct audit_event *ev);

/* A member name as it stands in the text: EVENT_KEY("uid") is "uid": with its quotes. */
#define EVENT_KEY(name) GW_SPAN("\"" name "\":")

static inline void event_key(struct event_json *j, struct gw_span key)
{
    if (j->comma)
        gw_buf_addc(j->b, ',');
    gw_buf_add(j->b, key);
    j->comma = true;
}

static inline void event_begin(struct event_json *j, struct gw_span key)
{
    event_key(j, key);
    gw_buf_addc(j->b, '{');
    j->comma = false;
}

static inline void event_end(struct event_json *j)
{
    gw_buf_addc(j->b, '}');
    j->comma = true;
}

/* At most max bytes of text, cut between characters. */
static inline struct gw_span event_cut(struct event_json *j, struct gw_span text, size_t max)
{
    size_t n = max;

    if (text.len <= max)
        return text;
    while (n > 0 && n > max - 3 && ((unsigned char)text.ptr[n] & 0xC0) == 0x80)
        n--;
    j->cut += text.len - n;
    return (struct gw_span){text.ptr, n};
}

/* A text member, always; a text member, unless the text is empty. */
static inline void event_text(struct event_json *j, struct gw_span key, struct gw_span text)
{
    event_key(j, key);
    gw_buf_add_json_str(j->b, event_cut(j, text, EVENT_TEXT_BYTES));
}

static inline void event_opt(struct event_json *j, struct gw_span key, struct gw_span text)
{
    if (text.len != 0)
        event_text(j, key, text);
}

static inline void event_name(struct event_json *j, struct gw_span key, const char *text)
{
    event_text(j, key, gw_span_str(text));
}

static inline void event_u(struct event_json *j, struct gw_span key, uint64_t n)
{
    event_key(j, key);
    gw_buf_addu(j->b, n);
}

static inline void event_opt_u(struct event_json *j, struct gw_span key, uint64_t n)
{
    if (n != 0)
        event_u(j, key, n);
}

static inline void event_i(struct event_json *j, struct gw_span key, int64_t n)
{
    event_key(j, key);
    gw_buf_addi(j->b, n);
}

static inline void event_bool(struct event_json *j, struct gw_span key, bool v)
{
    event_key(j, key);
    gw_buf_add(j->b, v ? GW_SPAN("true") : GW_SPAN("false"));
}

/* A fixed piece of JSON, members with their names. */
static inline void event_raw(struct event_json *j, struct gw_span members)
{
    if (j->comma)
        gw_buf_addc(j->b, ',');
    gw_buf_add(j->b, members);
    j->comma = true;
}

/* ---- parts that several classes share (audit/event.c) ----------------------------------------- */

struct audit_event;
struct event_source;

/* What metadata says beside the constants; times in ms, spans may be empty. */
struct event_meta {
    struct gw_span code, profiles; /* profiles: the inside of a JSON array */
    struct gw_span correlation, tenant;
    int64_t time_ms;
};

/* Ends the record up to `"sequence":`. start is where it began in the buffer. */
void event_write_meta(struct event_json *j, const struct event_source *src,
                      const struct event_meta *m, size_t start);
/* class_uid, category_uid, activity, type_uid, severity, status */
struct event_class {
    unsigned class_uid, activity_id, severity_id, status_id;
    struct gw_span activity;
};
void event_write_class(struct event_json *j, const struct event_class *c, int64_t time_ms);
void event_write_actor(struct event_json *j, const struct audit_event *ev);
void event_write_src(struct event_json *j, const struct audit_event *ev);
void event_write_dst(struct event_json *j, const struct audit_event *ev);
void event_write_http(struct event_json *j, const struct audit_event *ev);
void event_write_verdict(struct event_json *j, int action, bool blocked);
void event_write_policy(struct event_json *j, const struct audit_event *ev);

/* The other classes (audit/event_other.c). */
void event_write_finding(const struct event_source *src, const struct audit_event *ev,
                         struct gw_buf *out);
void event_write_shadow(const struct event_source *src, const struct audit_event *ev,
                        struct gw_buf *out);
/* A change by a person (audit/event_change.c). */
void event_write_change(const struct event_source *src, const struct audit_event *ev,
                        struct gw_buf *out);

#endif
