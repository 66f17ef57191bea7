/* proxy/api/api_responses_items.c - the input items of Responses requests. Pure; any thread.
 *
 * Items are flat: what the model said in one turn is a row of reasoning, message and function_call items, and results
 * are items of their own. A row of the assistant's items becomes one message, and so does a row of results, which is how
 * every other dialect groups them. */
#include <stdio.h>

#include "proxy/api/api_responses_private.h"

enum { PATH_BYTES = 64 };

struct input {
    struct api_reading *r;
    bool results;   /* the newest message holds results only, so that the next one joins it */
    bool noted_ids; /* one note stands for the identifiers of all items */
};

/* Where parts go: into a message, or into the tool result that is its newest part. */
struct target {
    struct api_message *message;
    struct api_part *result; /* or NULL */
};

static bool not_given(const struct gw_json_node *node)
{
    return node == NULL || node->type == GW_JSON_NULL;
}

static bool is_one_of(const struct gw_json_node *member, const char *const *names)
{
    for (; *names != NULL; names++)
        if (gw_json_key_is(member, *names))
            return true;
    return false;
}

/* What else an item says. Identifiers and states are those of things stored at the provider. */
static bool note_rest(struct input *in, const char *at, const struct gw_json_node *node,
                      const char *const *known)
{
    static const char *const ids[] = {"id", "status", NULL};
    static const char *const hints[] = {"phase", "annotations", "logprobs",
                                        "prompt_cache_breakpoint", NULL};

    for (const struct gw_json_node *m = node->child; m != NULL; m = m->next) {
        bool ok = true;

        if (is_one_of(m, known))
            continue;
        if (is_one_of(m, ids)) {
            ok = in->noted_ids || not_given(m) ||
                 api_add_extra(in->r, true, "%s.%.*s", at, (int)m->key.len, m->key.ptr);
            in->noted_ids = in->noted_ids || !not_given(m);
        } else if (is_one_of(m, hints)) {
            bool empty = not_given(m) || (m->type == GW_JSON_ARRAY_BEGIN && m->n == 0);

            ok = empty || api_add_extra(in->r, true, "%s.%.*s", at, (int)m->key.len, m->key.ptr);
        } else {
            ok = api_add_unknown(in->r, m, "%s.", at);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool text_member(struct input *in, const char *at, const struct gw_json_node *node,
                        const char *name, bool required, struct gw_span *out)
{
    const struct gw_json_node *member = gw_json_get(node, name);

    *out = gw_json_text(member, in->r->arena);
    if (gw_json_is(member, GW_JSON_STRING))
        return out->ptr != NULL;
    return (!required && not_given(member)) ||
           api_note_bad(in->r, "must be a string", "%s.%s", at, name);
}

/* ---- parts ------------------------------------------------------------------------------ */

static struct api_part *add_part(struct input *in, const struct target *t, enum api_part_kind kind)
{
    return t->result == NULL ? api_add_part(in->r, t->message, kind)
                             : api_add_inner_part(in->r, t->result, kind);
}

static bool read_text(struct input *in, const struct target *t, const char *at,
                      const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "text", NULL};
    struct api_part *part;
    struct gw_span text;

    if (!text_member(in, at, node, "text", true, &text))
        return false;
    if (text.len != 0) {
        part = add_part(in, t, API_PART_TEXT);
        if (part == NULL)
            return false;
        part->text = text;
    }
    return note_rest(in, at, node, known);
}

static bool read_refusal(struct input *in, const struct target *t, const char *at,
                         const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "refusal", NULL};
    struct api_part *part = add_part(in, t, API_PART_REFUSAL);

    return part != NULL && text_member(in, at, node, "refusal", true, &part->text) &&
           note_rest(in, at, node, known);
}

/* A file that the provider stores has no meaning elsewhere: note_rest names file_id as an unknown member. */
static bool note_nothing(struct input *in, const char *at, const struct gw_json_node *node,
                         const struct api_part *part, const char *what)
{
    if (part->url.ptr != NULL || part->data.ptr != NULL || !not_given(gw_json_get(node, "file_id")))
        return true;
    return api_note_bad(in->r, what, "%s", at);
}

static bool read_image(struct input *in, const struct target *t, const char *at,
                       const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "image_url", "detail", NULL};
    struct api_part *part = add_part(in, t, API_PART_IMAGE);
    struct gw_span url;

    if (part == NULL || !text_member(in, at, node, "image_url", false, &url) ||
        !text_member(in, at, node, "detail", false, &part->detail))
        return false;
    if (!api_split_data_url(url, &part->media_type, &part->data))
        part->url = url;
    return note_nothing(in, at, node, part, "must have an image_url") &&
           note_rest(in, at, node, known);
}

static bool read_file(struct input *in, const struct target *t, const char *at,
                      const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "file_data", "file_url", "filename", NULL};
    struct api_part *part = add_part(in, t, API_PART_FILE);
    struct gw_span data;

    if (part == NULL || !text_member(in, at, node, "file_data", false, &data) ||
        !text_member(in, at, node, "file_url", false, &part->url) ||
        !text_member(in, at, node, "filename", false, &part->detail))
        return false;
    if (data.ptr != NULL && !api_split_data_url(data, &part->media_type, &part->data))
        part->data = data; /* bare base64: then the file's name alone tells its type */
    return note_nothing(in, at, node, part, "must have file_data or a file_url") &&
           note_rest(in, at, node, known);
}

static bool read_audio(struct input *in, const struct target *t, const char *at,
                       const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "input_audio", NULL};
    struct api_part *part = add_part(in, t, API_PART_AUDIO);
    const struct gw_json_node *audio = gw_json_get(node, "input_audio");
    const struct gw_json_node *format = gw_json_get(audio, "format");

    if (part == NULL || !text_member(in, at, audio, "data", true, &part->data))
        return false;
    if (gw_json_text_is(format, "wav"))
        part->media_type = GW_SPAN("audio/wav");
    else if (gw_json_text_is(format, "mp3"))
        part->media_type = GW_SPAN("audio/mp3");
    else if (!api_note_bad(in->r, "must be \"wav\" or \"mp3\"", "%s.input_audio.format", at))
        return false;
    return note_rest(in, at, node, known);
}

static bool read_part(struct input *in, const struct target *t, const char *at,
                      const struct gw_json_node *node)
{
    static const struct {
        const char *type;
        bool (*read)(struct input *in, const struct target *t, const char *at,
                     const struct gw_json_node *node);
    } types[] = {
        {"input_text", read_text},   {"output_text", read_text},  {"text", read_text},
        {"refusal", read_refusal},   {"input_image", read_image}, {"input_file", read_file},
        {"input_audio", read_audio},
    };
    const struct gw_json_node *type = gw_json_get(node, "type");

    if (!gw_json_is(type, GW_JSON_STRING))
        return api_note_bad(in->r, "must be a string", "%s.type", at);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (gw_json_text_is(type, types[i].type))
            return types[i].read(in, t, at, node);
    return api_add_extra(in->r, false, "%s.type", at);
}

/* A string or a list of parts. An empty text says nothing, and other APIs refuse it. */
static bool read_content(struct input *in, const struct target *t, const char *at, const char *name,
                         const struct gw_json_node *content)
{
    char path[PATH_BYTES];
    unsigned i = 0;

    if (gw_json_is(content, GW_JSON_STRING)) {
        struct api_part *part = content->raw.len == 0 ? NULL : add_part(in, t, API_PART_TEXT);

        if (part != NULL)
            part->text = gw_json_text(content, in->r->arena);
        return content->raw.len == 0 || (part != NULL && part->text.ptr != NULL);
    }
    if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN))
        return api_note_bad(in->r, "must be a string or a list", "%s.%s", at, name);
    for (const struct gw_json_node *e = content->child; e != NULL; e = e->next) {
        snprintf(path, sizeof(path), "%s.%s[%u]", at, name, i++);
        if (!read_part(in, t, path, e))
            return false;
    }
    return true;
}

/* ---- items ------------------------------------------------------------------------------ */

static struct api_message *newest(const struct input *in)
{
    const struct api_request *req = in->r->req;

    return req->n_messages == 0 ? NULL : &req->messages[req->n_messages - 1];
}

/* The assistant's message that the item belongs to: the newest or a new one. */
static struct api_message *assistant_message(struct input *in)
{
    struct api_message *m = newest(in);

    in->results = false;
    return m != NULL && m->role == API_ROLE_ASSISTANT ? m
                                                      : api_add_message(in->r, API_ROLE_ASSISTANT);
}

static bool read_role(const struct gw_json_node *role, enum api_role *out)
{
    static const struct {
        const char *name;
        enum api_role role;
    } roles[] = {
        {"user", API_ROLE_USER},
        {"assistant", API_ROLE_ASSISTANT},
        {"system", API_ROLE_SYSTEM},
        {"developer", API_ROLE_SYSTEM},
    };

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (gw_json_text_is(role, roles[i].name)) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

static bool read_message(struct input *in, const char *at, const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "role", "content", NULL};
    struct target t = {0};
    enum api_role role;

    if (!read_role(gw_json_get(node, "role"), &role))
        return api_note_bad(in->r, "must be \"user\", \"assistant\", \"system\" or \"developer\"",
                            "%s.role", at);
    t.message = role == API_ROLE_ASSISTANT ? assistant_message(in) : api_add_message(in->r, role);
    in->results = false;
    return t.message != NULL && read_content(in, &t, at, "content", gw_json_get(node, "content")) &&
           note_rest(in, at, node, known);
}

static bool read_call(struct input *in, const char *at, const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "call_id", "name", "arguments", NULL};
    struct api_message *m = assistant_message(in);
    struct api_part *part = m == NULL ? NULL : api_add_part(in->r, m, API_PART_TOOL_CALL);

    return part != NULL && text_member(in, at, node, "call_id", true, &part->id) &&
           text_member(in, at, node, "name", true, &part->name) &&
           text_member(in, at, node, "arguments", true, &part->json) &&
           (part->json.len == 0 || api_is_object(part->json) ||
            api_note_bad(in->r, "must be the text of a JSON object", "%s.arguments", at)) &&
           note_rest(in, at, node, known);
}

static bool read_result(struct input *in, const char *at, const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "call_id", "output", NULL};
    struct target t = {in->results ? newest(in) : api_add_message(in->r, API_ROLE_USER), NULL};

    in->results = true;
    if (t.message == NULL)
        return false;
    t.result = api_add_part(in->r, t.message, API_PART_TOOL_RESULT);
    return t.result != NULL && text_member(in, at, node, "call_id", true, &t.result->id) &&
           read_content(in, &t, at, "output", gw_json_get(node, "output")) &&
           note_rest(in, at, node, known);
}

/* Appends the texts of a list of {"type":..., "text":...} to those before, with an empty line between. */
static bool join_texts(struct input *in, const char *at, const char *name,
                       const struct gw_json_node *list, struct gw_buf *out)
{
    unsigned i = 0;

    if (not_given(list))
        return true;
    if (list->type != GW_JSON_ARRAY_BEGIN)
        return api_note_bad(in->r, "must be a list", "%s.%s", at, name);
    for (const struct gw_json_node *e = list->child; e != NULL; e = e->next, i++) {
        char path[PATH_BYTES];
        struct gw_span text;

        snprintf(path, sizeof(path), "%s.%s[%u]", at, name, i);
        if (!text_member(in, path, e, "text", true, &text))
            return false;
        if (out->len != 0 && text.len != 0)
            gw_buf_adds(out, "\n\n");
        gw_buf_add(out, text);
    }
    return true;
}

static bool read_reasoning(struct input *in, const char *at, const struct gw_json_node *node)
{
    static const char *const known[] = {"type", "summary", "content", "encrypted_content", NULL};
    struct api_message *m = assistant_message(in);
    struct api_part *part = m == NULL ? NULL : api_add_part(in->r, m, API_PART_REASONING);
    struct gw_buf text = {0};
    bool ok = part != NULL && text_member(in, at, node, "encrypted_content", false, &part->json) &&
              join_texts(in, at, "summary", gw_json_get(node, "summary"), &text) &&
              join_texts(in, at, "content", gw_json_get(node, "content"), &text) &&
              gw_buf_ok(&text);

    if (ok && text.len != 0) {
        part->text = gw_arena_copy(in->r->arena, gw_buf_span(&text));
        ok = part->text.ptr != NULL;
    }
    gw_buf_fini(&text);
    return ok && note_rest(in, at, node, known);
}

static bool read_item(struct input *in, const char *at, const struct gw_json_node *node)
{
    static const struct {
        const char *type;
        bool (*read)(struct input *in, const char *at, const struct gw_json_node *node);
    } types[] = {
        {"message", read_message},
        {"function_call", read_call},
        {"function_call_output", read_result},
        {"reasoning", read_reasoning},
    };
    const struct gw_json_node *type = gw_json_get(node, "type");

    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return api_note_bad(in->r, "must be an object", "%s", at);
    if (not_given(type) && !not_given(gw_json_get(node, "role")))
        return read_message(in, at, node);
    if (not_given(type) && gw_json_is(gw_json_get(node, "id"), GW_JSON_STRING))
        return api_add_extra(in->r, false, "%s.id", at); /* an item that the provider stores */
    if (!gw_json_is(type, GW_JSON_STRING))
        return api_note_bad(in->r, "must be a string", "%s.type", at);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (gw_json_text_is(type, types[i].type))
            return types[i].read(in, at, node);
    return api_add_extra(in->r, false, "%s.type", at);
}

bool api_responses_read_input(struct api_reading *r, const struct gw_json_node *input)
{
    struct input in = {.r = r};
    char at[PATH_BYTES];
    unsigned i = 0;

    if (gw_json_is(input, GW_JSON_STRING)) {
        struct api_message *m = api_add_message(r, API_ROLE_USER);
        struct api_part *part = m == NULL ? NULL : api_add_part(r, m, API_PART_TEXT);

        if (part != NULL)
            part->text = gw_json_text(input, r->arena);
        return part != NULL && part->text.ptr != NULL;
    }
    if (not_given(input))
        return true;
    if (input->type != GW_JSON_ARRAY_BEGIN)
        return api_note_bad(r, "must be a string or a list", "input");
    for (const struct gw_json_node *e = input->child; e != NULL; e = e->next) {
        snprintf(at, sizeof(at), "input[%u]", i++);
        if (!read_item(&in, at, e))
            return false;
    }
    return true;
}
