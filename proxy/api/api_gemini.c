/* proxy/api/api_gemini.c - Gemini's API as a dialect: its table, its names, its errors, and what the record sees of an answer
 * without a reader. Pure; any thread. */
#include "proxy/api/api_gemini.h"

#include <string.h>

const struct api_ops api_gemini_ops = {
    .name = "gemini",
    .title = "Gemini's",
    .read_request = gemini_read_request,
    .write_request = gemini_write_request,
    .reader_size = sizeof(struct gemini_answer),
    .read_whole = gemini_read_whole,
    .read_event = gemini_read_event,
    .read_end = gemini_read_end,
    .reader_fini = gemini_reader_fini,
    .writer_size = sizeof(struct gemini_output),
    .put = gemini_put,
    .writer_fini = gemini_writer_fini,
    .write_error = gemini_write_error,
    .write_stream_error = gemini_write_stream_error,
    .read_error = gemini_read_error,
    .look = gemini_look,
};

/* ---- names ------------------------------------------------------------------------------ */

bool gemini_key_is(const struct gw_json_node *member, const char *name)
{
    char snake[48];
    size_t n = 0;

    if (gw_json_key_is(member, name))
        return true;
    for (; *name != '\0' && n + 2 < sizeof(snake); name++) {
        if (*name >= 'A' && *name <= 'Z')
            snake[n++] = '_';
        snake[n++] = gw_ascii_lower(*name);
    }
    snake[n] = '\0';
    return gw_json_key_is(member, snake);
}

const struct gw_json_node *gemini_get(const struct gw_json_node *node, const char *name)
{
    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return NULL;
    for (const struct gw_json_node *m = node->child; m != NULL; m = m->next)
        if (gemini_key_is(m, name))
            return m;
    return NULL;
}

const struct gw_json_node *gemini_first(const struct gw_json_node *list)
{
    if (list == NULL || list->type == GW_JSON_NULL)
        return NULL;
    return list->type == GW_JSON_ARRAY_BEGIN ? list->child : list;
}

const struct gw_json_node *gemini_next(const struct gw_json_node *list,
                                       const struct gw_json_node *item)
{
    return list->type == GW_JSON_ARRAY_BEGIN ? item->next : NULL;
}

bool gemini_is_object(struct gw_json **json, struct gw_span text)
{
    const struct gw_json_limits limits = {.max_keys = 1000000, .allow_duplicate_keys = true};
    struct gw_json_tok tok;
    bool object;

    if (*json == NULL)
        *json = gw_json_new();
    if (*json == NULL)
        return false;
    gw_json_start(*json, text, &limits);
    object = gw_json_next(*json, &tok) == GW_JSON_OBJECT_BEGIN;
    return object && gw_json_skip(*json, &tok) && gw_json_next(*json, &tok) == GW_JSON_END;
}

/* ---- errors ----------------------------------------------------------------------------- */

/* Names of google.rpc.Code, by the HTTP status that Google's APIs send with them. */
static const char *status_name(unsigned status)
{
    switch (status) {
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 409:
        return "ABORTED";
    case 429:
        return "RESOURCE_EXHAUSTED";
    case 499:
        return "CANCELLED";
    case 501:
        return "UNIMPLEMENTED";
    case 502:
    case 503:
    case 529:
        return "UNAVAILABLE";
    case 408:
    case 504:
        return "DEADLINE_EXCEEDED";
    default:
        return status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT";
    }
}

/* Appends the error's object; request_id may be NULL. */
static void add_error(const struct api_failure *f, const char *request_id, struct gw_buf *out)
{
    unsigned status = f->status == 0 ? 500 : f->status;
    const char *message = f->message == NULL ? api_error_message(status) : f->message;

    gw_buf_adds(out, "{\"error\":{\"code\":");
    gw_buf_addu(out, status);
    gw_buf_adds(out, ",\"message\":");
    gw_buf_add_json_str(out, gw_span_str(message));
    gw_buf_adds(out, ",\"status\":\"");
    gw_buf_adds(out, status_name(status));
    gw_buf_addc(out, '"');
    if (request_id != NULL) {
        gw_buf_adds(out, ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RequestInfo\","
                         "\"requestId\":");
        gw_buf_add_json_str(out, gw_span_str(request_id));
        gw_buf_adds(out, "}]");
    }
    gw_buf_adds(out, "}}");
}

void gemini_write_error(const struct api_failure *f, const char *request_id, struct gw_buf *out)
{
    add_error(f, request_id, out);
    gw_buf_addc(out, '\n');
}

void gemini_write_stream_error(const struct api_failure *f, struct gw_buf *out)
{
    gw_buf_adds(out, "data: ");
    add_error(f, NULL, out);
    gw_buf_adds(out, "\r\n\r\n");
}

static const char *text_or_null(const struct gw_json_node *node, struct gw_arena *arena)
{
    struct gw_span text = gw_json_text(node, arena);

    return text.len == 0 ? NULL : gw_arena_copy(arena, text).ptr;
}

/* {"error":{...}}, or a list of it, as streamGenerateContent answers. */
void gemini_read_error(unsigned status, const struct gw_json_node *root, struct gw_arena *arena,
                       struct api_failure *out)
{
    const struct gw_json_node *error = gw_json_get(gemini_first(root), "error");

    *out = (struct api_failure){.status = status};
    if (!gw_json_is(error, GW_JSON_OBJECT_BEGIN))
        return;
    if (status == 0 || status == 200)
        out->status = (unsigned)gw_json_uint(gw_json_get(error, "code"), 500);
    if (out->status < 400 || out->status > 599)
        out->status = 500;
    out->code = text_or_null(gw_json_get(error, "status"), arena);
    out->message = text_or_null(gw_json_get(error, "message"), arena);
}

/* ---- what the record wants ---------------------------------------------------------------- */

static void copy_text(char *out, size_t cap, struct gw_span raw)
{
    size_t n = raw.len < cap ? raw.len : cap - 1;

    if (n != 0)
        memcpy(out, raw.ptr, n);
    out[n] = '\0';
}

static bool tok_is(const struct gw_json_tok *key, const char *name)
{
    return gw_span_is(key->raw, name);
}

static void count(struct api_usage *u, const struct gw_json_tok *key, struct gw_span number)
{
    const struct gw_json_node node = {.type = GW_JSON_NUMBER, .raw = number};
    uint64_t n = gw_json_uint(&node, 0);

    if (tok_is(key, "promptTokenCount") || tok_is(key, "toolUsePromptTokenCount"))
        u->input += n;
    else if (tok_is(key, "candidatesTokenCount"))
        u->output += n;
    else if (tok_is(key, "cachedContentTokenCount"))
        u->cached = n;
    if (tok_is(key, "thoughtsTokenCount")) {
        u->output += n;
        u->reasoning = n;
    }
}

/* Takes the rest of the object or list whose BEGIN was just read: members of usageMetadata, or finishReason at any
 * candidate. Everything deeper is passed over. False: no more can be read. */
static bool look_inside(struct gw_json *json, const struct gw_json_tok *begin, bool usage,
                        struct api_seen *out)
{
    unsigned deepest = usage ? begin->depth : begin->depth + 1;
    struct api_usage u = {.known = true};
    struct gw_json_tok tok = *begin, key = {.raw = {NULL, 0}};

    while (tok.type != GW_JSON_END && tok.type != GW_JSON_ERROR &&
           !((tok.type == GW_JSON_OBJECT_END || tok.type == GW_JSON_ARRAY_END) &&
             tok.depth == begin->depth)) {
        if (tok.type == GW_JSON_KEY)
            key = tok;
        else if (usage && tok.type == GW_JSON_NUMBER)
            count(&u, &key, tok.raw);
        else if (!usage && tok.type == GW_JSON_STRING && tok_is(&key, "finishReason"))
            copy_text(out->finish_reason, sizeof(out->finish_reason), tok.raw);
        if (tok.depth > deepest && !gw_json_skip(json, &tok))
            return false;
        (void)gw_json_next(json, &tok);
    }
    if (usage && tok.type != GW_JSON_ERROR)
        out->usage = u;
    return tok.type != GW_JSON_ERROR && tok.type != GW_JSON_END;
}

void gemini_look(struct gw_json *json, struct gw_span data, struct api_seen *out)
{
    const struct gw_json_limits limits = {.max_keys = 1000000, .allow_duplicate_keys = true};
    struct gw_json_tok tok, key = {.raw = {NULL, 0}};

    gw_json_start(json, data, &limits);
    for (;;) {
        switch (gw_json_next(json, &tok)) {
        case GW_JSON_KEY:
            key = tok;
            break;
        case GW_JSON_STRING:
            if (tok.depth == 1 && tok_is(&key, "modelVersion"))
                copy_text(out->model, sizeof(out->model), tok.raw);
            break;
        case GW_JSON_OBJECT_BEGIN:
        case GW_JSON_ARRAY_BEGIN:
            if (tok.depth == 1)
                break;
            if (tok_is(&key, "usageMetadata") || tok_is(&key, "candidates")) {
                if (!look_inside(json, &tok, tok_is(&key, "usageMetadata"), out))
                    return;
            } else if (!gw_json_skip(json, &tok)) {
                return;
            }
            break;
        case GW_JSON_END:
        case GW_JSON_ERROR:
            return;
        case GW_JSON_OBJECT_END:
        case GW_JSON_ARRAY_END:
        case GW_JSON_NUMBER:
        case GW_JSON_TRUE:
        case GW_JSON_FALSE:
        case GW_JSON_NULL:
        default:
            break;
        }
    }
}
