/* proxy/request/roles.c - see roles.h. */
#include "proxy/request/roles.h"

#include <string.h>

struct stretch {
    const char *from, *to;
    enum router_field field;
};

/* Stretches in the order of the body, none over another. */
struct layer {
    struct stretch *items;
    unsigned n, cap;
};

/* Members and messages; and in messages what is somebody else's: results of tools in a user's turn, files. */
struct roles {
    struct gw_arena *arena;
    struct layer outer, inner;
    bool failed;
};

static void add(struct roles *f, struct layer *l, const struct gw_json_node *node,
                enum router_field field)
{
    if (l->n == l->cap) {
        unsigned cap = l->cap == 0 ? 32 : l->cap * 2;
        struct stretch *bigger = gw_arena_array(f->arena, cap, sizeof(*bigger));

        if (bigger == NULL) {
            f->failed = true;
            return;
        }
        if (l->n != 0)
            memcpy(bigger, l->items, l->n * sizeof(*bigger));
        l->items = bigger;
        l->cap = cap;
    }
    l->items[l->n++] = (struct stretch){node->raw.ptr, node->raw.ptr + node->raw.len, field};
}

static bool one_of(const struct gw_json_node *member, const char *const *names)
{
    for (; *names != NULL; names++)
        if (gw_json_key_is(member, *names))
            return true;
    return false;
}

static enum router_field field_of_role(const struct gw_json_node *role)
{
    static const struct {
        const char *role;
        enum router_field field;
    } roles[] = {
        {"system", ROUTER_FIELD_SYSTEM},   {"developer", ROUTER_FIELD_SYSTEM},
        {"user", ROUTER_FIELD_USER},       {"assistant", ROUTER_FIELD_ASSISTANT},
        {"model", ROUTER_FIELD_ASSISTANT}, {"tool", ROUTER_FIELD_TOOL},
        {"function", ROUTER_FIELD_TOOL},
    };

    if (role == NULL) /* Gemini's contents may leave it out */
        return ROUTER_FIELD_USER;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (gw_json_text_is(role, roles[i].role))
            return roles[i].field;
    return ROUTER_FIELD_OTHER;
}

static bool ends_with(struct gw_span text, const char *end)
{
    size_t n = strlen(end);

    return text.len >= n && memcmp(text.ptr + text.len - n, end, n) == 0;
}

/* By the `type` of a content block, or of an item of Responses; false: it says nothing. */
static bool field_of_type(const struct gw_json_node *type, enum router_field *out)
{
    static const char *const files[] = {"image",      "image_url",   "document",   "file",
                                        "input_file", "input_image", "input_audio"};

    if (!gw_json_is(type, GW_JSON_STRING))
        return false;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (gw_json_text_is(type, files[i])) {
            *out = ROUTER_FIELD_FILE;
            return true;
        }
    }
    if (ends_with(type->raw, "tool_use") || ends_with(type->raw, "tool_result") ||
        ends_with(type->raw, "_call") || ends_with(type->raw, "_call_output")) {
        *out = ROUTER_FIELD_TOOL;
        return true;
    }
    if (gw_json_text_is(type, "reasoning")) {
        *out = ROUTER_FIELD_ASSISTANT;
        return true;
    }
    return false;
}

static void add_blocks(struct roles *f, const struct gw_json_node *blocks)
{
    static const char *const tools[] = {"functionCall", "functionResponse", "function_call",
                                        "function_response", NULL};
    static const char *const files[] = {"inlineData", "fileData", "inline_data", "file_data", NULL};

    if (!gw_json_is(blocks, GW_JSON_ARRAY_BEGIN))
        return;
    for (const struct gw_json_node *b = blocks->child; b != NULL; b = b->next) {
        enum router_field field;

        if (!gw_json_is(b, GW_JSON_OBJECT_BEGIN))
            continue;
        if (field_of_type(gw_json_get(b, "type"), &field)) {
            add(f, &f->inner, b, field);
            continue;
        }
        for (const struct gw_json_node *m = b->child; m != NULL; m = m->next) {
            if (one_of(m, tools))
                add(f, &f->inner, m, ROUTER_FIELD_TOOL);
            else if (one_of(m, files))
                add(f, &f->inner, m, ROUTER_FIELD_FILE);
        }
    }
}

static void add_message(struct roles *f, const struct gw_json_node *message)
{
    static const char *const tools[] = {"tool_calls", "function_call", NULL};
    static const char *const contents[] = {"content", "parts", NULL};
    enum router_field field = field_of_role(gw_json_get(message, "role"));

    if (gw_json_is(message, GW_JSON_STRING)) { /* an item of Responses' or embeddings' input */
        add(f, &f->outer, message, ROUTER_FIELD_USER);
        return;
    }
    if (!gw_json_is(message, GW_JSON_OBJECT_BEGIN))
        return;
    if (gw_json_get(message, "role") == NULL)
        (void)field_of_type(gw_json_get(message, "type"), &field);
    add(f, &f->outer, message, field);
    for (const struct gw_json_node *m = message->child; m != NULL; m = m->next) {
        if (one_of(m, tools))
            add(f, &f->inner, m, ROUTER_FIELD_TOOL);
        else if (one_of(m, contents))
            add_blocks(f, m);
    }
}

static void add_member(struct roles *f, const struct gw_json_node *m)
{
    static const char *const turns[] = {"messages", "contents", "input", NULL};
    static const char *const users[] = {"prompt", "suffix", NULL};
    static const char *const systems[] = {"system", "instructions", "systemInstruction",
                                          "system_instruction", NULL};
    static const char *const tools[] = {"tools", "functions", NULL};

    if (one_of(m, turns) && gw_json_is(m, GW_JSON_ARRAY_BEGIN)) {
        for (const struct gw_json_node *turn = m->child; turn != NULL; turn = turn->next)
            add_message(f, turn);
    } else if (one_of(m, turns) || one_of(m, users)) {
        add(f, &f->outer, m, ROUTER_FIELD_USER);
    } else if (one_of(m, systems)) {
        add(f, &f->outer, m, ROUTER_FIELD_SYSTEM);
    } else if (one_of(m, tools)) {
        add(f, &f->outer, m, ROUTER_FIELD_TOOL);
    }
}

struct roles *roles_new(struct gw_arena *arena, const struct gw_json_node *root)
{
    struct roles *f = gw_arena_alloc(arena, sizeof(*f));
    const struct gw_json_node *asked;

    if (f == NULL)
        return NULL;
    f->arena = arena;
    asked = gw_json_get(root, "generateContentRequest"); /* Gemini's countTokens */
    if (asked != NULL)
        root = asked;
    for (const struct gw_json_node *m = gw_json_is(root, GW_JSON_OBJECT_BEGIN) ? root->child : NULL;
         m != NULL; m = m->next)
        add_member(f, m);
    return f->failed ? NULL : f;
}

static const struct stretch *find(const struct layer *l, const char *byte)
{
    unsigned lo = 0, hi = l->n;

    while (lo < hi) { /* the last one that begins at or before the byte */
        unsigned mid = lo + (hi - lo) / 2;

        if (l->items[mid].from <= byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo > 0 && byte <= l->items[lo - 1].to ? &l->items[lo - 1] : NULL;
}

enum router_field roles_at(const struct roles *f, const char *byte)
{
    const struct stretch *s = find(&f->inner, byte);

    if (s == NULL)
        s = find(&f->outer, byte);
    return s == NULL ? ROUTER_FIELD_OTHER : s->field;
}
