/* proxy/api/api_chat_error.c - errors as OpenAI's API writes them, and as the servers do that follow it more or less. Pure; any
 * thread. */
#include "proxy/api/api_chat_private.h"

enum { MAX_TEXT_BYTES = 8192 }; /* of a provider's message: more explains nothing */

/* ---- writing ---------------------------------------------------------------------------- */

static void put_string_or_null(struct gw_buf *out, const char *name, const char *s)
{
    gw_buf_printf(out, ",\"%s\":", name);
    if (s == NULL)
        gw_buf_adds(out, "null");
    else
        gw_buf_add_json_str(out, gw_span_str(s));
}

static void put_error(const struct api_failure *f, struct gw_buf *out)
{
    const char *message = f->message != NULL ? f->message : api_error_message(f->status);

    gw_buf_adds(out, "{\"error\":{\"message\":");
    gw_buf_add_json_str(out, gw_span_str(message));
    put_string_or_null(out, "type", f->type != NULL ? f->type : api_error_type(f->status));
    put_string_or_null(out, "param", f->param);
    put_string_or_null(out, "code", f->code);
    gw_buf_adds(out, "}}");
}

/* OpenAI says the request's id in a header field only. */
void api_chat_write_error(const struct api_failure *f, const char *request_id, struct gw_buf *out)
{
    (void)request_id;
    put_error(f, out);
    gw_buf_addc(out, '\n');
}

void api_chat_write_stream_error(const struct api_failure *f, struct gw_buf *out)
{
    gw_buf_adds(out, "data: ");
    put_error(f, out);
    gw_buf_adds(out, "\n\n");
}

/* ---- reading ---------------------------------------------------------------------------- */

/* A string or number as a C string, cut between characters; NULL for anything else and for nothing. */
static const char *string_of(const struct gw_json_node *node, struct gw_arena *arena)
{
    struct gw_span text = gw_json_text(node, arena);

    if (gw_json_is(node, GW_JSON_NUMBER))
        text = node->raw;
    if (text.len == 0)
        return NULL;
    if (text.len > MAX_TEXT_BYTES) {
        text.len = MAX_TEXT_BYTES;
        while (text.len > 0 && ((unsigned char)text.ptr[text.len] & 0xC0) == 0x80)
            text.len--;
    }
    return gw_arena_copy(arena, text).ptr;
}

/* FastAPI, so vLLM and others: {"detail":"..."} or {"detail":[{"loc":[...],"msg":"..."}]}. */
static const char *read_detail(const struct gw_json_node *detail, struct gw_arena *arena)
{
    if (gw_json_is(detail, GW_JSON_ARRAY_BEGIN))
        return string_of(gw_json_get(detail->child, "msg"), arena);
    if (gw_json_is(detail, GW_JSON_OBJECT_BEGIN))
        return string_of(gw_json_get(detail, "message"), arena);
    return string_of(detail, arena);
}

void api_chat_read_error(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                         struct api_failure *out)
{
    const struct gw_json_node *e = gw_json_get(root, "error");
    const struct gw_json_node *inner;

    out->status = status;
    if (gw_json_is(e, GW_JSON_STRING)) {
        out->message = string_of(e, arena);
        return;
    }
    if (!gw_json_is(e, GW_JSON_OBJECT_BEGIN))
        e = root; /* the members stand alone: older vLLM */
    out->message = string_of(gw_json_get(e, "message"), arena);
    out->type = string_of(gw_json_get(e, "type"), arena);
    out->param = string_of(gw_json_get(e, "param"), arena);
    out->code = string_of(gw_json_get(e, "code"), arena);
    inner = gw_json_get(gw_json_get(e, "innererror"), "code"); /* Azure: why it was filtered */
    if (gw_json_is(inner, GW_JSON_STRING) && out->code == NULL)
        out->code = string_of(inner, arena);
    if (out->message == NULL)
        out->message = read_detail(gw_json_get(root, "detail"), arena);
}
