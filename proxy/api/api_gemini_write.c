/* proxy/api/api_gemini_write.c - struct api_request as the body of generateContent.
 *
 * Turns of one side that follow each other become one content, since Gemini wants all answers of a turn's calls together.
 * Schemas stay JSON Schema (parametersJsonSchema, responseJsonSchema). Pure; any thread. */
#include <stdio.h>

#include "proxy/api/api_gemini.h"

struct writing {
    struct api_writing *w;
    struct gw_buf *out;
    struct gw_json *json;     /* checks arguments and results; made when first needed */
    bool any, open;           /* a content was begun; and is not ended */
    enum api_role role;       /* of the open one */
    bool comma;               /* it has a part */
    unsigned message;         /* being written */
    unsigned hidden;          /* messages in front that the client calls otherwise */
    struct gw_span signature; /* of Gemini's, for the part that comes next */
    bool call_signed;         /* the content has a call with a signature */
};

/* "messages[2].NAME", in the arena of the request; for messages of errors and notes. */
struct place {
    char text[64];
};
static struct place in_message(const struct writing *x, const char *name)
{
    struct place p;

    snprintf(p.text, sizeof(p.text), "messages[%u].%s",
             x->message < x->hidden ? 0 : x->message - x->hidden, name);
    return p;
}

static enum gw_status refuse(struct writing *x, const char *name, const char *why)
{
    return api_cannot(x->w, in_message(x, name).text, why);
}

/* ---- contents ----------------------------------------------------------------------------- */

static void end_content(struct writing *x)
{
    if (x->open)
        gw_buf_adds(x->out, x->role == API_ROLE_ASSISTANT ? "],\"role\":\"model\"}"
                                                          : "],\"role\":\"user\"}");
    x->open = false;
}

/* Begins a part of that side's content. */
static void begin_part(struct writing *x, enum api_role role)
{
    if (x->open && x->role != role)
        end_content(x);
    if (!x->open) {
        gw_buf_adds(x->out, x->any ? ",{\"parts\":[" : "{\"parts\":[");
        x->any = true;
        x->open = true;
        x->role = role;
        x->comma = false;
        x->call_signed = false;
    }
    if (x->comma)
        gw_buf_addc(x->out, ',');
    x->comma = true;
}

/* ,"thoughtSignature":"..." when one waits for its part. */
static void put_signature(struct writing *x)
{
    if (x->signature.len != 0)
        api_put_text(x->out, "thoughtSignature", x->signature);
    x->signature = (struct gw_span){NULL, 0};
}

static void write_text(struct writing *x, enum api_role role, struct gw_span text)
{
    begin_part(x, role);
    gw_buf_adds(x->out, "{\"text\":");
    gw_buf_add_json_str(x->out, text);
    put_signature(x);
    gw_buf_addc(x->out, '}');
}

/* Gemini's own thoughts come with its signature, which belongs to the part behind them; others are left out. */
static void write_reasoning(struct writing *x, enum api_role role, const struct api_part *part)
{
    struct gw_span own;

    if (!api_own_signature(part->json, API_MARK_GEMINI, &own)) {
        api_drop(x->w, "%s", in_message(x, "reasoning").text);
        return;
    }
    if (part->text.len != 0) {
        begin_part(x, role);
        gw_buf_adds(x->out, "{\"text\":");
        gw_buf_add_json_str(x->out, part->text);
        gw_buf_adds(x->out, ",\"thought\":true}");
    }
    x->signature = own;
}

/* The members of inlineData or fileData, brackets included. */
static enum gw_status put_media(struct writing *x, const struct api_part *part)
{
    bool inlined = part->data.len != 0;

    if (!inlined && part->url.len == 0)
        return refuse(x, "content", "a file is given by its data or its URL");
    if (inlined && part->media_type.len == 0)
        return refuse(x, "content", "a file needs its media type");
    gw_buf_adds(x->out, inlined ? "\"inlineData\":{\"data\":" : "\"fileData\":{\"fileUri\":");
    gw_buf_add_json_str(x->out, inlined ? part->data : part->url);
    if (part->media_type.len != 0)
        api_put_text(x->out, "mimeType", part->media_type);
    gw_buf_addc(x->out, '}');
    if (part->detail.len != 0 && !gw_span_is(part->detail, "auto"))
        api_drop(x->w, "%s",
                 in_message(x, part->kind == API_PART_IMAGE ? "detail" : "filename").text);
    return GW_OK;
}

static enum gw_status write_media(struct writing *x, enum api_role role,
                                  const struct api_part *part)
{
    begin_part(x, role);
    gw_buf_addc(x->out, '{');
    GW_TRY(put_media(x, part));
    gw_buf_addc(x->out, '}');
    return GW_OK;
}

/* ---- function calls -------------------------------------------------------------------------- */

/* Models since Gemini 3 refuse the first call of a turn without the signature of the thoughts that led to it. */
static bool wants_signatures(struct gw_span model)
{
    const struct gw_span family = GW_SPAN("gemini-");

    for (; model.len > family.len; model = gw_span_from(model, 1))
        if (gw_span_starts(model, family))
            return model.ptr[family.len] >= '3' && model.ptr[family.len] <= '9';
    return false;
}

static enum gw_status write_call(struct writing *x, enum api_role role, const struct api_part *part)
{
    struct gw_span args = api_or_empty_object(part->json);

    if (!gemini_is_object(&x->json, args)) {
        if (x->json == NULL)
            return api_no_memory(x->w->err);
        return refuse(x, "tool_calls", "the arguments of a call must be a JSON object");
    }
    begin_part(x, role);
    gw_buf_adds(x->out, "{\"functionCall\":{\"name\":");
    gw_buf_add_json_str(x->out, part->name);
    if (part->id.len != 0)
        api_put_text(x->out, "id", part->id);
    api_put_raw(x->out, "args", args);
    gw_buf_addc(x->out, '}');
    /* What Google's documentation gives for histories whose signatures are not known. */
    if (x->signature.len == 0 && !x->call_signed && wants_signatures(x->w->model))
        x->signature = GW_SPAN("skip_thought_signature_validator");
    put_signature(x);
    x->call_signed = true;
    gw_buf_addc(x->out, '}');
    return GW_OK;
}

/* The name of the newest call of that id before message `before`; empty without one. */
static struct gw_span called_name(const struct api_request *req, unsigned before, struct gw_span id)
{
    for (unsigned i = before; i-- > 0;)
        for (unsigned k = req->messages[i].n_parts; k-- > 0;) {
            const struct api_part *p = &req->messages[i].parts[k];

            if (p->kind == API_PART_TOOL_CALL && gw_span_eq(p->id, id))
                return p->name;
        }
    return (struct gw_span){NULL, 0};
}

/* The texts of a result, which are one answer, and whether there are images besides. */
static struct gw_span result_text(struct writing *x, const struct api_part *part, bool *media)
{
    struct api_part texts[1];
    struct api_message m = {.parts = texts, .n_parts = 1};

    *media = false;
    for (unsigned i = 0; i < part->n_parts; i++)
        *media |= part->parts[i].kind != API_PART_TEXT;
    texts[0] = (struct api_part){
        .kind = API_PART_TOOL_RESULT, .parts = part->parts, .n_parts = part->n_parts};
    return api_message_text(&m, x->w->arena);
}

static enum gw_status write_result_media(struct writing *x, const struct api_part *part)
{
    bool comma = false;

    gw_buf_adds(x->out, ",\"parts\":[");
    for (unsigned i = 0; i < part->n_parts; i++) {
        if (part->parts[i].kind == API_PART_TEXT)
            continue;
        gw_buf_adds(x->out, comma ? ",{" : "{");
        comma = true;
        GW_TRY(put_media(x, &part->parts[i]));
        gw_buf_addc(x->out, '}');
    }
    gw_buf_addc(x->out, ']');
    return GW_OK;
}

/* Gemini wants an object: a result that is one is sent as it is. */
static enum gw_status write_result(struct writing *x, enum api_role role,
                                   const struct api_part *part)
{
    struct gw_span name = called_name(x->w->req, x->message, part->id), text;
    bool media;

    if (name.len == 0)
        name = part->name;
    if (name.len == 0)
        return refuse(x, "tool_call_id", "no earlier message has the call that is answered");
    text = result_text(x, part, &media);
    if (text.ptr == NULL)
        return api_no_memory(x->w->err);
    begin_part(x, role);
    gw_buf_adds(x->out, "{\"functionResponse\":{\"name\":");
    gw_buf_add_json_str(x->out, name);
    if (part->id.len != 0)
        api_put_text(x->out, "id", part->id);
    gw_buf_adds(x->out, ",\"response\":");
    if (!part->is_error && gemini_is_object(&x->json, text)) {
        gw_buf_add(x->out, text);
    } else {
        gw_buf_adds(x->out, part->is_error ? "{\"error\":" : "{\"result\":");
        gw_buf_add_json_str(x->out, text);
        gw_buf_addc(x->out, '}');
    }
    if (media)
        GW_TRY(write_result_media(x, part));
    gw_buf_adds(x->out, "}}");
    return GW_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

static enum gw_status write_part(struct writing *x, enum api_role role, const struct api_part *part)
{
    switch (part->kind) {
    case API_PART_TEXT:
    case API_PART_REFUSAL:
        /* An assistant's turn of calls alone often has an empty text, which Gemini would refuse. */
        if (part->text.len != 0 || role == API_ROLE_USER)
            write_text(x, role, part->text);
        return GW_OK;
    case API_PART_REASONING:
        write_reasoning(x, role, part);
        return GW_OK;
    case API_PART_IMAGE:
    case API_PART_FILE:
    case API_PART_AUDIO:
        return write_media(x, role, part);
    case API_PART_TOOL_CALL:
        return write_call(x, role, part);
    case API_PART_TOOL_RESULT:
        return write_result(x, role, part);
    default:
        return refuse(x, "content", NULL);
    }
}

static enum gw_status write_message(struct writing *x, const struct api_message *m)
{
    if (m->name.len != 0)
        api_drop(x->w, "%s", in_message(x, "name").text);
    for (unsigned i = 0; i < m->n_parts; i++)
        GW_TRY(write_part(x, m->role, &m->parts[i]));
    if (x->signature.len != 0) /* of a turn that ends with it */
        write_text(x, m->role, GW_SPAN(""));
    return GW_OK;
}

/* System messages that come first, as one instruction. Sets *n to how many they are. */
static enum gw_status write_system(struct writing *x, unsigned *n)
{
    const struct api_request *req = x->w->req;
    bool comma = false;

    for (*n = 0; *n < req->n_messages && req->messages[*n].role == API_ROLE_SYSTEM; (*n)++) {
        const struct api_message *m = &req->messages[*n];

        x->message = *n;
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (m->parts[i].kind != API_PART_TEXT)
                return refuse(x, "content", "a system message holds texts only");
            gw_buf_adds(x->out,
                        comma ? ",{\"text\":" : "\"systemInstruction\":{\"parts\":[{\"text\":");
            gw_buf_add_json_str(x->out, m->parts[i].text);
            gw_buf_addc(x->out, '}');
            comma = true;
        }
    }
    if (comma)
        gw_buf_adds(x->out, "]},");
    return GW_OK;
}

static enum gw_status write_messages(struct writing *x)
{
    const struct api_request *req = x->w->req;
    unsigned i = 0;

    GW_TRY(write_system(x, &i));
    gw_buf_adds(x->out, "\"contents\":[");
    for (; i < req->n_messages; i++) {
        x->message = i;
        if (req->messages[i].role == API_ROLE_SYSTEM)
            return refuse(x, "role", "system messages come before all others");
        GW_TRY(write_message(x, &req->messages[i]));
    }
    end_content(x);
    if (!x->any)
        return api_cannot(x->w, "messages", "a message besides those of the system is needed");
    gw_buf_addc(x->out, ']');
    return GW_OK;
}

/* ---- tools ------------------------------------------------------------------------------------ */

static void write_tools(struct writing *x)
{
    const struct api_request *req = x->w->req;

    for (unsigned i = 0; i < req->n_tools; i++) {
        const struct api_tool *t = &req->tools[i];

        gw_buf_adds(x->out,
                    i == 0 ? ",\"tools\":[{\"functionDeclarations\":[{\"name\":" : ",{\"name\":");
        gw_buf_add_json_str(x->out, t->name);
        api_put_text(x->out, "description", t->description);
        api_put_raw(x->out, "parametersJsonSchema", t->schema);
        gw_buf_addc(x->out, '}');
        if (t->strict != API_UNSET)
            api_drop(x->w, "tools[%u].strict", i);
    }
    if (req->n_tools != 0)
        gw_buf_adds(x->out, "]}]");
}

static void write_choice(struct writing *x)
{
    static const char *const modes[] = {[API_CHOICE_AUTO] = "AUTO",
                                        [API_CHOICE_NONE] = "NONE",
                                        [API_CHOICE_ANY] = "ANY",
                                        [API_CHOICE_NAMED] = "ANY"};
    const struct api_request *req = x->w->req;

    if (req->choice == API_CHOICE_UNSET)
        return;
    gw_buf_printf(x->out, ",\"toolConfig\":{\"functionCallingConfig\":{\"mode\":\"%s\"",
                  modes[req->choice]);
    if (req->choice == API_CHOICE_NAMED) {
        gw_buf_adds(x->out, ",\"allowedFunctionNames\":[");
        gw_buf_add_json_str(x->out, req->choice_name);
        gw_buf_addc(x->out, ']');
    }
    gw_buf_adds(x->out, "}}");
}

/* ---- generationConfig ----------------------------------------------------------------------- */

/* Models before Gemini 3 take a budget of tokens and no level. */
static bool takes_levels(struct gw_span model)
{
    const struct gw_span old[] = {GW_SPAN("gemini-1"), GW_SPAN("gemini-2")};

    for (; model.len != 0; model = gw_span_from(model, 1))
        if (gw_span_starts(model, old[0]) || gw_span_starts(model, old[1]))
            return false;
    return true;
}

/* Efforts as Google's own endpoint for OpenAI's API maps them (ai.google.dev/gemini-api/docs/openai). */
static const struct {
    const char *effort, *level, *budget;
} efforts[] = {
    {"none", NULL, "0"},          {"minimal", "MINIMAL", "1024"}, {"low", "LOW", "1024"},
    {"medium", "MEDIUM", "8192"}, {"high", "HIGH", "24576"},      {"xhigh", "HIGH", "24576"},
    {"max", "HIGH", "24576"},
};

/* Members of thinkingConfig, each with a comma in front. */
static enum gw_status put_thinking(struct writing *x, struct gw_buf *to)
{
    const struct api_request *req = x->w->req;
    struct gw_span effort = req->reasoning_effort;
    unsigned i = 0;

    if (req->reasoning_shown != API_UNSET)
        gw_buf_adds(to, req->reasoning_shown == API_YES ? ",\"includeThoughts\":true"
                                                        : ",\"includeThoughts\":false");
    if (req->reasoning_budget.len != 0) { /* the more exact of the two; Gemini takes one of them */
        api_put_raw(to, "thinkingBudget", req->reasoning_budget);
        return GW_OK;
    }
    if (effort.len == 0)
        return GW_OK;
    while (i < sizeof(efforts) / sizeof(efforts[0]) && !gw_span_is(effort, efforts[i].effort))
        i++;
    if (i == sizeof(efforts) / sizeof(efforts[0]))
        return api_cannot(x->w, "reasoning_effort", "it knows none, minimal, low, medium and high");
    if (efforts[i].level != NULL && takes_levels(x->w->model))
        api_put_text(to, "thinkingLevel", gw_span_str(efforts[i].level));
    else
        api_put_raw(to, "thinkingBudget", gw_span_str(efforts[i].budget));
    return GW_OK;
}

static void put_stop(struct writing *x, struct gw_buf *to)
{
    const struct api_request *req = x->w->req;

    for (unsigned i = 0; i < req->n_stop; i++) {
        gw_buf_adds(to, i == 0 ? ",\"stopSequences\":[" : ",");
        gw_buf_add_json_str(to, req->stop[i]);
    }
    if (req->n_stop != 0)
        gw_buf_addc(to, ']');
}

static void put_format(struct writing *x, struct gw_buf *to)
{
    const struct api_request *req = x->w->req;

    if (req->format == API_FORMAT_TEXT)
        return;
    api_put_text(to, "responseMimeType", GW_SPAN("application/json"));
    if (req->format == API_FORMAT_SCHEMA)
        api_put_raw(to, "responseJsonSchema", api_or_empty_object(req->schema));
    if (req->schema_name.len != 0)
        api_drop(x->w, "response_format.json_schema.name");
    if (req->schema_strict != API_UNSET)
        api_drop(x->w, "response_format.json_schema.strict");
}

/* Members of generationConfig, each with a comma in front. */
static enum gw_status put_generation(struct writing *x, struct gw_buf *to)
{
    const struct api_request *req = x->w->req;
    struct gw_buf thinking = {0};
    enum gw_status st;

    api_put_raw(to, "temperature", req->temperature);
    api_put_raw(to, "topP", req->top_p);
    api_put_raw(to, "topK", req->top_k);
    api_put_raw(to, "candidateCount", req->n);
    api_put_raw(to, "maxOutputTokens", req->max_tokens);
    put_stop(x, to);
    api_put_raw(to, "presencePenalty", req->presence_penalty);
    api_put_raw(to, "frequencyPenalty", req->frequency_penalty);
    api_put_raw(to, "seed", req->seed);
    put_format(x, to);
    st = req->counting ? GW_OK : put_thinking(x, &thinking);
    if (st == GW_OK && !gw_buf_ok(&thinking))
        st = api_no_memory(x->w->err);
    if (st == GW_OK && thinking.len != 0) {
        gw_buf_adds(to, ",\"thinkingConfig\":{");
        gw_buf_add(to, gw_span_from(gw_buf_span(&thinking), 1));
        gw_buf_addc(to, '}');
    }
    gw_buf_fini(&thinking);
    return st;
}

static enum gw_status write_generation(struct writing *x)
{
    struct gw_buf members = {0};
    enum gw_status st = put_generation(x, &members);

    if (st == GW_OK && !gw_buf_ok(&members))
        st = api_no_memory(x->w->err);
    if (st == GW_OK && members.len != 0) {
        gw_buf_adds(x->out, ",\"generationConfig\":{");
        gw_buf_add(x->out, gw_span_from(gw_buf_span(&members), 1));
        gw_buf_addc(x->out, '}');
    }
    gw_buf_fini(&members);
    return st;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

static enum gw_status refuse_unsayable(struct api_writing *w)
{
    const struct api_request *req = w->req;

    if (req->parallel == API_NO && !req->counting)
        return api_cannot(w,
                          req->dialect == API_ANTHROPIC ? "tool_choice.disable_parallel_tool_use"
                                                        : "parallel_tool_calls",
                          "its models may always call several functions");
    if (req->min_p.len != 0)
        return api_cannot(w, "min_p", NULL);
    if (req->logprobs || req->top_logprobs.len != 0)
        return api_cannot(w, "logprobs", "translated answers carry no probabilities");
    return GW_OK;
}

static bool says_collection(struct gw_span model)
{
    return gw_span_starts(model, GW_SPAN("models/")) ||
           gw_span_starts(model, GW_SPAN("tunedModels/"));
}

enum gw_status gemini_write_request(struct api_writing *w)
{
    struct writing x = {.w = w, .out = w->out};
    const struct api_request *req = w->req;
    enum gw_status st;

    GW_TRY(refuse_unsayable(w));
    if (req->dialect == API_ANTHROPIC && req->n_messages != 0 &&
        req->messages[0].role == API_ROLE_SYSTEM)
        x.hidden = 1; /* its "system" */
    gw_buf_addc(w->out, '{');
    if (req->counting) { /* the only way to count more than contents */
        gw_buf_adds(w->out, "\"generateContentRequest\":{\"model\":\"");
        gw_buf_adds(w->out, says_collection(w->model) ? "" : "models/");
        gw_buf_add_json(w->out, w->model);
        gw_buf_adds(w->out, "\",");
    }
    st = write_messages(&x);
    if (st == GW_OK) {
        write_tools(&x);
        if (!req->counting)
            write_choice(&x);
        st = write_generation(&x);
    }
    gw_buf_adds(w->out, req->counting ? "}}" : "}");
    gw_json_free(x.json);
    return st;
}
