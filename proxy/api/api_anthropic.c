/* proxy/api/api_anthropic.c - Anthropic's API as a dialect: its table of functions (api_private.h), errors, usage, and what
 * the record wants of answers. Pure; any thread. */
#include "proxy/api/api_anthropic.h"

#include <stdlib.h>

enum { MAX_TEXT_BYTES = 8192 }; /* of a provider's message: more explains nothing */

bool anthropic_is_blank(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c != ' ' && !(c >= '\t' && c <= '\r')) /* tab, LF, VT, FF, CR */
            return false;
    }
    return true;
}

/* ---- errors --------------------------------------------------------------------------------- */

/* The types that clients know, and the status of each where an error has none of its own. */
static const struct {
    const char *type;
    unsigned status;
} error_types[] = {
    {"invalid_request_error", 400}, {"authentication_error", 401},
    {"billing_error", 402},         {"permission_error", 403},
    {"not_found_error", 404},       {"request_too_large", 413},
    {"rate_limit_error", 429},      {"api_error", 500},
    {"timeout_error", 504},         {"overloaded_error", 529},
};

static const char *type_of(unsigned status)
{
    for (size_t i = 0; i < sizeof(error_types) / sizeof(*error_types); i++)
        if (error_types[i].status == status)
            return error_types[i].type;
    if (status == 503)
        return "overloaded_error";
    if (status == 408)
        return "timeout_error";
    return status >= 500 || status < 400 ? "api_error" : "invalid_request_error";
}

static void put_error(const struct api_failure *f, const char *request_id, struct gw_buf *out)
{
    const char *message = f->message != NULL ? f->message : api_error_message(f->status);

    gw_buf_printf(
        out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", type_of(f->status));
    gw_buf_add_json_str(out, gw_span_str(message));
    gw_buf_addc(out, '}');
    if (request_id != NULL)
        api_put_text(out, "request_id", gw_span_str(request_id));
    gw_buf_addc(out, '}');
}

void anthropic_write_error(const struct api_failure *f, const char *request_id, struct gw_buf *out)
{
    put_error(f, request_id, out);
    gw_buf_addc(out, '\n');
}

void anthropic_write_stream_error(const struct api_failure *f, struct gw_buf *out)
{
    gw_buf_adds(out, "event: error\ndata: ");
    put_error(f, NULL, out);
    gw_buf_adds(out, "\n\n");
}

/* A string as a C string, cut between characters; NULL for anything else and for nothing. */
static const char *string_of(const struct gw_json_node *node, struct gw_arena *arena)
{
    struct gw_span text = gw_json_text(node, arena);

    if (text.len == 0)
        return NULL;
    if (text.len > MAX_TEXT_BYTES) {
        text.len = MAX_TEXT_BYTES;
        while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xC0) == 0x80)
            text.len--;
    }
    return gw_arena_copy(arena, text).ptr;
}

void anthropic_read_error(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                          struct api_failure *out)
{
    const struct gw_json_node *e = gw_json_get(root, "error");

    out->status = status;
    out->type = string_of(gw_json_get(e, "type"), arena);
    out->message = string_of(gw_json_get(e, "message"), arena);
    out->code = string_of(gw_json_get(gw_json_get(e, "details"), "error_code"), arena);
    if (out->message == NULL)
        out->message = string_of(gw_json_get(root, "message"), arena); /* Bedrock, gateways */
    for (size_t i = 0; status == 0 && i < sizeof(error_types) / sizeof(*error_types); i++)
        if (out->type != NULL && strcmp(out->type, error_types[i].type) == 0)
            out->status = error_types[i].status;
    if (out->status == 0)
        out->status = 500;
}

/* ---- usage ---------------------------------------------------------------------------------- */

static const char *const count_names[ANTHROPIC_COUNTS] = {
    [ANTHROPIC_INPUT] = "input_tokens",
    [ANTHROPIC_CACHED] = "cache_read_input_tokens",
    [ANTHROPIC_CACHE_WRITE] = "cache_creation_input_tokens",
    [ANTHROPIC_OUTPUT] = "output_tokens",
    [ANTHROPIC_REASONING] = "thinking_tokens", /* in "output_tokens_details" */
};

static void set_count(struct anthropic_usage *u, size_t which, uint64_t n)
{
    u->has[which] = true;
    u->n[which] = n;
}

void anthropic_merge_usage(const struct anthropic_usage *u, struct api_usage *out)
{
    uint64_t plain = out->input - out->cached - out->cache_write;

    out->known = true;
    if (u->has[ANTHROPIC_INPUT])
        plain = u->n[ANTHROPIC_INPUT];
    if (u->has[ANTHROPIC_CACHED])
        out->cached = u->n[ANTHROPIC_CACHED];
    if (u->has[ANTHROPIC_CACHE_WRITE])
        out->cache_write = u->n[ANTHROPIC_CACHE_WRITE];
    out->input = plain + out->cached + out->cache_write;
    if (u->has[ANTHROPIC_OUTPUT])
        out->output = u->n[ANTHROPIC_OUTPUT];
    if (u->has[ANTHROPIC_REASONING])
        out->reasoning = u->n[ANTHROPIC_REASONING];
}

void anthropic_read_usage(const struct gw_json_node *usage, struct api_usage *out)
{
    struct anthropic_usage u = {0};

    if (!gw_json_is(usage, GW_JSON_OBJECT_BEGIN))
        return;
    for (size_t i = 0; i < ANTHROPIC_COUNTS; i++) {
        const struct gw_json_node *from =
            i == ANTHROPIC_REASONING ? gw_json_get(usage, "output_tokens_details") : usage;
        const struct gw_json_node *node = gw_json_get(from, count_names[i]);

        if (gw_json_is(node, GW_JSON_NUMBER))
            set_count(&u, i, gw_json_uint(node, 0));
    }
    anthropic_merge_usage(&u, out);
}

/* ---- what the record wants ------------------------------------------------------------------- */

/* Reasoning is counted in an object of its own, the others in "usage" itself; deeper there are parts of the sums. */
static bool take_count(const struct gw_json_tok *key, bool in_usage, struct anthropic_usage *u,
                       const struct gw_json_tok *val)
{
    const struct gw_json_node node = {.type = val->type, .raw = val->raw};

    for (size_t i = 0; i < ANTHROPIC_COUNTS; i++) {
        if (in_usage == (i != ANTHROPIC_REASONING) && val->type == GW_JSON_NUMBER &&
            gw_span_is(key->raw, count_names[i])) {
            set_count(u, i, gw_json_uint(&node, 0));
            return true;
        }
    }
    return false;
}

struct looking {
    struct api_seen *out;
    struct anthropic_usage usage;
    bool counted;
    unsigned usage_depth; /* of the keys inside "usage", 0: not inside */
};

static void look_at(struct looking *l, const struct gw_json_tok *key, const struct gw_json_tok *val)
{
    struct api_seen *out = l->out;

    if (l->usage_depth != 0) {
        if (key->depth <= l->usage_depth + 1 &&
            take_count(key, key->depth == l->usage_depth, &l->usage, val))
            l->counted = true;
        return;
    }
    if (key->depth > 2)
        return;
    if (gw_span_is(key->raw, "usage") && val->type == GW_JSON_OBJECT_BEGIN)
        l->usage_depth = val->depth;
    else if (gw_span_is(key->raw, "model"))
        api_copy_text(out->model, sizeof(out->model), val);
    else if (gw_span_is(key->raw, "stop_reason"))
        api_copy_text(out->finish_reason, sizeof(out->finish_reason), val);
}

/* A whole message has model, stop_reason and usage at its top; message_start has them in "message", message_delta has
 * the reason in "delta" and usage at its top. What a model says lies deeper or in strings. */
void anthropic_look(struct gw_json *json, struct gw_span data, struct api_seen *out)
{
    const struct gw_json_limits lenient = {0, 100000, true};
    struct looking l = {.out = out};
    struct gw_json_tok tok, val;

    gw_json_start(json, data, &lenient);
    while (gw_json_next(json, &tok) != GW_JSON_END && tok.type != GW_JSON_ERROR) {
        if (tok.type == GW_JSON_OBJECT_END && tok.depth == l.usage_depth)
            l.usage_depth = 0;
        if (tok.type != GW_JSON_KEY || tok.escaped)
            continue;
        if (gw_json_next(json, &val) == GW_JSON_ERROR)
            break;
        look_at(&l, &tok, &val);
    }
    if (l.counted)
        anthropic_merge_usage(&l.usage, &out->usage);
}

/* ---- the table ------------------------------------------------------------------------------ */

const struct api_ops api_anthropic_ops = {
    .name = "anthropic",
    .title = "Anthropic's",
    .read_request = anthropic_read_request,
    .write_request = anthropic_write_request,
    .reader_size = sizeof(struct anthropic_reading),
    .read_whole = anthropic_read_whole,
    .read_event = anthropic_read_event,
    .read_end = NULL, /* an end before message_stop is a broken one */
    .writer_size = sizeof(struct anthropic_writing),
    .put = anthropic_put,
    .write_error = anthropic_write_error,
    .write_stream_error = anthropic_write_stream_error,
    .read_error = anthropic_read_error,
    .look = anthropic_look,
};
