/* tests/mock/bedrock.c - the mock of Amazon Bedrock's InvokeModel and InvokeModelWithResponseStream for Anthropic models,
 * with AWS's binary event stream. One thread. */
#include <stdint.h>
#include <string.h>

#include <openssl/evp.h>
#include <zlib.h>

#include "tests/mock/mock.h"

/* ---- event stream ------------------------------------------------------------------------ */

static void put32(unsigned char *p, uint32_t n)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(n >> (24 - 8 * i));
}

/* A header: length and name, type 7 (a string), length and value. */
static void add_header(struct gw_buf *b, const char *name, const char *value)
{
    gw_buf_addc(b, (char)strlen(name));
    gw_buf_adds(b, name);
    gw_buf_addc(b, 7);
    gw_buf_addc(b, (char)(strlen(value) >> 8));
    gw_buf_addc(b, (char)strlen(value));
    gw_buf_adds(b, value);
}

/* A message: total and header length, their CRC, headers, payload, the CRC of all before it. */
void mock_aws_event(struct gw_buf *out, const char *exception, struct gw_span payload)
{
    struct gw_buf h = {0};
    unsigned char prelude[12], last[4];
    uLong crc;

    if (exception == NULL) {
        add_header(&h, ":event-type", "chunk");
        add_header(&h, ":content-type", "application/json");
        add_header(&h, ":message-type", "event");
    } else {
        add_header(&h, ":exception-type", exception);
        add_header(&h, ":content-type", "application/json");
        add_header(&h, ":message-type", "exception");
    }
    put32(prelude, (uint32_t)(16 + h.len + payload.len));
    put32(prelude + 4, (uint32_t)h.len);
    put32(prelude + 8, (uint32_t)crc32(0, prelude, 8));
    crc = crc32(0, prelude, 12);
    crc = crc32(crc, (const Bytef *)h.ptr, (uInt)h.len);
    crc = crc32(crc, (const Bytef *)payload.ptr, (uInt)payload.len);
    put32(last, (uint32_t)crc);
    gw_buf_add(out, (struct gw_span){(const char *)prelude, 12});
    gw_buf_add(out, gw_buf_span(&h));
    gw_buf_add(out, payload);
    gw_buf_add(out, (struct gw_span){(const char *)last, 4});
    gw_buf_fini(&h);
}

/* ---- calls ------------------------------------------------------------------------------- */

static const char *check_body(const struct mock_call *m)
{
    if (m->bad_json || m->root == NULL)
        return "The format of the request is invalid";
    if (!gw_json_text_is(gw_json_get(m->root, "anthropic_version"), "bedrock-2023-05-31"))
        return "anthropic_version: must be bedrock-2023-05-31";
    if (gw_json_get(m->root, "model") != NULL || gw_json_get(m->root, "stream") != NULL)
        return "extraneous key [model] or [stream] is not permitted";
    return NULL;
}

/* CountTokens: m->root becomes the call that is counted, which stands in base64 in the body. */
static const char *unwrap(struct mock_call *m)
{
    const struct gw_json_node *call = gw_json_get(gw_json_get(m->root, "input"), "invokeModel");
    struct gw_span text = gw_json_text(gw_json_get(call, "body"), m->arena);
    char *bytes = gw_arena_alloc(m->arena, text.len + 1);
    struct gw_json_node *root;
    int n;

    if (text.len == 0 || bytes == NULL || text.len % 4 != 0)
        return "input.invokeModel.body: must be base64";
    n = EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)text.ptr, (int)text.len);
    for (size_t k = text.len; n > 0 && text.ptr[k - 1] == '='; k--)
        n--;
    if (n <= 0 || gw_json_tree(m->json, m->arena, (struct gw_span){bytes, (size_t)n}, NULL, &root,
                               NULL) != GW_OK)
        return "input.invokeModel.body: must be JSON";
    m->root = root;
    m->plan.status = (unsigned)mock_directive((struct gw_span){bytes, (size_t)n}, "status", 200);
    if (!gw_json_is(gw_json_get(root, "max_tokens"), GW_JSON_NUMBER))
        return "max_tokens: Field required";
    return NULL;
}

/* The model of the path, with %3A and the like decoded in the arena. */
static struct gw_span decode_model(struct mock_call *m, struct gw_span raw)
{
    static const char hex[] = "0123456789ABCDEF";
    char *to = gw_arena_alloc(m->arena, raw.len + 1);
    size_t n = 0;

    for (size_t i = 0; to != NULL && i < raw.len; i++) {
        const char *a = NULL, *b = NULL;

        if (raw.ptr[i] == '%' && i + 2 < raw.len) {
            a = strchr(hex, raw.ptr[i + 1]);
            b = strchr(hex, raw.ptr[i + 2]);
        }
        if (a != NULL && b != NULL) {
            to[n++] = (char)((a - hex) * 16 + (b - hex));
            i += 2;
        } else {
            to[n++] = raw.ptr[i];
        }
    }
    return to == NULL ? raw : (struct gw_span){to, n};
}

void mock_bedrock(struct mock_call *m)
{
    struct gw_span name = gw_span_from(m->path, strlen("/model/")), auth, verb;
    const char *slash = mock_find_char(name, '/'), *why;

    m->family = MOCK_BEDROCK;
    verb =
        slash == NULL ? (struct gw_span){NULL, 0} : gw_span_from(name, (size_t)(slash - name.ptr));
    auth = mock_field(m, "authorization");
    /* A Bedrock API key, or a signature. */
    if (gw_span_starts(auth, GW_SPAN("Bearer ")))
        why = gw_span_is(gw_span_from(auth, 7), mock_options.aws_secret) ? NULL : "wrong API key";
    else
        why = mock_sigv4_check(m, "bedrock");
    if (why != NULL) {
        mock_send_error(m, 403, why);
        return;
    }
    why = gw_span_is(verb, "/count-tokens") ? unwrap(m) : NULL;
    if (m->plan.status != 200) {
        mock_send_error(m, m->plan.status, NULL);
        return;
    }
    if (why == NULL)
        why = check_body(m);
    if (why != NULL) {
        mock_send_error(m, 400, why);
        return;
    }
    name.len -= verb.len;
    m->model = decode_model(m, name);
    m->model_fixed = true;
    if (gw_span_is(verb, "/invoke-with-response-stream")) {
        m->plan.stream = true;
        m->framing = MOCK_AWS;
        mock_anthropic(m, GW_SPAN("/messages"));
    } else if (gw_span_is(verb, "/invoke")) {
        mock_anthropic(m, GW_SPAN("/messages"));
    } else if (gw_span_is(verb, "/count-tokens")) {
        gw_buf_printf(&m->out, "{\"inputTokens\":%zu}", m->body.len / 4);
        mock_send_json(m, gw_buf_span(&m->out));
    } else {
        mock_send_error(m, 404, "UnknownOperationException");
    }
}
