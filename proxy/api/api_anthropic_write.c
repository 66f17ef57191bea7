/* proxy/api/api_anthropic_write.c - writes requests as Anthropic's: messages and their blocks. Pure; any thread.
 *
 * Roles alternate, so messages of one role in a row become one; the results of tools come first in it, as Anthropic
 * demands. System texts before the conversation go to "system"; a later one stays where it is, as a message of the role
 * that Anthropic has for it since 2026, which must follow a user's. */
#include <stdio.h>
#include <string.h>

#include "proxy/api/api_anthropic.h"

/* Messages being written. */
struct writing {
    struct api_writing *w;
    struct gw_json *json;        /* made at the first tool call */
    bool open;                   /* a message is */
    bool first;                  /* no block was written to it, or no message */
    enum api_role role;          /* of the open message */
    bool begun;                  /* the conversation has a message */
    unsigned n_calls, n_results; /* without an id of their own: they are paired in order */
};

static void open_message(struct writing *x, enum api_role role)
{
    static const char *const names[] = {"system", "user", "assistant"};
    struct gw_buf *out = x->w->out;

    if (x->open && x->role == role)
        return;
    if (x->open)
        gw_buf_adds(out, "]}");
    gw_buf_printf(out, "%s{\"role\":\"%s\",\"content\":[", x->begun ? "," : "", names[role]);
    x->open = x->begun = x->first = true;
    x->role = role;
}

static void next_block(struct gw_buf *out, bool *first)
{
    if (!*first)
        gw_buf_addc(out, ',');
    *first = false;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static void put_text(struct gw_buf *out, bool *first, struct gw_span text)
{
    next_block(out, first);
    gw_buf_adds(out, "{\"type\":\"text\"");
    api_put_text(out, "text", text);
    gw_buf_addc(out, '}');
}

static void put_data(struct gw_buf *out, const char *media_type, const struct api_part *part)
{
    gw_buf_adds(out, ",\"source\":{\"type\":\"base64\"");
    if (media_type != NULL)
        api_put_text(out, "media_type", gw_span_str(media_type));
    else
        api_put_text(out, "media_type", part->media_type);
    api_put_text(out, "data", part->data);
    gw_buf_addc(out, '}');
}

static void put_url(struct gw_buf *out, const struct api_part *part)
{
    gw_buf_adds(out, ",\"source\":{\"type\":\"url\"");
    api_put_text(out, "url", part->url);
    gw_buf_addc(out, '}');
}

static enum gw_status put_image(struct writing *x, bool *first, const struct api_part *part,
                                const char *path)
{
    struct gw_buf *out = x->w->out;

    if (part->data.len == 0 && part->url.len == 0)
        return api_cannot(x->w, path, "an image needs base64 data or a URL");
    if (part->data.len != 0 && part->media_type.len == 0)
        return api_cannot(x->w, path, "an image's data needs a media type");
    next_block(out, first);
    gw_buf_adds(out, "{\"type\":\"image\"");
    if (part->data.len != 0)
        put_data(out, NULL, part);
    else
        put_url(out, part);
    gw_buf_addc(out, '}');
    if (part->detail.len != 0 && !gw_span_is(part->detail, "auto"))
        api_drop(x->w, "%s.detail", path);
    return GW_OK;
}

static bool is_pdf(const struct api_part *part)
{
    if (part->media_type.len != 0)
        return gw_span_eq_nocase(part->media_type, GW_SPAN("application/pdf"));
    return part->detail.len > 4 &&
           gw_span_eq_nocase(gw_span_from(part->detail, part->detail.len - 4), GW_SPAN(".pdf"));
}

static enum gw_status put_file(struct writing *x, bool *first, const struct api_part *part,
                               const char *path)
{
    struct gw_buf *out = x->w->out;

    if (part->data.len == 0 && part->url.len == 0)
        return api_cannot(x->w, path, "a file needs base64 data or a URL");
    if (!is_pdf(part) && (part->data.len != 0 || part->media_type.len != 0))
        return api_cannot(x->w, path, "a file is a PDF there");
    next_block(out, first);
    gw_buf_adds(out, "{\"type\":\"document\"");
    if (part->data.len != 0)
        put_data(out, "application/pdf", part);
    else
        put_url(out, part);
    if (part->detail.len != 0)
        api_put_text(out, "title", part->detail);
    gw_buf_addc(out, '}');
    return GW_OK;
}

/* Ids of other providers may hold bytes that Anthropic does not take; a call and its result change alike. */
static void put_id(struct gw_buf *out, const char *name, struct gw_span id, unsigned *n_without)
{
    gw_buf_printf(out, ",\"%s\":\"", name);
    if (id.len == 0)
        gw_buf_printf(out, "call_%u", ++*n_without);
    for (size_t i = 0; i < id.len; i++) {
        char c = gw_ascii_lower(id.ptr[i]);
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';

        gw_buf_add(out, fine ? (struct gw_span){id.ptr + i, 1} : GW_SPAN("_"));
    }
    gw_buf_addc(out, '"');
}

static enum gw_status put_call(struct writing *x, const struct api_part *part)
{
    struct gw_buf *out = x->w->out;

    if (x->json == NULL)
        x->json = gw_json_new();
    if (x->json == NULL)
        return api_no_memory(x->w->err);
    next_block(out, &x->first);
    gw_buf_adds(out, "{\"type\":\"tool_use\"");
    put_id(out, "id", part->id, &x->n_calls);
    api_put_text(out, "name", part->name);
    gw_buf_adds(out, ",\"input\":");
    anthropic_put_input(out, x->json, part->json);
    gw_buf_addc(out, '}');
    return GW_OK;
}

static enum gw_status put_result(struct writing *x, const struct api_part *part, const char *path)
{
    struct gw_buf *out = x->w->out;
    bool first = true;

    next_block(out, &x->first);
    gw_buf_adds(out, "{\"type\":\"tool_result\"");
    put_id(out, "tool_use_id", part->id, &x->n_results);
    for (unsigned i = 0; i < part->n_parts; i++) {
        const struct api_part *inner = &part->parts[i];

        if (inner->kind == API_PART_TEXT && anthropic_is_blank(inner->text))
            continue; /* a result without content says the same */
        if (first)
            gw_buf_adds(out, ",\"content\":[");
        if (inner->kind == API_PART_TEXT)
            put_text(out, &first, inner->text);
        else if (inner->kind == API_PART_IMAGE)
            GW_TRY(put_image(x, &first, inner, path));
        else if (inner->kind == API_PART_FILE)
            GW_TRY(put_file(x, &first, inner, path));
        else
            return api_cannot(x->w, path, "a tool's result holds texts, images and PDFs");
    }
    if (!first)
        gw_buf_addc(out, ']');
    if (part->is_error)
        gw_buf_adds(out, ",\"is_error\":true");
    gw_buf_addc(out, '}');
    return GW_OK;
}

/* Only what Anthropic signed can be sent back to it. */
static void put_reasoning(struct writing *x, const struct api_part *part, const char *path)
{
    struct gw_buf *out = x->w->out;
    struct gw_span own;

    if (x->role == API_ROLE_ASSISTANT && api_own_signature(part->json, API_MARK_ANTHROPIC, &own)) {
        next_block(out, &x->first);
        gw_buf_adds(out, "{\"type\":\"thinking\",\"thinking\":");
        gw_buf_add_json_str(out, part->text);
        api_put_text(out, "signature", own);
        gw_buf_addc(out, '}');
    } else if (x->role == API_ROLE_ASSISTANT &&
               api_own_signature(part->json, API_MARK_ANTHROPIC_HIDDEN, &own)) {
        next_block(out, &x->first);
        gw_buf_adds(out, "{\"type\":\"redacted_thinking\"");
        api_put_text(out, "data", own);
        gw_buf_addc(out, '}');
    } else {
        api_drop(x->w, "%s", path);
    }
}

/* A message with nothing in it is not written. */
static bool says_nothing(const struct api_part *part)
{
    struct gw_span own;

    switch (part->kind) {
    case API_PART_TEXT:
    case API_PART_REFUSAL:
        return anthropic_is_blank(part->text);
    case API_PART_REASONING:
        return !api_own_signature(part->json, API_MARK_ANTHROPIC, &own) &&
               !api_own_signature(part->json, API_MARK_ANTHROPIC_HIDDEN, &own);
    case API_PART_IMAGE:
    case API_PART_FILE:
    case API_PART_AUDIO:
    case API_PART_TOOL_CALL:
    case API_PART_TOOL_RESULT:
    default:
        return false;
    }
}

static enum gw_status put_part(struct writing *x, const struct api_part *part, const char *path)
{
    switch (part->kind) {
    case API_PART_TEXT:
    case API_PART_REFUSAL: /* what the model said when it declined */
        put_text(x->w->out, &x->first, part->text);
        return GW_OK;
    case API_PART_REASONING:
        put_reasoning(x, part, path);
        return GW_OK;
    case API_PART_IMAGE:
        return put_image(x, &x->first, part, path);
    case API_PART_FILE:
        return put_file(x, &x->first, part, path);
    case API_PART_TOOL_CALL:
        return put_call(x, part);
    case API_PART_TOOL_RESULT:
        return put_result(x, part, path);
    case API_PART_AUDIO:
    default:
        return api_cannot(x->w, path, "there is no audio");
    }
}

/* ---- messages ------------------------------------------------------------------------------- */

enum which { ALL, RESULTS, OTHERS };

static enum gw_status put_parts(struct writing *x, unsigned i, enum which which)
{
    const struct api_message *m = &x->w->req->messages[i];
    char path[64];

    for (unsigned k = 0; k < m->n_parts; k++) {
        const struct api_part *part = &m->parts[k];
        bool result = part->kind == API_PART_TOOL_RESULT;

        if (which != ALL && result != (which == RESULTS))
            continue;
        (void)snprintf(path, sizeof(path), "messages[%u].content[%u]", i, k);
        if (says_nothing(part)) {
            if (part->kind == API_PART_REASONING || part->text.len != 0)
                api_drop(x->w, "%s", path);
            continue;
        }
        open_message(x, m->role);
        GW_TRY(put_part(x, part, path));
    }
    return GW_OK;
}

/* Messages of the user from i to before end. */
static enum gw_status put_users(struct writing *x, unsigned i, unsigned end)
{
    for (unsigned k = i; k < end; k++)
        GW_TRY(put_parts(x, k, RESULTS));
    for (unsigned k = i; k < end; k++)
        GW_TRY(put_parts(x, k, OTHERS));
    return GW_OK;
}

static enum gw_status put_later_system(struct writing *x, unsigned i)
{
    char path[32];

    (void)snprintf(path, sizeof(path), "messages[%u]", i);
    if (x->begun && x->role == API_ROLE_ASSISTANT)
        return api_cannot(x->w, path, "a later system message must follow a user's there");
    return put_parts(x, i, ALL);
}

/* Writes the message i, users' with those that follow; *end is behind them. */
static enum gw_status put_turn(struct writing *x, unsigned i, unsigned *end)
{
    const struct api_request *req = x->w->req;

    *end = i + 1;
    if (req->messages[i].role == API_ROLE_SYSTEM)
        return put_later_system(x, i);
    if (req->messages[i].role == API_ROLE_ASSISTANT)
        return put_parts(x, i, ALL);
    while (*end < req->n_messages && req->messages[*end].role == API_ROLE_USER)
        (*end)++;
    return put_users(x, i, *end);
}

static enum gw_status put_messages(struct writing *x, unsigned i)
{
    while (i < x->w->req->n_messages)
        GW_TRY(put_turn(x, i, &i));
    return GW_OK;
}

/* System texts before the conversation; returns the number of its first message. */
static enum gw_status put_system(struct api_writing *w, unsigned *next)
{
    bool first = true;
    unsigned i;

    for (i = 0; i < w->req->n_messages && w->req->messages[i].role == API_ROLE_SYSTEM; i++) {
        const struct api_message *m = &w->req->messages[i];

        for (unsigned k = 0; k < m->n_parts; k++) {
            if (m->parts[k].kind != API_PART_TEXT)
                return api_cannot(w, "messages", "a system message holds texts only");
            if (anthropic_is_blank(m->parts[k].text))
                continue;
            if (first)
                gw_buf_adds(w->out, ",\"system\":[");
            put_text(w->out, &first, m->parts[k].text);
        }
    }
    if (!first)
        gw_buf_addc(w->out, ']');
    *next = i;
    return GW_OK;
}

static void drop_names(struct api_writing *w)
{
    for (unsigned i = 0; i < w->req->n_messages; i++)
        if (w->req->messages[i].name.len != 0)
            api_drop(w, "messages[%u].name", i);
}

enum gw_status anthropic_write_request(struct api_writing *w)
{
    struct writing x = {.w = w};
    enum gw_status st;
    unsigned first = 0;

    GW_TRY(anthropic_check_settings(w));
    gw_buf_adds(w->out, "{\"model\":");
    gw_buf_add_json_str(w->out, w->model);
    GW_TRY(put_system(w, &first));
    gw_buf_adds(w->out, ",\"messages\":[");
    st = put_messages(&x, first);
    gw_json_free(x.json);
    if (st != GW_OK)
        return st;
    if (!x.begun)
        return api_cannot(w, "messages", "they hold nothing but system texts or blanks");
    gw_buf_adds(w->out, "]}]");
    anthropic_write_settings(w);
    drop_names(w);
    gw_buf_addc(w->out, '}');
    return gw_buf_ok(w->out) ? GW_OK : api_no_memory(w->err);
}

bool anthropic_put_input(struct gw_buf *out, struct gw_json *json, struct gw_span arguments)
{
    const struct gw_json_limits limits = {.max_keys = 100000};
    enum gw_json_type type;
    struct gw_json_tok tok;

    if (anthropic_is_blank(arguments)) {
        gw_buf_adds(out, "{}");
        return gw_buf_ok(out);
    }
    gw_json_start(json, arguments, &limits);
    type = gw_json_next(json, &tok);
    if (type == GW_JSON_OBJECT_BEGIN) {
        while (type != GW_JSON_END && type != GW_JSON_ERROR)
            type = gw_json_next(json, &tok);
        if (type == GW_JSON_END) {
            gw_buf_add(out, arguments);
            return gw_buf_ok(out);
        }
    }
    gw_buf_adds(out, "{\"_raw\":");
    gw_buf_add_json_str(out, arguments);
    gw_buf_addc(out, '}');
    return gw_buf_ok(out);
}
