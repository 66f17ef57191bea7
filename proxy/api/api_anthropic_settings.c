/* proxy/api/api_anthropic_settings.c - the settings of Anthropic's requests, read and written: limits, sampling, tools and
 * their choice, output format, thinking. Pure; any thread.
 *
 * How reasoning maps. Read: thinking enabled gives a budget, disabled the budget 0; adaptive gives none, since deciding
 * for itself is what a model does without one; its display says whether texts are shown; output_config.effort is the
 * effort. Written: an effort is an effort ("minimal" the lowest there is, "none" thinking disabled), a budget thinking
 * enabled, 0 disabled, -1 adaptive; reasoning that is to be shown without either: adaptive. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/api/api_anthropic.h"

/* ---- reading -------------------------------------------------------------------------------- */

static bool read_max_tokens(struct api_reading *r, const struct gw_json_node *node)
{
    r->req->max_tokens = api_number(r, node, "max_tokens");
    return true;
}

static bool read_temperature(struct api_reading *r, const struct gw_json_node *node)
{
    r->req->temperature = api_number(r, node, "temperature");
    return true;
}

static bool read_top_p(struct api_reading *r, const struct gw_json_node *node)
{
    r->req->top_p = api_number(r, node, "top_p");
    return true;
}

static bool read_top_k(struct api_reading *r, const struct gw_json_node *node)
{
    r->req->top_k = api_number(r, node, "top_k");
    return true;
}

static bool read_stream(struct api_reading *r, const struct gw_json_node *node)
{
    r->req->stream = api_bool(r, node, "stream") == API_YES;
    return true;
}

static bool read_stop_sequences(struct api_reading *r, const struct gw_json_node *node)
{
    if (!gw_json_is(node, GW_JSON_ARRAY_BEGIN))
        return api_note_bad(r, "must be a list of strings", "stop_sequences");
    for (node = node->child; node != NULL; node = node->next) {
        struct gw_span text = gw_json_text(node, r->arena);

        if (!gw_json_is(node, GW_JSON_STRING))
            return api_note_bad(r, "must be a list of strings", "stop_sequences");
        if (text.ptr == NULL || !api_add_stop(r, text))
            return false;
    }
    return true;
}

static bool read_tool_choice(struct api_reading *r, const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "name", "disable_parallel_tool_use", NULL};
    const struct gw_json_node *type = gw_json_get(node, "type");
    enum api_flag single = api_bool(r, gw_json_get(node, "disable_parallel_tool_use"),
                                    "tool_choice.disable_parallel_tool_use");

    if (gw_json_text_is(type, "auto"))
        r->req->choice = API_CHOICE_AUTO;
    else if (gw_json_text_is(type, "any"))
        r->req->choice = API_CHOICE_ANY;
    else if (gw_json_text_is(type, "tool"))
        r->req->choice = API_CHOICE_NAMED;
    else if (gw_json_text_is(type, "none"))
        r->req->choice = API_CHOICE_NONE;
    else
        return api_note_bad(r, "must be \"auto\", \"any\", \"tool\" or \"none\"",
                            "tool_choice.type");
    if (single != API_UNSET)
        r->req->parallel = single == API_YES ? API_NO : API_YES;
    if (!anthropic_text(r, node, "tool_choice", "name", &r->req->choice_name))
        return false;
    if (r->req->choice == API_CHOICE_NAMED && r->req->choice_name.len == 0 &&
        !api_note_bad(r, "must name a tool", "tool_choice.name"))
        return false;
    return anthropic_note_others(r, node, "tool_choice", known);
}

/* Callers are client code ("direct") or code that Anthropic runs. */
static bool read_callers(struct api_reading *r, const struct gw_json_node *callers, unsigned i)
{
    bool direct = gw_json_is(callers, GW_JSON_ARRAY_BEGIN) && callers->n == 1 &&
                  gw_json_text_is(callers->child, "direct");

    return callers == NULL || direct || gw_json_is(callers, GW_JSON_NULL) ||
           api_add_extra(r, false, "tools[%u].allowed_callers", i);
}

static bool read_tool(struct api_reading *r, const struct gw_json_node *node, unsigned i)
{
    static const char *const known[] = {"type",
                                        "name",
                                        "description",
                                        "input_schema",
                                        "strict",
                                        "allowed_callers",
                                        "defer_loading",
                                        "eager_input_streaming",
                                        NULL};
    static const char *const hints[] = {"defer_loading", "eager_input_streaming"};
    const struct gw_json_node *type = gw_json_get(node, "type");
    struct api_tool *tool;
    char path[48];

    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return api_note_bad(r, "must be an object", "tools[%u]", i);
    if (type != NULL && !gw_json_is(type, GW_JSON_NULL) && !gw_json_text_is(type, "custom"))
        return api_add_extra(r, false, "tools[%u].type", i); /* runs at Anthropic's */
    (void)snprintf(path, sizeof(path), "tools[%u]", i);
    if (!anthropic_note_others(r, node, path, known) ||
        !read_callers(r, gw_json_get(node, "allowed_callers"), i))
        return false;
    for (size_t k = 0; k < sizeof(hints) / sizeof(*hints); k++)
        if (gw_json_is(gw_json_get(node, hints[k]), GW_JSON_TRUE) &&
            !api_add_extra(r, true, "%s.%s", path, hints[k]))
            return false;
    tool = api_add_tool(r);
    if (tool == NULL || !anthropic_text(r, node, path, "name", &tool->name) ||
        !anthropic_text(r, node, path, "description", &tool->description))
        return false;
    if (tool->name.len == 0 && !api_note_bad(r, "must be a name", "tools[%u].name", i))
        return false;
    (void)snprintf(path, sizeof(path), "tools[%u].strict", i);
    tool->strict = api_bool(r, gw_json_get(node, "strict"), path);
    (void)snprintf(path, sizeof(path), "tools[%u].input_schema", i);
    tool->schema = api_object(r, gw_json_get(node, "input_schema"), path);
    return true;
}

static bool read_tools(struct api_reading *r, const struct gw_json_node *node)
{
    unsigned i = 0;

    if (!gw_json_is(node, GW_JSON_ARRAY_BEGIN))
        return api_note_bad(r, "must be a list of tools", "tools");
    for (node = node->child; node != NULL; node = node->next)
        if (!read_tool(r, node, i++))
            return false;
    return true;
}

static bool read_thinking(struct api_reading *r, const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "budget_tokens", "display", NULL};
    const struct gw_json_node *type = gw_json_get(node, "type");
    const struct gw_json_node *display = gw_json_get(node, "display");

    if (gw_json_text_is(type, "enabled"))
        r->req->reasoning_budget =
            api_number(r, gw_json_get(node, "budget_tokens"), "thinking.budget_tokens");
    else if (gw_json_text_is(type, "disabled"))
        r->req->reasoning_budget = GW_SPAN("0");
    else if (!gw_json_text_is(type, "adaptive"))
        return api_add_extra(r, false, "thinking.type");
    if (gw_json_text_is(display, "summarized"))
        r->req->reasoning_shown = API_YES;
    else if (gw_json_text_is(display, "omitted"))
        r->req->reasoning_shown = API_NO;
    return anthropic_note_others(r, node, "thinking", known);
}

static bool read_format(struct api_reading *r, const struct gw_json_node *node, const char *path)
{
    static const char *const known[] = {"type", "schema", NULL};

    if (!gw_json_text_is(gw_json_get(node, "type"), "json_schema"))
        return api_add_extra(r, false, "%s.type", path);
    r->req->schema = api_object(r, gw_json_get(node, "schema"), path);
    if (r->req->schema.len == 0)
        return api_note_bad(r, "must be an object", "%s.schema", path);
    r->req->format = API_FORMAT_SCHEMA;
    r->req->schema_strict = API_YES; /* an answer always follows it */
    return anthropic_note_others(r, node, path, known);
}

static bool read_output_format(struct api_reading *r, const struct gw_json_node *node)
{
    return read_format(r, node, "output_format");
}

static bool read_output_config(struct api_reading *r, const struct gw_json_node *node)
{
    static const char *const known[] = {"effort", "format", NULL};
    const struct gw_json_node *format = gw_json_get(node, "format");

    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return api_note_bad(r, "must be an object", "output_config");
    if (!anthropic_text(r, node, "output_config", "effort", &r->req->reasoning_effort) ||
        !anthropic_note_others(r, node, "output_config", known))
        return false;
    return format == NULL || gw_json_is(format, GW_JSON_NULL) ||
           read_format(r, format, "output_config.format");
}

/* Clearing old thinking is nothing to a model that never sees thinking of another one; other edits change the
 * conversation. */
static bool read_context_management(struct api_reading *r, const struct gw_json_node *node)
{
    const struct gw_json_node *edits = gw_json_get(node, "edits");
    bool hint = gw_json_is(edits, GW_JSON_ARRAY_BEGIN);

    for (const struct gw_json_node *e = hint ? edits->child : NULL; e != NULL; e = e->next) {
        struct gw_span type = gw_json_text(gw_json_get(e, "type"), r->arena);

        if (!gw_span_starts(type, GW_SPAN("clear_thinking_")))
            hint = false;
    }
    return api_add_extra(r, hint, "context_management");
}

/* Identifiers, capacity and caches. */
static bool read_hint(struct api_reading *r, const struct gw_json_node *node)
{
    struct gw_span name = gw_json_name(node, r->arena);

    return name.ptr != NULL && api_add_extra(r, true, "%.*s", (int)name.len, name.ptr);
}

static bool read_elsewhere(struct api_reading *r, const struct gw_json_node *node)
{
    (void)r;
    (void)node;
    return true;
}

bool anthropic_read_settings(struct api_reading *r, const struct gw_json_node *root)
{
    static const struct {
        const char *name;
        bool (*read)(struct api_reading *r, const struct gw_json_node *node);
    } settings[] = {
        {"model", read_elsewhere},
        {"messages", read_elsewhere},
        {"system", read_elsewhere},
        {"max_tokens", read_max_tokens},
        {"stream", read_stream},
        {"tools", read_tools},
        {"tool_choice", read_tool_choice},
        {"temperature", read_temperature},
        {"top_p", read_top_p},
        {"top_k", read_top_k},
        {"stop_sequences", read_stop_sequences},
        {"thinking", read_thinking},
        {"output_config", read_output_config},
        {"output_format", read_output_format}, /* where the format was before */
        {"context_management", read_context_management},
        {"metadata", read_hint},
        {"service_tier", read_hint},
        {"speed", read_hint},
        {"cache_control", read_hint},
        {"diagnostics", read_hint},
        {"user_profile_id", read_hint},
        {"workspace_id", read_hint},
    };

    for (const struct gw_json_node *m = root->child; m != NULL; m = m->next) {
        size_t i = 0, n = sizeof(settings) / sizeof(*settings);

        if (m->type == GW_JSON_NULL)
            continue;
        while (i < n && !gw_json_key_is(m, settings[i].name))
            i++;
        if (i < n ? !settings[i].read(r, m) : !api_add_unknown(r, m, "%s", ""))
            return false;
    }
    return true;
}

/* ---- writing -------------------------------------------------------------------------------- */

/* Anthropic demands a limit. Every model of its has room for this many, and what needs more says so. */
enum { DEFAULT_MAX_TOKENS = 4096, MIN_BUDGET = 1024 };

/* Close enough for comparisons; what is sent is the number as written. */
static double value_of(struct gw_span number)
{
    char buf[64];
    size_t n = number.len < sizeof(buf) - 1 ? number.len : sizeof(buf) - 1;

    if (n == 0)
        return 0;
    memcpy(buf, number.ptr, n);
    buf[n] = '\0';
    return strtod(buf, NULL);
}

static bool is_zero(struct gw_span number)
{
    double v = value_of(number);

    return !(v < 0 || v > 0);
}

/* The effort in Anthropic's words; NULL: it has none for it. "none" is said by thinking. */
static const char *effort_of(struct gw_span effort)
{
    static const char *const same[] = {"low", "medium", "high", "xhigh", "max", "none"};

    for (size_t i = 0; i < sizeof(same) / sizeof(*same); i++)
        if (gw_span_is(effort, same[i]))
            return same[i];
    return gw_span_is(effort, "minimal") ? "low" : NULL;
}

static enum gw_status check_stops(struct api_writing *w)
{
    for (unsigned i = 0; i < w->req->n_stop; i++)
        if (anthropic_is_blank(w->req->stop[i]))
            return api_cannot(w, "stop", "a stop sequence must hold more than white space");
    return GW_OK;
}

static enum gw_status check_reasoning(struct api_writing *w)
{
    double budget = value_of(w->req->reasoning_budget);

    if (w->req->reasoning_effort.len != 0 && effort_of(w->req->reasoning_effort) == NULL)
        return api_cannot(w, "reasoning_effort", "it is low, medium, high, xhigh or max");
    if (budget > 0 && budget < MIN_BUDGET)
        return api_cannot(w, "reasoning_budget", "it is 1024 tokens at least");
    return GW_OK;
}

/* Names come back in answers, so they cannot be changed on the way. */
static enum gw_status check_tools(struct api_writing *w)
{
    for (unsigned i = 0; i < w->req->n_tools; i++) {
        struct gw_span name = w->req->tools[i].name;

        for (size_t k = 0; k < name.len; k++) {
            char c = gw_ascii_lower(name.ptr[k]);

            if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
                return api_cannot(w, "tools",
                                  "a tool's name is of letters, digits, \"_\" and \"-\"");
        }
        if (name.len == 0 || name.len > 128)
            return api_cannot(w, "tools", "a tool's name has 1 to 128 characters");
    }
    return GW_OK;
}

enum gw_status anthropic_check_settings(struct api_writing *w)
{
    const struct api_request *req = w->req;

    if (value_of(req->n) > 1)
        return api_cannot(w, "n", "an answer has one choice");
    if (req->logprobs || !is_zero(req->top_logprobs))
        return api_cannot(w, "logprobs", NULL);
    if (!is_zero(req->presence_penalty))
        return api_cannot(w, "presence_penalty", NULL);
    if (!is_zero(req->frequency_penalty))
        return api_cannot(w, "frequency_penalty", NULL);
    if (!is_zero(req->min_p))
        return api_cannot(w, "min_p", NULL);
    if (value_of(req->temperature) > 1)
        return api_cannot(w, "temperature", "it is 0 to 1 there");
    if (req->format == API_FORMAT_JSON)
        return api_cannot(w, "response_format", "JSON needs a schema there (json_schema)");
    GW_TRY(check_stops(w));
    GW_TRY(check_reasoning(w));
    return check_tools(w);
}

static void put_tools(struct api_writing *w)
{
    const struct api_request *req = w->req;

    for (unsigned i = 0; i < req->n_tools; i++) {
        const struct api_tool *tool = &req->tools[i];

        gw_buf_adds(w->out, i == 0 ? ",\"tools\":[{\"name\":" : ",{\"name\":");
        gw_buf_add_json_str(w->out, tool->name);
        api_put_text(w->out, "description", tool->description);
        gw_buf_adds(w->out, ",\"input_schema\":");
        if (tool->schema.len != 0)
            gw_buf_add(w->out, tool->schema);
        else
            gw_buf_adds(w->out, "{\"type\":\"object\",\"properties\":{}}");
        if (tool->strict == API_YES)
            gw_buf_adds(w->out, ",\"strict\":true");
        gw_buf_addc(w->out, '}');
    }
    if (req->n_tools != 0)
        gw_buf_addc(w->out, ']');
}

static const char *choice_name(enum api_choice choice)
{
    switch (choice) {
    case API_CHOICE_NONE:
        return "none";
    case API_CHOICE_ANY:
        return "any";
    case API_CHOICE_NAMED:
        return "tool";
    case API_CHOICE_UNSET:
    case API_CHOICE_AUTO:
    default:
        return "auto";
    }
}

/* Left out where it says what happens anyway: a choice without tools is refused there. */
static void put_tool_choice(struct api_writing *w)
{
    const struct api_request *req = w->req;
    bool forced = req->choice == API_CHOICE_ANY || req->choice == API_CHOICE_NAMED;
    bool single = req->parallel == API_NO && req->choice != API_CHOICE_NONE;

    if ((req->n_tools == 0 && !forced) || (req->choice == API_CHOICE_UNSET && !single))
        return;
    gw_buf_printf(w->out, ",\"tool_choice\":{\"type\":\"%s\"", choice_name(req->choice));
    if (req->choice == API_CHOICE_NAMED)
        api_put_text(w->out, "name", req->choice_name);
    if (single)
        gw_buf_adds(w->out, ",\"disable_parallel_tool_use\":true");
    gw_buf_addc(w->out, '}');
}

static void put_thinking(struct api_writing *w)
{
    const struct api_request *req = w->req;
    double budget = value_of(req->reasoning_budget);
    bool given = req->reasoning_budget.len != 0;
    bool off = given ? is_zero(req->reasoning_budget) : gw_span_is(req->reasoning_effort, "none");

    if (off) {
        gw_buf_adds(w->out, ",\"thinking\":{\"type\":\"disabled\"}");
        return;
    }
    if (!given && req->reasoning_shown != API_YES)
        return;
    if (budget > 0) {
        gw_buf_adds(w->out, ",\"thinking\":{\"type\":\"enabled\"");
        api_put_raw(w->out, "budget_tokens", req->reasoning_budget);
    } else {
        gw_buf_adds(w->out, ",\"thinking\":{\"type\":\"adaptive\"");
    }
    if (req->reasoning_shown != API_UNSET)
        gw_buf_adds(w->out, req->reasoning_shown == API_YES ? ",\"display\":\"summarized\""
                                                            : ",\"display\":\"omitted\"");
    gw_buf_addc(w->out, '}');
}

static void put_output_config(struct api_writing *w)
{
    const struct api_request *req = w->req;
    const char *effort = req->reasoning_effort.len != 0 ? effort_of(req->reasoning_effort) : NULL;
    bool has_effort = effort != NULL && strcmp(effort, "none") != 0;
    bool has_format = req->format == API_FORMAT_SCHEMA;

    if (!has_effort && !has_format)
        return;
    gw_buf_adds(w->out, ",\"output_config\":{");
    if (has_effort)
        gw_buf_printf(w->out, "\"effort\":\"%s\"%s", effort, has_format ? "," : "");
    if (has_format) {
        gw_buf_adds(w->out, "\"format\":{\"type\":\"json_schema\",\"schema\":");
        gw_buf_add(w->out, api_or_empty_object(req->schema));
        gw_buf_addc(w->out, '}');
    }
    gw_buf_addc(w->out, '}');
}

static void put_max_tokens(struct api_writing *w)
{
    double budget = value_of(w->req->reasoning_budget);
    uint64_t n = DEFAULT_MAX_TOKENS;

    if (w->req->max_tokens.len != 0) {
        api_put_raw(w->out, "max_tokens", w->req->max_tokens);
        return;
    }
    if (budget > 0 && budget < 1e9)
        n += (uint64_t)budget; /* thinking counts */
    gw_buf_adds(w->out, ",\"max_tokens\":");
    gw_buf_addu(w->out, n);
}

void anthropic_write_settings(struct api_writing *w)
{
    const struct api_request *req = w->req;

    if (!req->counting)
        put_max_tokens(w);
    put_tools(w);
    put_tool_choice(w);
    for (unsigned i = 0; i < req->n_stop; i++) {
        gw_buf_adds(w->out, i == 0 ? ",\"stop_sequences\":[" : ",");
        gw_buf_add_json_str(w->out, req->stop[i]);
    }
    if (req->n_stop != 0)
        gw_buf_addc(w->out, ']');
    api_put_raw(w->out, "temperature", req->temperature);
    api_put_raw(w->out, "top_p", req->top_p);
    api_put_raw(w->out, "top_k", req->top_k);
    put_thinking(w);
    put_output_config(w);
    if (req->stream)
        gw_buf_adds(w->out, ",\"stream\":true");
    if (req->seed.len != 0)
        api_drop(w, "seed");
    if (req->schema_name.len != 0)
        api_drop(w, "response_format.json_schema.name");
}
