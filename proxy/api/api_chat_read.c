/* proxy/api/api_chat_read.c - reads the top-level members of a chat request. Pure; any thread. Messages: api_chat_messages.c;
 * tools and the answer's format: api_chat_tools.c.
 *
 * Reading is lenient: what is ill-typed is noted (api_note_bad) and left out. null counts as not given. Hints: see
 * the tables. Extras that mean something: logit_bias unless empty, modalities other than ["text"], and whatever has no line
 * here (audio, prediction, web_search_options, ...). */
#include "proxy/api/api_chat_private.h"

/* ---- values ----------------------------------------------------------------------------- */

static enum gw_status read_model(struct api_reading *r, const struct gw_json_node *v)
{
    r->req->model = gw_json_text(v, r->arena);
    return GW_OK; /* api_chat_need_model() judges */
}

enum gw_status api_chat_need_model(struct api_reading *r, const struct gw_json_node *root)
{
    const struct gw_json_node *model = gw_json_get(root, "model");

    if (model == NULL)
        return api_refuse(r, "is missing", "model");
    if (model->type != GW_JSON_STRING || model->raw.len == 0)
        return api_refuse(r, "must be a string that names a model", "model");
    return api_chat_note(r, r->req->model.ptr != NULL);
}

static enum gw_status read_stream(struct api_reading *r, const struct gw_json_node *v)
{
    r->req->stream = api_bool(r, v, "stream") == API_YES;
    return GW_OK;
}

static enum gw_status read_stream_options(struct api_reading *r, const struct gw_json_node *v)
{
    if (v->type != GW_JSON_OBJECT_BEGIN)
        return api_chat_note(r, api_note_bad(r, "must be an object", "stream_options"));
    for (const struct gw_json_node *c = v->child; c != NULL; c = c->next) {
        if (gw_json_key_is(c, "include_usage"))
            r->req->include_usage = api_bool(r, c, "stream_options.include_usage") == API_YES;
        else if (c->type != GW_JSON_NULL)
            GW_TRY(api_chat_note(
                r, api_add_extra(r, true, "stream_options.%.*s", (int)c->key.len, c->key.ptr)));
    }
    return GW_OK;
}

static enum gw_status add_stop(struct api_reading *r, const struct gw_json_node *v)
{
    struct gw_span text = gw_json_text(v, r->arena);

    if (!gw_json_is(v, GW_JSON_STRING))
        return api_chat_note(r, api_note_bad(r, "must be a string or a list of strings", "stop"));
    return api_chat_note(r, text.ptr != NULL && (text.len == 0 || api_add_stop(r, text)));
}

static enum gw_status read_stop(struct api_reading *r, const struct gw_json_node *v)
{
    if (v->type != GW_JSON_ARRAY_BEGIN)
        return add_stop(r, v);
    for (const struct gw_json_node *c = v->child; c != NULL; c = c->next)
        GW_TRY(add_stop(r, c));
    return GW_OK;
}

/* ---- numbers ---------------------------------------------------------------------------- */

#define NUMBER(member)                                                                             \
    static enum gw_status read_##member(struct api_reading *r, const struct gw_json_node *v)       \
    {                                                                                              \
        r->req->member = api_number(r, v, #member);                                                \
        return GW_OK;                                                                              \
    }
NUMBER(temperature)
NUMBER(top_p)
NUMBER(top_k)
NUMBER(min_p)
NUMBER(presence_penalty)
NUMBER(frequency_penalty)
NUMBER(seed)
NUMBER(n)
NUMBER(top_logprobs)
#undef NUMBER

static enum gw_status read_max_tokens(struct api_reading *r, const struct gw_json_node *v)
{
    struct gw_span number = api_number(r, v, "max_tokens");

    if (r->req->max_tokens.len == 0)
        r->req->max_tokens = number;
    return GW_OK;
}

/* The newer name of the same; it wins wherever it stands. */
static enum gw_status read_max_completion(struct api_reading *r, const struct gw_json_node *v)
{
    struct gw_span number = api_number(r, v, "max_completion_tokens");

    if (number.len != 0)
        r->req->max_tokens = number;
    return GW_OK;
}

/* ---- extras that depend on their value --------------------------------------------------- */

static enum gw_status read_logit_bias(struct api_reading *r, const struct gw_json_node *v)
{
    if (v->type != GW_JSON_OBJECT_BEGIN)
        return api_chat_note(r, api_note_bad(r, "must be an object", "logit_bias"));
    if (v->n == 0)
        return GW_OK;
    r->req->logit_bias = v;
    return api_chat_note(r, api_add_extra(r, false, "logit_bias"));
}

static enum gw_status read_modalities(struct api_reading *r, const struct gw_json_node *v)
{
    if (v->type != GW_JSON_ARRAY_BEGIN)
        return api_chat_note(r, api_note_bad(r, "must be a list", "modalities"));
    if (v->n == 0 || (v->n == 1 && gw_json_text_is(v->child, "text")))
        return GW_OK;
    return api_chat_note(r, api_add_extra(r, false, "modalities"));
}

static enum gw_status read_effort(struct api_reading *r, const struct gw_json_node *v)
{
    r->req->reasoning_effort = api_text(r, v, "reasoning_effort");
    return GW_OK;
}

static enum gw_status read_logprobs(struct api_reading *r, const struct gw_json_node *v)
{
    r->req->logprobs = api_bool(r, v, "logprobs") == API_YES;
    return GW_OK;
}

static enum gw_status read_parallel(struct api_reading *r, const struct gw_json_node *v)
{
    r->req->parallel = api_bool(r, v, "parallel_tool_calls");
    return GW_OK;
}

/* Read by api_chat_read_messages(). */
static enum gw_status read_later(struct api_reading *r, const struct gw_json_node *v)
{
    (void)r;
    (void)v;
    return GW_OK;
}

/* ---- tables ----------------------------------------------------------------------------- */

const struct api_chat_member api_chat_common[] = {
    {"model", read_model},
    {"stream", read_stream},
    {"stream_options", read_stream_options},
    {"max_tokens", read_max_tokens},
    {"temperature", read_temperature},
    {"top_p", read_top_p},
    {"top_k", read_top_k}, /* top_k, min_p: not OpenAI's, but of most servers that follow it */
    {"min_p", read_min_p},
    {"presence_penalty", read_presence_penalty},
    {"frequency_penalty", read_frequency_penalty},
    {"seed", read_seed},
    {"n", read_n},
    {"stop", read_stop},
    {"logit_bias", read_logit_bias},
    /* Hints: whose request it is, what to keep of it, at which price; the answer is the same. */
    {"user", NULL},
    {"metadata", NULL},
    {"store", NULL},
    {"service_tier", NULL},
    {"safety_identifier", NULL},
    {"prompt_cache_key", NULL},
    {"prompt_cache_retention", NULL},
    {NULL, NULL},
};

static const struct api_chat_member of_chat[] = {
    {"messages", read_later},
    {"max_completion_tokens", read_max_completion},
    {"tools", api_chat_read_tools},
    {"tool_choice", api_chat_read_tool_choice},
    {"functions", api_chat_read_functions},
    {"function_call", api_chat_read_function_call},
    {"parallel_tool_calls", read_parallel},
    {"response_format", api_chat_read_format},
    {"logprobs", read_logprobs},
    {"top_logprobs", read_top_logprobs},
    {"reasoning_effort", read_effort},
    {"modalities", read_modalities},
    {"verbosity", NULL}, /* a hint: how long an answer is, not what it says */
    {NULL, NULL},
};

static const struct api_chat_member *find(const struct api_chat_member *table,
                                          const struct gw_json_node *member)
{
    for (; table->name != NULL; table++)
        if (gw_json_key_is(member, table->name))
            return table;
    return NULL;
}

enum gw_status api_chat_members(struct api_reading *r, const struct gw_json_node *root,
                                const struct api_chat_member *own,
                                const struct api_chat_member *common)
{
    for (const struct gw_json_node *c = root->child; c != NULL; c = c->next) {
        const struct api_chat_member *line = find(own, c);

        if (c->type == GW_JSON_NULL)
            continue;
        if (line == NULL)
            line = find(common, c);
        if (line == NULL)
            GW_TRY(api_chat_note(r, api_add_unknown(r, c, "%s", "")));
        else if (line->read == NULL)
            GW_TRY(api_chat_note(r, api_add_extra(r, true, "%s", line->name)));
        else
            GW_TRY(line->read(r, c));
    }
    return GW_OK;
}

enum gw_status api_chat_read(struct api_reading *r, const struct gw_json_node *root)
{
    GW_TRY(api_chat_members(r, root, of_chat, api_chat_common));
    GW_TRY(api_chat_need_model(r, root));
    return api_chat_read_messages(r, gw_json_get(root, "messages"));
}
