/* proxy/sink/syslog_format.c - one record as one message of RFC 5424, framed by octet counting. Pure.
 *
 *   218 <109>1 2026-11-22T05:41:00.123Z gw-1 sluice 4711 ai.request.decided [sluice@32473 uid="01J..."] {"class_uid":...}
 *
 * 32473 is the enterprise number that RFC 5612 reserves for examples: an own one is not registered. There is no byte order
 * mark: receivers that parse JSON do not expect one. */
#include <stdio.h>

#include "base/clock.h"
#include "proxy/sink/syslog.h"

/* OCSF's severity_id as a severity of syslog. */
static unsigned severity_of(unsigned ocsf)
{
    static const unsigned char map[] = {
        6, /* unknown */
        6, /* informational */
        5, /* low: notice */
        4, /* medium: warning */
        3, /* high: error */
        2, /* critical */
        1, /* fatal: alert */
    };

    return ocsf < sizeof(map) ? map[ocsf] : 6;
}

/* A field of the header: printable ASCII without blanks, at most max bytes; "-" when there is none. */
static void add_name(struct gw_buf *out, const char *text, size_t max)
{
    if (text[0] == '\0')
        gw_buf_addc(out, '-');
    for (size_t i = 0; i < max && text[i] != '\0'; i++)
        gw_buf_add(out,
                   text[i] > ' ' && text[i] < 0x7F ? (struct gw_span){text + i, 1} : GW_SPAN("_"));
}

/* A value of structured data: RFC 5424 6.3.3. */
static void add_value(struct gw_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\' || *text == ']')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, *text);
    }
}

static void add_head(const struct syslog_head *h, const struct sink_record *r, size_t cut,
                     struct gw_buf *out)
{
    char when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(r->time_ms, when);
    gw_buf_printf(out, "<%u>1 %s ", h->facility * 8 + severity_of(r->severity), when);
    add_name(out, h->host, 255);
    gw_buf_printf(out, " sluice %u ", h->pid);
    add_name(out, r->code, 32);
    gw_buf_adds(out, " [sluice@32473 uid=\"");
    add_value(out, r->uid);
    if (cut != 0)
        gw_buf_printf(out, "\" cut=\"true\" bytes=\"%zu", cut);
    gw_buf_adds(out, "\"] ");
}

/* The first n bytes or a few less, so that no character is cut. */
static size_t whole_characters(struct gw_span text, size_t n)
{
    while (n > 0 && n < text.len && ((unsigned char)text.ptr[n] & 0xC0) == 0x80)
        n--;
    return n;
}

void syslog_write(const struct syslog_head *h, const struct sink_record *r, struct gw_buf *out)
{
    struct gw_buf head = {0};
    struct gw_span text = r->json;

    add_head(h, r, 0, &head);
    if (head.len + text.len > h->max_message) {
        gw_buf_clear(&head);
        add_head(h, r, text.len, &head);
        text.len =
            head.len < h->max_message ? whole_characters(text, h->max_message - head.len) : 0;
    }
    gw_buf_printf(out, "%zu ", head.len + text.len);
    gw_buf_add(out, gw_buf_span(&head));
    gw_buf_add(out, text);
    out->failed = out->failed || !gw_buf_ok(&head);
    gw_buf_fini(&head);
}
