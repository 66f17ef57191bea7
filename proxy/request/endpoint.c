/* proxy/request/endpoint.c - see endpoint.h. */
#include "proxy/request/endpoint.h"

#include <string.h>

/* Whole paths below the version. Gemini's are "models/NAME:verb" and have code of their own. */
static const struct {
    const char *path;
    enum endpoint_kind kind;
    enum api_dialect dialect;
    const char *operation;
} paths[] = {
    {"/chat/completions", ENDPOINT_CHAT, API_CHAT, "chat.completions"},
    {"/completions", ENDPOINT_CHAT, API_COMPLETIONS, "completions"},
    {"/responses", ENDPOINT_CHAT, API_RESPONSES, "responses"},
    {"/responses/input_tokens", ENDPOINT_COUNT_TOKENS, API_RESPONSES, "responses.input_tokens"},
    {"/embeddings", ENDPOINT_EMBEDDINGS, API_CHAT, "embeddings"},
    {"/rerank", ENDPOINT_RERANK, API_CHAT, "rerank"},
    {"/messages", ENDPOINT_CHAT, API_ANTHROPIC, "messages"},
    {"/messages/count_tokens", ENDPOINT_COUNT_TOKENS, API_ANTHROPIC, "messages.count_tokens"},
};

static const struct {
    const char *verb;
    enum endpoint_kind kind;
    bool stream;
    const char *operation;
} verbs[] = {
    {"generateContent", ENDPOINT_CHAT, false, "models.generateContent"},
    {"streamGenerateContent", ENDPOINT_CHAT, true, "models.streamGenerateContent"},
    {"countTokens", ENDPOINT_COUNT_TOKENS, false, "models.countTokens"},
};

struct gw_span endpoint_path(struct gw_span target)
{
    const char *q = target.len == 0 ? NULL : memchr(target.ptr, '?', target.len);

    return q == NULL ? target : (struct gw_span){target.ptr, (size_t)(q - target.ptr)};
}

struct gw_span endpoint_query(struct gw_span target)
{
    return gw_span_from(target, endpoint_path(target).len);
}

struct gw_span endpoint_query_get(struct gw_span query, const char *name)
{
    size_t n = strlen(name), i = 1;

    while (i < query.len) {
        size_t end = i;

        while (end < query.len && query.ptr[end] != '&')
            end++;
        if (end - i > n && memcmp(query.ptr + i, name, n) == 0 && query.ptr[i + n] == '=')
            return (struct gw_span){query.ptr + i + n + 1, end - i - n - 1};
        i = end + 1;
    }
    return (struct gw_span){NULL, 0};
}

static int hex_digit(char c)
{
    char l = gw_ascii_lower(c);

    if (c >= '0' && c <= '9')
        return c - '0';
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

struct gw_span endpoint_decode(struct gw_arena *arena, struct gw_span s, bool query)
{
    char *p = gw_arena_alloc(arena, s.len + 1);
    size_t n = 0;

    if (p == NULL)
        return (struct gw_span){NULL, 0};
    for (size_t i = 0; i < s.len; i++) {
        bool coded = s.ptr[i] == '%' && s.len - i > 2 && hex_digit(s.ptr[i + 1]) >= 0 &&
                     hex_digit(s.ptr[i + 2]) >= 0;

        if (coded) {
            p[n++] = (char)(hex_digit(s.ptr[i + 1]) * 16 + hex_digit(s.ptr[i + 2]));
            i += 2;
        } else {
            p[n++] = (char)(query && s.ptr[i] == '+' ? ' ' : s.ptr[i]);
        }
    }
    return (struct gw_span){p, n};
}

bool endpoint_allows(const struct endpoint *ep, struct gw_span method)
{
    if (ep->allow == NULL || gw_span_is(method, ep->allow))
        return true;
    return strcmp(ep->allow, "GET") == 0 && gw_span_is(method, "HEAD");
}

/* What the fields say about who is speaking: OpenAI and Anthropic share paths such as /v1/models. */
static enum api_dialect family_of(const struct http1_head *head)
{
    if (http1_get(head, "anthropic-version").ptr != NULL)
        return API_ANTHROPIC;
    if (http1_get(head, "x-goog-api-key").ptr != NULL ||
        http1_get(head, "x-goog-api-client").ptr != NULL ||
        endpoint_query_get(endpoint_query(head->path), "key").ptr != NULL)
        return API_GEMINI;
    return API_CHAT;
}

/* ".../models/NAME:verb", NAME without '/'. Gemini's names may stand below "publishers/google/" or "tunedModels/". */
static bool find_verb(const struct http1_head *head, struct gw_span path, struct endpoint *out)
{
    struct gw_span query = endpoint_query(head->path);
    size_t colon = path.len, slash;
    struct gw_span verb;

    while (colon > 0 && path.ptr[colon - 1] != ':' && path.ptr[colon - 1] != '/')
        colon--;
    if (colon == 0 || path.ptr[colon - 1] != ':')
        return false;
    verb = gw_span_from(path, colon);
    for (slash = colon - 1; slash > 0 && path.ptr[slash - 1] != '/';)
        slash--;
    if (!gw_span_is(head->method, "POST"))
        return false; /* OpenAI's tuned models have colons in their names: GET /v1/models/ft:... */
    if (slash < 7 || !gw_span_ends((struct gw_span){path.ptr, slash}, GW_SPAN("odels/")))
        return false;
    out->model = (struct gw_span){path.ptr + slash, colon - 1 - slash};
    out->dialect = API_GEMINI;
    out->kind = ENDPOINT_PASS;
    out->operation = "http.request";
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!gw_span_is(verb, verbs[i].verb))
            continue;
        out->kind = verbs[i].kind;
        out->operation = verbs[i].operation;
        out->stream = verbs[i].stream;
        out->json_array = out->stream && !gw_span_is(endpoint_query_get(query, "alt"), "sse");
        out->allow = "POST";
    }
    return true;
}

static bool find_path(struct gw_span rest, struct endpoint *out)
{
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!gw_span_is(rest, paths[i].path))
            continue;
        out->kind = paths[i].kind;
        out->dialect = paths[i].dialect;
        out->operation = paths[i].operation;
        out->allow = "POST";
        return true;
    }
    return false;
}

static bool find_models(struct gw_span rest, struct gw_span method, struct endpoint *out)
{
    if (!gw_span_is(method, "GET") && !gw_span_is(method, "HEAD"))
        return false; /* DELETE /v1/models/ft:... is the provider's */
    if (!gw_span_is(rest, "/models") && !gw_span_starts(rest, GW_SPAN("/models/")))
        return false;
    out->kind = ENDPOINT_MODELS;
    out->id = gw_span_from(rest, rest.len > 8 ? 8 : rest.len);
    out->operation = "models.list";
    out->allow = "GET";
    return true;
}

/* On a provider's own host the version, and what stands before it, are the host's business. */
static void find_intercepted(const struct http1_head *head, struct gw_span path,
                             struct endpoint *out)
{
    out->kind = ENDPOINT_PASS;
    out->operation = "http.request";
    if (!gw_span_is(head->method, "POST"))
        return;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (paths[i].kind == ENDPOINT_CHAT && gw_span_ends(path, gw_span_str(paths[i].path)) &&
            (paths[i].dialect != API_COMPLETIONS ||
             !gw_span_ends(path, GW_SPAN("/chat/completions")))) {
            (void)find_path(gw_span_str(paths[i].path), out);
            return;
        }
    }
}

void endpoint_find(const struct http1_head *head, bool intercepted, struct endpoint *out)
{
    struct gw_span path = endpoint_path(head->path), rest;

    *out = (struct endpoint){.dialect = family_of(head), .operation = "http.request"};
    if (find_verb(head, path, out))
        return;
    if (intercepted) {
        find_intercepted(head, path, out);
        return;
    }
    if (gw_span_starts(path, GW_SPAN("/upload/v1"))) { /* SDKs send all of a file's bytes there */
        out->dialect = API_GEMINI;
        out->kind = ENDPOINT_PASS;
        out->file = !gw_span_is(http1_get(head, "x-goog-upload-command"), "start");
        return;
    }
    if (gw_span_starts(path, GW_SPAN("/v1beta/")) || gw_span_starts(path, GW_SPAN("/v1alpha/"))) {
        out->dialect = API_GEMINI;
        rest = gw_span_from(path, path.ptr[3] == 'b' ? 7 : 8);
    } else if (gw_span_starts(path, GW_SPAN("/v1/"))) {
        rest = gw_span_from(path, 3);
        if (gw_span_starts(rest, GW_SPAN("/messages")))
            out->dialect = API_ANTHROPIC;
        if (find_path(rest, out))
            return;
    } else {
        return; /* ENDPOINT_NONE */
    }
    if (!find_models(rest, head->method, out))
        out->kind = ENDPOINT_PASS;
}
