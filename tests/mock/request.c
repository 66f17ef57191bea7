/* tests/mock/request.c - what the mock reads in every request: directives, the JSON body, forms, queries. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock.h"

#define MAX_ONCE 4096

/* Made up, and in two pieces so that no scanner of repositories takes them for live ones. */
#define LEAKED_KEY                                                                                 \
    "AKIA"                                                                                         \
    "Z7RTLQ4MNXVB2KWE"
#define LEAKED_MAIL                                                                                \
    "erika.muster@"                                                                                \
    "kanzlei-muster-berlin.de"

static unsigned char once_seen[MAX_ONCE]; /* failures given, by ID */

static struct gw_span find(struct gw_span in, struct gw_span what)
{
    const char *p = in.len == 0 ? NULL : memmem(in.ptr, in.len, what.ptr, what.len);

    return p == NULL ? (struct gw_span){NULL, 0}
                     : (struct gw_span){p, (size_t)(in.ptr + in.len - p)};
}

/* The inside of the first [[mock ...]], from the blank on. */
static struct gw_span directives(struct gw_span body)
{
    struct gw_span d = gw_span_from(find(body, GW_SPAN("[[mock ")), 6);

    d.len -= find(d, GW_SPAN("]]")).len;
    return d;
}

static struct gw_span directive_text(struct gw_span d, const char *key)
{
    size_t n = strlen(key);

    for (size_t i = 0; i + n + 1 < d.len; i++)
        if (d.ptr[i] == ' ' && memcmp(d.ptr + i + 1, key, n) == 0 && d.ptr[i + 1 + n] == '=')
            return gw_span_from(d, i + 2 + n);
    return (struct gw_span){NULL, 0};
}

static long number_of(struct gw_span d, const char *key, long otherwise)
{
    struct gw_span v = directive_text(d, key);

    /* Ends at the "]]" at the latest. */
    return v.len == 0 ? otherwise : strtol(v.ptr, NULL, 10);
}

long mock_directive(struct gw_span body, const char *key, long otherwise)
{
    return number_of(directives(body), key, otherwise);
}

struct gw_span mock_directive_text(struct gw_span body, const char *key)
{
    return directive_text(directives(body), key);
}

static void read_status(struct mock_plan *p, struct gw_span d)
{
    long once = number_of(d, "once", -1);

    p->status = (unsigned)number_of(d, "status", 200);
    p->after_ms = (unsigned)number_of(d, "after", 0);
    if (p->status == 200 || once < 0)
        return;
    if (once_seen[once % MAX_ONCE] >= number_of(d, "fails", 1))
        p->status = 200;
    else
        once_seen[once % MAX_ONCE]++;
}

static void read_plan(struct mock_call *m)
{
    struct gw_span d = directives(m->body), say = directive_text(d, "say");
    struct mock_plan *p = &m->plan;

    memset(p, 0, sizeof(*p));
    p->say = mock_options.bench ? MOCK_FOX : MOCK_ECHO;
    if (gw_span_starts(say, GW_SPAN("fox")))
        p->say = MOCK_FOX;
    else if (gw_span_starts(say, GW_SPAN("body")))
        p->say = MOCK_BODY;
    else if (gw_span_starts(say, GW_SPAN("leak")))
        p->say = MOCK_LEAK;
    p->status = 200;
    p->words = 16;
    p->n = 1;
    p->cut = p->err = p->drip_ms = -1;
    if (d.len == 0)
        return;
    p->words = (unsigned)number_of(d, "words", 16);
    p->piece = (unsigned)number_of(d, "piece", 0);
    p->ttft_ms = (unsigned)number_of(d, "ttft", 0);
    p->interval_ms = (unsigned)number_of(d, "interval", 0);
    p->cut = (int)number_of(d, "cut", -1);
    p->err = (int)number_of(d, "err", -1);
    p->tool = (unsigned)number_of(d, "tool", 0);
    p->tool = p->tool > 2 ? 2 : p->tool;
    p->think = number_of(d, "think", 0) == 1;
    p->json = number_of(d, "json", 0) == 1;
    p->crlf = number_of(d, "crlf", 0) == 1;
    p->comments = number_of(d, "comments", 0) == 1;
    p->noblank = number_of(d, "noblank", 0) == 1;
    mock_read_fault(p, m->body);
    read_status(p, d);
}

void mock_read(struct mock_call *m)
{
    const struct gw_json_limits limits = {200, 1000000, true};
    struct gw_span type = mock_field(m, "content-type");
    struct gw_json_node *root = NULL;
    struct gw_err err;

    read_plan(m);
    gw_buf_clear(&m->text);
    gw_buf_clear(&m->thought);
    gw_buf_clear(&m->args);
    gw_buf_clear(&m->out);
    gw_buf_clear(&m->fields);
    m->root = NULL;
    m->n_tools = m->n_ends = m->sequence = 0;
    m->after_tool = m->streaming = m->stopped = m->dead = m->named_errors = false;
    m->model_fixed = m->bad_json = m->claude = false;
    m->family = MOCK_OPENAI;
    m->framing = MOCK_SSE;
    m->model = GW_SPAN("mock");
    if (mock_options.bench) {
        m->plan.stream = find(m->body, GW_SPAN("\"stream\":true")).len != 0;
        return;
    }
    gw_arena_reset(m->arena);
    /* curl -d says that it sends a form. */
    if (m->body.len == 0 || gw_span_starts(type, GW_SPAN("multipart/")) ||
        (m->body.ptr[0] != '{' && gw_span_starts(type, GW_SPAN("application/x-www-form"))))
        return;
    m->bad_json = gw_json_tree(m->json, m->arena, m->body, &limits, &root, &err) != GW_OK;
    m->root = m->bad_json ? NULL : root;
    m->plan.stream = gw_json_is(gw_json_get(m->root, "stream"), GW_JSON_TRUE);
}

/* ---- contents ------------------------------------------------------------------------------ */

static void add_text(struct mock_call *m, const struct gw_json_node *node)
{
    gw_buf_add(&m->text, gw_json_text(node, m->arena));
}

/* A part's text, or the texts of the content inside it (a tool_result). */
static void add_part(struct mock_call *m, const struct gw_json_node *part)
{
    const struct gw_json_node *inner = gw_json_get(part, "content");

    if (gw_json_is(part, GW_JSON_STRING))
        add_text(m, part);
    add_text(m, gw_json_get(part, "text"));
    add_text(m, inner);
    if (gw_json_is(inner, GW_JSON_ARRAY_BEGIN))
        for (inner = inner->child; inner != NULL; inner = inner->next)
            add_text(m, gw_json_get(inner, "text"));
}

void mock_add_content(struct mock_call *m, const struct gw_json_node *content)
{
    if (gw_json_is(content, GW_JSON_STRING))
        add_text(m, content);
    else if (gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        for (const struct gw_json_node *part = content->child; part != NULL; part = part->next)
            add_part(m, part);
}

void mock_set_content(struct mock_call *m, const struct gw_json_node *content)
{
    gw_buf_clear(&m->text);
    mock_add_content(m, content);
}

void mock_set_model(struct mock_call *m, const struct gw_json_node *model)
{
    if (!m->model_fixed && gw_json_is(model, GW_JSON_STRING))
        m->model = gw_json_text(model, m->arena);
}

void mock_add_tool(struct mock_call *m, const struct gw_json_node *name)
{
    if (m->n_tools < 2 && gw_json_is(name, GW_JSON_STRING))
        m->tools[m->n_tools++] = gw_json_text(name, m->arena);
}

void mock_force_tool(struct mock_call *m, const struct gw_json_node *name)
{
    m->plan.tool = m->plan.tool == 0 ? 1 : m->plan.tool;
    if (gw_json_is(name, GW_JSON_STRING)) {
        m->n_tools = 0;
        mock_add_tool(m, name);
    }
}

static void wrap_text(struct gw_buf *out, const struct gw_buf *text)
{
    gw_buf_clear(out);
    gw_buf_adds(out, "{\"text\":");
    gw_buf_add_json_str(out, gw_buf_span(text));
    gw_buf_adds(out, "}");
}

void mock_compose(struct mock_call *m)
{
    static const char *const fox[] = {"The ",   "quick ", "brown ", "fox ",
                                      "jumps ", "over ",  "the ",   "lazy "};

    if (m->after_tool)
        m->plan.tool = 0;
    if (m->plan.say != MOCK_ECHO)
        gw_buf_clear(&m->text);
    if (m->plan.say == MOCK_FOX)
        for (unsigned i = 0; i < m->plan.words; i++)
            gw_buf_adds(&m->text, fox[i % 8]);
    if (m->plan.say == MOCK_BODY)
        gw_buf_add(&m->text, m->body);
    if (m->plan.say == MOCK_LEAK)
        gw_buf_adds(&m->text, "Take " LEAKED_KEY " and write to " LEAKED_MAIL " soon.");
    if (m->plan.think) {
        gw_buf_adds(&m->thought, "The user says: ");
        gw_buf_add(&m->thought, gw_buf_span(&m->text));
    }
    if (m->plan.tool != 0 || m->plan.json)
        wrap_text(&m->args, &m->text);
    if (m->plan.json && m->plan.tool == 0) {
        gw_buf_clear(&m->text);
        gw_buf_add(&m->text, gw_buf_span(&m->args));
    }
    if (m->n_tools == 0)
        m->tools[m->n_tools++] = GW_SPAN("note");
    if (m->n_tools == 1)
        m->tools[1] = m->tools[0];
}

/* ---- fields, forms, queries ------------------------------------------------------------------ */

struct gw_span mock_field(const struct mock_call *m, const char *name)
{
    return http1_get(m->head, name);
}

struct gw_span mock_query(const struct mock_call *m, const char *name)
{
    struct gw_span q = m->query;
    size_t n = strlen(name);

    while (q.len != 0) {
        struct gw_span rest = find(q, GW_SPAN("&")), one = {q.ptr, q.len - rest.len};

        if (one.len > n && memcmp(one.ptr, name, n) == 0 && one.ptr[n] == '=')
            return gw_span_from(one, n + 1);
        q = gw_span_from(rest, 1);
    }
    return q;
}

/* What stands in quotes behind key in the head of a part. */
static struct gw_span quoted(struct gw_span head, const char *key)
{
    struct gw_span v = find(head, gw_span_str(key));
    struct gw_span end;

    if (v.len == 0)
        return v;
    v = gw_span_from(v, strlen(key));
    end = find(v, GW_SPAN("\""));
    v.len -= end.len;
    return v;
}

bool mock_form_field(const struct mock_call *m, const char *name, struct gw_span *value,
                     struct gw_span *file)
{
    struct gw_span type = mock_field(m, "content-type"), at = m->body,
                   mark = gw_span_from(find(type, GW_SPAN("boundary=")), 9);
    char boundary[128];

    if (mark.len > 1 && mark.ptr[0] == '"')
        mark = (struct gw_span){mark.ptr + 1, mark.len - 2};
    if (mark.len == 0)
        return false;
    (void)snprintf(boundary, sizeof(boundary), "--%.*s", (int)mark.len, mark.ptr);
    for (;;) {
        struct gw_span part = find(at, gw_span_str(boundary)), head, rest, got;

        part = gw_span_from(part, strlen(boundary));
        rest = find(part, gw_span_str(boundary));
        if (rest.len == 0)
            return false;
        head = (struct gw_span){part.ptr, part.len - find(part, GW_SPAN("\r\n\r\n")).len};
        got = quoted(head, " name=\"");
        if (gw_span_is(got, name) && part.len - head.len >= rest.len + 6) {
            *file = quoted(head, " filename=\"");
            *value = (struct gw_span){head.ptr + head.len + 4, part.len - head.len - rest.len - 6};
            return true;
        }
        at = rest;
    }
}

const struct gw_json_node *mock_stranger(const struct gw_json_node *object,
                                         const char *const *known)
{
    for (const struct gw_json_node *n = object == NULL ? NULL : object->child; n != NULL;
         n = n->next) {
        const char *const *k = known;

        while (*k != NULL && !gw_json_key_is(n, *k))
            k++;
        if (*k == NULL)
            return n;
    }
    return NULL;
}
