/* proxy/api/api_foreign.c - takes the reasoning of other providers out of a request that is forwarded in its own dialect.
 * Pure; any thread.
 *
 * A gateway may answer one turn of a conversation from one provider and the next one from another. The client sends back
 * all that it was given, and what the first provider signed is refused by the second. Which provider signed what is known
 * by the marks of api_private.h. Every byte but those of such reasoning is copied. */
#include "proxy/api/api_private.h"

/* The body being copied, but for what is cut out of it. */
struct cutting {
    struct gw_buf *out;
    const char *at; /* copied so far */
    bool changed;
};

static void cut(struct cutting *c, const char *from, const char *to)
{
    gw_buf_add(c->out, (struct gw_span){c->at, (size_t)(from - c->at)});
    c->at = to;
    c->changed = true;
}

/* Where an element or a member begins and ends, with its quotes and name. */
static const char *start_of(const struct gw_json_node *n)
{
    if (n->key.ptr != NULL)
        return n->key.ptr - 1;
    return n->type == GW_JSON_STRING ? n->raw.ptr - 1 : n->raw.ptr;
}

static const char *end_of(const struct gw_json_node *n)
{
    return n->raw.ptr + n->raw.len + (n->type == GW_JSON_STRING ? 1 : 0);
}

/* Cuts n out of its container with one comma. prev is in front of it; kept: some element in front of it stays. */
static void cut_element(struct cutting *c, const struct gw_json_node *n,
                        const struct gw_json_node *prev, bool kept)
{
    if (kept)
        cut(c, end_of(prev), end_of(n));
    else
        cut(c, start_of(n), n->next != NULL ? start_of(n->next) : end_of(n));
}

enum origin { OWN, MARKED_OWN, FOREIGN };

/* Whose signature it is. One that is not marked came straight from the provider. */
static enum origin origin_of(const struct gw_json_node *signature, const char *mark)
{
    struct gw_span own;

    if (!gw_json_is(signature, GW_JSON_STRING) ||
        !gw_span_starts(signature->raw, GW_SPAN(API_MARK_ALL)))
        return OWN;
    return api_own_signature(signature->raw, mark, &own) ? MARKED_OWN : FOREIGN;
}

static void cut_mark(struct cutting *c, const struct gw_json_node *signature, const char *mark)
{
    cut(c, signature->raw.ptr, signature->raw.ptr + strlen(mark));
}

/* ---- Anthropic's ---------------------------------------------------------------------------- */

static enum origin block_origin(const struct gw_json_node *block)
{
    const struct gw_json_node *type = gw_json_get(block, "type");

    if (gw_json_text_is(type, "redacted_thinking"))
        return origin_of(gw_json_get(block, "data"), API_MARK_ANTHROPIC_HIDDEN);
    if (gw_json_text_is(type, "thinking"))
        return origin_of(gw_json_get(block, "signature"), API_MARK_ANTHROPIC);
    return OWN;
}

static void clean_blocks(struct cutting *c, const struct gw_json_node *content)
{
    const struct gw_json_node *prev = NULL;
    bool kept = false;

    for (const struct gw_json_node *b = content->child; b != NULL; prev = b, b = b->next) {
        const struct gw_json_node *signature = gw_json_get(b, "signature");
        enum origin origin = block_origin(b);

        if (origin == FOREIGN) {
            cut_element(c, b, prev, kept);
            continue;
        }
        kept = true;
        if (origin == MARKED_OWN && signature != NULL)
            cut_mark(c, signature, API_MARK_ANTHROPIC);
        else if (origin == MARKED_OWN)
            cut_mark(c, gw_json_get(b, "data"), API_MARK_ANTHROPIC_HIDDEN);
    }
}

/* A message that would be left empty goes as a whole: an empty one is refused. */
static bool is_all_foreign(const struct gw_json_node *content)
{
    for (const struct gw_json_node *b = content->child; b != NULL; b = b->next)
        if (block_origin(b) != FOREIGN)
            return false;
    return content->n != 0;
}

static void clean_anthropic(struct cutting *c, const struct gw_json_node *root)
{
    const struct gw_json_node *messages = gw_json_get(root, "messages"), *prev = NULL;
    bool kept = false;

    if (!gw_json_is(messages, GW_JSON_ARRAY_BEGIN))
        return;
    for (const struct gw_json_node *m = messages->child; m != NULL; prev = m, m = m->next) {
        const struct gw_json_node *content = gw_json_get(m, "content");

        if (!gw_json_is(content, GW_JSON_ARRAY_BEGIN)) {
            kept = true;
        } else if (is_all_foreign(content)) {
            cut_element(c, m, prev, kept);
        } else {
            kept = true;
            clean_blocks(c, content);
        }
    }
}

/* ---- Gemini's ------------------------------------------------------------------------------- */

/* The signature of a part, in either spelling of its name, and the member in front of it; NULL without one. */
static const struct gw_json_node *part_signature(const struct gw_json_node *part,
                                                 const struct gw_json_node **before)
{
    const struct gw_json_node *m = gw_json_is(part, GW_JSON_OBJECT_BEGIN) ? part->child : NULL;

    *before = NULL;
    while (m != NULL && !gw_json_key_is(m, "thoughtSignature") &&
           !gw_json_key_is(m, "thought_signature")) {
        *before = m;
        m = m->next;
    }
    return m;
}

static bool is_foreign_thought(const struct gw_json_node *part)
{
    const struct gw_json_node *before;

    return gw_json_is(gw_json_get(part, "thought"), GW_JSON_TRUE) &&
           origin_of(part_signature(part, &before), API_MARK_GEMINI) == FOREIGN;
}

/* A content that would be left empty goes as a whole: clients keep each chunk of a stream as a content. */
static bool is_all_foreign_thoughts(const struct gw_json_node *parts)
{
    for (const struct gw_json_node *p = parts->child; p != NULL; p = p->next)
        if (!is_foreign_thought(p))
            return false;
    return parts->n != 0;
}

/* A thought goes; another part (a function call) only loses its signature. */
static void clean_parts(struct cutting *c, const struct gw_json_node *parts)
{
    const struct gw_json_node *prev = NULL;
    bool kept = false;

    for (const struct gw_json_node *p = parts->child; p != NULL; prev = p, p = p->next) {
        const struct gw_json_node *before, *signature = part_signature(p, &before);
        enum origin origin = origin_of(signature, API_MARK_GEMINI);

        if (is_foreign_thought(p)) {
            cut_element(c, p, prev, kept);
            continue;
        }
        kept = true;
        if (origin == MARKED_OWN)
            cut_mark(c, signature, API_MARK_GEMINI);
        else if (origin == FOREIGN)
            cut_element(c, signature, before, before != NULL);
    }
}

static void clean_gemini(struct cutting *c, const struct gw_json_node *root)
{
    const struct gw_json_node *contents = gw_json_get(root, "contents"), *prev = NULL;
    bool kept = false;

    if (!gw_json_is(contents, GW_JSON_ARRAY_BEGIN))
        return;
    for (const struct gw_json_node *m = contents->child; m != NULL; prev = m, m = m->next) {
        const struct gw_json_node *parts = gw_json_get(m, "parts");

        if (!gw_json_is(parts, GW_JSON_ARRAY_BEGIN)) {
            kept = true;
        } else if (is_all_foreign_thoughts(parts)) {
            cut_element(c, m, prev, kept);
        } else {
            kept = true;
            clean_parts(c, parts);
        }
    }
}

/* ---- Responses ------------------------------------------------------------------------------ */

static void clean_responses(struct cutting *c, const struct gw_json_node *root)
{
    const struct gw_json_node *input = gw_json_get(root, "input"), *prev = NULL;
    bool kept = false;

    if (!gw_json_is(input, GW_JSON_ARRAY_BEGIN))
        return;
    for (const struct gw_json_node *item = input->child; item != NULL;
         prev = item, item = item->next) {
        const struct gw_json_node *secret = gw_json_get(item, "encrypted_content");
        enum origin origin = origin_of(secret, API_MARK_RESPONSES);

        if (origin == FOREIGN) {
            cut_element(c, item, prev, kept);
            continue;
        }
        kept = true;
        if (origin == MARKED_OWN)
            cut_mark(c, secret, API_MARK_RESPONSES);
    }
}

/* ---- the body ------------------------------------------------------------------------------- */

enum gw_status api_drop_foreign(enum api_dialect d, struct gw_json *json, struct gw_arena *arena,
                                struct gw_span body, struct gw_buf *out, bool *changed)
{
    struct cutting c = {.out = out, .at = body.ptr};
    struct gw_json_node *root = NULL;

    *changed = false;
    if (body.len == 0 || d == API_CHAT || d == API_COMPLETIONS || /* these have no signatures */
        memmem(body.ptr, body.len, API_MARK_ALL, sizeof(API_MARK_ALL) - 1) == NULL)
        return GW_OK;
    GW_TRY(gw_json_tree(json, arena, body, NULL, &root, NULL));
    if (d == API_ANTHROPIC)
        clean_anthropic(&c, root);
    else if (d == API_GEMINI)
        clean_gemini(&c, root);
    else
        clean_responses(&c, root);
    if (!c.changed)
        return GW_OK;
    gw_buf_add(out, (struct gw_span){c.at, (size_t)(body.ptr + body.len - c.at)});
    *changed = true;
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}
