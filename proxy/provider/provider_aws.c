/* proxy/provider/provider_aws.c - AWS event stream messages (application/vnd.amazon.eventstream) as Anthropic's SSE.
 *
 * A message, numbers big-endian:
 *
 *   total length u32 | headers length u32 | CRC-32 of these 8 bytes | headers | payload | CRC-32 of all before it
 *
 * Bedrock sends `:message-type` event with `:event-type` chunk and the payload {"bytes":"BASE64"}, whose bytes are one of
 * Anthropic's events as JSON; and `:message-type` exception with `:exception-type`, which ends the stream. Other events
 * mean nothing here. No byte of a message is used before its checksum was seen to be right. Thread: the owner's. */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/base64.h"
#include "proxy/provider/provider.h"

enum {
    PRELUDE = 12,
    CRC_BYTES = 4,
    MAX_MESSAGE = 16 << 20,
    MAX_TYPE = 64,
    MAX_TEXT = 2000, /* of an exception's message */
};

struct provider_aws {
    struct gw_json *json;
    struct gw_buf in;      /* what is not decoded yet: less than a message, but inside a feed */
    struct gw_buf event;   /* scratch: an event's JSON */
    enum gw_status failed; /* sticky */
    bool ended;            /* an exception was told; what follows is not looked at */
};

struct provider_aws *provider_aws_new(void)
{
    struct provider_aws *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return NULL;
    a->json = gw_json_new();
    if (a->json == NULL) {
        free(a);
        return NULL;
    }
    return a;
}

void provider_aws_free(struct provider_aws *a)
{
    if (a == NULL)
        return;
    gw_json_free(a->json);
    gw_buf_fini(&a->in);
    gw_buf_fini(&a->event);
    free(a);
}

static uint32_t u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static bool crc_is_right(struct gw_span bytes, uint32_t want)
{
    return crc32(0, (const unsigned char *)bytes.ptr, (unsigned)bytes.len) == want;
}

/* ---- headers ------------------------------------------------------------------------------------- */

/* What a message says about itself; empty: not said. */
struct labels {
    struct gw_span message_type, event_type, exception_type, error_code, error_message;
};

/* The length of a value of that type with its own length field; 0 where `rest` is too short for it, or the type is
 * none. *value is set for strings. */
static size_t value_len(unsigned char type, struct gw_span rest, struct gw_span *value, bool *ok)
{
    static const unsigned char fixed[] = {0, 0, 1, 2, 4,
                                          8, 0, 0, 8, 16}; /* true, false, byte, ... */
    size_t n;

    *ok = type < sizeof(fixed);
    if (!*ok)
        return 0;
    n = fixed[type];
    if (type == 6 || type == 7) { /* bytes, string: u16 and as many */
        *ok = rest.len >= 2;
        if (!*ok)
            return 0;
        n = ((size_t)(unsigned char)rest.ptr[0] << 8 | (unsigned char)rest.ptr[1]) + 2;
    }
    *ok = rest.len >= n;
    if (*ok && type == 7)
        *value = (struct gw_span){rest.ptr + 2, n - 2};
    return n;
}

static void note_label(struct labels *l, struct gw_span name, struct gw_span value)
{
    const struct {
        const char *name;
        struct gw_span *field;
    } known[] = {
        {":message-type", &l->message_type},     {":event-type", &l->event_type},
        {":exception-type", &l->exception_type}, {":error-code", &l->error_code},
        {":error-message", &l->error_message},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (gw_span_is(name, known[i].name))
            *known[i].field = value;
}

static bool read_labels(struct gw_span h, struct labels *out)
{
    while (h.len > 0) {
        size_t name_len = (unsigned char)h.ptr[0], n;
        struct gw_span name, value = {NULL, 0};
        bool ok;

        if (name_len == 0 || h.len < 1 + name_len + 1)
            return false;
        name = (struct gw_span){h.ptr + 1, name_len};
        n = value_len((unsigned char)h.ptr[1 + name_len], gw_span_from(h, name_len + 2), &value,
                      &ok);
        if (!ok)
            return false;
        note_label(out, name, value);
        h = gw_span_from(h, name_len + 2 + n);
    }
    return true;
}

/* ---- payloads ------------------------------------------------------------------------------------ */

/* Reads the whole text, which must be one JSON object, and notes the raw inside of its string member of that name. */
static bool find_string(struct gw_json *json, struct gw_span text, const char *name,
                        struct gw_span *raw)
{
    const struct gw_json_limits lenient = {0, 100000, true};
    struct gw_json_tok tok;
    bool wanted = false, first = true;

    *raw = (struct gw_span){NULL, 0};
    gw_json_start(json, text, &lenient);
    while (gw_json_next(json, &tok) != GW_JSON_END) {
        if (tok.type == GW_JSON_ERROR || (first && tok.type != GW_JSON_OBJECT_BEGIN))
            return false;
        first = false;
        if (wanted && tok.type == GW_JSON_STRING)
            *raw = tok.raw;
        wanted =
            tok.type == GW_JSON_KEY && tok.depth == 1 && !tok.escaped && gw_span_is(tok.raw, name);
    }
    return true;
}

/* Appends what the base64 text says. JSON may write its slashes as "\/". */
static bool decode_base64(struct gw_span text, struct gw_buf *out)
{
    uint32_t bits = 0;
    unsigned n = 0, pad = 0;

    if (!gw_buf_reserve(out, text.len / 4 * 3 + 3))
        return true; /* the buffer remembers */
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int digit = gw_base64_digit(c);

        if (c == '\\' && i + 1 < text.len && text.ptr[i + 1] == '/')
            continue;
        if (c == '=') {
            pad++;
            continue;
        }
        if (digit < 0 || pad > 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        if (++n % 4 != 0)
            continue;
        gw_buf_addc(out, (char)(bits >> 16 & 0xFF));
        gw_buf_addc(out, (char)(bits >> 8 & 0xFF));
        gw_buf_addc(out, (char)(bits & 0xFF));
    }
    if (n % 4 == 1 || pad > 2 || (n + pad) % 4 != 0)
        return false;
    if (n % 4 == 2)
        gw_buf_addc(out, (char)(bits >> 4 & 0xFF));
    if (n % 4 == 3) {
        gw_buf_addc(out, (char)(bits >> 10 & 0xFF));
        gw_buf_addc(out, (char)(bits >> 2 & 0xFF));
    }
    return true;
}

static bool is_event_name(struct gw_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = gw_ascii_lower(name.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'))
            return false;
    }
    return name.len > 0 && name.len <= MAX_TYPE;
}

/* One chunk: Anthropic's event, as SSE. */
static enum gw_status put_chunk(struct provider_aws *a, struct gw_span payload, struct gw_buf *out)
{
    struct gw_span base64, type;

    gw_buf_clear(&a->event);
    if (!find_string(a->json, payload, "bytes", &base64) || base64.ptr == NULL ||
        !decode_base64(base64, &a->event))
        return GW_EPARSE;
    if (!gw_buf_ok(&a->event))
        return GW_ENOMEM;
    if (!find_string(a->json, gw_buf_span(&a->event), "type", &type) || !is_event_name(type))
        return GW_EPARSE;
    gw_buf_adds(out, "event: ");
    gw_buf_add(out, type);
    gw_buf_adds(out, "\ndata: ");
    /* A line break can only be white space between tokens: inside strings it is escaped. */
    for (size_t i = 0; i < a->event.len; i++)
        if (a->event.ptr[i] == '\n' || a->event.ptr[i] == '\r')
            a->event.ptr[i] = ' ';
    gw_buf_add(out, gw_buf_span(&a->event));
    gw_buf_adds(out, "\n\n");
    return GW_OK;
}

/* ---- exceptions ---------------------------------------------------------------------------------- */

static const char *error_type(struct gw_span exception)
{
    static const struct {
        const char *exception, *type;
    } types[] = {
        {"throttlingException", "rate_limit_error"},
        {"serviceQuotaExceededException", "rate_limit_error"},
        {"validationException", "invalid_request_error"},
        {"accessDeniedException", "permission_error"},
        {"resourceNotFoundException", "not_found_error"},
        {"serviceUnavailableException", "overloaded_error"},
        {"modelNotReadyException", "overloaded_error"},
        {"modelTimeoutException", "timeout_error"},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (gw_span_eq_nocase(exception, gw_span_str(types[i].exception)))
            return types[i].type;
    return "api_error";
}

/* The stream ends with an error of Anthropic's form. */
static void put_error(struct provider_aws *a, const struct labels *l, struct gw_span payload,
                      struct gw_buf *out)
{
    struct gw_span what = l->exception_type.len != 0 ? l->exception_type : l->error_code;
    struct gw_span text = {NULL, 0};

    gw_buf_adds(out, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"");
    gw_buf_adds(out, error_type(what));
    gw_buf_adds(out, "\",\"message\":\"");
    if (find_string(a->json, payload, "message", &text) && text.len > 0 && text.len <= MAX_TEXT) {
        gw_buf_add(out, text); /* raw: it is the inside of a checked JSON string */
    } else if (l->error_message.len > 0 && l->error_message.len <= MAX_TEXT) {
        gw_buf_add_json(out, l->error_message);
    } else {
        gw_buf_adds(out, "The provider ended the stream with ");
        gw_buf_add_json(out, what.len == 0 || what.len > MAX_TYPE ? GW_SPAN("an error") : what);
        gw_buf_addc(out, '.');
    }
    gw_buf_adds(out, "\"}}\n\n");
    a->ended = true;
}

/* ---- messages ------------------------------------------------------------------------------------ */

static enum gw_status put_message(struct provider_aws *a, struct gw_span headers,
                                  struct gw_span payload, struct gw_buf *out)
{
    struct labels l = {0};

    if (!read_labels(headers, &l))
        return GW_EPARSE;
    if (gw_span_is(l.message_type, "exception") || gw_span_is(l.message_type, "error")) {
        put_error(a, &l, payload, out);
        return GW_OK;
    }
    if (!gw_span_is(l.message_type, "event") || !gw_span_is(l.event_type, "chunk"))
        return GW_OK;
    return put_chunk(a, payload, out);
}

/* The length of the message that rest begins with, in *total; GW_EAGAIN: not known yet. */
static enum gw_status read_prelude(struct gw_span rest, size_t *total, size_t *headers)
{
    if (rest.len < PRELUDE)
        return GW_EAGAIN;
    *total = u32(rest.ptr);
    *headers = u32(rest.ptr + 4);
    if (!crc_is_right((struct gw_span){rest.ptr, 8}, u32(rest.ptr + 8)))
        return GW_EPARSE;
    if (*total > MAX_MESSAGE)
        return GW_ELIMIT;
    if (*total < PRELUDE + CRC_BYTES || *headers > *total - PRELUDE - CRC_BYTES)
        return GW_EPARSE;
    return GW_OK;
}

/* Takes the first message off rest; GW_EAGAIN: it is not complete. */
static enum gw_status take_message(struct provider_aws *a, struct gw_span *rest, struct gw_buf *out)
{
    size_t total = 0, headers = 0;
    struct gw_span message;

    GW_TRY(read_prelude(*rest, &total, &headers));
    if (rest->len < total)
        return GW_EAGAIN;
    message = (struct gw_span){rest->ptr, total - CRC_BYTES};
    if (!crc_is_right(message, u32(rest->ptr + total - CRC_BYTES)))
        return GW_EPARSE;
    *rest = gw_span_from(*rest, total);
    return put_message(a, (struct gw_span){message.ptr + PRELUDE, headers},
                       gw_span_from(message, PRELUDE + headers), out);
}

enum gw_status provider_aws_feed(struct provider_aws *a, struct gw_span bytes, struct gw_buf *out)
{
    struct gw_span rest;
    enum gw_status st = GW_OK;

    if (a->failed != GW_OK)
        return a->failed;
    if (a->ended)
        return GW_OK;
    gw_buf_add(&a->in, bytes);
    if (!gw_buf_ok(&a->in))
        return a->failed = GW_ENOMEM;
    rest = gw_buf_span(&a->in);
    while (st == GW_OK && !a->ended)
        st = take_message(a, &rest, out);
    gw_buf_drop(&a->in, a->in.len - (a->ended ? 0 : rest.len));
    if (st == GW_EAGAIN)
        st = GW_OK;
    if (st == GW_OK && !gw_buf_ok(out))
        st = GW_ENOMEM;
    a->failed = st;
    return st;
}

enum gw_status provider_aws_end(struct provider_aws *a)
{
    if (a->failed != GW_OK)
        return a->failed;
    return a->ended || a->in.len == 0 ? GW_OK : GW_EPARSE;
}
