/* proxy/api/api_responses.c - OpenAI's Responses API as a dialect: its table of functions (api_private.h), errors inside of
 * streams, and what the record wants of answers that are passed on. Pure; any thread. */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/api/api_chat_private.h"
#include "proxy/api/api_responses_private.h"

/* ---- errors ------------------------------------------------------------------------------ */

static void put_string_or_null(struct gw_buf *out, const char *name, const char *s)
{
    gw_buf_printf(out, ",\"%s\":", name);
    if (s == NULL)
        gw_buf_adds(out, "null");
    else
        gw_buf_add_json_str(out, gw_span_str(s));
}

/* The API reference has an event's error as its own members, the API itself sends an object "error", and the SDKs raise
 * on the latter: so the event has both. */
void api_responses_put_error(const struct api_failure *f, unsigned sequence, struct gw_buf *out)
{
    const char *message = f->message != NULL ? f->message : api_error_message(f->status);
    const char *type = f->type != NULL ? f->type : api_error_type(f->status);

    gw_buf_printf(out, "event: error\ndata: {\"type\":\"error\",\"sequence_number\":%u", sequence);
    put_string_or_null(out, "code", f->code);
    put_string_or_null(out, "message", message);
    put_string_or_null(out, "param", f->param);
    gw_buf_adds(out, ",\"error\":{\"type\":");
    gw_buf_add_json_str(out, gw_span_str(type));
    put_string_or_null(out, "code", f->code);
    put_string_or_null(out, "message", message);
    put_string_or_null(out, "param", f->param);
    gw_buf_adds(out, "}}\n\n");
}

/* In a stream that is passed on nobody counts its events; no client looks at this number. */
static void write_stream_error(const struct api_failure *f, struct gw_buf *out)
{
    api_responses_put_error(f, 0, out);
}

/* ---- what the record wants ---------------------------------------------------------------- */

/* Where a member stands: the response object is the answer, or a member of an event. */
struct looking {
    unsigned depth;  /* of the response's members; 0: not known yet */
    unsigned usage;  /* depth of usage's members while in it, else 0 */
    bool incomplete; /* in incomplete_details */
    bool has_reason;
    struct api_seen *out;
};

static uint64_t number_of(const struct gw_json_tok *tok)
{
    char buf[24];

    if (tok->type != GW_JSON_NUMBER || tok->raw.len >= sizeof(buf))
        return 0;
    memcpy(buf, tok->raw.ptr, tok->raw.len);
    buf[tok->raw.len] = '\0';
    return strtoull(buf, NULL, 10);
}

static void look_at_usage(struct api_usage *u, struct gw_span key, const struct gw_json_tok *val)
{
    u->known = true;
    if (gw_span_is(key, "input_tokens"))
        u->input = number_of(val);
    else if (gw_span_is(key, "output_tokens"))
        u->output = number_of(val);
    else if (gw_span_is(key, "cached_tokens"))
        u->cached = number_of(val);
    else if (gw_span_is(key, "cache_write_tokens"))
        u->cache_write = number_of(val);
    else if (gw_span_is(key, "reasoning_tokens"))
        u->reasoning = number_of(val);
}

/* A member of the response object. "in_progress" is how every stream begins, not how one ended. */
static void look_at_response(struct looking *l, struct gw_span key, const struct gw_json_tok *val)
{
    struct api_seen *out = l->out;

    if (gw_span_is(key, "model"))
        api_copy_text(out->model, sizeof(out->model), val);
    else if (gw_span_is(key, "id"))
        api_copy_text(out->id, sizeof(out->id), val);
    else if (gw_span_is(key, "status") && !l->has_reason && !gw_span_is(val->raw, "in_progress") &&
             !gw_span_is(val->raw, "queued"))
        api_copy_text(out->finish_reason, sizeof(out->finish_reason), val);
    else if (gw_span_is(key, "usage") && val->type == GW_JSON_OBJECT_BEGIN)
        l->usage = l->depth + 1;
    else if (gw_span_is(key, "incomplete_details") && val->type == GW_JSON_OBJECT_BEGIN)
        l->incomplete = true;
}

static void look_at_member(struct looking *l, const struct gw_json_tok *key,
                           const struct gw_json_tok *val)
{
    if (key->depth == l->depth) {
        l->usage = 0;
        l->incomplete = false;
        look_at_response(l, key->raw, val);
    } else if (l->usage != 0 && (key->depth == l->usage || key->depth == l->usage + 1)) {
        look_at_usage(&l->out->usage, key->raw, val);
    } else if (l->incomplete && key->depth == l->depth + 1 && gw_span_is(key->raw, "reason") &&
               val->type == GW_JSON_STRING) {
        api_copy_text(l->out->finish_reason, sizeof(l->out->finish_reason), val);
        l->has_reason = true;
    }
}

/* Events without a response object say nothing of interest: they are left at once. */
static bool is_other_event(const struct gw_json_tok *key, const struct gw_json_tok *val)
{
    return key->depth == 1 && gw_span_is(key->raw, "type") &&
           !gw_span_is(val->raw, "response.completed") &&
           !gw_span_is(val->raw, "response.incomplete") &&
           !gw_span_is(val->raw, "response.failed") && !gw_span_is(val->raw, "response.created");
}

static void look(struct gw_json *json, struct gw_span data, struct api_seen *out)
{
    const struct gw_json_limits lenient = {0, 1000000, true};
    struct looking l = {.depth = 1, .out = out};
    struct gw_json_tok tok, val;

    gw_json_start(json, data, &lenient);
    while (gw_json_next(json, &tok) != GW_JSON_END && tok.type != GW_JSON_ERROR) {
        if (tok.type != GW_JSON_KEY || tok.escaped)
            continue;
        if (gw_json_next(json, &val) == GW_JSON_ERROR || is_other_event(&tok, &val))
            return;
        if (tok.depth == 1 && gw_span_is(tok.raw, "response") && val.type == GW_JSON_OBJECT_BEGIN)
            l = (struct looking){.depth = 2, .out = out};
        else
            look_at_member(&l, &tok, &val);
    }
}

/* Errors outside of streams are those of OpenAI's other APIs. */
const struct api_ops api_responses_ops = {
    .name = "responses",
    .title = "OpenAI's Responses",
    .read_request = api_responses_read,
    .write_request = api_responses_write,
    .reader_size = sizeof(struct api_responses_reader),
    .read_whole = api_responses_read_whole,
    .read_event = api_responses_read_event,
    .writer_size = sizeof(struct api_responses_writer),
    .put = api_responses_put,
    .write_error = api_chat_write_error,
    .write_stream_error = write_stream_error,
    .read_error = api_chat_read_error,
    .look = look,
};
