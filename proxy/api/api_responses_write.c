/* proxy/api/api_responses_write.c - requests written for OpenAI's Responses API from those of other dialects. Pure; any thread.
 *
 * Nothing is to be kept at the provider ("store":false): the client's own API does not promise it, and what it sends next
 * has the whole conversation again. So nothing is lost by it, and no prompt stays behind. */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/api/api_chat_private.h"
#include "proxy/api/api_responses_private.h"

/* ---- what cannot be said ------------------------------------------------------------------- */

/* What is asked for under another name in each dialect. */
struct setting {
    const char *chat, *anthropic, *gemini;
};

static const char *name_of(const struct api_writing *w, const struct setting *s)
{
    if (w->req->dialect == API_ANTHROPIC)
        return s->anthropic;
    return w->req->dialect == API_GEMINI ? s->gemini : s->chat;
}

static bool is_number(struct gw_span number, double value)
{
    char text[32];

    if (number.len == 0)
        return true;
    if (number.len >= sizeof(text))
        return false;
    memcpy(text, number.ptr, number.len);
    text[number.len] = '\0';
    return strtod(text, NULL) == value;
}

static enum gw_status refuse_settings(struct api_writing *w)
{
    static const struct setting stop = {"stop", "stop_sequences", "generationConfig.stopSequences"};
    static const struct setting n = {"n", "n", "generationConfig.candidateCount"};
    static const struct setting presence = {"presence_penalty", "presence_penalty",
                                            "generationConfig.presencePenalty"};
    static const struct setting frequency = {"frequency_penalty", "frequency_penalty",
                                             "generationConfig.frequencyPenalty"};
    static const struct setting top_k = {"top_k", "top_k", "generationConfig.topK"};
    static const struct setting logprobs = {"logprobs", "logprobs",
                                            "generationConfig.responseLogprobs"};
    static const struct setting seed = {"seed", "seed", "generationConfig.seed"};
    const struct api_request *req = w->req;

    if (req->n_stop != 0)
        return api_cannot(w, name_of(w, &stop), "it has no stop sequences");
    if (!is_number(req->n, 1))
        return api_cannot(w, name_of(w, &n), "an answer has one choice");
    if (!is_number(req->presence_penalty, 0))
        return api_cannot(w, name_of(w, &presence), "it has no penalties");
    if (!is_number(req->frequency_penalty, 0))
        return api_cannot(w, name_of(w, &frequency), "it has no penalties");
    if (req->top_k.len != 0)
        return api_cannot(w, name_of(w, &top_k), "leave it out, or use top_p");
    if (!is_number(req->min_p, 0))
        return api_cannot(w, "min_p", "leave it out, or use top_p");
    if (req->logprobs || req->top_logprobs.len != 0)
        return api_cannot(w, name_of(w, &logprobs), "answers are translated without them");
    if (req->seed.len != 0)
        api_drop(w, "%s", name_of(w, &seed));
    return GW_OK;
}

/* ---- parts ------------------------------------------------------------------------------- */

/* A URL, or the data as one. */
static void put_data(struct gw_buf *out, const char *name, const struct api_part *part,
                     const char *media_type)
{
    gw_buf_printf(out, ",\"%s\":\"data:", name);
    if (part->media_type.len != 0)
        gw_buf_add_json(out, part->media_type);
    else
        gw_buf_adds(out, media_type);
    gw_buf_adds(out, ";base64,");
    gw_buf_add_json(out, part->data);
    gw_buf_addc(out, '"');
}

static void put_image(struct gw_buf *out, const struct api_part *part)
{
    gw_buf_adds(out, "{\"type\":\"input_image\"");
    if (part->url.len != 0)
        api_put_text(out, "image_url", part->url);
    else
        put_data(out, "image_url", part, "image/png");
    if (part->detail.len != 0)
        api_put_text(out, "detail", part->detail);
    gw_buf_adds(out, "}");
}

/* Data needs a file name here, which other APIs do not ask for. */
static void put_file(struct gw_buf *out, const struct api_part *part)
{
    gw_buf_adds(out, "{\"type\":\"input_file\"");
    if (part->url.len != 0) {
        api_put_text(out, "file_url", part->url);
    } else {
        if (part->detail.len != 0)
            api_put_text(out, "filename", part->detail);
        else
            gw_buf_adds(out, gw_span_is(part->media_type, "application/pdf")
                                 ? ",\"filename\":\"document.pdf\""
                                 : ",\"filename\":\"document\"");
        put_data(out, "file_data", part, "application/octet-stream");
    }
    gw_buf_adds(out, "}");
}

static void put_typed_text(struct gw_buf *out, const char *type, const char *member,
                           struct gw_span text)
{
    gw_buf_printf(out, "{\"type\":\"%s\",\"%s\":", type, member);
    gw_buf_add_json_str(out, text);
    gw_buf_adds(out, "}");
}

/* A part of a message or of a tool's result. */
static enum gw_status put_part(struct api_writing *w, const struct api_part *part, bool assistant,
                               unsigned message)
{
    char at[64];

    snprintf(at, sizeof(at), "messages[%u].content", message);
    if (part->kind == API_PART_TEXT)
        put_typed_text(w->out, assistant ? "output_text" : "input_text", "text", part->text);
    else if (part->kind == API_PART_REFUSAL && assistant)
        put_typed_text(w->out, "refusal", "refusal", part->text);
    else if (part->kind == API_PART_IMAGE && !assistant)
        put_image(w->out, part);
    else if (part->kind == API_PART_FILE && !assistant)
        put_file(w->out, part);
    else if (part->kind == API_PART_AUDIO)
        return api_cannot(w, at, "it takes no audio");
    else
        return api_cannot(w, at, "such a part has no place in a message of this role");
    return GW_OK;
}

static enum gw_status put_parts(struct api_writing *w, const struct api_part *parts, unsigned n,
                                bool assistant, unsigned message)
{
    gw_buf_addc(w->out, '[');
    for (unsigned i = 0; i < n; i++) {
        if (i != 0)
            gw_buf_addc(w->out, ',');
        GW_TRY(put_part(w, &parts[i], assistant, message));
    }
    gw_buf_addc(w->out, ']');
    return GW_OK;
}

/* ---- items ------------------------------------------------------------------------------- */

struct items {
    struct api_writing *w;
    unsigned n;
};

static void begin_item(struct items *items)
{
    if (items->n++ != 0)
        gw_buf_addc(items->w->out, ',');
}

/* Parts [from, to) of a message, as an item of their own. */
static enum gw_status put_message(struct items *items, const struct api_message *m,
                                  unsigned message, unsigned from, unsigned to)
{
    static const char *const roles[] = {
        [API_ROLE_SYSTEM] = "developer",
        [API_ROLE_USER] = "user",
        [API_ROLE_ASSISTANT] = "assistant",
    };
    bool assistant = m->role == API_ROLE_ASSISTANT;

    begin_item(items);
    gw_buf_printf(items->w->out,
                  "{\"type\":\"message\",\"role\":\"%s\",\"content\":", roles[m->role]);
    if (!assistant && to - from == 1 && m->parts[from].kind == API_PART_TEXT)
        gw_buf_add_json_str(items->w->out, m->parts[from].text);
    else
        GW_TRY(put_parts(items->w, m->parts + from, to - from, assistant, message));
    gw_buf_addc(items->w->out, '}');
    return GW_OK;
}

/* The identifier that a result names its call with. Gemini's calls may have none: then the function's name serves. */
static void put_call_id(struct gw_buf *out, const struct api_part *part)
{
    gw_buf_adds(out, ",\"call_id\":\"");
    if (part->id.len == 0)
        gw_buf_adds(out, "call_");
    gw_buf_add_json(out, part->id.len != 0 ? part->id : part->name);
    gw_buf_addc(out, '"');
}

static void put_call(struct items *items, const struct api_part *part)
{
    struct gw_buf *out = items->w->out;

    begin_item(items);
    gw_buf_adds(out, "{\"type\":\"function_call\"");
    put_call_id(out, part);
    api_put_text(out, "name", part->name);
    api_put_text(out, "arguments", api_or_empty_object(part->json));
    gw_buf_addc(out, '}');
}

/* That a tool failed is in its text; there is no flag for it. */
static enum gw_status put_result(struct items *items, const struct api_part *part, unsigned message,
                                 unsigned i)
{
    struct api_writing *w = items->w;

    begin_item(items);
    gw_buf_adds(w->out, "{\"type\":\"function_call_output\"");
    put_call_id(w->out, part);
    gw_buf_adds(w->out, ",\"output\":");
    if (part->n_parts == 0)
        gw_buf_adds(w->out, "\"\"");
    else if (part->n_parts == 1 && part->parts[0].kind == API_PART_TEXT)
        gw_buf_add_json_str(w->out, part->parts[0].text);
    else
        GW_TRY(put_parts(w, part->parts, part->n_parts, false, message));
    gw_buf_addc(w->out, '}');
    if (part->is_error)
        api_drop(w, "messages[%u].content[%u].is_error", message, i);
    return GW_OK;
}

/* Only what OpenAI encrypted is understood there. Text without it is no part of a conversation to it. */
static void put_reasoning(struct items *items, const struct api_part *part, unsigned message,
                          unsigned i)
{
    struct gw_buf *out = items->w->out;
    struct gw_span encrypted;

    if (!api_own_signature(part->json, API_MARK_RESPONSES, &encrypted)) {
        api_drop(items->w, "messages[%u].content[%u]", message, i);
        return;
    }
    begin_item(items);
    gw_buf_adds(out, "{\"type\":\"reasoning\",\"summary\":[");
    if (part->text.len != 0)
        put_typed_text(out, "summary_text", "text", part->text);
    gw_buf_addc(out, ']');
    api_put_text(out, "encrypted_content", encrypted);
    gw_buf_addc(out, '}');
}

static bool is_item(const struct api_part *part)
{
    return part->kind == API_PART_TOOL_CALL || part->kind == API_PART_TOOL_RESULT ||
           part->kind == API_PART_REASONING;
}

/* A message as items: a run of texts, images and files is one, calls, results and reasoning are one each. */
static enum gw_status put_items(struct items *items, const struct api_message *m, unsigned message)
{
    unsigned i = 0;

    if (m->name.len != 0)
        api_drop(items->w, "messages[%u].name", message);
    while (i < m->n_parts) {
        const struct api_part *part = &m->parts[i];
        unsigned from = i;

        if (part->kind == API_PART_TOOL_CALL)
            put_call(items, part);
        else if (part->kind == API_PART_TOOL_RESULT)
            GW_TRY(put_result(items, part, message, i));
        else if (part->kind == API_PART_REASONING)
            put_reasoning(items, part, message, i);
        i++;
        if (is_item(part))
            continue;
        while (i < m->n_parts && !is_item(&m->parts[i]))
            i++;
        GW_TRY(put_message(items, m, message, from, i));
    }
    return GW_OK;
}

/* The number of messages at the front that can be said as instructions. */
static unsigned count_instructions(const struct api_request *req)
{
    unsigned n = 0;

    for (; n < req->n_messages && req->messages[n].role == API_ROLE_SYSTEM; n++)
        for (unsigned i = 0; i < req->messages[n].n_parts; i++)
            if (req->messages[n].parts[i].kind != API_PART_TEXT)
                return n;
    return n == req->n_messages ? 0 : n; /* an input without any item is refused */
}

static enum gw_status put_input(struct api_writing *w)
{
    const struct api_request *req = w->req;
    struct items items = {.w = w};
    unsigned n = count_instructions(req);

    if (n != 0) {
        gw_buf_adds(w->out, ",\"instructions\":\"");
        for (unsigned i = 0; i < n; i++) {
            if (i != 0)
                gw_buf_adds(w->out, "\\n\\n");
            gw_buf_add_json(w->out, api_message_text(&req->messages[i], w->arena));
        }
        gw_buf_addc(w->out, '"');
    }
    gw_buf_adds(w->out, ",\"input\":[");
    for (unsigned i = n; i < req->n_messages; i++)
        GW_TRY(put_items(&items, &req->messages[i], i));
    gw_buf_addc(w->out, ']');
    return GW_OK;
}

/* ---- settings ---------------------------------------------------------------------------- */

/* Schemas are strict here unless a request says otherwise, and nowhere else. */
static void put_strict(struct gw_buf *out, enum api_flag strict)
{
    gw_buf_adds(out, strict == API_YES ? ",\"strict\":true" : ",\"strict\":false");
}

static void put_tools(struct api_writing *w)
{
    const struct api_request *req = w->req;

    if (req->n_tools == 0)
        return;
    gw_buf_adds(w->out, ",\"tools\":[");
    for (unsigned i = 0; i < req->n_tools; i++) {
        const struct api_tool *tool = &req->tools[i];

        gw_buf_adds(w->out, i == 0 ? "{\"type\":\"function\"" : ",{\"type\":\"function\"");
        api_put_text(w->out, "name", tool->name);
        api_put_text(w->out, "description", tool->description);
        api_put_raw(w->out, "parameters",
                    tool->schema.len != 0 ? tool->schema
                                          : GW_SPAN("{\"type\":\"object\",\"properties\":{}}"));
        put_strict(w->out, tool->strict);
        gw_buf_addc(w->out, '}');
    }
    gw_buf_addc(w->out, ']');
}

/* Without tools, what speaks of them says nothing, and OpenAI may refuse it. */
static void put_choice(struct api_writing *w)
{
    static const char *const words[] = {
        [API_CHOICE_AUTO] = "auto",
        [API_CHOICE_NONE] = "none",
        [API_CHOICE_ANY] = "required",
    };
    const struct api_request *req = w->req;

    if (req->choice == API_CHOICE_NAMED) {
        gw_buf_adds(w->out, ",\"tool_choice\":{\"type\":\"function\"");
        api_put_text(w->out, "name", req->choice_name);
        gw_buf_addc(w->out, '}');
    } else if (req->choice == API_CHOICE_ANY ||
               (req->choice != API_CHOICE_UNSET && req->n_tools != 0)) {
        gw_buf_printf(w->out, ",\"tool_choice\":\"%s\"", words[req->choice]);
    }
    if (req->parallel != API_UNSET && req->n_tools != 0)
        gw_buf_printf(w->out, ",\"parallel_tool_calls\":%s",
                      req->parallel == API_YES ? "true" : "false");
}

/* A schema has a name here, which Gemini's has not. */
static void put_format(struct api_writing *w)
{
    const struct api_request *req = w->req;

    if (req->format == API_FORMAT_JSON)
        gw_buf_adds(w->out, ",\"text\":{\"format\":{\"type\":\"json_object\"}}");
    if (req->format != API_FORMAT_SCHEMA)
        return;
    gw_buf_adds(w->out, ",\"text\":{\"format\":{\"type\":\"json_schema\"");
    api_put_text(w->out, "name", req->schema_name.len != 0 ? req->schema_name : GW_SPAN("answer"));
    api_put_raw(w->out, "schema", api_or_empty_object(req->schema));
    put_strict(w->out, req->schema_strict);
    gw_buf_adds(w->out, "}}");
}

/* Summaries are asked for where the client's API shows what the model thought: Anthropic's does so unasked. Other models
 * refuse the parameters. What is encrypted is needed for the next turn of the conversation, since nothing is stored. */
static void put_reasoning_settings(struct api_writing *w)
{
    const struct api_request *req = w->req;
    struct gw_span effort = api_chat_effort(w);
    bool thinks = req->dialect == API_ANTHROPIC && req->reasoning_budget.len != 0 &&
                  !gw_span_is(req->reasoning_budget, "0");
    bool shown = req->reasoning_shown == API_YES || (thinks && req->reasoning_shown == API_UNSET);

    if (effort.len == 0 && !api_chat_is_reasoning(w->model)) {
        if (req->reasoning_shown == API_YES)
            api_drop(w, "reasoning.shown");
        return;
    }
    if (effort.len == 0 && !shown)
        return;
    if (!req->counting)
        gw_buf_adds(w->out, ",\"include\":[\"reasoning.encrypted_content\"]");
    gw_buf_adds(w->out, ",\"reasoning\":{");
    if (effort.len != 0) {
        gw_buf_adds(w->out, "\"effort\":");
        gw_buf_add_json_str(w->out, effort);
    }
    if (shown)
        gw_buf_adds(w->out, effort.len != 0 ? ",\"summary\":\"auto\"" : "\"summary\":\"auto\"");
    gw_buf_addc(w->out, '}');
}

enum gw_status api_responses_write(struct api_writing *w)
{
    const struct api_request *req = w->req;

    GW_TRY(refuse_settings(w));
    gw_buf_adds(w->out, "{\"model\":");
    gw_buf_add_json_str(w->out, w->model);
    GW_TRY(put_input(w));
    put_tools(w);
    put_choice(w);
    put_format(w);
    put_reasoning_settings(w);
    api_put_raw(w->out, "max_output_tokens", req->max_tokens);
    api_put_raw(w->out, "temperature", req->temperature);
    api_put_raw(w->out, "top_p", req->top_p);
    if (req->stream)
        gw_buf_adds(w->out, ",\"stream\":true");
    gw_buf_adds(w->out, req->counting ? "}" : ",\"store\":false}");
    return GW_OK;
}
