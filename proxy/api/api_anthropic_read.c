/* proxy/api/api_anthropic_read.c - reads Anthropic's requests: system, messages and their blocks. Settings are in
 * api_anthropic_settings.c. Pure; any thread.
 *
 * Blocks nest three levels at most (message, tool result, document), and each level has a table of what it may hold, so
 * that nothing recurses. */
#include <stdio.h>
#include <string.h>

#include "proxy/api/api_anthropic.h"

/* Where a block stands. */
struct place {
    bool system;             /* system[block] */
    unsigned message, block; /* messages[message].content[block] */
    bool nested;
    unsigned inner; /* the same, then .content[inner] */
};

/* A block being read; its parts go into result, or into m when that is NULL. */
struct block {
    struct api_reading *r;
    const struct gw_json_node *node; /* an object */
    struct api_message *m;
    struct api_part *result;
    struct place place;
};

enum { PATH_MAX_LEN = 80 };

static const char *path_of(const struct place *p, char buf[PATH_MAX_LEN])
{
    if (p->system)
        (void)snprintf(buf, PATH_MAX_LEN, "system[%u]", p->block);
    else if (p->nested)
        (void)snprintf(buf, PATH_MAX_LEN, "messages[%u].content[%u].content[%u]", p->message,
                       p->block, p->inner);
    else
        (void)snprintf(buf, PATH_MAX_LEN, "messages[%u].content[%u]", p->message, p->block);
    return buf;
}

static struct api_part *new_part(const struct block *b, enum api_part_kind kind)
{
    return b->result != NULL ? api_add_inner_part(b->r, b->result, kind)
                             : api_add_part(b->r, b->m, kind);
}

static bool add_text(const struct block *b, struct gw_span text)
{
    struct api_part *part = new_part(b, API_PART_TEXT);

    if (part == NULL)
        return false;
    part->text = text;
    return true;
}

static bool note_others(const struct block *b, const char *const *known)
{
    char path[PATH_MAX_LEN];

    return anthropic_note_others(b->r, b->node, path_of(&b->place, path), known);
}

static bool member_text(const struct block *b, const struct gw_json_node *node, const char *name,
                        struct gw_span *out)
{
    char path[PATH_MAX_LEN];

    return anthropic_text(b->r, node, path_of(&b->place, path), name, out);
}

static bool bad(const struct block *b, const char *name, const char *what)
{
    char path[PATH_MAX_LEN];

    return api_note_bad(b->r, what, "%s.%s", path_of(&b->place, path), name);
}

/* The same, but it must be there. */
static bool needed_text(const struct block *b, const struct gw_json_node *node, const char *name,
                        struct gw_span *out)
{
    if (!member_text(b, node, name, out))
        return false;
    if (out->ptr == NULL && gw_json_get(node, name) == NULL)
        return bad(b, name, "is missing");
    return true;
}

static bool meant(const struct block *b, const char *name)
{
    char path[PATH_MAX_LEN];

    return api_add_extra(b->r, false, "%s.%s", path_of(&b->place, path), name);
}

struct block_kind {
    const char *type;
    bool (*read)(const struct block *b);
};

/* Reads a block by its type. One that the table does not have is something only Anthropic has. */
static bool read_block(const struct block *b, const struct block_kind *kinds)
{
    const struct gw_json_node *type = gw_json_get(b->node, "type");

    if (!gw_json_is(type, GW_JSON_STRING))
        return bad(b, "type", "must be a string");
    for (; kinds->type != NULL; kinds++)
        if (gw_json_text_is(type, kinds->type))
            return kinds->read(b);
    return meant(b, "type");
}

/* ---- text and media ------------------------------------------------------------------------- */

static bool read_text(const struct block *b)
{
    static const char *const known[] = {"type", "text", "citations", NULL};
    const struct gw_json_node *citations = gw_json_get(b->node, "citations");
    struct gw_span text = {NULL, 0};

    if (!note_others(b, known) || !needed_text(b, b->node, "text", &text))
        return false;
    /* Those of an earlier answer, sent back with its text. */
    if (gw_json_is(citations, GW_JSON_ARRAY_BEGIN) && citations->n != 0) {
        char path[PATH_MAX_LEN];

        if (!api_add_extra(b->r, true, "%s.citations", path_of(&b->place, path)))
            return false;
    }
    return text.ptr == NULL || add_text(b, text);
}

/* base64 and url sources; *done is false for the others. */
static bool read_source(const struct block *b, const struct gw_json_node *source,
                        enum api_part_kind kind, struct gw_span title, bool *done)
{
    const struct gw_json_node *type = gw_json_get(source, "type");
    struct gw_span data = {NULL, 0}, media_type = {NULL, 0}, url = {NULL, 0};
    struct api_part *part;

    *done = true;
    if (gw_json_text_is(type, "base64")) {
        if (!needed_text(b, source, "data", &data) ||
            !needed_text(b, source, "media_type", &media_type))
            return false;
    } else if (gw_json_text_is(type, "url")) {
        if (!needed_text(b, source, "url", &url))
            return false;
        if (kind == API_PART_FILE)
            media_type = GW_SPAN("application/pdf"); /* the only kind Anthropic fetches */
    } else {
        *done = false;
        return true;
    }
    part = new_part(b, kind);
    if (part == NULL)
        return false;
    part->media_type = media_type;
    part->data = data;
    part->url = url;
    part->detail = title;
    return true;
}

static bool read_image(const struct block *b)
{
    static const char *const known[] = {"type", "source", NULL};
    const struct gw_json_node *source = gw_json_get(b->node, "source");
    bool done = false;

    if (!note_others(b, known))
        return false;
    if (!gw_json_is(source, GW_JSON_OBJECT_BEGIN))
        return bad(b, "source", "must be an object");
    if (!read_source(b, source, API_PART_IMAGE, (struct gw_span){NULL, 0}, &done))
        return false;
    return done || meant(b, "source.type"); /* a file that lies with Anthropic */
}

static const struct block_kind source_blocks[] = {
    {"text", read_text},
    {"image", read_image},
    {NULL, NULL},
};

/* {"citations":{"enabled":true}} asks for an answer in another form. */
static bool read_citations_wish(const struct block *b)
{
    const struct gw_json_node *wish = gw_json_get(b->node, "citations");

    return !gw_json_is(gw_json_get(wish, "enabled"), GW_JSON_TRUE) || meant(b, "citations");
}

/* Texts and images that stand for a document's pages. */
static bool read_source_content(const struct block *b, const struct gw_json_node *content)
{
    struct block inner = *b;

    if (gw_json_is(content, GW_JSON_STRING)) {
        struct gw_span text = gw_json_text(content, b->r->arena);

        return text.ptr != NULL && add_text(b, text);
    }
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return bad(b, "source.content", "must be a string or a list of blocks");
    for (inner.node = content->child; inner.node != NULL; inner.node = inner.node->next) {
        if (!gw_json_is(inner.node, GW_JSON_OBJECT_BEGIN))
            return bad(b, "source.content", "must hold objects");
        if (!read_block(&inner, source_blocks))
            return false;
    }
    return true;
}

static bool read_plain_source(const struct block *b, const struct gw_json_node *source)
{
    const struct gw_json_node *type = gw_json_get(source, "type");
    struct gw_span text = {NULL, 0};

    if (gw_json_text_is(type, "content"))
        return read_source_content(b, gw_json_get(source, "content"));
    if (!gw_json_text_is(type, "text"))
        return meant(b, "source.type");
    if (!needed_text(b, source, "data", &text))
        return false;
    return text.ptr == NULL || add_text(b, text);
}

static bool has_text(struct gw_span text)
{
    return text.len != 0;
}

/* A PDF becomes a file. Plain text becomes text, with its title and context, which the model would see, before it. */
static bool read_document(const struct block *b)
{
    static const char *const known[] = {"type", "source", "title", "context", "citations", NULL};
    const struct gw_json_node *source = gw_json_get(b->node, "source");
    struct gw_span title = {NULL, 0}, context = {NULL, 0};
    bool done = false;

    if (!note_others(b, known) || !read_citations_wish(b) ||
        !member_text(b, b->node, "title", &title) || !member_text(b, b->node, "context", &context))
        return false;
    if (!gw_json_is(source, GW_JSON_OBJECT_BEGIN))
        return bad(b, "source", "must be an object");
    if (has_text(context) && !add_text(b, context))
        return false;
    if (!read_source(b, source, API_PART_FILE, title, &done) || done)
        return done;
    if (has_text(title) && !add_text(b, title))
        return false;
    return read_plain_source(b, source);
}

/* Title, source and texts, as texts. */
static bool read_search_result(const struct block *b)
{
    static const char *const known[] = {"type", "source", "title", "content", "citations", NULL};
    const struct gw_json_node *content = gw_json_get(b->node, "content");
    struct gw_span title = {NULL, 0}, source = {NULL, 0};
    struct block inner = *b;

    if (!note_others(b, known) || !read_citations_wish(b) ||
        !needed_text(b, b->node, "title", &title) || !needed_text(b, b->node, "source", &source))
        return false;
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return bad(b, "content", "must be a list of text blocks");
    if ((has_text(title) && !add_text(b, title)) || (has_text(source) && !add_text(b, source)))
        return false;
    for (inner.node = content->child; inner.node != NULL; inner.node = inner.node->next) {
        if (!gw_json_is(inner.node, GW_JSON_OBJECT_BEGIN))
            return bad(b, "content", "must hold objects");
        if (!read_block(&inner, source_blocks))
            return false;
    }
    return true;
}

/* ---- tools and reasoning -------------------------------------------------------------------- */

static bool read_tool_use(const struct block *b)
{
    static const char *const known[] = {"type", "id", "name", "input", "caller", NULL};
    const struct gw_json_node *input = gw_json_get(b->node, "input");
    const struct gw_json_node *caller = gw_json_get(b->node, "caller");
    struct gw_span id = {NULL, 0}, name = {NULL, 0};
    struct api_part *part;

    if (!note_others(b, known) || !needed_text(b, b->node, "id", &id) ||
        !needed_text(b, b->node, "name", &name))
        return false;
    if (!gw_json_is(input, GW_JSON_OBJECT_BEGIN))
        return bad(b, "input", "must be an object");
    if (gw_json_is(caller, GW_JSON_OBJECT_BEGIN) &&
        !gw_json_text_is(gw_json_get(caller, "type"), "direct") && !meant(b, "caller"))
        return false;
    part = new_part(b, API_PART_TOOL_CALL);
    if (part == NULL)
        return false;
    part->id = id;
    part->name = name;
    part->json = input->raw;
    return true;
}

static const struct block_kind result_blocks[] = {
    {"text", read_text},
    {"image", read_image},
    {"document", read_document},
    {"search_result", read_search_result},
    {NULL, NULL},
};

static bool read_result_content(const struct block *b, struct api_part *result)
{
    const struct gw_json_node *content = gw_json_get(b->node, "content");
    struct block inner = *b;

    inner.result = result;
    inner.place.nested = true;
    if (content == NULL || gw_json_is(content, GW_JSON_NULL))
        return true;
    if (gw_json_is(content, GW_JSON_STRING)) {
        struct gw_span text = gw_json_text(content, b->r->arena);

        return text.ptr != NULL && add_text(&inner, text);
    }
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return bad(b, "content", "must be a string or a list of blocks");
    for (inner.node = content->child; inner.node != NULL; inner.node = inner.node->next) {
        if (!gw_json_is(inner.node, GW_JSON_OBJECT_BEGIN))
            return bad(b, "content", "must hold objects");
        if (!read_block(&inner, result_blocks))
            return false;
        inner.place.inner++;
    }
    return true;
}

static bool read_tool_result(const struct block *b)
{
    static const char *const known[] = {"type", "tool_use_id", "content", "is_error", NULL};
    const struct gw_json_node *is_error = gw_json_get(b->node, "is_error");
    struct gw_span id = {NULL, 0};
    struct api_part *part;

    if (!note_others(b, known) || !needed_text(b, b->node, "tool_use_id", &id))
        return false;
    part = new_part(b, API_PART_TOOL_RESULT);
    if (part == NULL)
        return false;
    part->id = id;
    part->is_error = gw_json_is(is_error, GW_JSON_TRUE);
    if (is_error != NULL && is_error->type != GW_JSON_TRUE && is_error->type != GW_JSON_FALSE &&
        is_error->type != GW_JSON_NULL && !bad(b, "is_error", "must be true or false"))
        return false;
    return read_result_content(b, part);
}

static bool read_thinking(const struct block *b)
{
    static const char *const known[] = {"type", "thinking", "signature", NULL};
    struct gw_span text = {NULL, 0}, signature = {NULL, 0};
    struct api_part *part;

    if (!note_others(b, known) || !needed_text(b, b->node, "thinking", &text) ||
        !member_text(b, b->node, "signature", &signature))
        return false;
    part = new_part(b, API_PART_REASONING);
    if (part == NULL)
        return false;
    part->text = text;
    part->json = signature;
    return true;
}

static bool read_redacted_thinking(const struct block *b)
{
    static const char *const known[] = {"type", "data", NULL};
    struct gw_span data = {NULL, 0};
    struct api_part *part;

    if (!note_others(b, known) || !needed_text(b, b->node, "data", &data))
        return false;
    part = new_part(b, API_PART_REASONING);
    if (part == NULL)
        return false;
    part->json = data;
    return true;
}

static const struct block_kind message_blocks[] = {
    {"text", read_text},
    {"image", read_image},
    {"document", read_document},
    {"search_result", read_search_result},
    {"tool_use", read_tool_use},
    {"tool_result", read_tool_result},
    {"thinking", read_thinking},
    {"redacted_thinking", read_redacted_thinking},
    {NULL, NULL},
};

static const struct block_kind text_blocks[] = {
    {"text", read_text},
    {NULL, NULL},
};

/* ---- messages ------------------------------------------------------------------------------- */

/* A string or a list of blocks. name: the member's path, for messages. */
static bool read_content(struct block *b, const struct gw_json_node *content, const char *name,
                         const struct block_kind *kinds)
{
    if (gw_json_is(content, GW_JSON_STRING)) {
        struct gw_span text = gw_json_text(content, b->r->arena);

        return text.ptr != NULL && add_text(b, text);
    }
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return api_note_bad(b->r, "must be a string or a list of blocks", "%s", name);
    for (b->node = content->child; b->node != NULL; b->node = b->node->next) {
        if (!gw_json_is(b->node, GW_JSON_OBJECT_BEGIN)) {
            if (!api_note_bad(b->r, "must hold objects", "%s", name))
                return false;
        } else if (!read_block(b, kinds)) {
            return false;
        }
        b->place.block++;
    }
    return true;
}

static bool read_system(struct api_reading *r, const struct gw_json_node *system)
{
    struct block b = {.r = r, .place = {.system = true}};

    if (system == NULL || gw_json_is(system, GW_JSON_NULL))
        return true;
    b.m = api_add_message(r, API_ROLE_SYSTEM);
    return b.m != NULL && read_content(&b, system, "system", text_blocks);
}

/* "system" in the middle of a conversation is newer than the other two. */
static bool role_of(const struct gw_json_node *node, enum api_role *out)
{
    if (gw_json_text_is(node, "user"))
        *out = API_ROLE_USER;
    else if (gw_json_text_is(node, "assistant"))
        *out = API_ROLE_ASSISTANT;
    else if (gw_json_text_is(node, "system"))
        *out = API_ROLE_SYSTEM;
    else
        return false;
    return true;
}

static bool read_message(struct api_reading *r, const struct gw_json_node *node, unsigned i)
{
    static const char *const known[] = {"role", "content", NULL};
    struct block b = {.r = r, .place = {.message = i}};
    enum api_role role = API_ROLE_USER;
    char path[PATH_MAX_LEN];

    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return api_note_bad(r, "must be an object", "messages[%u]", i);
    if (!role_of(gw_json_get(node, "role"), &role))
        return api_note_bad(r, "must be \"user\", \"assistant\" or \"system\"", "messages[%u].role",
                            i);
    (void)snprintf(path, sizeof(path), "messages[%u]", i);
    if (!anthropic_note_others(r, node, path, known))
        return false;
    b.m = api_add_message(r, role);
    if (b.m == NULL)
        return false;
    (void)snprintf(path, sizeof(path), "messages[%u].content", i);
    return read_content(&b, gw_json_get(node, "content"), path,
                        role == API_ROLE_SYSTEM ? text_blocks : message_blocks);
}

/* ---- the request ---------------------------------------------------------------------------- */

static enum gw_status unroutable(struct api_reading *r, const char *param, const char *what)
{
    *r->param = param;
    return gw_fail(r->err, GW_EINVAL, "%s %s", param, what);
}

bool anthropic_text(struct api_reading *r, const struct gw_json_node *node, const char *path,
                    const char *name, struct gw_span *out)
{
    const struct gw_json_node *member = gw_json_get(node, name);
    struct gw_span text;

    if (member == NULL || gw_json_is(member, GW_JSON_NULL))
        return true;
    if (!gw_json_is(member, GW_JSON_STRING))
        return api_note_bad(r, "must be a string", "%s.%s", path, name);
    text = gw_json_text(member, r->arena);
    if (text.ptr == NULL)
        return false;
    *out = text;
    return true;
}

static bool is_known(const struct gw_json_node *member, const char *const *known)
{
    for (; *known != NULL; known++)
        if (gw_json_key_is(member, *known))
            return true;
    return false;
}

bool anthropic_note_others(struct api_reading *r, const struct gw_json_node *node, const char *path,
                           const char *const *known)
{
    for (const struct gw_json_node *m = node->child; m != NULL; m = m->next) {
        if (m->type == GW_JSON_NULL || is_known(m, known))
            continue;
        if (gw_json_key_is(m, "cache_control") ? !api_add_extra(r, true, "%s.cache_control", path)
                                               : !api_add_unknown(r, m, "%s.", path))
            return false;
    }
    return true;
}

enum gw_status anthropic_read_request(struct api_reading *r, const struct gw_json_node *root)
{
    const struct gw_json_node *model = gw_json_get(root, "model");
    const struct gw_json_node *messages = gw_json_get(root, "messages"), *node;
    unsigned i = 0;

    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN))
        return gw_fail(r->err, GW_EINVAL, "the body must be a JSON object");
    if (!gw_json_is(model, GW_JSON_STRING) || model->raw.len == 0)
        return unroutable(r, "model", "must be a string that names a model");
    if (!gw_json_is(messages, GW_JSON_ARRAY_BEGIN) || messages->n == 0)
        return unroutable(r, "messages", "must be a list of at least one message");
    r->req->model = gw_json_text(model, r->arena);
    r->req->include_usage = true;
    if (r->req->model.ptr == NULL || !read_system(r, gw_json_get(root, "system")))
        return api_no_memory(r->err);
    for (node = messages->child; node != NULL; node = node->next)
        if (!read_message(r, node, i++))
            return api_no_memory(r->err);
    return anthropic_read_settings(r, root) ? GW_OK : api_no_memory(r->err);
}
