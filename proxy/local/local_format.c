/* proxy/local/local_format.c - the shape that a request demands of its answer (response_format, strict tools, a call that must
 * be made), as the engine's format. Pure; worker's thread. */
#include "proxy/local/local_format.h"

#include "proxy/local/local_tools.h"

static bool any_strict(const struct local_request *local)
{
    for (unsigned i = 0; i < local->n_tools; i++)
        if (local->tools[i].strict == API_YES)
            return true;
    return false;
}

static bool must_call(const struct api_request *asked)
{
    return asked->choice == API_CHOICE_ANY || asked->choice == API_CHOICE_NAMED;
}

/* The schema of the text. */
static struct gw_span text_schema(const struct api_request *asked)
{
    if (asked->format == API_FORMAT_JSON)
        return GW_SPAN("{\"type\":\"object\"}");
    return asked->format == API_FORMAT_SCHEMA ? asked->schema : (struct gw_span){NULL, 0};
}

/* Calls in the form that local_tools.h describes; tools without strict may take any object. */
static bool tools_format(const struct api_request *asked, const struct local_request *local,
                         struct gw_arena *arena, struct engine_format *out)
{
    struct engine_format_tool *tools = gw_arena_array(arena, local->n_tools, sizeof(*tools));

    if (tools == NULL)
        return false;
    *out = (struct engine_format){.kind = ENGINE_FORMAT_TOOLS,
                                  .begin = GW_SPAN(LOCAL_TOOLS_CALL_BEGIN),
                                  .end = GW_SPAN(LOCAL_TOOLS_CALL_END),
                                  .tools = tools,
                                  .n_tools = local->n_tools,
                                  .text = text_schema(asked),
                                  .ordered = true,
                                  .closed = true,
                                  .must_call = must_call(asked),
                                  .single = local->single};
    for (unsigned i = 0; i < local->n_tools; i++) {
        tools[i].name = local->tools[i].name;
        if (local->tools[i].strict == API_YES)
            tools[i].schema = local->tools[i].schema;
    }
    return true;
}

enum gw_status local_format(const struct api_request *asked, const struct local_request *local,
                            struct gw_span tenant, struct gw_arena *arena,
                            struct engine_grammar **out, const char **param, struct gw_err *err)
{
    struct engine_format format = {.kind = asked->format == API_FORMAT_JSON ? ENGINE_FORMAT_JSON
                                                                            : ENGINE_FORMAT_SCHEMA,
                                   .text = text_schema(asked),
                                   .ordered = true,
                                   .closed = true};
    bool text = asked->format != API_FORMAT_TEXT;
    bool calls = local->n_tools != 0 && (text || any_strict(local) || must_call(asked));
    enum gw_status st;

    *out = NULL;
    if (!text && !calls)
        return GW_OK;
    *param = text ? "response_format" : "tools";
    if (asked->format == API_FORMAT_SCHEMA && format.text.len == 0)
        return gw_fail(err, GW_EINVAL, "response_format has no schema");
    if (calls && !tools_format(asked, local, arena, &format))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    st = engine_grammar_get(&format, tenant, out, err);
    if (st == GW_OK)
        *param = NULL;
    if (st == GW_ELIMIT) /* another target may take more */
        return gw_fail(err, GW_EUNSUPPORTED, "%s", err->text);
    return st == GW_EPARSE ? gw_fail(err, GW_EINVAL, "%s", err->text) : st;
}
