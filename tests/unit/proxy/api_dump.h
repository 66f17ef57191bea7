/* tests/unit/proxy/api_dump.h - a read request as one line of text, to compare with; and JSON without backslashes. */
#ifndef TESTS_UNIT_PROXY_API_DUMP_H
#define TESTS_UNIT_PROXY_API_DUMP_H

#include "tests/unit/proxy/api_lab.h"

/* The same text with ' as ": for JSON in C. Valid until the eighth call after it. */
static inline const char *q(const char *s)
{
    static char ring[8][8192];
    static unsigned next;
    char *out = ring[next++ % 8];
    size_t n = strlen(s);

    if (n >= sizeof(ring[0]))
        abort();
    for (size_t i = 0; i <= n; i++)
        out[i] = (char)(s[i] == '\'' ? '"' : s[i]);
    return out;
}

static inline void dump_span(struct gw_buf *b, const char *name, struct gw_span s)
{
    if (s.ptr != NULL)
        gw_buf_printf(b, " %s=%.*s", name, (int)s.len, s.ptr);
}

static inline void dump_part(struct gw_buf *b, const struct api_part *p)
{
    static const char *const kinds[] = {"text", "reasoning", "refusal", "image",
                                        "file", "audio",     "call",    "result"};

    gw_buf_printf(b, "<%s", kinds[p->kind]);
    dump_span(b, "id", p->id);
    dump_span(b, "name", p->name);
    dump_span(b, "type", p->media_type);
    dump_span(b, "data", p->data);
    dump_span(b, "url", p->url);
    dump_span(b, "detail", p->detail);
    dump_span(b, "json", p->json);
    if (p->is_error)
        gw_buf_adds(b, " error");
    if (p->text.ptr != NULL)
        gw_buf_printf(b, " %.*s", (int)p->text.len, p->text.ptr);
    for (unsigned i = 0; i < p->n_parts; i++) {
        gw_buf_addc(b, ' ');
        dump_part(b, &p->parts[i]);
    }
    gw_buf_addc(b, '>');
}

static inline void dump_settings(struct gw_buf *b, const struct api_request *r)
{
    static const char *const choices[] = {"", "auto", "none", "any", "named"};
    static const char *const flags[] = {"", "no", "yes"};
    static const char *const formats[] = {"", "json", "schema"};
    const struct {
        const char *name;
        struct gw_span value;
    } spans[] = {{"max", r->max_tokens},
                 {"temperature", r->temperature},
                 {"top_p", r->top_p},
                 {"top_k", r->top_k},
                 {"min_p", r->min_p},
                 {"presence", r->presence_penalty},
                 {"frequency", r->frequency_penalty},
                 {"seed", r->seed},
                 {"n", r->n},
                 {"top_logprobs", r->top_logprobs},
                 {"effort", r->reasoning_effort},
                 {"budget", r->reasoning_budget},
                 {"schema_name", r->schema_name},
                 {"schema", r->schema},
                 {"choice_name", r->choice_name}};

    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        dump_span(b, spans[i].name, spans[i].value);
    if (r->choice != API_CHOICE_UNSET)
        gw_buf_printf(b, " choice=%s", choices[r->choice]);
    if (r->parallel != API_UNSET)
        gw_buf_printf(b, " parallel=%s", flags[r->parallel]);
    if (r->format != API_FORMAT_TEXT)
        gw_buf_printf(b, " format=%s", formats[r->format]);
    if (r->schema_strict != API_UNSET)
        gw_buf_printf(b, " schema_strict=%s", flags[r->schema_strict]);
    for (unsigned i = 0; i < r->n_stop; i++)
        dump_span(b, "stop", r->stop[i]);
    for (unsigned i = 0; i < r->n_tools; i++) {
        dump_span(b, "tool", r->tools[i].name);
        dump_span(b, "description", r->tools[i].description);
        dump_span(b, "parameters", r->tools[i].schema);
        if (r->tools[i].strict != API_UNSET)
            gw_buf_printf(b, " strict=%s", flags[r->tools[i].strict]);
    }
    gw_buf_adds(b, r->stream ? " stream" : "");
    gw_buf_adds(b, r->include_usage ? " include_usage" : "");
    gw_buf_adds(b, r->logprobs ? " logprobs" : "");
    gw_buf_adds(b, r->legacy_functions ? " legacy" : "");
    for (unsigned i = 0; i < r->n_extras; i++)
        dump_span(b, r->extras[i].hint ? "hint" : "extra", r->extras[i].path);
    if (r->bad != NULL)
        gw_buf_printf(b, " bad=%s (%s)", r->bad_param, r->bad);
}

/* "model user[<text hi>] max=5 stream hint=user"; the messages first. */
static inline void dump_request(struct gw_buf *b, const struct api_request *r)
{
    static const char *const roles[] = {"system", "user", "assistant"};

    gw_buf_add(b, r->model);
    for (unsigned i = 0; i < r->n_messages; i++) {
        const struct api_message *m = &r->messages[i];

        gw_buf_printf(b, " %s", roles[m->role]);
        if (m->name.ptr != NULL)
            gw_buf_printf(b, "(%.*s)", (int)m->name.len, m->name.ptr);
        gw_buf_addc(b, '[');
        for (unsigned k = 0; k < m->n_parts; k++)
            dump_part(b, &m->parts[k]);
        gw_buf_addc(b, ']');
    }
    dump_settings(b, r);
}

/* Reads body, whose ' stand for ", and compares; a refusal reads "invalid PARAM: MESSAGE". */
static inline bool reads(enum api_dialect d, const char *body, const char *want)
{
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(64 << 20);
    struct api_request req = {.model = GW_SPAN("m1")};
    struct gw_json_node *root = NULL;
    struct gw_buf got = {0};
    struct gw_err err = {0};
    const char *param = NULL;
    enum gw_status st = gw_json_tree(json, arena, gw_span_str(q(body)), NULL, &root, &err);
    bool ok;

    if (st == GW_OK)
        st = api_read_request(d, root, arena, &req, &param, &err);
    if (st == GW_OK)
        dump_request(&got, &req);
    else
        gw_buf_printf(&got, "%s %s: %s", gw_status_name(st), param == NULL ? "-" : param, err.text);
    want = q(want);
    ok = gw_span_is(gw_buf_span(&got), want);
    if (!ok)
        fprintf(stderr, "  read %s\n  want %s\n", got.ptr, want);
    gw_buf_fini(&got);
    gw_json_free(json);
    gw_arena_free(arena);
    return ok;
}

#endif
