/* proxy/api/api_chat_messages.c - reads the messages of a chat request: roles, parts, tool calls, tool results. Pure; any thread.
 *
 * Members of a message and what becomes of them:
 *   role, content, name, refusal, tool_calls, tool_call_id, function_call     read
 *   reasoning_content, reasoning       read: how DeepSeek, vLLM and others write what the model thought
 *   annotations, reasoning_details, thinking_blocks, provider_specific_fields hints: SDKs send answers back with them
 *   cache_control (parts too)          hint: asks for caching
 *   audio and all others               extras that mean something */
#include "proxy/api/api_chat_private.h"

#define WHERE  "messages[%u]"
#define INSIDE "messages[%u].content[%u]"

/* The message being read. */
struct message {
    struct api_reading *r;
    unsigned index; /* in the body */
    const struct gw_json_node *node;
    struct api_message *m;
    struct api_part *result; /* role tool: what the content goes into */
};

enum gw_status api_chat_note(struct api_reading *r, bool ok)
{
    return ok ? GW_OK : api_no_memory(r->err);
}

static bool given(const struct gw_json_node *node)
{
    return node != NULL && node->type != GW_JSON_NULL;
}

static bool is_any(const struct gw_json_node *member, const char *const *names)
{
    for (; *names != NULL; names++)
        if (gw_json_key_is(member, *names))
            return true;
    return false;
}

/* The members that nobody reads: hints of the list, or unknown. */
static enum gw_status note_others(const struct message *msg, const struct gw_json_node *node,
                                  const char *path, const char *const *known,
                                  const char *const *hints)
{
    struct api_reading *r = msg->r;

    for (const struct gw_json_node *c = node->child; c != NULL; c = c->next) {
        if (c->type == GW_JSON_NULL || is_any(c, known))
            continue;
        if (!is_any(c, hints))
            GW_TRY(api_chat_note(r, api_add_unknown(r, c, "%s.", path)));
        else if (c->n != 0 || (c->type != GW_JSON_ARRAY_BEGIN && c->type != GW_JSON_OBJECT_BEGIN))
            GW_TRY(api_chat_note(
                r, api_add_extra(r, true, "%s.%.*s", path, (int)c->key.len, c->key.ptr)));
    }
    return GW_OK;
}

/* ---- parts ------------------------------------------------------------------------------ */

static struct api_part *new_part(const struct message *msg, enum api_part_kind kind)
{
    return msg->result != NULL ? api_add_inner_part(msg->r, msg->result, kind)
                               : api_add_part(msg->r, msg->m, kind);
}

/* A text of any kind. Empty ones are left out: they say nothing, and other APIs refuse them. */
static enum gw_status add_text(const struct message *msg, enum api_part_kind kind,
                               const struct gw_json_node *node)
{
    struct gw_span text = gw_json_text(node, msg->r->arena);
    struct api_part *part;

    if (text.ptr == NULL)
        return api_no_memory(msg->r->err);
    if (text.len == 0)
        return GW_OK;
    part = new_part(msg, kind);
    if (part == NULL)
        return api_no_memory(msg->r->err);
    part->text = text;
    return GW_OK;
}

static enum gw_status bad_part(const struct message *msg, unsigned i, const char *member,
                               const char *what)
{
    return api_chat_note(msg->r, api_note_bad(msg->r, what, INSIDE "%s", msg->index, i, member));
}

static enum gw_status read_text_part(const struct message *msg, const struct gw_json_node *node,
                                     unsigned i, enum api_part_kind kind, const char *name)
{
    const struct gw_json_node *text = gw_json_get(node, name);

    if (!gw_json_is(text, GW_JSON_STRING))
        return bad_part(msg, i, kind == API_PART_TEXT ? ".text" : ".refusal", "must be a string");
    return add_text(msg, kind, text);
}

/* {"type":"image_url","image_url":{"url":"https://..." or "data:...","detail":"low"}}; the object may be the URL alone, as
 * several servers take it. */
static enum gw_status read_image(const struct message *msg, const struct gw_json_node *node,
                                 unsigned i)
{
    const struct gw_json_node *image = gw_json_get(node, "image_url");
    const struct gw_json_node *detail = gw_json_get(image, "detail");
    struct gw_span url;
    struct api_part *part;

    if (gw_json_is(image, GW_JSON_OBJECT_BEGIN))
        image = gw_json_get(image, "url");
    if (!gw_json_is(image, GW_JSON_STRING))
        return bad_part(msg, i, ".image_url.url", "must be a string");
    if (given(detail) && detail->type != GW_JSON_STRING)
        return bad_part(msg, i, ".image_url.detail", "must be a string");
    url = gw_json_text(image, msg->r->arena);
    part = new_part(msg, API_PART_IMAGE);
    if (url.ptr == NULL || part == NULL)
        return api_no_memory(msg->r->err);
    if (!api_split_data_url(url, &part->media_type, &part->data))
        part->url = url;
    part->detail = gw_json_text(detail, msg->r->arena);
    return GW_OK;
}

/* {"type":"input_audio","input_audio":{"data":BASE64,"format":"wav"}}. */
static enum gw_status read_audio(const struct message *msg, const struct gw_json_node *node,
                                 unsigned i)
{
    const struct gw_json_node *audio = gw_json_get(node, "input_audio");
    struct gw_span data = gw_json_text(gw_json_get(audio, "data"), msg->r->arena);
    struct gw_span format = gw_json_text(gw_json_get(audio, "format"), msg->r->arena);
    struct api_part *part;
    char type[32];

    if (data.ptr == NULL || format.len == 0 || format.len > 16)
        return bad_part(msg, i, ".input_audio", "must have data and format");
    snprintf(type, sizeof(type), "audio/%.*s", (int)format.len, format.ptr);
    part = new_part(msg, API_PART_AUDIO);
    if (part == NULL)
        return api_no_memory(msg->r->err);
    part->data = data;
    part->media_type = gw_arena_copy(msg->r->arena, gw_span_str(type));
    return api_chat_note(msg->r, part->media_type.ptr != NULL);
}

/* {"type":"file","file":{"file_data":"data:application/pdf;base64,...","filename":"a.pdf"}}. A file_id names a file at one
 * provider. */
static enum gw_status read_file(const struct message *msg, const struct gw_json_node *node,
                                unsigned i)
{
    const struct gw_json_node *file = gw_json_get(node, "file");
    const struct gw_json_node *bytes = gw_json_get(file, "file_data");
    struct gw_span data;
    struct api_part *part;

    if (given(gw_json_get(file, "file_id")))
        return api_chat_note(msg->r,
                             api_add_extra(msg->r, false, INSIDE ".file.file_id", msg->index, i));
    if (!gw_json_is(bytes, GW_JSON_STRING))
        return bad_part(msg, i, ".file.file_data", "must be a string");
    data = gw_json_text(bytes, msg->r->arena);
    part = new_part(msg, API_PART_FILE);
    if (data.ptr == NULL || part == NULL)
        return api_no_memory(msg->r->err);
    part->detail = gw_json_text(gw_json_get(file, "filename"), msg->r->arena);
    if (!api_split_data_url(data, &part->media_type, &part->data)) {
        part->data = data;
        part->media_type = GW_SPAN("application/pdf"); /* the one kind OpenAI takes here */
    }
    return GW_OK;
}

static enum gw_status read_part(const struct message *msg, const struct gw_json_node *node,
                                unsigned i)
{
    static const char *const known[] = {"type",        "text", "refusal", "image_url",
                                        "input_audio", "file", NULL};
    static const char *const hints[] = {"cache_control", NULL};
    const struct gw_json_node *type = gw_json_get(node, "type");
    char path[64];

    if (gw_json_is(node, GW_JSON_STRING)) /* not OpenAI's, but many servers take it */
        return add_text(msg, API_PART_TEXT, node);
    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return bad_part(msg, i, "", "must be an object");
    if (!gw_json_is(type, GW_JSON_STRING))
        return bad_part(msg, i, ".type", "must be a string");
    snprintf(path, sizeof(path), INSIDE, msg->index, i);
    GW_TRY(note_others(msg, node, path, known, hints));
    if (gw_json_text_is(type, "text"))
        return read_text_part(msg, node, i, API_PART_TEXT, "text");
    if (gw_json_text_is(type, "refusal"))
        return read_text_part(msg, node, i, API_PART_REFUSAL, "refusal");
    if (gw_json_text_is(type, "image_url"))
        return read_image(msg, node, i);
    if (gw_json_text_is(type, "input_audio"))
        return read_audio(msg, node, i);
    if (gw_json_text_is(type, "file"))
        return read_file(msg, node, i);
    return api_chat_note(msg->r, api_add_extra(msg->r, false, "%s.type", path));
}

/* may_lack: an assistant that called tools. */
static enum gw_status read_content(const struct message *msg, bool may_lack)
{
    const struct gw_json_node *content = gw_json_get(msg->node, "content");
    unsigned i = 0;

    if (gw_json_is(content, GW_JSON_STRING))
        return add_text(msg, API_PART_TEXT, content);
    if (gw_json_is(content, GW_JSON_ARRAY_BEGIN)) {
        for (const struct gw_json_node *c = content->child; c != NULL; c = c->next)
            GW_TRY(read_part(msg, c, i++));
        return GW_OK;
    }
    if (!given(content) && may_lack)
        return GW_OK;
    return api_chat_note(msg->r, api_note_bad(msg->r, "must be a string or a list of parts",
                                              WHERE ".content", msg->index));
}

/* ---- the assistant ---------------------------------------------------------------------- */

/* Arguments are a string that holds an object; an object itself, as some clients send it, is taken too. */
static enum gw_status read_arguments(const struct message *msg, const struct gw_json_node *function,
                                     struct api_part *call, const char *path)
{
    const struct gw_json_node *arguments = gw_json_get(function, "arguments");
    struct gw_span text = gw_json_text(arguments, msg->r->arena);

    if (gw_json_is(arguments, GW_JSON_OBJECT_BEGIN))
        text = arguments->raw;
    if (gw_json_is(arguments, GW_JSON_STRING) && text.ptr == NULL)
        return api_no_memory(msg->r->err);
    if (text.len == 0 && (!given(arguments) || arguments->type == GW_JSON_STRING))
        return GW_OK;
    if (!api_is_object(text))
        return api_chat_note(msg->r, api_note_bad(msg->r, "must be the text of a JSON object",
                                                  "%s.arguments", path));
    call->json = text;
    return GW_OK;
}

/* {"name":...,"arguments":...} as a part with that id. */
static enum gw_status read_function(const struct message *msg, const struct gw_json_node *function,
                                    struct gw_span id, const char *path)
{
    struct gw_span name = gw_json_text(gw_json_get(function, "name"), msg->r->arena);
    struct api_part *call;

    if (name.len == 0)
        return api_chat_note(msg->r, api_note_bad(msg->r, "must be a string", "%s.name", path));
    call = api_add_part(msg->r, msg->m, API_PART_TOOL_CALL);
    if (call == NULL)
        return api_no_memory(msg->r->err);
    call->id = id;
    call->name = name;
    return read_arguments(msg, function, call, path);
}

static enum gw_status read_tool_call(const struct message *msg, const struct gw_json_node *node,
                                     unsigned i)
{
    static const char *const known[] = {"id", "type", "function", "index", NULL};
    static const char *const hints[] = {"cache_control", "provider_specific_fields", NULL};
    const struct gw_json_node *type = gw_json_get(node, "type");
    struct gw_span id = gw_json_text(gw_json_get(node, "id"), msg->r->arena);
    char path[64];

    snprintf(path, sizeof(path), WHERE ".tool_calls[%u]", msg->index, i);
    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return api_chat_note(msg->r, api_note_bad(msg->r, "must be an object", "%s", path));
    if (given(type) && !gw_json_text_is(type, "function"))
        return api_chat_note(msg->r, api_add_extra(msg->r, false, "%s.type", path));
    if (id.len == 0)
        return api_chat_note(msg->r, api_note_bad(msg->r, "must be a string", "%s.id", path));
    GW_TRY(note_others(msg, node, path, known, hints));
    snprintf(path, sizeof(path), WHERE ".tool_calls[%u].function", msg->index, i);
    return read_function(msg, gw_json_get(node, "function"), id, path);
}

/* Calls and results of the time before tool calls had ids: one call a message, so the message's number is its id. */
static struct gw_span legacy_id(const struct message *msg, unsigned index)
{
    char id[32];

    snprintf(id, sizeof(id), "call_%u", index);
    return gw_arena_copy(msg->r->arena, gw_span_str(id));
}

static enum gw_status read_calls(const struct message *msg, const struct gw_json_node *calls,
                                 const struct gw_json_node *legacy)
{
    struct gw_span id;
    unsigned i = 0;
    char path[64];

    if (given(calls) && calls->type != GW_JSON_ARRAY_BEGIN)
        return api_chat_note(
            msg->r, api_note_bad(msg->r, "must be a list", WHERE ".tool_calls", msg->index));
    if (given(calls))
        for (const struct gw_json_node *c = calls->child; c != NULL; c = c->next)
            GW_TRY(read_tool_call(msg, c, i++));
    if (!given(legacy))
        return GW_OK;
    id = legacy_id(msg, msg->index);
    if (id.ptr == NULL)
        return api_no_memory(msg->r->err);
    snprintf(path, sizeof(path), WHERE ".function_call", msg->index);
    return read_function(msg, legacy, id, path);
}

static enum gw_status read_assistant(const struct message *msg)
{
    const struct gw_json_node *refusal = gw_json_get(msg->node, "refusal");
    const struct gw_json_node *calls = gw_json_get(msg->node, "tool_calls");
    const struct gw_json_node *legacy = gw_json_get(msg->node, "function_call");
    const struct gw_json_node *thought = gw_json_get(msg->node, "reasoning_content");

    if (!gw_json_is(thought, GW_JSON_STRING))
        thought = gw_json_get(msg->node, "reasoning");
    if (gw_json_is(thought, GW_JSON_STRING))
        GW_TRY(add_text(msg, API_PART_REASONING, thought));
    GW_TRY(read_content(msg, given(calls) || given(legacy) || given(refusal) || given(thought)));
    if (gw_json_is(refusal, GW_JSON_STRING))
        GW_TRY(add_text(msg, API_PART_REFUSAL, refusal));
    else if (given(refusal))
        GW_TRY(api_chat_note(
            msg->r, api_note_bad(msg->r, "must be a string", WHERE ".refusal", msg->index)));
    return read_calls(msg, calls, legacy);
}

/* ---- results ---------------------------------------------------------------------------- */

/* The id of the call that a message of role "function" answers: the message before it ends with one of that name. */
static struct gw_span call_named(const struct api_request *req, struct gw_span name)
{
    const struct api_message *m = req->n_messages < 2 ? NULL : &req->messages[req->n_messages - 2];
    const struct api_part *last = m == NULL || m->n_parts == 0 ? NULL : &m->parts[m->n_parts - 1];

    if (last == NULL || last->kind != API_PART_TOOL_CALL || !gw_span_eq(last->name, name))
        return (struct gw_span){NULL, 0};
    return last->id;
}

static enum gw_status read_result(struct message *msg, bool legacy)
{
    struct gw_span name = gw_json_text(gw_json_get(msg->node, "name"), msg->r->arena);
    struct gw_span id = gw_json_text(gw_json_get(msg->node, "tool_call_id"), msg->r->arena);

    if (legacy)
        id = call_named(msg->r->req, name);
    if (id.len == 0)
        GW_TRY(api_chat_note(
            msg->r,
            legacy ? api_note_bad(msg->r, "must be that of a function_call before", WHERE ".name",
                                  msg->index)
                   : api_note_bad(msg->r, "must be a string", WHERE ".tool_call_id", msg->index)));
    msg->result = api_add_part(msg->r, msg->m, API_PART_TOOL_RESULT);
    if (msg->result == NULL)
        return api_no_memory(msg->r->err);
    msg->result->id = id;
    msg->result->name = name;
    return read_content(msg, false);
}

/* ---- messages --------------------------------------------------------------------------- */

enum kind { KIND_PLAIN, KIND_ASSISTANT, KIND_TOOL, KIND_FUNCTION };

static const struct {
    const char *name;
    enum api_role role;
    enum kind kind;
} roles[] = {
    {"user", API_ROLE_USER, KIND_PLAIN},     {"assistant", API_ROLE_ASSISTANT, KIND_ASSISTANT},
    {"system", API_ROLE_SYSTEM, KIND_PLAIN}, {"developer", API_ROLE_SYSTEM, KIND_PLAIN},
    {"tool", API_ROLE_USER, KIND_TOOL},      {"function", API_ROLE_USER, KIND_FUNCTION},
};

static enum gw_status read_name(const struct message *msg)
{
    const struct gw_json_node *name = gw_json_get(msg->node, "name");

    if (given(name) && name->type != GW_JSON_STRING)
        return api_chat_note(msg->r,
                             api_note_bad(msg->r, "must be a string", WHERE ".name", msg->index));
    msg->m->name = gw_json_text(name, msg->r->arena);
    return GW_OK;
}

static enum gw_status read_message(struct api_reading *r, const struct gw_json_node *node,
                                   unsigned index)
{
    static const char *const known[] = {
        "role",          "content",           "name",      "refusal", "tool_calls", "tool_call_id",
        "function_call", "reasoning_content", "reasoning", NULL};
    static const char *const hints[] = {"annotations",     "reasoning_details",
                                        "thinking_blocks", "provider_specific_fields",
                                        "cache_control",   NULL};
    const struct gw_json_node *role = gw_json_get(node, "role");
    struct message msg = {.r = r, .index = index, .node = node};
    size_t k = 0, n_roles = sizeof(roles) / sizeof(roles[0]);
    char path[32];

    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return api_refuse(r, "must be an object", WHERE, index);
    if (!gw_json_is(role, GW_JSON_STRING))
        return api_refuse(r, role == NULL ? "is missing" : "must be a string", WHERE ".role",
                          index);
    while (k < n_roles && !gw_json_text_is(role, roles[k].name))
        k++;
    if (k == n_roles) {
        GW_TRY(api_chat_note(r, api_note_bad(r, "must be a known role", WHERE ".role", index)));
        k = 0; /* its texts are looked at all the same */
    }
    msg.m = api_add_message(r, roles[k].role);
    if (msg.m == NULL)
        return api_no_memory(r->err);
    snprintf(path, sizeof(path), WHERE, index);
    GW_TRY(note_others(&msg, node, path, known, hints));
    if (roles[k].kind == KIND_TOOL || roles[k].kind == KIND_FUNCTION)
        return read_result(&msg, roles[k].kind == KIND_FUNCTION);
    GW_TRY(read_name(&msg));
    return roles[k].kind == KIND_ASSISTANT ? read_assistant(&msg) : read_content(&msg, false);
}

enum gw_status api_chat_read_messages(struct api_reading *r, const struct gw_json_node *messages)
{
    unsigned i = 0;

    if (messages == NULL)
        return api_refuse(r, "is missing", "messages");
    if (messages->type != GW_JSON_ARRAY_BEGIN)
        return api_refuse(r, "must be a list", "messages");
    if (messages->n == 0)
        return api_refuse(r, "must hold at least one message", "messages");
    for (const struct gw_json_node *c = messages->child; c != NULL; c = c->next)
        GW_TRY(read_message(r, c, i++));
    return GW_OK;
}
