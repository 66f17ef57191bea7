/* proxy/api/api_chat_write_messages.c - writes the messages of a chat request as OpenAI's API accepts them. Pure; any thread.
 *
 * What differs from the neutral form: tool results are messages of their own and must stand directly behind the calls, so
 * they come before all else that the user says there; an image in a tool result, which that role cannot hold, goes into the
 * user message behind it. Reasoning of earlier answers has no place and is named among what is left out. */
#include "proxy/api/api_chat_private.h"

/* The messages being written. */
struct messages {
    struct api_writing *w;
    struct gw_buf *out;
    unsigned index;              /* of the message in the request */
    unsigned n_calls, n_results; /* without an id so far: they get their number */
    bool comma;
};

static enum gw_status cannot(struct messages *ms, const char *member, const char *what)
{
    char path[64];

    snprintf(path, sizeof(path), "messages[%u].%s", ms->index, member);
    return api_cannot(ms->w, path, what);
}

static void begin(struct messages *ms, const char *role)
{
    if (ms->comma)
        gw_buf_addc(ms->out, ',');
    ms->comma = true;
    gw_buf_adds(ms->out, "{\"role\":\"");
    gw_buf_adds(ms->out, role);
    gw_buf_addc(ms->out, '"');
}

/* ---- parts ------------------------------------------------------------------------------ */

static void put_data_url(struct gw_buf *out, struct gw_span media_type, struct gw_span data)
{
    gw_buf_adds(out, "\"data:");
    gw_buf_add_json(out, media_type);
    gw_buf_adds(out, ";base64,");
    gw_buf_add_json(out, data);
    gw_buf_addc(out, '"');
}

static void put_image(struct gw_buf *out, const struct api_part *p)
{
    gw_buf_adds(out, "{\"type\":\"image_url\",\"image_url\":{\"url\":");
    if (p->url.len != 0)
        gw_buf_add_json_str(out, p->url);
    else
        put_data_url(out, p->media_type, p->data);
    api_put_text(out, "detail", p->detail);
    gw_buf_adds(out, "}}");
}

static enum gw_status put_file(struct messages *ms, const struct api_part *p)
{
    if (p->data.len == 0)
        return cannot(ms, "content", "a file must come with its bytes");
    gw_buf_adds(ms->out, "{\"type\":\"file\",\"file\":{\"file_data\":");
    put_data_url(ms->out, p->media_type, p->data);
    /* OpenAI wants a name beside the bytes. */
    api_put_text(ms->out, "filename", p->detail.len == 0 ? GW_SPAN("document.pdf") : p->detail);
    gw_buf_adds(ms->out, "}}");
    return GW_OK;
}

static enum gw_status put_audio(struct messages *ms, const struct api_part *p)
{
    static const struct {
        const char *media_type, *format;
    } formats[] = {{"audio/wav", "wav"}, {"audio/wave", "wav"}, {"audio/x-wav", "wav"},
                   {"audio/mp3", "mp3"}, {"audio/mpeg", "mp3"}, {"audio/mpeg3", "mp3"}};

    for (size_t i = 0; p->data.len != 0 && i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (!gw_span_eq_nocase(p->media_type, gw_span_str(formats[i].media_type)))
            continue;
        gw_buf_adds(ms->out, "{\"type\":\"input_audio\",\"input_audio\":{\"data\":");
        gw_buf_add_json_str(ms->out, p->data);
        gw_buf_printf(ms->out, ",\"format\":\"%s\"}}", formats[i].format);
        return GW_OK;
    }
    return cannot(ms, "content", "audio must be wav or mp3");
}

static enum gw_status put_part(struct messages *ms, const struct api_part *p)
{
    switch (p->kind) {
    case API_PART_TEXT:
        gw_buf_adds(ms->out, "{\"type\":\"text\",\"text\":");
        gw_buf_add_json_str(ms->out, p->text);
        gw_buf_addc(ms->out, '}');
        return GW_OK;
    case API_PART_IMAGE:
        put_image(ms->out, p);
        return GW_OK;
    case API_PART_FILE:
        return put_file(ms, p);
    case API_PART_AUDIO:
        return put_audio(ms, p);
    case API_PART_REASONING:
    case API_PART_REFUSAL:
    case API_PART_TOOL_CALL:
    case API_PART_TOOL_RESULT:
    default:
        return cannot(ms, "content", "such a part does not belong to this role");
    }
}

/* True for what stands in "content"; the rest has members or messages of its own. */
static bool is_content(const struct api_part *p)
{
    return p->kind == API_PART_TEXT || p->kind == API_PART_IMAGE || p->kind == API_PART_FILE ||
           p->kind == API_PART_AUDIO;
}

/* One string of all texts of a kind: with newlines between them. False when there is none. */
static bool put_texts(struct gw_buf *out, const char *name, const struct api_part *parts,
                      unsigned n, enum api_part_kind kind)
{
    bool any = false;

    for (unsigned i = 0; i < n; i++) {
        if (parts[i].kind != kind)
            continue;
        if (any)
            gw_buf_adds(out, "\\n");
        else
            gw_buf_printf(out, ",\"%s\":\"", name);
        gw_buf_add_json(out, parts[i].text);
        any = true;
    }
    if (any)
        gw_buf_addc(out, '"');
    return any;
}

/* ---- results ---------------------------------------------------------------------------- */

static void put_id(struct gw_buf *out, const char *name, struct gw_span id, unsigned *number)
{
    if (id.len != 0)
        api_put_text(out, name, id);
    else
        gw_buf_printf(out, ",\"%s\":\"call_%u\"", name, (*number)++);
}

static enum gw_status put_result(struct messages *ms, const struct api_part *p)
{
    for (unsigned i = 0; i < p->n_parts; i++)
        if (p->parts[i].kind != API_PART_TEXT && p->parts[i].kind != API_PART_IMAGE)
            return cannot(ms, "content", "a tool's result may hold texts and images");
    begin(ms, "tool");
    put_id(ms->out, "tool_call_id", p->id, &ms->n_results);
    if (!put_texts(ms->out, "content", p->parts, p->n_parts, API_PART_TEXT))
        gw_buf_adds(ms->out, ",\"content\":\"\"");
    gw_buf_addc(ms->out, '}');
    if (p->is_error)
        api_drop(ms->w, "messages[%u].is_error", ms->index); /* the text says what went wrong */
    return GW_OK;
}

/* ---- messages --------------------------------------------------------------------------- */

/* The parts of a user's or system's content: of its own, or images of its tool results. */
static enum gw_status put_list(struct messages *ms, const struct api_message *m)
{
    bool comma = false;

    gw_buf_adds(ms->out, ",\"content\":[");
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct api_part *p = &m->parts[i];
        bool result = p->kind == API_PART_TOOL_RESULT;

        for (unsigned k = 0; k < (result ? p->n_parts : 1); k++) {
            const struct api_part *inner = result ? &p->parts[k] : p;

            if (result && inner->kind == API_PART_TEXT)
                continue;
            if (comma)
                gw_buf_addc(ms->out, ',');
            comma = true;
            GW_TRY(put_part(ms, inner));
        }
    }
    gw_buf_addc(ms->out, ']');
    return GW_OK;
}

/* Counts what the list above would hold. *only_text: it is text alone. */
static unsigned count_content(const struct api_message *m, bool *only_text)
{
    unsigned n = 0;

    *only_text = true;
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct api_part *p = &m->parts[i];

        if (p->kind != API_PART_TOOL_RESULT) {
            n++;
            *only_text = *only_text && p->kind == API_PART_TEXT;
        }
        for (unsigned k = 0; k < p->n_parts; k++) {
            if (p->parts[k].kind != API_PART_TEXT) {
                n++;
                *only_text = false;
            }
        }
    }
    return n;
}

static enum gw_status put_results(struct messages *ms, const struct api_message *m)
{
    for (unsigned i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == API_PART_TOOL_RESULT)
            GW_TRY(put_result(ms, &m->parts[i]));
    return GW_OK;
}

/* A system's or user's message, without its tool results; nothing when it held nothing else. */
static enum gw_status put_plain(struct messages *ms, const struct api_message *m, const char *role)
{
    bool only_text;
    unsigned n = count_content(m, &only_text);

    if (n == 0 && m->n_parts != 0)
        return GW_OK;
    begin(ms, role);
    if (m->name.len != 0)
        api_put_text(ms->out, "name", m->name);
    if (n == 0)
        gw_buf_adds(ms->out, ",\"content\":\"\"");
    else if (n == 1 && only_text)
        (void)put_texts(ms->out, "content", m->parts, m->n_parts, API_PART_TEXT);
    else
        GW_TRY(put_list(ms, m));
    gw_buf_addc(ms->out, '}');
    return GW_OK;
}

/* The messages of the user from ms->index to end: all results first. */
static enum gw_status put_user_run(struct messages *ms, unsigned end)
{
    unsigned begin_at = ms->index;

    for (; ms->index < end; ms->index++)
        GW_TRY(put_results(ms, &ms->w->req->messages[ms->index]));
    for (ms->index = begin_at; ms->index < end; ms->index++)
        GW_TRY(put_plain(ms, &ms->w->req->messages[ms->index], "user"));
    return GW_OK;
}

static void put_call(struct messages *ms, const struct api_part *p, bool first)
{
    gw_buf_adds(ms->out,
                first ? ",\"tool_calls\":[{\"type\":\"function\"" : ",{\"type\":\"function\"");
    put_id(ms->out, "id", p->id, &ms->n_calls);
    gw_buf_adds(ms->out, ",\"function\":{\"name\":");
    gw_buf_add_json_str(ms->out, p->name);
    gw_buf_adds(ms->out, ",\"arguments\":");
    gw_buf_add_json_str(ms->out, api_or_empty_object(p->json));
    gw_buf_adds(ms->out, "}}");
}

static enum gw_status put_calls(struct messages *ms, const struct api_message *m)
{
    bool any = false;

    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct api_part *p = &m->parts[i];

        if (p->kind == API_PART_REASONING)
            api_drop(ms->w, "messages[%u].reasoning", ms->index);
        else if (p->kind == API_PART_TOOL_RESULT || (is_content(p) && p->kind != API_PART_TEXT))
            return cannot(ms, "content", "an assistant's message holds texts and tool calls");
        if (p->kind != API_PART_TOOL_CALL)
            continue;
        put_call(ms, p, !any);
        any = true;
    }
    if (any)
        gw_buf_addc(ms->out, ']');
    return GW_OK;
}

/* Texts are a list when there are several, so that none is changed; no text is null, or "" where something must stand. */
static enum gw_status put_assistant(struct messages *ms, const struct api_message *m)
{
    unsigned n[API_PART_TOOL_RESULT + 1] = {0};
    bool comma = false;

    for (unsigned i = 0; i < m->n_parts; i++)
        n[m->parts[i].kind]++;
    begin(ms, "assistant");
    if (m->name.len != 0)
        api_put_text(ms->out, "name", m->name);
    if (n[API_PART_TEXT] == 0)
        gw_buf_adds(ms->out, n[API_PART_TOOL_CALL] + n[API_PART_REFUSAL] != 0
                                 ? ",\"content\":null"
                                 : ",\"content\":\"\"");
    else if (n[API_PART_TEXT] == 1)
        (void)put_texts(ms->out, "content", m->parts, m->n_parts, API_PART_TEXT);
    for (unsigned i = 0; n[API_PART_TEXT] > 1 && i < m->n_parts; i++) {
        if (m->parts[i].kind != API_PART_TEXT)
            continue;
        gw_buf_adds(ms->out, comma ? "," : ",\"content\":[");
        comma = true;
        GW_TRY(put_part(ms, &m->parts[i]));
    }
    if (comma)
        gw_buf_addc(ms->out, ']');
    (void)put_texts(ms->out, "refusal", m->parts, m->n_parts, API_PART_REFUSAL);
    GW_TRY(put_calls(ms, m));
    gw_buf_addc(ms->out, '}');
    return GW_OK;
}

/* Writes from ms->index on; *end: behind what was written. */
static enum gw_status put_some(struct messages *ms, unsigned *end)
{
    const struct api_message *all = ms->w->req->messages, *m = &all[ms->index];
    unsigned n = ms->w->req->n_messages;

    *end = ms->index + 1;
    if (m->role == API_ROLE_ASSISTANT)
        return put_assistant(ms, m);
    if (m->role == API_ROLE_SYSTEM)
        return put_plain(ms, m, "system");
    while (*end < n && all[*end].role == API_ROLE_USER)
        ++*end;
    return put_user_run(ms, *end);
}

enum gw_status api_chat_write_messages(struct api_writing *w)
{
    struct messages ms = {.w = w, .out = w->out};

    gw_buf_adds(w->out, ",\"messages\":[");
    while (ms.index < w->req->n_messages) {
        unsigned end;

        GW_TRY(put_some(&ms, &end));
        ms.index = end;
    }
    gw_buf_addc(w->out, ']');
    return GW_OK;
}
