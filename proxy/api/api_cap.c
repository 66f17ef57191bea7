/* proxy/api/api_cap.c - an end for answers whose request gives none: one number written into the body, every other byte as it
 * came. Pure; any thread. */
#include <stdio.h>

#include "proxy/api/api_chat_private.h"

/* A member that may hold the number: of the body, or of an object in it. */
struct place {
    const char *in, *in_too;     /* the object's names; NULL: the body */
    const char *name, *name_too; /* the member's; the first one is written when there is none */
};

static struct place place_of(enum api_dialect d, struct gw_span model)
{
    switch (d) {
    case API_RESPONSES:
        return (struct place){.name = "max_output_tokens"};
    case API_GEMINI:
        return (struct place){"generationConfig", "generation_config", "maxOutputTokens",
                              "max_output_tokens"};
    case API_CHAT:
        /* OpenAI's reasoning models refuse the older name; servers of the same API may not know the newer one. */
        return api_chat_is_reasoning(model)
                   ? (struct place){.name = "max_completion_tokens", .name_too = "max_tokens"}
                   : (struct place){.name = "max_tokens", .name_too = "max_completion_tokens"};
    case API_COMPLETIONS:
    case API_ANTHROPIC:
    case API_DIALECT_COUNT:
    default:
        return (struct place){.name = "max_tokens"};
    }
}

static const struct gw_json_node *member(const struct gw_json_node *object, const char *name,
                                         const char *name_too)
{
    const struct gw_json_node *node = gw_json_get(object, name);

    return node != NULL || name_too == NULL ? node : gw_json_get(object, name_too);
}

/* Puts text in the place of the bytes old, which lie in body. */
static void splice(struct gw_span body, struct gw_span old, const char *text, struct gw_buf *out)
{
    size_t at = (size_t)(old.ptr - body.ptr);

    gw_buf_add(out, (struct gw_span){body.ptr, at});
    gw_buf_adds(out, text);
    gw_buf_add(out, gw_span_from(body, at + old.len));
}

enum gw_status api_cap_answer(enum api_dialect d, struct gw_json *json, struct gw_arena *arena,
                              struct gw_span body, struct gw_span model, uint64_t tokens,
                              struct gw_buf *out)
{
    const struct place p = place_of(d, model);
    const struct gw_json_node *object, *old;
    struct gw_json_node *root = NULL;
    char text[96];

    GW_TRY(gw_json_tree(json, arena, body, NULL, &root, NULL));
    object = p.in == NULL ? root : member(root, p.in, p.in_too);
    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN))
        return GW_EPARSE;
    old = member(object, p.name, p.name_too);
    if (old != NULL) { /* null, most often: a string's quotes are not in raw */
        if (gw_json_is(old, GW_JSON_STRING))
            return GW_EPARSE;
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)tokens);
        splice(body, old->raw, text, out);
    } else if (gw_json_is(object, GW_JSON_OBJECT_BEGIN)) {
        (void)snprintf(text, sizeof(text), "{\"%s\":%llu%s", p.name, (unsigned long long)tokens,
                       object->n == 0 ? "" : ",");
        splice(body, (struct gw_span){object->raw.ptr, 1}, text, out);
    } else if (object == NULL) {
        (void)snprintf(text, sizeof(text), "{\"%s\":{\"%s\":%llu}%s", p.in, p.name,
                       (unsigned long long)tokens, root->n == 0 ? "" : ",");
        splice(body, (struct gw_span){root->raw.ptr, 1}, text, out);
    } else {
        return GW_EPARSE;
    }
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}
