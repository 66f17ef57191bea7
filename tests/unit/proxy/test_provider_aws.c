/* Unit tests of proxy/provider/provider_aws.c: messages made here, with a CRC of our own, in every piece. */
#include <stdlib.h>
#include <string.h>

#include "proxy/provider/provider.h"
#include "tests/test.h"

/* ---- making messages ---------------------------------------------------------------------- */

/* CRC-32 (IEEE 802.3) bit by bit. */
static uint32_t crc_of(const char *p, size_t n)
{
    uint32_t crc = 0xFFFFFFFF;

    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        for (unsigned b = 0; b < 8; b++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static void add_u32(struct gw_buf *out, uint32_t n)
{
    gw_buf_addc(out, (char)(n >> 24 & 0xFF));
    gw_buf_addc(out, (char)(n >> 16 & 0xFF));
    gw_buf_addc(out, (char)(n >> 8 & 0xFF));
    gw_buf_addc(out, (char)(n & 0xFF));
}

static void add_header(struct gw_buf *out, const char *name, const char *value)
{
    gw_buf_addc(out, (char)strlen(name));
    gw_buf_adds(out, name);
    gw_buf_addc(out, 7);
    gw_buf_addc(out, (char)(strlen(value) >> 8 & 0xFF));
    gw_buf_addc(out, (char)(strlen(value) & 0xFF));
    gw_buf_adds(out, value);
}

static void add_framed(struct gw_buf *out, struct gw_span headers, struct gw_span payload)
{
    size_t start = out->len;

    add_u32(out, (uint32_t)(headers.len + payload.len + 16));
    add_u32(out, (uint32_t)headers.len);
    add_u32(out, crc_of(out->ptr + start, 8));
    gw_buf_add(out, headers);
    gw_buf_add(out, payload);
    add_u32(out, crc_of(out->ptr + start, out->len - start));
}

static void add_message(struct gw_buf *out, const char *message_type, const char *name,
                        const char *type, const char *payload)
{
    struct gw_buf headers = {0};

    add_header(&headers, name, type);
    add_header(&headers, ":content-type", "application/json");
    add_header(&headers, ":message-type", message_type);
    add_framed(out, gw_buf_span(&headers), gw_span_str(payload));
    gw_buf_fini(&headers);
}

static void add_base64(struct gw_buf *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i += 3) {
        const unsigned char *p = (const unsigned char *)text + i;
        uint32_t bits = (uint32_t)p[0] << 16 | (i + 1 < n ? (uint32_t)p[1] << 8 : 0) |
                        (i + 2 < n ? (uint32_t)p[2] : 0);

        gw_buf_addc(out, digits[bits >> 18]);
        gw_buf_addc(out, digits[bits >> 12 & 63]);
        gw_buf_addc(out, i + 1 < n ? digits[bits >> 6 & 63] : '=');
        gw_buf_addc(out, i + 2 < n ? digits[bits & 63] : '=');
    }
}

static void add_chunk(struct gw_buf *out, const char *json)
{
    struct gw_buf payload = {0};

    gw_buf_adds(&payload, "{\"bytes\":\"");
    add_base64(&payload, json);
    gw_buf_adds(&payload, "\",\"p\":\"abcdef\"}"); /* padding, as Bedrock sends it */
    add_message(out, "event", ":event-type", "chunk", payload.ptr);
    gw_buf_fini(&payload);
}

/* ---- reading them ------------------------------------------------------------------------- */

/* Feeds the bytes in pieces that end at every multiple of step and at `split`. Returns the first status that is not
 * GW_OK, the end's included. */
static enum gw_status feed(struct gw_span bytes, size_t step, size_t split, struct gw_buf *out)
{
    struct provider_aws *a = provider_aws_new();
    enum gw_status st = GW_OK;

    for (size_t at = 0; at < bytes.len && st == GW_OK;) {
        size_t n = bytes.len - at < step ? bytes.len - at : step;
        char *copy;

        if (at < split && split < at + n)
            n = split - at;
        copy = malloc(n); /* of exactly this size, for the sanitizers */
        memcpy(copy, bytes.ptr + at, n);
        st = provider_aws_feed(a, (struct gw_span){copy, n}, out);
        free(copy);
        at += n;
    }
    if (st == GW_OK)
        st = provider_aws_end(a);
    else
        CHECK(provider_aws_feed(a, GW_SPAN("x"), out) == st && provider_aws_end(a) == st);
    provider_aws_free(a);
    return st;
}

static void becomes(const struct gw_buf *in, const char *want)
{
    struct gw_buf out = {0};
    enum gw_status st = feed(gw_buf_span(in), in->len + 1, 0, &out);

    if (!CHECK(st == GW_OK && gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  want: %s\n  got: %s (%d)\n", want, out.len == 0 ? "" : out.ptr, (int)st);
    gw_buf_fini(&out);
}

static void fails(const struct gw_buf *in, enum gw_status want)
{
    struct gw_buf out = {0};
    enum gw_status st = feed(gw_buf_span(in), in->len + 1, 0, &out);

    if (!CHECK(st == want))
        fprintf(stderr, "  status %d, wanted %d\n", (int)st, (int)want);
    gw_buf_fini(&out);
}

#define DELTA                                                                                      \
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"   \
    "\"h\\u00e9llo \xC3\xA9\"}}"
#define STOP                                                                                       \
    "{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":9}}"
#define STREAM                                                                                     \
    "event: content_block_delta\ndata: " DELTA "\n\n"                                              \
    "event: message_stop\ndata: " STOP "\n\n"

static void make_stream(struct gw_buf *in)
{
    add_message(in, "event", ":event-type", "initial-response", "{}");
    add_chunk(in, DELTA);
    add_message(in, "event", ":event-type", "metadata", "not json");
    add_chunk(in, STOP);
}

static void test_stream_in_every_piece(void)
{
    struct gw_buf in = {0}, out = {0};

    make_stream(&in);
    becomes(&in, STREAM);
    CHECK(feed(gw_buf_span(&in), 1, 0, &out) == GW_OK && gw_span_is(gw_buf_span(&out), STREAM));
    for (size_t i = 1; i < in.len; i++) {
        gw_buf_clear(&out);
        CHECK(feed(gw_buf_span(&in), in.len, i, &out) == GW_OK &&
              gw_span_is(gw_buf_span(&out), STREAM));
    }
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

/* An event is told as soon as its message is complete. */
static void test_nothing_is_held_back(void)
{
    struct provider_aws *a = provider_aws_new();
    struct gw_buf in = {0}, out = {0};
    size_t first;

    add_chunk(&in, DELTA);
    first = in.len;
    add_chunk(&in, STOP);
    CHECK(provider_aws_feed(a, (struct gw_span){in.ptr, first - 1}, &out) == GW_OK && out.len == 0);
    CHECK(provider_aws_feed(a, (struct gw_span){in.ptr + first - 1, 2}, &out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&out), "event: content_block_delta\ndata: " DELTA "\n\n"));
    CHECK(provider_aws_end(a) == GW_EPARSE);
    provider_aws_free(a);
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

static void test_cut_and_damaged(void)
{
    struct gw_buf in = {0}, out = {0};

    add_chunk(&in, DELTA);
    for (size_t n = 1; n < in.len; n++) {
        gw_buf_clear(&out);
        CHECK(feed((struct gw_span){in.ptr, n}, n, 0, &out) == GW_EPARSE && out.len == 0);
    }
    for (size_t i = 0; i < in.len; i++) { /* no byte can change unnoticed */
        for (unsigned bit = 0; bit < 8; bit++) {
            gw_buf_clear(&out);
            in.ptr[i] ^= (char)(1 << bit);
            CHECK(feed(gw_buf_span(&in), in.len, 0, &out) == GW_EPARSE && out.len == 0);
            in.ptr[i] ^= (char)(1 << bit);
        }
    }
    becomes(&in, "event: content_block_delta\ndata: " DELTA "\n\n");
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

/* ---- exceptions --------------------------------------------------------------------------- */

#define ERROR(type, message)                                                                       \
    "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"" type                          \
    "\",\"message\":\"" message "\"}}\n\n"

static void test_exceptions(void)
{
    static const struct {
        const char *message_type, *name, *type, *payload, *want;
    } cases[] = {
        {"exception", ":exception-type", "throttlingException",
         "{\"message\":\"slow \\\"down\\\"\"}", ERROR("rate_limit_error", "slow \\\"down\\\"")},
        {"exception", ":exception-type", "validationException", "{\"message\":\"bad\"}",
         ERROR("invalid_request_error", "bad")},
        {"exception", ":exception-type", "modelTimeoutException", "{\"message\":\"late\"}",
         ERROR("timeout_error", "late")},
        {"exception", ":exception-type", "internalServerException", "{}",
         ERROR("api_error", "The provider ended the stream with internalServerException.")},
        {"exception", ":exception-type", "ServiceUnavailableException", "not json\n",
         ERROR("overloaded_error",
               "The provider ended the stream with ServiceUnavailableException.")},
        {"exception", ":exception-type", "a\"b\n", "",
         ERROR("api_error", "The provider ended the stream with a\\\"b\\n.")},
        {"error", ":error-code", "500", "",
         ERROR("api_error", "The provider ended the stream with 500.")},
        {"error", ":error-message", "it\n\"broke\"", "", ERROR("api_error", "it\\n\\\"broke\\\"")},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_buf in = {0};

        add_message(&in, cases[i].message_type, cases[i].name, cases[i].type, cases[i].payload);
        becomes(&in, cases[i].want);
        add_chunk(&in, STOP); /* what follows is not looked at */
        gw_buf_adds(&in, "rubbish that is no message at all");
        becomes(&in, cases[i].want);
        gw_buf_fini(&in);
    }
}

/* ---- odd messages ------------------------------------------------------------------------- */

static void test_header_types(void)
{
    struct gw_buf h = {0}, in = {0}, payload = {0};

    gw_buf_add(&h, GW_SPAN("\1a\0"
                           "\1b\1"
                           "\1c\2\x7f"
                           "\1d\3\0\1"
                           "\1e\4\0\0\0\1"));
    gw_buf_add(&h, GW_SPAN("\1f\5\0\0\0\0\0\0\0\1"
                           "\1g\6\0\3xyz"
                           "\1h\10\0\0\0\0\0\0\0\1"));
    gw_buf_add(&h, GW_SPAN("\1i\11"
                           "0123456789abcdef"
                           "\1j\7\0\0"));
    add_header(&h, ":event-type", "chunk");
    add_header(&h, ":message-type", "event");
    gw_buf_adds(&payload, "{\"bytes\":\"");
    add_base64(&payload, STOP);
    gw_buf_adds(&payload, "\"}");
    add_framed(&in, gw_buf_span(&h), gw_buf_span(&payload));
    becomes(&in, "event: message_stop\ndata: " STOP "\n\n");
    for (size_t n = 1; n < h.len;
         n++) { /* headers cut: refused, or without a type nobody looks at the payload */
        struct gw_buf cut = {0}, out = {0};
        enum gw_status st;

        add_framed(&cut, (struct gw_span){h.ptr, n}, gw_buf_span(&payload));
        st = feed(gw_buf_span(&cut), cut.len, 0, &out);
        CHECK((st == GW_EPARSE || st == GW_OK) && out.len == 0);
        gw_buf_fini(&cut);
        gw_buf_fini(&out);
    }
    gw_buf_fini(&h);
    gw_buf_fini(&in);
    gw_buf_fini(&payload);
}

static void test_bad_headers(void)
{
    static const struct gw_span bad[] = {
        {"\0\7\0\0", 4}, {"\1a\12", 3}, {"\1a\7\0\5abc", 8}, {"\1a\5\0", 4}, {"\5a", 2}, {"\1a", 2},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct gw_buf in = {0};

        add_framed(&in, bad[i], GW_SPAN("{}"));
        fails(&in, GW_EPARSE);
        gw_buf_fini(&in);
    }
}

static void test_payloads(void)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"bytes\":1}",
        "{\"bytes\":\"!!!!\"}",
        "{\"bytes\":\"e30\"}",
        "{\"bytes\":\"e30==\"}",
        "{\"bytes\":\"e=30\"}",
        "{\"bytes\":\"e30=e30=\"}",
        "{\"bytes\":\"e30=\"} x",
        "{\"bytes\":\"e\"}",
        "{\"bytes\":\"e30=\"}",                 /* {}: an event without a type */
        "{\"bytes\":\"W10=\"}",                 /* [] */
        "{\"bytes\":\"eyJ0eXBlIjoiYSBiIn0=\"}", /* {"type":"a b"} */
        "{\"bytes\":\"eyJ0eXBlIjoiYVxuYiJ9\"}", /* {"type":"a\nb"} */
        "{\"bytes\":\"eyJ0eXBlIjoiYSJ9Cg==\",\"bytes\":1,}",
    };
    struct gw_buf in = {0};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        gw_buf_clear(&in);
        add_message(&in, "event", ":event-type", "chunk", bad[i]);
        fails(&in, GW_EPARSE);
    }
    gw_buf_clear(&in); /* base64 with a slash, which JSON may escape: {"type":"ping","x":"??>"} */
    add_message(&in, "event", ":event-type", "chunk",
                "{\"p\":{\"bytes\":\"no\"},\"bytes\":\"eyJ0eXBlIjoicGluZyIsIngiOiI\\/Pz4ifQ==\"}");
    becomes(&in, "event: ping\ndata: {\"type\":\"ping\",\"x\":\"?\?>\"}\n\n");
    gw_buf_clear(&in); /* line breaks would end the SSE line */
    add_chunk(&in, "{\r\n \"type\":\n\"ping\"}");
    becomes(&in, "event: ping\ndata: {   \"type\": \"ping\"}\n\n");
    gw_buf_fini(&in);
}

static void test_sizes(void)
{
    struct gw_buf in = {0}, out = {0};
    const size_t big = 15 << 20;
    char *text = malloc(big + 1);

    add_u32(&in, (16 << 20) + 1);
    add_u32(&in, 0);
    add_u32(&in, crc_of(in.ptr, 8));
    fails(&in, GW_ELIMIT); /* before any of it is kept */
    gw_buf_clear(&in);
    add_u32(&in, 15);
    add_u32(&in, 0);
    add_u32(&in, crc_of(in.ptr, 8));
    fails(&in, GW_EPARSE);
    gw_buf_clear(&in);
    add_u32(&in, 100);
    add_u32(&in, 85);
    add_u32(&in, crc_of(in.ptr, 8));
    fails(&in, GW_EPARSE);
    gw_buf_clear(&in);
    becomes(&in, "");

    memset(text, 'x', big);
    text[big] = '\0';
    add_message(&in, "event", ":event-type", "other", text);
    CHECK(feed(gw_buf_span(&in), 65536, 0, &out) == GW_OK && out.len == 0);
    free(text);
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

int main(void)
{
    test_stream_in_every_piece();
    test_nothing_is_held_back();
    test_cut_and_damaged();
    test_exceptions();
    test_header_types();
    test_bad_headers();
    test_payloads();
    test_sizes();
    provider_aws_free(NULL);
    return test_done();
}
