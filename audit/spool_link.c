/* audit/spool_link.c - see spool_link.h. Owns nothing. */
#include "audit/spool_link.h"

#include <string.h>

#include "audit/event_read.h"

static const char meta_mark[] = ",\"metadata\":{";
static const char print_mark[] = ",\"algorithm\":\"RFC 9162 leaf\",\"value\":\"";
static const char print_end[] = "\"}}}}";
static const char first_mark[] = ",\"record_integrity\":{";

/* Where ",\"metadata\":{" stands, the last member of a record; SIZE_MAX: nowhere. No string holds it: its quotes would be
 * escaped. Looked for from the end: few braces stand behind it. */
static size_t meta_at(struct gw_span record)
{
    enum { MARK = sizeof(meta_mark) - 1, MAX_BRACES = 64 };
    size_t n = record.len;

    for (unsigned tries = 0; tries < MAX_BRACES && n >= MARK; tries++) {
        const char *brace = memrchr(record.ptr, '{', n);

        if (brace == NULL || brace - record.ptr < MARK - 1)
            return SIZE_MAX;
        n = (size_t)(brace - record.ptr);
        if (memcmp(brace - (MARK - 1), meta_mark, MARK) == 0)
            return n - (MARK - 1);
    }
    return SIZE_MAX;
}

static bool ends_with(struct gw_span text, const char *end, size_t n)
{
    return text.len >= n && memcmp(text.ptr + text.len - n, end, n) == 0;
}

/* Appends the link behind what the buffer holds. */
static void write_link(struct gw_buf *b, const char *chain, const struct spool_link *before)
{
    char hex[2 * SPOOL_PRINT_BYTES + 1];
    size_t from;

    gw_buf_add(b, (struct gw_span){first_mark, sizeof(first_mark) - 1});
    from = b->len;
    gw_buf_add(b, GW_SPAN("\"chain_uid\":"));
    gw_buf_add_json_str(b, gw_span_str(chain));
    if (gw_buf_ok(b) && b->len - from > sizeof("\"chain_uid\":") + SPOOL_CHAIN_BYTES)
        b->len = from;
    if (before->any) {
        gw_hex(before->print, sizeof(before->print), hex);
        gw_buf_adds(b, b->len == from ? "\"prev_event\":{\"uid\":" : ",\"prev_event\":{\"uid\":");
        gw_buf_add_json_str(b, gw_span_str(before->uid));
        gw_buf_add(b, GW_SPAN(",\"fingerprint\":{\"algorithm_id\":99"));
        gw_buf_add(b, (struct gw_span){print_mark, sizeof(print_mark) - 1});
        gw_buf_add(b, (struct gw_span){hex, sizeof(hex) - 1});
        gw_buf_add(b, GW_SPAN("\"}}"));
    }
    gw_buf_addc(b, '}');
}

bool spool_link_put(struct gw_buf *record, const char *chain, const struct spool_link *before)
{
    const size_t end = record->len, at = meta_at(gw_buf_span(record));
    char link[SPOOL_LINK_BYTES];
    size_t n;

    /* Behind the last member of unmapped, in front of its closing brace. */
    if (at == SIZE_MAX || at < 2 || !ends_with((struct gw_span){record->ptr, at}, "}}", 2))
        return true;
    write_link(record, chain, before);
    n = record->len - end;
    if (!gw_buf_ok(record) || n > sizeof(link))
        return false;
    memcpy(link, record->ptr + end, n);
    memmove(record->ptr + at - 1 + n, record->ptr + at - 1, end - (at - 1));
    memcpy(record->ptr + at - 1, link, n);
    return true;
}

void spool_link_of(struct gw_span record, struct spool_link *out)
{
    const size_t at = meta_at(record);
    struct gw_span uid = {NULL, 0};

    out->any = true;
    spool_print(record, out->print);
    if (at != SIZE_MAX)
        uid = event_str(gw_span_from(record, at), "uid", out->uid, sizeof(out->uid) - 1);
    out->uid[uid.len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *hex, unsigned char out[SPOOL_PRINT_BYTES])
{
    for (size_t i = 0; i < SPOOL_PRINT_BYTES; i++) {
        const int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

enum spool_linked spool_link_read(struct gw_span record, unsigned char print[SPOOL_PRINT_BYTES])
{
    enum {
        HEX = 2 * SPOOL_PRINT_BYTES,
        MARK = sizeof(print_mark) - 1,
        END = sizeof(print_end) - 1
    };
    const size_t at = meta_at(record);
    const struct gw_span front = {record.ptr, at};

    if (at == SIZE_MAX)
        return SPOOL_LINKED_NONE;
    if (at >= MARK + HEX + END && ends_with(front, print_end, END) &&
        memcmp(record.ptr + at - END - HEX - MARK, print_mark, MARK) == 0 &&
        read_hex(record.ptr + at - END - HEX, print))
        return SPOOL_LINKED_TO;
    {
        const size_t near = at > SPOOL_LINK_BYTES ? SPOOL_LINK_BYTES : at;

        return memmem(record.ptr + at - near, near, first_mark, sizeof(first_mark) - 1) != NULL
                   ? SPOOL_LINKED_FIRST
                   : SPOOL_LINKED_NONE;
    }
}
