/* proxy/api/api_gemini_read.c - requests of generateContent as struct api_request: what is asked besides the contents, which
 * api_gemini_parts.c reads.
 *
 * Every member may be written in camelCase or snake_case, a list of one as its element, as Google's own documentation
 * does. Pure; any thread. */
#include "proxy/api/api_gemini_read.h"

#include <stdio.h>

bool gemini_pick(struct api_reading *r, const struct gw_json_node *object, const char *const *names,
                 unsigned n, const struct gw_json_node **out, const char *prefix)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = NULL;
    for (const struct gw_json_node *m = object->child; m != NULL; m = m->next) {
        unsigned i = 0;

        while (i < n && !gemini_key_is(m, names[i]))
            i++;
        if (i == n) {
            if (!api_add_unknown(r, m, "%s", prefix))
                return false;
        } else if (out[i] != NULL) {
            if (!api_note_bad(r, "is there in both spellings", "%s%s", prefix, names[i]))
                return false;
        } else if (m->type != GW_JSON_NULL) {
            out[i] = m;
        }
    }
    return true;
}

struct gw_span gemini_text(struct api_reading *r, const struct gw_json_node *node,
                           const char *prefix, const char *name)
{
    if (node != NULL && node->type != GW_JSON_STRING)
        (void)api_note_bad(r, "must be a string", "%s%s", prefix, name);
    return gw_json_text(node, r->arena);
}

bool gemini_is_object_or_bad(struct api_reading *r, const struct gw_json_node *node,
                             const char *path)
{
    if (node == NULL)
        return false;
    (void)api_object(r, node, path);
    return node->type == GW_JSON_OBJECT_BEGIN;
}

/* ---- tools ------------------------------------------------------------------------------ */

/* A schema in Gemini's dialect, or one in JSON Schema as written. False: out of memory. */
static bool read_schema(struct api_reading *r, const struct gw_json_node *own,
                        const struct gw_json_node *json_schema, const char *path,
                        struct gw_span *out)
{
    if (json_schema != NULL) {
        if (own != NULL && !api_note_bad(r, "is there in two kinds of schemas", "%s", path))
            return false;
        *out = api_object(r, json_schema, path);
        return true;
    }
    if (!gemini_is_object_or_bad(r, own, path))
        return true;
    *out = gemini_schema(r->arena, own);
    return out->ptr != NULL;
}

static bool read_declaration(struct api_reading *r, const struct gw_json_node *node,
                             const char *prefix)
{
    enum { NAME, DESCRIPTION, PARAMETERS, JSON_PARAMETERS, RESPONSE, JSON_RESPONSE, BEHAVIOR, N };
    static const char *const names[N] = {
        "name",     "description",        "parameters", "parametersJsonSchema",
        "response", "responseJsonSchema", "behavior"};
    const struct gw_json_node *v[N];
    char path[GEMINI_PATH_BYTES];
    struct api_tool *tool;

    if (!gemini_pick(r, node, names, N, v, prefix))
        return false;
    tool = api_add_tool(r);
    if (tool == NULL)
        return false;
    tool->name = gemini_text(r, v[NAME], prefix, "name");
    if (v[NAME] == NULL && !api_note_bad(r, "is missing", "%sname", prefix))
        return false;
    tool->description = gemini_text(r, v[DESCRIPTION], prefix, "description");
    snprintf(path, sizeof(path), "%sparameters", prefix);
    if (!read_schema(r, v[PARAMETERS], v[JSON_PARAMETERS], path, &tool->schema))
        return false;
    /* What the function answers with: told to the model in advance, seen by it anyway when it does. */
    if ((v[RESPONSE] != NULL || v[JSON_RESPONSE] != NULL) &&
        !api_add_extra(r, true, "%sresponse", prefix))
        return false;
    return v[BEHAVIOR] == NULL || gw_json_text_is(v[BEHAVIOR], "BLOCKING") ||
           gw_json_text_is(v[BEHAVIOR], "UNSPECIFIED") ||
           api_add_extra(r, false, "%sbehavior", prefix);
}

static bool read_declarations(struct api_reading *r, const struct gw_json_node *list, unsigned tool)
{
    unsigned i = 0;

    for (const struct gw_json_node *d = gemini_first(list); d != NULL; d = gemini_next(list, d)) {
        char prefix[64];

        snprintf(prefix, sizeof(prefix), "tools[%u].functionDeclarations[%u]", tool, i++);
        if (!gemini_is_object_or_bad(r, d, prefix))
            continue;
        snprintf(prefix, sizeof(prefix), "tools[%u].functionDeclarations[%u].", tool, i - 1);
        if (!read_declaration(r, d, prefix))
            return false;
    }
    return true;
}

/* Google's own tools ("googleSearch": {}) mean something even when they are empty objects. */
static bool read_tools(struct api_reading *r, const struct gw_json_node *list)
{
    unsigned i = 0;

    for (const struct gw_json_node *t = gemini_first(list); t != NULL; t = gemini_next(list, t)) {
        char path[GEMINI_PATH_BYTES];

        snprintf(path, sizeof(path), "tools[%u]", i++);
        if (!gemini_is_object_or_bad(r, t, path))
            continue;
        for (const struct gw_json_node *m = t->child; m != NULL; m = m->next) {
            bool ok = true;

            if (gemini_key_is(m, "functionDeclarations"))
                ok = read_declarations(r, m, i - 1);
            else if (m->type != GW_JSON_NULL)
                ok = api_add_extra(r, false, "%s.%.*s", path,
                                   (int)(m->key.len < 64 ? m->key.len : 64), m->key.ptr);
            if (!ok)
                return false;
        }
    }
    return true;
}

/* True when the list names every declared function, so that it allows what is allowed anyway. */
static bool names_all_tools(const struct api_request *req, const struct gw_json_node *list,
                            struct gw_arena *arena)
{
    for (unsigned i = 0; i < req->n_tools; i++) {
        const struct gw_json_node *name = gemini_first(list);

        while (name != NULL && !gw_span_eq(gw_json_text(name, arena), req->tools[i].name))
            name = gemini_next(list, name);
        if (name == NULL)
            return false;
    }
    return true;
}

/* mode ANY with one name forces that function; a part of the functions has no equivalent elsewhere. */
static bool read_calling_config(struct api_reading *r, const struct gw_json_node *node)
{
    enum { MODE, ALLOWED, ARGUMENTS, N };
    static const char *const names[N] = {"mode", "allowedFunctionNames",
                                         "streamFunctionCallArguments"};
    static const char at[] = "toolConfig.functionCallingConfig";
    struct api_request *req = r->req;
    const struct gw_json_node *v[N], *allowed;

    if (!gemini_pick(r, node, names, N, v, "toolConfig.functionCallingConfig."))
        return false;
    allowed = gemini_first(v[ALLOWED]);
    if (v[ARGUMENTS] != NULL && !api_add_extra(r, true, "%s.streamFunctionCallArguments", at))
        return false;
    if (gw_json_text_is(v[MODE], "ANY")) {
        req->choice = API_CHOICE_ANY;
    } else if (gw_json_text_is(v[MODE], "NONE")) {
        req->choice = API_CHOICE_NONE;
    } else if (gw_json_text_is(v[MODE], "AUTO") || gw_json_text_is(v[MODE], "VALIDATED")) {
        req->choice = API_CHOICE_AUTO;
        /* The model is as free as with AUTO; calls that it makes are held to their schemas. */
        if (gw_json_text_is(v[MODE], "VALIDATED") && !api_add_extra(r, true, "%s.mode", at))
            return false;
    } else if (v[MODE] != NULL && !gw_json_text_is(v[MODE], "MODE_UNSPECIFIED")) {
        return api_note_bad(r, "must be AUTO, ANY, NONE or VALIDATED", "%s.mode", at);
    }
    if (allowed == NULL)
        return true;
    if (req->choice == API_CHOICE_ANY && gemini_next(v[ALLOWED], allowed) == NULL) {
        req->choice = API_CHOICE_NAMED;
        req->choice_name =
            gemini_text(r, allowed, "toolConfig.functionCallingConfig.", "allowedFunctionNames");
        return true;
    }
    return names_all_tools(req, v[ALLOWED], r->arena) ||
           api_add_extra(r, false, "%s.allowedFunctionNames", at);
}

static bool read_tool_config(struct api_reading *r, const struct gw_json_node *node)
{
    static const char *const names[1] = {"functionCallingConfig"};
    const struct gw_json_node *v[1];

    if (!gemini_is_object_or_bad(r, node, "toolConfig"))
        return true;
    if (!gemini_pick(r, node, names, 1, v, "toolConfig."))
        return false;
    return !gemini_is_object_or_bad(r, v[0], "toolConfig.functionCallingConfig") ||
           read_calling_config(r, v[0]);
}

/* ---- generationConfig ----------------------------------------------------------------------- */

/* A thinking level in capitals is an effort in small letters. */
static bool read_thinking(struct api_reading *r, const struct gw_json_node *node)
{
    enum { BUDGET, SHOWN, LEVEL, N };
    static const char *const names[N] = {"thinkingBudget", "includeThoughts", "thinkingLevel"};
    static const char at[] = "generationConfig.thinkingConfig.";
    struct api_request *req = r->req;
    const struct gw_json_node *v[N];
    struct gw_span level;
    char *effort;

    if (!gemini_is_object_or_bad(r, node, "generationConfig.thinkingConfig"))
        return true;
    if (!gemini_pick(r, node, names, N, v, at))
        return false;
    req->reasoning_budget =
        api_number(r, v[BUDGET], "generationConfig.thinkingConfig.thinkingBudget");
    req->reasoning_shown = api_bool(r, v[SHOWN], "generationConfig.thinkingConfig.includeThoughts");
    level = gemini_text(r, v[LEVEL], "generationConfig.thinkingConfig.", "thinkingLevel");
    if (level.len == 0 || gw_span_is(level, "THINKING_LEVEL_UNSPECIFIED"))
        return true;
    effort = gw_arena_alloc(r->arena, level.len);
    if (effort == NULL)
        return false;
    for (size_t i = 0; i < level.len; i++)
        effort[i] = gw_ascii_lower(level.ptr[i]);
    req->reasoning_effort = (struct gw_span){effort, level.len};
    return true;
}

static bool read_format(struct api_reading *r, const struct gw_json_node *mime,
                        const struct gw_json_node *own, const struct gw_json_node *json_schema)
{
    struct api_request *req = r->req;
    struct gw_span type = gemini_text(r, mime, "generationConfig.", "responseMimeType");

    if (gw_span_eq_nocase(type, GW_SPAN("application/json")))
        req->format = API_FORMAT_JSON;
    else if (type.len != 0 && !gw_span_eq_nocase(type, GW_SPAN("text/plain")))
        return api_add_extra(r, false, "generationConfig.responseMimeType");
    if (own == NULL && json_schema == NULL)
        return true;
    req->format = API_FORMAT_SCHEMA;
    return read_schema(r, own, json_schema, "generationConfig.responseSchema", &req->schema);
}

static bool read_stop(struct api_reading *r, const struct gw_json_node *list)
{
    for (const struct gw_json_node *s = gemini_first(list); s != NULL; s = gemini_next(list, s)) {
        struct gw_span text = gemini_text(r, s, "generationConfig.", "stopSequences");

        if (text.ptr != NULL && !api_add_stop(r, text))
            return false;
    }
    return true;
}

/* Answers in anything but text have no place in other dialects. */
static bool read_modalities(struct api_reading *r, const struct gw_json_node *list)
{
    for (const struct gw_json_node *m = gemini_first(list); m != NULL; m = gemini_next(list, m))
        if (!gw_json_text_is(m, "TEXT") && !gw_json_text_is(m, "MODALITY_UNSPECIFIED"))
            return api_add_extra(r, false, "generationConfig.responseModalities");
    return true;
}

/* Gemini's topK is a double, and its SDKs write 40.0; elsewhere it is a whole number. */
static struct gw_span whole_number(struct gw_span number)
{
    size_t n = number.len;

    while (n != 0 && number.ptr[n - 1] == '0')
        n--;
    return n != 0 && number.ptr[n - 1] == '.' ? (struct gw_span){number.ptr, n - 1} : number;
}

static bool read_generation(struct api_reading *r, const struct gw_json_node *node)
{
    enum {
        TEMPERATURE,
        TOP_P,
        TOP_K,
        CANDIDATES,
        MAX_TOKENS,
        PRESENCE,
        FREQUENCY,
        SEED,
        TOP_LOGPROBS,
        N_NUMBERS,
        LOGPROBS = N_NUMBERS,
        STOP,
        MIME,
        SCHEMA,
        JSON_SCHEMA,
        THINKING,
        MODALITIES,
        RESOLUTION,
        N
    };
    static const char *const names[N] = {"temperature",
                                         "topP",
                                         "topK",
                                         "candidateCount",
                                         "maxOutputTokens",
                                         "presencePenalty",
                                         "frequencyPenalty",
                                         "seed",
                                         "logprobs",
                                         "responseLogprobs",
                                         "stopSequences",
                                         "responseMimeType",
                                         "responseSchema",
                                         "responseJsonSchema",
                                         "thinkingConfig",
                                         "responseModalities",
                                         "mediaResolution"};
    struct api_request *req = r->req;
    struct gw_span *const numbers[N_NUMBERS] = {&req->temperature,
                                                &req->top_p,
                                                &req->top_k,
                                                &req->n,
                                                &req->max_tokens,
                                                &req->presence_penalty,
                                                &req->frequency_penalty,
                                                &req->seed,
                                                &req->top_logprobs};
    const struct gw_json_node *v[N];

    if (!gemini_is_object_or_bad(r, node, "generationConfig"))
        return true;
    if (!gemini_pick(r, node, names, N, v, "generationConfig."))
        return false;
    for (unsigned i = 0; i < N_NUMBERS; i++) {
        char path[GEMINI_PATH_BYTES];

        snprintf(path, sizeof(path), "generationConfig.%s", names[i]);
        *numbers[i] = api_number(r, v[i], path);
    }
    req->top_k = whole_number(req->top_k);
    req->logprobs = api_bool(r, v[LOGPROBS], "generationConfig.responseLogprobs") == API_YES;
    /* How finely media are looked at, which costs tokens. */
    if (v[RESOLUTION] != NULL && !api_add_extra(r, true, "generationConfig.mediaResolution"))
        return false;
    return read_stop(r, v[STOP]) && read_format(r, v[MIME], v[SCHEMA], v[JSON_SCHEMA]) &&
           read_thinking(r, v[THINKING]) && read_modalities(r, v[MODALITIES]);
}

/* ---- the rest --------------------------------------------------------------------------------- */

/* Switching a filter off asks for nothing that other providers have; they filter as they always do. Asking for one is
 * meant, and no other API can be asked. */
static bool read_safety(struct api_reading *r, const struct gw_json_node *list)
{
    unsigned i = 0;

    for (const struct gw_json_node *s = gemini_first(list); s != NULL; s = gemini_next(list, s)) {
        const struct gw_json_node *threshold = gemini_get(s, "threshold");
        bool off = threshold == NULL || gw_json_text_is(threshold, "OFF") ||
                   gw_json_text_is(threshold, "BLOCK_NONE") ||
                   gw_json_text_is(threshold, "HARM_BLOCK_THRESHOLD_UNSPECIFIED");

        if (!api_add_extra(r, off, "safetySettings[%u]", i++))
            return false;
    }
    return true;
}

static bool read_root(struct api_reading *r, const struct gw_json_node *root)
{
    enum {
        CONTENTS,
        SYSTEM,
        TOOLS,
        TOOL_CONFIG,
        GENERATION,
        SAFETY,
        LABELS,
        TIER,
        STORE,
        MODEL,
        N,
        FIRST_HINT = LABELS
    };
    static const char *const names[N] = {"contents",   "systemInstruction", "tools",
                                         "toolConfig", "generationConfig",  "safetySettings",
                                         "labels",     "serviceTier",       "store",
                                         "model"};
    const struct gw_json_node *v[N];

    if (!gemini_pick(r, root, names, N, v, ""))
        return false;
    for (unsigned i = FIRST_HINT; i < N;
         i++) /* identifiers, billing; the model stands in the path */
        if (v[i] != NULL && !api_add_extra(r, true, "%s", names[i]))
            return false;
    return gemini_read_system(r, v[SYSTEM]) && gemini_read_contents(r, v[CONTENTS]) &&
           read_tools(r, v[TOOLS]) && read_tool_config(r, v[TOOL_CONFIG]) &&
           read_generation(r, v[GENERATION]) && read_safety(r, v[SAFETY]);
}

enum gw_status gemini_read_request(struct api_reading *r, const struct gw_json_node *root)
{
    const struct gw_json_node *contents = gemini_get(root, "contents");

    if (gemini_first(contents) == NULL ||
        (contents->type != GW_JSON_ARRAY_BEGIN && contents->type != GW_JSON_OBJECT_BEGIN)) {
        *r->param = "contents";
        return gw_fail(r->err, GW_EINVAL, "contents must be a list with at least one content");
    }
    r->req->include_usage = true;
    return read_root(r, root) ? GW_OK : api_no_memory(r->err);
}
