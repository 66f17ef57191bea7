/* proxy/api/api_responses_read.c - requests in OpenAI's Responses API: the members of the body. Pure; any thread. */
#include <stddef.h>
#include <stdio.h>

#include "proxy/api/api_responses_private.h"

/* A member of the body and how it is read. */
struct member {
    const char *name;
    bool (*read)(struct api_reading *r, const struct member *m,
                 const struct gw_json_node *node); /* false: out of memory */
    size_t offset;                                 /* of a number in struct api_request */
};

static bool not_given(const struct gw_json_node *node)
{
    return node == NULL || node->type == GW_JSON_NULL;
}

/* A text that may be missing. False: out of memory. */
static bool read_string(struct api_reading *r, const struct gw_json_node *node, const char *path,
                        struct gw_span *out)
{
    *out = api_text(r, node, path);
    return !gw_json_is(node, GW_JSON_STRING) || out->ptr != NULL;
}

/* ---- simple members ---------------------------------------------------------------------- */

/* Identifiers, storage, caches: no answer hangs on them. */
static bool read_hint(struct api_reading *r, const struct member *m,
                      const struct gw_json_node *node)
{
    (void)node;
    return api_add_extra(r, true, "%s", m->name);
}

/* Not to store is what every other API does. */
static bool read_store(struct api_reading *r, const struct member *m,
                       const struct gw_json_node *node)
{
    return gw_json_is(node, GW_JSON_FALSE) || api_add_extra(r, true, "%s", m->name);
}

/* Changes the answer, and only OpenAI has it. */
static bool read_meaning(struct api_reading *r, const struct member *m,
                         const struct gw_json_node *node)
{
    return gw_json_is(node, GW_JSON_FALSE) || api_add_extra(r, false, "%s", m->name);
}

static bool read_nothing(struct api_reading *r, const struct member *m,
                         const struct gw_json_node *node)
{
    (void)r;
    (void)m;
    (void)node;
    return true;
}

static bool read_number(struct api_reading *r, const struct member *m,
                        const struct gw_json_node *node)
{
    *(struct gw_span *)((char *)r->req + m->offset) = api_number(r, node, m->name);
    return true;
}

static bool read_stream(struct api_reading *r, const struct member *m,
                        const struct gw_json_node *node)
{
    r->req->stream = api_bool(r, node, m->name) == API_YES;
    return true;
}

static bool read_parallel(struct api_reading *r, const struct member *m,
                          const struct gw_json_node *node)
{
    r->req->parallel = api_bool(r, node, m->name);
    return true;
}

/* Clients write 0 for "none"; the list itself is asked for in "include". */
static bool read_top_logprobs(struct api_reading *r, const struct member *m,
                              const struct gw_json_node *node)
{
    struct gw_span n = api_number(r, node, m->name);

    if (!gw_span_is(n, "0"))
        r->req->top_logprobs = n;
    return true;
}

/* "disabled" is what every other API does: a conversation that is too long is refused. */
static bool read_truncation(struct api_reading *r, const struct member *m,
                            const struct gw_json_node *node)
{
    return api_add_extra(r, gw_json_text_is(node, "disabled"), "%s", m->name);
}

/* A prompt cache changes no answer, but "prewarm" asks for none at all. */
static bool read_cache_options(struct api_reading *r, const struct member *m,
                               const struct gw_json_node *node)
{
    if (gw_json_is(gw_json_get(node, "prewarm"), GW_JSON_TRUE))
        return api_add_extra(r, false, "%s.prewarm", m->name);
    return api_add_extra(r, true, "%s", m->name);
}

static bool read_include(struct api_reading *r, const struct member *m,
                         const struct gw_json_node *node)
{
    unsigned i = 0;

    if (node->type != GW_JSON_ARRAY_BEGIN)
        return api_note_bad(r, "must be a list", "%s", m->name);
    for (const struct gw_json_node *e = node->child; e != NULL; e = e->next, i++) {
        if (gw_json_text_is(e, "message.output_text.logprobs"))
            r->req->logprobs = true;
        else if (!api_add_extra(r, gw_json_text_is(e, "reasoning.encrypted_content"), "%s[%u]",
                                m->name, i))
            return false;
    }
    return true;
}

static bool read_reasoning(struct api_reading *r, const struct member *m,
                           const struct gw_json_node *node)
{
    if (node->type != GW_JSON_OBJECT_BEGIN)
        return api_note_bad(r, "must be an object", "%s", m->name);
    for (const struct gw_json_node *e = node->child; e != NULL; e = e->next) {
        bool ok = true;

        if (gw_json_key_is(e, "effort"))
            ok = read_string(r, e, "reasoning.effort", &r->req->reasoning_effort);
        else if (gw_json_key_is(e, "summary") || gw_json_key_is(e, "generate_summary"))
            r->req->reasoning_shown = not_given(e) ? r->req->reasoning_shown : API_YES;
        else
            ok = api_add_unknown(r, e, "reasoning.");
        if (!ok)
            return false;
    }
    return true;
}

/* ---- text -------------------------------------------------------------------------------- */

static bool read_format(struct api_reading *r, const struct gw_json_node *node)
{
    struct api_request *req = r->req;
    const struct gw_json_node *type = gw_json_get(node, "type");

    if (node->type != GW_JSON_OBJECT_BEGIN)
        return api_note_bad(r, "must be an object", "text.format");
    if (gw_json_text_is(type, "text") || gw_json_text_is(type, "json_object")) {
        req->format = gw_json_text_is(type, "text") ? API_FORMAT_TEXT : API_FORMAT_JSON;
        return true;
    }
    if (!gw_json_text_is(type, "json_schema"))
        return gw_json_is(type, GW_JSON_STRING)
                   ? api_add_extra(r, false, "text.format.type")
                   : api_note_bad(r, "must be a string", "text.format.type");
    req->format = API_FORMAT_SCHEMA;
    if (!gw_json_is(gw_json_get(node, "schema"), GW_JSON_OBJECT_BEGIN) &&
        !api_note_bad(r, "must be an object", "text.format.schema"))
        return false;
    for (const struct gw_json_node *e = node->child; e != NULL; e = e->next) {
        bool ok = true;

        if (gw_json_key_is(e, "schema"))
            req->schema = api_object(r, e, "text.format.schema");
        else if (gw_json_key_is(e, "name"))
            ok = read_string(r, e, "text.format.name", &req->schema_name);
        else if (gw_json_key_is(e, "strict"))
            req->schema_strict = api_bool(r, e, "text.format.strict");
        else if (gw_json_key_is(e, "description"))
            ok = not_given(e) || api_add_extra(r, true, "text.format.description");
        else if (!gw_json_key_is(e, "type"))
            ok = api_add_unknown(r, e, "text.format.");
        if (!ok)
            return false;
    }
    return true;
}

static bool read_text(struct api_reading *r, const struct member *m,
                      const struct gw_json_node *node)
{
    if (node->type != GW_JSON_OBJECT_BEGIN)
        return api_note_bad(r, "must be an object", "%s", m->name);
    for (const struct gw_json_node *e = node->child; e != NULL; e = e->next) {
        bool ok = true;

        if (not_given(e))
            continue;
        if (gw_json_key_is(e, "format"))
            ok = read_format(r, e);
        else if (gw_json_key_is(e, "verbosity"))
            ok = api_add_extra(r, true, "text.verbosity");
        else
            ok = api_add_unknown(r, e, "text.");
        if (!ok)
            return false;
    }
    return true;
}

/* ---- tools ------------------------------------------------------------------------------- */

static bool read_function(struct api_reading *r, const struct gw_json_node *node, unsigned i)
{
    struct api_tool *tool = api_add_tool(r);
    char at[48];

    if (tool == NULL)
        return false;
    if (!gw_json_is(gw_json_get(node, "name"), GW_JSON_STRING) &&
        !api_note_bad(r, "must be a string", "tools[%u].name", i))
        return false;
    for (const struct gw_json_node *e = node->child; e != NULL; e = e->next) {
        bool ok = true;

        snprintf(at, sizeof(at), "tools[%u].%.*s", i, (int)(e->key.len < 16 ? e->key.len : 16),
                 e->key.ptr);
        if (gw_json_key_is(e, "name"))
            ok = read_string(r, e, at, &tool->name);
        else if (gw_json_key_is(e, "description"))
            ok = read_string(r, e, at, &tool->description);
        else if (gw_json_key_is(e, "parameters"))
            tool->schema = api_object(r, e, at);
        else if (gw_json_key_is(e, "strict"))
            tool->strict = api_bool(r, e, at);
        else if (!gw_json_key_is(e, "type"))
            ok = api_add_unknown(r, e, "tools[%u].", i);
        if (!ok)
            return false;
    }
    return true;
}

/* Tools that are no functions run at OpenAI. */
static bool read_tools(struct api_reading *r, const struct member *m,
                       const struct gw_json_node *node)
{
    unsigned i = 0;

    if (node->type != GW_JSON_ARRAY_BEGIN)
        return api_note_bad(r, "must be a list", "%s", m->name);
    for (const struct gw_json_node *e = node->child; e != NULL; e = e->next, i++) {
        const struct gw_json_node *type = gw_json_get(e, "type");
        bool ok = true;

        if (gw_json_text_is(type, "function"))
            ok = read_function(r, e, i);
        else if (gw_json_is(type, GW_JSON_STRING))
            ok = api_add_extra(r, false, "tools[%u].type", i);
        else
            ok = api_note_bad(r, "must be a string", "tools[%u].type", i);
        if (!ok)
            return false;
    }
    return true;
}

static bool read_choice(struct api_reading *r, const struct member *m,
                        const struct gw_json_node *node)
{
    struct api_request *req = r->req;

    if (gw_json_text_is(node, "auto"))
        req->choice = API_CHOICE_AUTO;
    else if (gw_json_text_is(node, "none"))
        req->choice = API_CHOICE_NONE;
    else if (gw_json_text_is(node, "required"))
        req->choice = API_CHOICE_ANY;
    else if (node->type != GW_JSON_OBJECT_BEGIN)
        return api_note_bad(r, "must be \"auto\", \"none\", \"required\" or an object", "%s",
                            m->name);
    else if (!gw_json_text_is(gw_json_get(node, "type"), "function"))
        return api_add_extra(r, false, "%s.type", m->name);
    else if (!gw_json_is(gw_json_get(node, "name"), GW_JSON_STRING))
        return api_note_bad(r, "must be a string", "%s.name", m->name);
    else {
        req->choice = API_CHOICE_NAMED;
        req->choice_name = gw_json_text(gw_json_get(node, "name"), r->arena);
        return req->choice_name.ptr != NULL;
    }
    return true;
}

/* ---- the body ---------------------------------------------------------------------------- */

static const struct member members[] = {
    {"model", read_nothing, 0}, /* these three are read before the others */
    {"instructions", read_nothing, 0},
    {"input", read_nothing, 0},
    {"tools", read_tools, 0},
    {"tool_choice", read_choice, 0},
    {"parallel_tool_calls", read_parallel, 0},
    {"max_output_tokens", read_number, offsetof(struct api_request, max_tokens)},
    {"temperature", read_number, offsetof(struct api_request, temperature)},
    {"top_p", read_number, offsetof(struct api_request, top_p)},
    {"top_logprobs", read_top_logprobs, 0},
    {"text", read_text, 0},
    {"reasoning", read_reasoning, 0},
    {"stream", read_stream, 0},
    {"stream_options", read_hint, 0}, /* padding of events */
    {"store", read_store, 0},
    {"metadata", read_hint, 0},
    {"user", read_hint, 0},
    {"safety_identifier", read_hint, 0},
    {"prompt_cache_key", read_hint, 0},
    {"prompt_cache_retention", read_hint, 0},
    {"prompt_cache_options", read_cache_options, 0},
    {"service_tier", read_hint, 0},
    {"include", read_include, 0},
    {"truncation", read_truncation, 0},
    {"background", read_meaning, 0},
    {"max_tool_calls", read_meaning, 0},
    {"previous_response_id", read_meaning, 0}, /* what was said before lies at OpenAI */
    {"conversation", read_meaning, 0},
    {"prompt", read_meaning, 0},
};

static bool read_member(struct api_reading *r, const struct gw_json_node *node)
{
    if (not_given(node))
        return true;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        if (gw_json_key_is(node, members[i].name))
            return members[i].read(r, &members[i], node);
    return api_add_unknown(r, node, "%s", "");
}

/* Instructions stand before everything in the input. */
static bool read_instructions(struct api_reading *r, const struct gw_json_node *node)
{
    struct api_message *m;
    struct api_part *part;

    if (not_given(node))
        return true;
    if (node->type != GW_JSON_STRING)
        return api_note_bad(r, "must be a string", "instructions");
    m = api_add_message(r, API_ROLE_SYSTEM);
    part = m == NULL ? NULL : api_add_part(r, m, API_PART_TEXT);
    if (part == NULL)
        return false;
    part->text = gw_json_text(node, r->arena);
    return part->text.ptr != NULL;
}

static enum gw_status unroutable(struct api_reading *r, const char *param, const char *what)
{
    *r->param = param;
    return gw_fail(r->err, GW_EINVAL, "%s %s", param, what);
}

enum gw_status api_responses_read(struct api_reading *r, const struct gw_json_node *root)
{
    struct api_request *req = r->req;
    const struct gw_json_node *model = gw_json_get(root, "model");
    const struct gw_json_node *input = gw_json_get(root, "input");

    if (!gw_json_is(model, GW_JSON_STRING) || model->raw.len == 0)
        return unroutable(r, "model", "must be a string");
    if (not_given(input) && not_given(gw_json_get(root, "previous_response_id")) &&
        not_given(gw_json_get(root, "conversation")) && not_given(gw_json_get(root, "prompt")))
        return unroutable(r, "input", "must be a string or a list");
    req->root = root;
    req->include_usage = true; /* the last event always has it */
    req->model = gw_json_text(model, r->arena);
    if (req->model.ptr == NULL || !read_instructions(r, gw_json_get(root, "instructions")) ||
        !api_responses_read_input(r, input))
        return api_no_memory(r->err);
    for (const struct gw_json_node *m = root->child; m != NULL; m = m->next)
        if (!read_member(r, m))
            return api_no_memory(r->err);
    return GW_OK;
}
