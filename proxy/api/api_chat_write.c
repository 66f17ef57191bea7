/* proxy/api/api_chat_write.c - writes a chat request: its parameters, tools and format. Messages: api_chat_write_messages.c.
 * Pure; any thread. */
#include "proxy/api/api_chat_private.h"

/* The model's name without what routers put in front ("openai/o3-mini"). */
static struct gw_span bare_model(struct gw_span model)
{
    const char *slash = model.len == 0 ? NULL : memrchr(model.ptr, '/', model.len);

    return slash == NULL ? model : gw_span_from(model, (size_t)(slash - model.ptr) + 1);
}

/* OpenAI's reasoning models: o1, o3, o4-mini, gpt-5. */
bool api_chat_is_reasoning(struct gw_span model)
{
    struct gw_span m = bare_model(model);

    return gw_span_starts(m, GW_SPAN("gpt-5")) ||
           (m.len >= 2 && m.ptr[0] == 'o' && m.ptr[1] >= '1' && m.ptr[1] <= '9');
}

/* OpenAI's reasoning models refuse "max_tokens"; servers of the same API in the own house often know only that. */
static void put_max_tokens(struct api_writing *w)
{
    api_put_raw(w->out, api_chat_is_reasoning(w->model) ? "max_completion_tokens" : "max_tokens",
                w->req->max_tokens);
}

/* A whole number of tokens, or 0 for none, "-1" and what is no such number. */
static uint64_t tokens_of(struct gw_span number)
{
    const struct gw_json_node node = {.type = GW_JSON_NUMBER, .raw = number};

    return number.len == 0 ? 0 : gw_json_uint(&node, 0);
}

/* A budget in tokens has no place here, an effort has: by the size at which other APIs speak of low, medium and high. Only
 * for models that are known to take it: others refuse the parameter. "-1" leaves it to the model, as does leaving it out. */
struct gw_span api_chat_effort(struct api_writing *w)
{
    const struct api_request *req = w->req;
    uint64_t budget = tokens_of(req->reasoning_budget);
    struct gw_span effort = req->reasoning_effort;

    if (effort.ptr == NULL && req->reasoning_budget.len != 0) {
        if (budget == 0 || (!api_chat_is_reasoning(w->model) &&
                            !gw_span_starts(bare_model(w->model), GW_SPAN("gpt-oss"))))
            api_drop(w, "reasoning.budget");
        else
            effort = budget <= 4096    ? GW_SPAN("low")
                     : budget <= 16384 ? GW_SPAN("medium")
                                       : GW_SPAN("high");
    }
    return effort;
}

static void put_reasoning(struct api_writing *w)
{
    api_put_text(w->out, "reasoning_effort", api_chat_effort(w));
    if (w->req->reasoning_shown == API_YES)
        api_drop(w, "reasoning.shown"); /* a server that shows it does so unasked */
}

enum gw_status api_chat_write_common(struct api_writing *w)
{
    const struct api_request *req = w->req;
    struct gw_buf *out = w->out;

    if (req->top_k.len != 0)
        return api_cannot(w, "top_k", NULL);
    if (req->min_p.len != 0)
        return api_cannot(w, "min_p", NULL);
    if (req->logprobs || req->top_logprobs.len != 0)
        return api_cannot(w, "logprobs", "translated answers hold none");
    api_put_raw(out, "temperature", req->temperature);
    api_put_raw(out, "top_p", req->top_p);
    api_put_raw(out, "presence_penalty", req->presence_penalty);
    api_put_raw(out, "frequency_penalty", req->frequency_penalty);
    api_put_raw(out, "seed", req->seed);
    api_put_raw(out, "n", req->n);
    for (unsigned i = 0; i < req->n_stop; i++) {
        gw_buf_adds(out, i == 0 ? ",\"stop\":[" : ",");
        gw_buf_add_json_str(out, req->stop[i]);
    }
    if (req->n_stop != 0)
        gw_buf_addc(out, ']');
    /* Usage is always asked for: the gateway counts it. Its client sees it only when it asked too. */
    if (req->stream)
        gw_buf_adds(out, req->no_usage
                             ? ",\"stream\":true"
                             : ",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    return GW_OK;
}

static void put_flag(struct gw_buf *out, const char *name, enum api_flag flag)
{
    if (flag != API_UNSET)
        api_put_raw(out, name, flag == API_YES ? GW_SPAN("true") : GW_SPAN("false"));
}

/* Choices that say nothing without tools are left out: OpenAI refuses them then. */
static void put_tools(struct api_writing *w)
{
    const struct api_request *req = w->req;
    struct gw_buf *out = w->out;

    for (unsigned i = 0; i < req->n_tools; i++) {
        const struct api_tool *t = &req->tools[i];

        gw_buf_adds(out, i == 0 ? ",\"tools\":[" : ",");
        gw_buf_adds(out, "{\"type\":\"function\",\"function\":{\"name\":");
        gw_buf_add_json_str(out, t->name);
        api_put_text(out, "description", t->description);
        api_put_raw(out, "parameters", t->schema);
        put_flag(out, "strict", t->strict);
        gw_buf_adds(out, "}}");
    }
    if (req->n_tools != 0) {
        gw_buf_addc(out, ']');
        put_flag(out, "parallel_tool_calls", req->parallel);
    }
    if (req->choice == API_CHOICE_NAMED) {
        gw_buf_adds(out, ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":");
        gw_buf_add_json_str(out, req->choice_name);
        gw_buf_adds(out, "}}");
    } else if (req->choice == API_CHOICE_ANY) {
        gw_buf_adds(out, ",\"tool_choice\":\"required\"");
    } else if (req->choice != API_CHOICE_UNSET && req->n_tools != 0) {
        gw_buf_adds(out, req->choice == API_CHOICE_AUTO ? ",\"tool_choice\":\"auto\""
                                                        : ",\"tool_choice\":\"none\"");
    }
}

static void put_format(struct api_writing *w)
{
    const struct api_request *req = w->req;
    struct gw_buf *out = w->out;

    if (req->format == API_FORMAT_JSON)
        gw_buf_adds(out, ",\"response_format\":{\"type\":\"json_object\"}");
    if (req->format != API_FORMAT_SCHEMA)
        return;
    gw_buf_adds(out, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
    /* OpenAI wants a name; other APIs have none. */
    gw_buf_add_json_str(out, req->schema_name.len == 0 ? GW_SPAN("answer") : req->schema_name);
    put_flag(out, "strict", req->schema_strict);
    api_put_raw(out, "schema", req->schema);
    gw_buf_adds(out, "}}");
}

enum gw_status api_chat_write(struct api_writing *w)
{
    gw_buf_adds(w->out, "{\"model\":");
    gw_buf_add_json_str(w->out, w->model);
    GW_TRY(api_chat_write_messages(w));
    put_tools(w);
    put_format(w);
    put_max_tokens(w);
    put_reasoning(w);
    GW_TRY(api_chat_write_common(w));
    gw_buf_addc(w->out, '}');
    return GW_OK;
}
