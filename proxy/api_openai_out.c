/* proxy/api_openai_out.c - how OpenAI's answers, streams and errors look, and what they tell about usage.
 * Pure; any thread. */
#include <stdlib.h>
#include <string.h>

#include "proxy/api_openai.h"

static void add_str_or_null(struct gw_buf *out, const char *s)
{
    if (s == NULL)
        gw_buf_adds(out, "null");
    else
        gw_buf_add_json_str(out, gw_span_str(s));
}

void api_error(struct gw_buf *out, const char *message, const char *type, const char *param,
               const char *code)
{
    gw_buf_adds(out, "{\"error\":{\"message\":");
    gw_buf_add_json_str(out, gw_span_str(message));
    gw_buf_adds(out, ",\"type\":");
    gw_buf_add_json_str(out, gw_span_str(type));
    gw_buf_adds(out, ",\"param\":");
    add_str_or_null(out, param);
    gw_buf_adds(out, ",\"code\":");
    add_str_or_null(out, code);
    gw_buf_adds(out, "}}\n");
}

static void add_envelope(struct gw_buf *out, const struct api_answer *a, const char *object)
{
    gw_buf_adds(out, "{\"id\":");
    gw_buf_add_json_str(out, gw_span_str(a->id));
    gw_buf_adds(out, ",\"object\":\"");
    gw_buf_adds(out, object);
    gw_buf_adds(out, "\",\"created\":");
    gw_buf_addi(out, a->created);
    gw_buf_adds(out, ",\"model\":");
    gw_buf_add_json_str(out, a->model);
    gw_buf_adds(out, ",\"system_fingerprint\":\"sluice-engine\"");
}

static void add_usage(struct gw_buf *out, const struct api_answer *a)
{
    gw_buf_adds(out, "{\"prompt_tokens\":");
    gw_buf_addu(out, a->prompt_tokens);
    gw_buf_adds(out, ",\"completion_tokens\":");
    gw_buf_addu(out, a->completion_tokens);
    gw_buf_adds(out, ",\"total_tokens\":");
    gw_buf_addu(out, a->prompt_tokens + a->completion_tokens);
    gw_buf_adds(out, "}");
}

void api_answer_json(struct gw_buf *out, const struct api_answer *a, struct gw_span content)
{
    add_envelope(out, a, "chat.completion");
    gw_buf_adds(out, ",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":");
    gw_buf_add_json_str(out, content);
    gw_buf_adds(out, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":");
    add_str_or_null(out, a->finish_reason);
    gw_buf_adds(out, "}],\"usage\":");
    add_usage(out, a);
    gw_buf_adds(out, "}\n");
}

static void add_chunk(struct gw_buf *out, const struct api_answer *a, struct gw_span delta,
                      const char *finish)
{
    gw_buf_adds(out, "data: ");
    add_envelope(out, a, "chat.completion.chunk");
    gw_buf_adds(out, ",\"choices\":[{\"index\":0,\"delta\":{");
    gw_buf_add(out, delta);
    gw_buf_adds(out, "},\"logprobs\":null,\"finish_reason\":");
    add_str_or_null(out, finish);
    gw_buf_adds(out, "}]}\n\n");
}

void api_stream_begin(struct gw_buf *out, const struct api_answer *a)
{
    add_chunk(out, a, GW_SPAN("\"role\":\"assistant\",\"content\":\"\""), NULL);
}

void api_stream_text(struct gw_buf *out, const struct api_answer *a, struct gw_span content)
{
    struct gw_buf delta = {0};

    gw_buf_adds(&delta, "\"content\":");
    gw_buf_add_json_str(&delta, content);
    if (!gw_buf_ok(&delta))
        out->failed = true;
    else
        add_chunk(out, a, gw_buf_span(&delta), NULL);
    gw_buf_fini(&delta);
}

void api_stream_end(struct gw_buf *out, const struct api_answer *a, bool usage)
{
    add_chunk(out, a, (struct gw_span){NULL, 0}, a->finish_reason);
    if (usage) {
        gw_buf_adds(out, "data: ");
        add_envelope(out, a, "chat.completion.chunk");
        gw_buf_adds(out, ",\"choices\":[],\"usage\":");
        add_usage(out, a);
        gw_buf_adds(out, "}\n\n");
    }
    gw_buf_adds(out, "data: [DONE]\n\n");
}

void api_stream_error(struct gw_buf *out, const char *message, const char *type, const char *code)
{
    struct gw_buf e = {0};

    api_error(&e, message, type, NULL, code);
    gw_buf_adds(out, "data: ");
    if (gw_buf_ok(&e) && e.len != 0)
        gw_buf_add(out, (struct gw_span){e.ptr, e.len - 1}); /* without its newline */
    gw_buf_adds(out, "\n\n");
    gw_buf_fini(&e);
}

/* ---- usage ------------------------------------------------------------------------------ */

static uint64_t number_of(const struct gw_json_tok *tok)
{
    char buf[24];

    if (tok->type != GW_JSON_NUMBER || tok->raw.len >= sizeof(buf))
        return 0;
    memcpy(buf, tok->raw.ptr, tok->raw.len);
    buf[tok->raw.len] = '\0';
    return strtoull(buf, NULL, 10);
}

static void copy_text(char *out, size_t size, const struct gw_json_tok *tok)
{
    size_t n = tok->raw.len < size - 1 ? tok->raw.len : size - 1;

    if (tok->type != GW_JSON_STRING || tok->escaped || n == 0)
        return;
    memcpy(out, tok->raw.ptr, n);
    out[n] = '\0';
}

void api_read_usage(struct gw_json *json, struct gw_span body, struct api_usage *out)
{
    const struct gw_json_limits lenient = {0, 100000, true};
    struct gw_json_tok tok, val;
    bool in_usage = false; /* between the usage object's BEGIN and END, depth 2 */

    gw_json_start(json, body, &lenient);
    while (gw_json_next(json, &tok) != GW_JSON_END && tok.type != GW_JSON_ERROR) {
        if (tok.type == GW_JSON_OBJECT_END && tok.depth == 2)
            in_usage = false;
        if (tok.type != GW_JSON_KEY || tok.escaped)
            continue;
        if (gw_json_next(json, &val) == GW_JSON_ERROR)
            return;
        if (tok.depth == 1 && gw_span_is(tok.raw, "usage") && val.type == GW_JSON_OBJECT_BEGIN)
            in_usage = true;
        else if (tok.depth == 1 && gw_span_is(tok.raw, "model"))
            copy_text(out->model, sizeof(out->model), &val);
        else if (tok.depth == 3 && gw_span_is(tok.raw, "finish_reason"))
            copy_text(out->finish_reason, sizeof(out->finish_reason), &val);
        else if (in_usage && tok.depth == 2 && gw_span_is(tok.raw, "prompt_tokens"))
            out->prompt_tokens = number_of(&val);
        else if (in_usage && tok.depth == 2 && gw_span_is(tok.raw, "completion_tokens"))
            out->completion_tokens = number_of(&val);
    }
}
