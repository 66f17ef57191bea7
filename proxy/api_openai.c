/* proxy/api_openai.c - reads chat requests. Pure; any thread. Answers are in api_openai_out.c. */
#include "proxy/api_openai.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One request being read. */
struct reading {
    struct gw_json *json;
    struct gw_arena *arena;
    struct api_chat *chat;
    const char **param;
    struct gw_err *err;
    unsigned cap_messages;
    char *text;      /* memory of the content that is put together from parts; cap_text bytes */
    size_t cap_text; /* 0: the content is borrowed */
};

static enum gw_status bad(struct reading *r, const char *param, const char *what)
{
    *r->param = param;
    return gw_fail(r->err, GW_EINVAL, "%s %s", param, what);
}

/* The decoded text of a string token: in place when it has no escapes. */
static enum gw_status decode(struct reading *r, const struct gw_json_tok *tok, struct gw_span *out)
{
    char *p;

    if (!tok->escaped) {
        *out = tok->raw;
        return GW_OK;
    }
    p = gw_arena_alloc(r->arena, tok->raw.len);
    if (p == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory");
    *out = (struct gw_span){p, gw_json_decode(tok->raw, p)};
    return GW_OK;
}

static enum gw_status next(struct reading *r, struct gw_json_tok *tok)
{
    if (gw_json_next(r->json, tok) == GW_JSON_ERROR)
        return gw_json_error(r->json, r->err);
    return GW_OK;
}

static enum gw_status skip(struct reading *r, const struct gw_json_tok *tok)
{
    return gw_json_skip(r->json, tok) ? GW_OK : gw_json_error(r->json, r->err);
}

static bool is_key(const struct gw_json_tok *tok, const char *name)
{
    char buf[48];
    size_t n;

    if (!tok->escaped)
        return gw_span_is(tok->raw, name);
    if (tok->raw.len > sizeof(buf))
        return false;
    n = gw_json_decode(tok->raw, buf);
    return gw_span_is((struct gw_span){buf, n}, name);
}

/* ---- messages --------------------------------------------------------------------------- */

static enum gw_status append_text(struct reading *r, struct api_message *m, struct gw_span text)
{
    size_t len = m->content.len + 1 + text.len;
    char *p;

    if (text.len == 0)
        return GW_OK;
    if (m->content.len == 0) {
        m->content = text;
        r->cap_text = 0;
        return GW_OK;
    }
    if (len > r->cap_text) { /* doubling: many small parts must not cost their square */
        p = gw_arena_alloc(r->arena, len * 2);
        if (p == NULL)
            return gw_fail(r->err, GW_ENOMEM, "out of memory");
        memcpy(p, m->content.ptr, m->content.len);
        m->content.ptr = r->text = p;
        r->cap_text = len * 2;
    }
    r->text[m->content.len] = '\n';
    memcpy(r->text + m->content.len + 1, text.ptr, text.len);
    m->content.len = len;
    return GW_OK;
}

/* The next member of an object; *end: there is none, the END was read. */
static enum gw_status next_member(struct reading *r, struct gw_json_tok *key,
                                  struct gw_json_tok *val, bool *end)
{
    GW_TRY(next(r, key));
    *end = key->type == GW_JSON_OBJECT_END;
    return *end ? GW_OK : next(r, val);
}

static enum gw_status read_part_member(struct reading *r, const struct gw_json_tok *key,
                                       const struct gw_json_tok *val, struct gw_span *text,
                                       bool *other)
{
    if (val->type == GW_JSON_STRING && is_key(key, "text"))
        return decode(r, val, text);
    if (val->type == GW_JSON_STRING && is_key(key, "type"))
        *other = !gw_span_is(val->raw, "text");
    return skip(r, val);
}

/* One element of a content array: {"type":"text","text":...}; the BEGIN was read. */
static enum gw_status read_part(struct reading *r, struct api_message *m)
{
    struct gw_json_tok key, val;
    struct gw_span text = {NULL, 0};
    bool other = false, end;

    for (;;) {
        GW_TRY(next_member(r, &key, &val, &end));
        if (end)
            break;
        GW_TRY(read_part_member(r, &key, &val, &text, &other));
    }
    if (other)
        r->chat->local_unsupported = "messages[].content (only text parts)";
    return append_text(r, m, text);
}

static enum gw_status read_content(struct reading *r, const struct gw_json_tok *val,
                                   struct api_message *m)
{
    struct gw_json_tok tok;

    if (val->type == GW_JSON_STRING)
        return decode(r, val, &m->content);
    if (val->type == GW_JSON_NULL)
        return GW_OK;
    if (val->type != GW_JSON_ARRAY_BEGIN)
        return bad(r, "messages[].content", "must be a string or a list of parts");
    for (;;) {
        GW_TRY(next(r, &tok));
        if (tok.type == GW_JSON_ARRAY_END)
            return GW_OK;
        if (tok.type != GW_JSON_OBJECT_BEGIN)
            return bad(r, "messages[].content", "must hold objects with a type");
        GW_TRY(read_part(r, m));
    }
}

static enum gw_status read_message_member(struct reading *r, const struct gw_json_tok *key,
                                          const struct gw_json_tok *val, struct api_message *m)
{
    if (is_key(key, "role")) {
        if (val->type != GW_JSON_STRING)
            return bad(r, "messages[].role", "must be a string");
        return decode(r, val, &m->role);
    }
    if (is_key(key, "content"))
        return read_content(r, val, m);
    if (val->type == GW_JSON_ARRAY_BEGIN && is_key(key, "tool_calls"))
        r->chat->local_unsupported = "messages[].tool_calls";
    return skip(r, val);
}

static enum gw_status read_message(struct reading *r, struct api_message *m)
{
    struct gw_json_tok key, val;
    bool end;

    for (;;) {
        GW_TRY(next_member(r, &key, &val, &end));
        if (end)
            break;
        GW_TRY(read_message_member(r, &key, &val, m));
    }
    if (m->role.len == 0)
        return bad(r, "messages[].role", "is missing");
    return GW_OK;
}

static enum gw_status grow_messages(struct reading *r)
{
    unsigned cap = r->cap_messages == 0 ? 8 : r->cap_messages * 2;
    struct api_message *m = gw_arena_array(r->arena, cap, sizeof(*m));

    if (m == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory");
    if (r->chat->n_messages != 0)
        memcpy(m, r->chat->messages, r->chat->n_messages * sizeof(*m));
    r->chat->messages = m;
    r->cap_messages = cap;
    return GW_OK;
}

static enum gw_status read_messages(struct reading *r, const struct gw_json_tok *val)
{
    struct gw_json_tok tok;

    if (val->type != GW_JSON_ARRAY_BEGIN)
        return bad(r, "messages", "must be a list");
    for (;;) {
        GW_TRY(next(r, &tok));
        if (tok.type == GW_JSON_ARRAY_END)
            return GW_OK;
        if (tok.type != GW_JSON_OBJECT_BEGIN)
            return bad(r, "messages", "must hold objects");
        if (r->chat->n_messages == r->cap_messages)
            GW_TRY(grow_messages(r));
        GW_TRY(read_message(r, &r->chat->messages[r->chat->n_messages]));
        r->chat->n_messages++;
    }
}

/* ---- parameters ------------------------------------------------------------------------- */

static enum gw_status read_number(struct reading *r, const struct gw_json_tok *val,
                                  const char *name, double lo, double hi, double *out)
{
    char buf[40];
    double v;

    if (val->type == GW_JSON_NULL)
        return GW_OK;
    if (val->type != GW_JSON_NUMBER || val->raw.len >= sizeof(buf))
        return bad(r, name, "must be a number");
    memcpy(buf, val->raw.ptr, val->raw.len);
    buf[val->raw.len] = '\0';
    v = strtod(buf, NULL);
    if (!(v >= lo && v <= hi))
        return bad(r, name, "is out of range");
    *out = v;
    return GW_OK;
}

static enum gw_status add_stop(struct reading *r, const struct gw_json_tok *val)
{
    struct engine_params *p = &r->chat->params;
    struct gw_span *stop;

    if (val->type != GW_JSON_STRING)
        return bad(r, "stop", "must be a string or a list of strings");
    if (p->n_stop == 16)
        return bad(r, "stop", "has more than 16 entries");
    stop = gw_arena_array(r->arena, p->n_stop + 1, sizeof(*stop));
    if (stop == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory");
    if (p->n_stop != 0)
        memcpy(stop, p->stop, p->n_stop * sizeof(*stop));
    GW_TRY(decode(r, val, &stop[p->n_stop]));
    p->stop = stop;
    p->n_stop++;
    return GW_OK;
}

static enum gw_status read_stop(struct reading *r, const struct gw_json_tok *val)
{
    struct gw_json_tok tok;

    if (val->type == GW_JSON_NULL)
        return GW_OK;
    if (val->type != GW_JSON_ARRAY_BEGIN)
        return add_stop(r, val);
    for (;;) {
        GW_TRY(next(r, &tok));
        if (tok.type == GW_JSON_ARRAY_END)
            return GW_OK;
        GW_TRY(add_stop(r, &tok));
    }
}

/* Counts the elements of an array of any values. */
static enum gw_status count_array(struct reading *r, const struct gw_json_tok *val,
                                  const char *name, unsigned *n)
{
    struct gw_json_tok tok;

    if (val->type == GW_JSON_NULL)
        return GW_OK;
    if (val->type != GW_JSON_ARRAY_BEGIN)
        return bad(r, name, "must be a list");
    for (;;) {
        GW_TRY(next(r, &tok));
        if (tok.type == GW_JSON_ARRAY_END)
            return GW_OK;
        GW_TRY(skip(r, &tok));
        (*n)++;
    }
}

/* {"type":"json_schema"}: anything but text is a schema; {"include_usage":true}. */
static enum gw_status read_flag_object(struct reading *r, const struct gw_json_tok *val,
                                       const char *member, const char *plain, bool *out)
{
    struct gw_json_tok key, v;

    if (val->type != GW_JSON_OBJECT_BEGIN)
        return skip(r, val);
    for (;;) {
        GW_TRY(next(r, &key));
        if (key.type == GW_JSON_OBJECT_END)
            return GW_OK;
        GW_TRY(next(r, &v));
        if (is_key(&key, member))
            *out = plain == NULL ? v.type == GW_JSON_TRUE
                                 : v.type == GW_JSON_STRING && !gw_span_is(v.raw, plain);
        GW_TRY(skip(r, &v));
    }
}

enum {
    P_MAX_TOKENS,
    P_TEMPERATURE,
    P_TOP_P,
    P_MIN_P,
    P_TOP_K,
    P_PRESENCE,
    P_FREQUENCY,
    P_SEED,
    P_N
};

static const struct {
    const char *name;
    double lo, hi;
    int which;
    bool whole;
} numbers[] = {
    {"max_tokens", 1, 1e9, P_MAX_TOKENS, true},
    {"max_completion_tokens", 1, 1e9, P_MAX_TOKENS, true},
    {"temperature", 0, 2, P_TEMPERATURE, false},
    {"top_p", 0, 1, P_TOP_P, false},
    {"min_p", 0, 1, P_MIN_P, false},
    {"top_k", 0, 1e6, P_TOP_K, true},
    {"presence_penalty", -2, 2, P_PRESENCE, false},
    {"frequency_penalty", -2, 2, P_FREQUENCY, false},
    {"seed", -9.3e18, 9.3e18, P_SEED, true},
    {"n", 1, 128, P_N, true},
};

static void set_number(struct api_chat *chat, int which, double v)
{
    struct engine_params *p = &chat->params;

    switch (which) {
    case P_MAX_TOKENS:
        p->max_tokens = (unsigned)v;
        break;
    case P_TEMPERATURE:
        p->temperature = (float)v;
        break;
    case P_TOP_P:
        p->top_p = (float)v;
        break;
    case P_MIN_P:
        p->min_p = (float)v;
        break;
    case P_TOP_K:
        p->top_k = (unsigned)v;
        break;
    case P_PRESENCE:
        p->presence_penalty = (float)v;
        break;
    case P_FREQUENCY:
        p->frequency_penalty = (float)v;
        break;
    case P_SEED:
        p->seed = (uint64_t)fabs(v) + 1; /* 0 would mean random */
        break;
    default:
        chat->n = (unsigned)v;
        if (chat->n > 1)
            chat->local_unsupported = "n (only 1)";
        break;
    }
}

static enum gw_status read_number_member(struct reading *r, const struct gw_json_tok *key,
                                         const struct gw_json_tok *val, bool *known)
{
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        double v = NAN;

        if (!is_key(key, numbers[i].name))
            continue;
        *known = true;
        GW_TRY(read_number(r, val, numbers[i].name, numbers[i].lo, numbers[i].hi, &v));
        if (!isnan(v) && numbers[i].whole && v != trunc(v))
            return bad(r, numbers[i].name, "must be a whole number");
        if (!isnan(v))
            set_number(r->chat, numbers[i].which, v);
        return GW_OK;
    }
    *known = false;
    return GW_OK;
}

static enum gw_status read_other_member(struct reading *r, const struct gw_json_tok *key,
                                        const struct gw_json_tok *val)
{
    static const char *const not_local[] = {"logprobs", "logit_bias", "audio", "functions",
                                            "web_search_options"};
    bool schema = false;
    bool known;

    GW_TRY(read_number_member(r, key, val, &known));
    if (known)
        return skip(r, val);
    if (is_key(key, "stop"))
        return read_stop(r, val);
    if (is_key(key, "tools"))
        return count_array(r, val, "tools", &r->chat->n_tools);
    if (is_key(key, "stream_options"))
        return read_flag_object(r, val, "include_usage", NULL, &r->chat->include_usage);
    if (is_key(key, "response_format")) {
        GW_TRY(read_flag_object(r, val, "type", "text", &schema));
        r->chat->has_schema = schema;
        return GW_OK;
    }
    for (size_t i = 0; i < sizeof(not_local) / sizeof(not_local[0]); i++)
        if (is_key(key, not_local[i]) && val->type != GW_JSON_NULL && val->type != GW_JSON_FALSE)
            r->chat->local_unsupported = not_local[i];
    return skip(r, val);
}

static enum gw_status read_member(struct reading *r, const struct gw_json_tok *key,
                                  const struct gw_json_tok *val)
{
    if (is_key(key, "model")) {
        if (val->type != GW_JSON_STRING || val->raw.len == 0)
            return bad(r, "model", "must be a string that names a model");
        return decode(r, val, &r->chat->model);
    }
    if (is_key(key, "messages"))
        return read_messages(r, val);
    if (is_key(key, "stream")) {
        if (val->type != GW_JSON_TRUE && val->type != GW_JSON_FALSE && val->type != GW_JSON_NULL)
            return bad(r, "stream", "must be true or false");
        r->chat->stream = val->type == GW_JSON_TRUE;
        return GW_OK;
    }
    return read_other_member(r, key, val);
}

static enum gw_status read_members(struct reading *r)
{
    struct gw_json_tok key, val;
    bool end;

    for (;;) {
        GW_TRY(next_member(r, &key, &val, &end));
        if (end)
            return next(r, &key); /* nothing may follow */
        GW_TRY(read_member(r, &key, &val));
    }
}

enum gw_status api_chat_parse(struct gw_json *json, struct gw_arena *arena, struct gw_span body,
                              struct api_chat *out, const char **param, struct gw_err *err)
{
    struct api_chat chat = {.n = 1, .params = {.temperature = 1, .top_p = 1, .repeat_penalty = 1}};
    struct reading r = {json, arena, &chat, param, err, 0, NULL, 0};
    struct gw_json_tok key;

    *param = NULL;
    gw_json_start(json, body, NULL);
    GW_TRY(next(&r, &key));
    if (key.type != GW_JSON_OBJECT_BEGIN)
        return gw_fail(err, GW_EINVAL, "the body must be a JSON object");
    GW_TRY(read_members(&r));
    if (chat.model.len == 0)
        return bad(&r, "model", "is missing");
    if (chat.n_messages == 0)
        return bad(&r, "messages", "must hold at least one message");
    if (chat.n_tools != 0)
        chat.local_unsupported = "tools";
    if (chat.has_schema)
        chat.local_unsupported = "response_format";
    *out = chat;
    return GW_OK;
}
