/* proxy/api/api_chat_tools.c - reads the tools of a chat request, the choice among them, and the format of its answer. Pure; any
 * thread. */
#include "proxy/api/api_chat_private.h"

static bool given(const struct gw_json_node *node)
{
    return node != NULL && node->type != GW_JSON_NULL;
}

/* ---- tools ------------------------------------------------------------------------------ */

/* {"name","description","parameters","strict"}. */
static enum gw_status add_function(struct api_reading *r, const struct gw_json_node *node,
                                   const char *path)
{
    struct gw_span name = gw_json_text(gw_json_get(node, "name"), r->arena);
    struct api_tool *tool;
    char member[96];

    if (name.len == 0)
        return api_chat_note(r, api_note_bad(r, "must be a string", "%s.name", path));
    tool = api_add_tool(r);
    if (tool == NULL)
        return api_no_memory(r->err);
    tool->name = name;
    for (const struct gw_json_node *c = node->child; c != NULL; c = c->next) {
        if (gw_json_key_is(c, "name"))
            continue;
        snprintf(member, sizeof(member), "%s.%.*s", path, (int)(c->key.len < 32 ? c->key.len : 32),
                 c->key.ptr);
        if (gw_json_key_is(c, "description"))
            tool->description = api_text(r, c, member);
        else if (gw_json_key_is(c, "parameters"))
            tool->schema = api_object(r, c, member);
        else if (gw_json_key_is(c, "strict"))
            tool->strict = api_bool(r, c, member);
        else
            GW_TRY(api_chat_note(r, api_add_unknown(r, c, "%s.", path)));
    }
    return GW_OK;
}

static enum gw_status read_tool(struct api_reading *r, const struct gw_json_node *node, unsigned i)
{
    const struct gw_json_node *type = gw_json_get(node, "type");
    const struct gw_json_node *function = gw_json_get(node, "function");
    char path[48];

    if (!gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return api_chat_note(r, api_note_bad(r, "must be an object", "tools[%u]", i));
    if (given(type) && !gw_json_text_is(type, "function"))
        return api_chat_note(r, api_add_extra(r, false, "tools[%u].type", i));
    for (const struct gw_json_node *c = node->child; c != NULL; c = c->next) {
        if (gw_json_key_is(c, "cache_control") && c->type != GW_JSON_NULL)
            GW_TRY(api_chat_note(r, api_add_extra(r, true, "tools[%u].cache_control", i)));
        else if (!gw_json_key_is(c, "type") && !gw_json_key_is(c, "function"))
            GW_TRY(api_chat_note(r, api_add_unknown(r, c, "tools[%u].", i)));
    }
    snprintf(path, sizeof(path), "tools[%u].function", i);
    if (!gw_json_is(function, GW_JSON_OBJECT_BEGIN))
        return api_chat_note(r, api_note_bad(r, "must be an object", "%s", path));
    return add_function(r, function, path);
}

enum gw_status api_chat_read_tools(struct api_reading *r, const struct gw_json_node *v)
{
    unsigned i = 0;

    if (v->type != GW_JSON_ARRAY_BEGIN)
        return api_chat_note(r, api_note_bad(r, "must be a list", "tools"));
    for (const struct gw_json_node *c = v->child; c != NULL; c = c->next)
        GW_TRY(read_tool(r, c, i++));
    return GW_OK;
}

/* The form before tools: one call an answer, in "function_call". */
enum gw_status api_chat_read_functions(struct api_reading *r, const struct gw_json_node *v)
{
    unsigned i = 0;

    if (v->type != GW_JSON_ARRAY_BEGIN)
        return api_chat_note(r, api_note_bad(r, "must be a list", "functions"));
    for (const struct gw_json_node *c = v->child; c != NULL; c = c->next) {
        char path[32];

        snprintf(path, sizeof(path), "functions[%u]", i++);
        GW_TRY(add_function(r, c, path));
        r->req->legacy_functions = true;
        r->req->parallel = API_NO;
    }
    return GW_OK;
}

/* ---- the choice ------------------------------------------------------------------------- */

static bool choice_word(const struct gw_json_node *v, enum api_choice *out)
{
    static const struct {
        const char *word;
        enum api_choice choice;
    } words[] = {
        {"auto", API_CHOICE_AUTO}, {"none", API_CHOICE_NONE}, {"required", API_CHOICE_ANY}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (gw_json_text_is(v, words[i].word)) {
            *out = words[i].choice;
            return true;
        }
    }
    return false;
}

static enum gw_status choose_named(struct api_reading *r, const struct gw_json_node *name,
                                   const char *path)
{
    struct gw_span text = gw_json_text(name, r->arena);

    if (text.len == 0)
        return api_chat_note(r, api_note_bad(r, "must be a string", "%s", path));
    r->req->choice = API_CHOICE_NAMED;
    r->req->choice_name = text;
    return GW_OK;
}

enum gw_status api_chat_read_tool_choice(struct api_reading *r, const struct gw_json_node *v)
{
    if (choice_word(v, &r->req->choice))
        return GW_OK;
    if (v->type != GW_JSON_OBJECT_BEGIN)
        return api_chat_note(
            r, api_note_bad(r, "must be \"auto\", \"none\", \"required\" or an object",
                            "tool_choice"));
    if (!gw_json_text_is(gw_json_get(v, "type"), "function"))
        return api_chat_note(r, api_add_extra(r, false, "tool_choice.type"));
    return choose_named(r, gw_json_get(gw_json_get(v, "function"), "name"),
                        "tool_choice.function.name");
}

enum gw_status api_chat_read_function_call(struct api_reading *r, const struct gw_json_node *v)
{
    if (choice_word(v, &r->req->choice) && r->req->choice != API_CHOICE_ANY)
        return GW_OK;
    return choose_named(r, gw_json_get(v, "name"), "function_call.name");
}

/* ---- the answer's format ------------------------------------------------------------------ */

/* {"name","description","schema","strict"}. The description is advice on when to use the format: a hint. */
static enum gw_status read_schema(struct api_reading *r, const struct gw_json_node *v)
{
    struct api_request *req = r->req;

    if (!gw_json_is(v, GW_JSON_OBJECT_BEGIN))
        return api_chat_note(r,
                             api_note_bad(r, "must be an object", "response_format.json_schema"));
    req->format = API_FORMAT_SCHEMA;
    for (const struct gw_json_node *c = v->child; c != NULL; c = c->next) {
        if (gw_json_key_is(c, "name"))
            req->schema_name = api_text(r, c, "response_format.json_schema.name");
        else if (gw_json_key_is(c, "schema"))
            req->schema = api_object(r, c, "response_format.json_schema.schema");
        else if (gw_json_key_is(c, "strict"))
            req->schema_strict = api_bool(r, c, "response_format.json_schema.strict");
        else if (gw_json_key_is(c, "description") && given(c))
            GW_TRY(api_chat_note(
                r, api_add_extra(r, true, "response_format.json_schema.description")));
        else
            GW_TRY(api_chat_note(r, api_add_unknown(r, c, "response_format.json_schema.")));
    }
    return GW_OK;
}

enum gw_status api_chat_read_format(struct api_reading *r, const struct gw_json_node *v)
{
    const struct gw_json_node *type = gw_json_get(v, "type");

    if (!gw_json_is(type, GW_JSON_STRING))
        return api_chat_note(r, api_note_bad(r, "must be a string", "response_format.type"));
    if (gw_json_text_is(type, "json_schema"))
        return read_schema(r, gw_json_get(v, "json_schema"));
    if (gw_json_text_is(type, "json_object"))
        r->req->format = API_FORMAT_JSON;
    else if (!gw_json_text_is(type, "text"))
        return api_chat_note(r, api_add_extra(r, false, "response_format.type"));
    return GW_OK;
}
