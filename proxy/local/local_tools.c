/* proxy/local/local_tools.c - tools, calls and results as text of the prompt. Pure; see local_tools.h.
 *
 * The tags are those of the models' training data (model cards of NousResearch's Hermes 2 Pro and of Qwen 2.5): a list of
 * definitions in <tools>, calls in <tool_call>, results in <tool_response>. They go into plain messages and so through
 * every chat template. JSON is carried as it was written. */
#include "proxy/local/local_tools.h"

#include "base/buf.h"
#include "proxy/api/api_private.h"

/* ---- what is shown ------------------------------------------------------------------------ */

enum gw_status local_tools_shown(const struct api_request *asked, const struct api_tool **tools,
                                 unsigned *n_tools, struct gw_err *err)
{
    *tools = asked->tools;
    *n_tools = asked->choice == API_CHOICE_NONE ? 0 : asked->n_tools;
    if (asked->choice == API_CHOICE_ANY && asked->n_tools == 0)
        return gw_fail(err, GW_EINVAL, "tool_choice demands a call, but there are no tools");
    if (asked->choice != API_CHOICE_NAMED)
        return GW_OK;
    for (unsigned i = 0; i < asked->n_tools; i++) {
        if (!gw_span_eq(asked->tools[i].name, asked->choice_name))
            continue;
        *tools = &asked->tools[i];
        *n_tools = 1;
        return GW_OK;
    }
    return gw_fail(err, GW_EINVAL, "tool_choice names a tool that is not among the tools");
}

bool local_tools_single(const struct api_request *asked)
{
    /* "function_call" of the old form has a place for one call. */
    return asked->parallel == API_NO || asked->legacy_functions;
}

static void put_tool(const struct api_tool *t, struct gw_buf *out)
{
    gw_buf_adds(out, "{\"type\": \"function\", \"function\": {\"name\": ");
    gw_buf_add_json_str(out, t->name);
    if (t->description.ptr != NULL) {
        gw_buf_adds(out, ", \"description\": ");
        gw_buf_add_json_str(out, t->description);
    }
    if (t->schema.len != 0) {
        gw_buf_adds(out, ", \"parameters\": ");
        gw_buf_add(out, t->schema);
    }
    gw_buf_adds(out, "}}\n");
}

static void put_choice(const struct api_request *asked, struct gw_buf *out)
{
    bool single = local_tools_single(asked);

    if (asked->choice == API_CHOICE_NAMED) {
        gw_buf_adds(out, "\n\nYou must call the function ");
        gw_buf_add(out, asked->choice_name);
        gw_buf_adds(out, single ? " now, once." : " now.");
    } else if (asked->choice == API_CHOICE_ANY) {
        gw_buf_adds(out, single ? "\n\nYou must call exactly one of these functions now."
                                : "\n\nYou must call at least one of these functions now.");
    } else if (single) {
        gw_buf_adds(out, "\n\nMake at most one call in an answer.");
    }
}

static void put_tools(const struct api_request *asked, const struct api_tool *tools,
                      unsigned n_tools, struct gw_buf *out)
{
    gw_buf_adds(out, "# Tools\n\n"
                     "You can call functions to help the user. These are the functions, each as a "
                     "JSON object, inside of <tools></tools>:\n<tools>\n");
    for (unsigned i = 0; i < n_tools; i++)
        put_tool(&tools[i], out);
    gw_buf_adds(out,
                "</tools>\n\n"
                "To call a function, write a JSON object with its name and its arguments inside of "
                "<tool_call></tool_call>, for each call anew:\n" LOCAL_TOOLS_CALL_BEGIN
                "\n{\"name\": <function name>, \"arguments\": <object of arguments>}"
                "\n" LOCAL_TOOLS_CALL_END);
    put_choice(asked, out);
}

/* ---- the conversation --------------------------------------------------------------------- */

struct writing {
    const struct api_request *asked;
    struct gw_arena *arena;
    struct gw_buf text; /* of the message being written */
};

static void put_call(const struct api_part *call, struct gw_buf *out)
{
    gw_buf_adds(out, LOCAL_TOOLS_CALL_BEGIN "\n{\"name\": ");
    gw_buf_add_json_str(out, call->name);
    gw_buf_adds(out, ", \"arguments\": ");
    gw_buf_add(out, api_or_empty_object(call->json));
    gw_buf_adds(out, "}\n" LOCAL_TOOLS_CALL_END);
}

/* The name of the tool that a result is of: as the dialect says it, or of the newest call with its id before it. Quadratic
 * in the number of calls, which the tokenizer's limit on keys bounds. */
static struct gw_span name_of(const struct writing *w, unsigned message,
                              const struct api_part *result)
{
    if (result->name.len != 0 || result->id.len == 0)
        return result->name;
    for (unsigned i = message; i-- > 0;) {
        const struct api_message *m = &w->asked->messages[i];

        for (unsigned k = m->n_parts; k-- > 0;)
            if (m->parts[k].kind == API_PART_TOOL_CALL && gw_span_eq(m->parts[k].id, result->id))
                return m->parts[k].name;
    }
    return result->name;
}

static void put_result(struct writing *w, unsigned message, const struct api_part *result)
{
    const struct api_message inner = {
        .role = API_ROLE_USER, .parts = result->parts, .n_parts = result->n_parts};
    struct gw_span name = name_of(w, message, result);
    struct gw_span content = api_message_text(&inner, w->arena);

    if (content.ptr == NULL)
        w->text.failed = true;
    gw_buf_adds(&w->text, "<tool_response>\n{");
    if (name.len != 0) {
        gw_buf_adds(&w->text, "\"name\": ");
        gw_buf_add_json_str(&w->text, name);
        gw_buf_adds(&w->text, ", ");
    }
    if (result->is_error)
        gw_buf_adds(&w->text, "\"is_error\": true, ");
    gw_buf_adds(&w->text, "\"content\": ");
    if (api_is_object(content))
        gw_buf_add(&w->text, content);
    else
        gw_buf_add_json_str(&w->text, content);
    gw_buf_adds(&w->text, "}\n</tool_response>");
}

/* Adds a message's texts, calls and results, each on a line of its own; reasoning of earlier answers is not read again. */
static void put_parts(struct writing *w, unsigned message)
{
    const struct api_message *m = &w->asked->messages[message];

    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct api_part *part = &m->parts[i];
        bool tool = part->kind == API_PART_TOOL_CALL || part->kind == API_PART_TOOL_RESULT;
        bool text = part->kind == API_PART_TEXT || part->kind == API_PART_REFUSAL;

        if (!tool && (!text || part->text.len == 0))
            continue;
        if (w->text.len != 0)
            gw_buf_addc(&w->text, '\n');
        if (part->kind == API_PART_TOOL_CALL)
            put_call(part, &w->text);
        else if (part->kind == API_PART_TOOL_RESULT)
            put_result(w, message, part);
        else
            gw_buf_add(&w->text, part->text);
    }
}

static bool has_tool_parts(const struct api_message *m)
{
    for (unsigned i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind == API_PART_TOOL_CALL || m->parts[i].kind == API_PART_TOOL_RESULT)
            return true;
    return false;
}

/* The message behind those that become one with message `from`. */
static unsigned joined_until(const struct api_request *asked, unsigned from)
{
    const struct api_message *m = asked->messages;
    bool tools = has_tool_parts(&m[from]);
    unsigned i = from + 1;

    for (; m[from].role != API_ROLE_SYSTEM && i < asked->n_messages && m[i].role == m[from].role;
         i++) {
        bool here = has_tool_parts(&m[i]);

        if (!tools && !here)
            break;
        tools = here;
    }
    return i;
}

/* Moves the text that was written into the arena. */
static bool take_text(struct writing *w, struct gw_span *out)
{
    *out = gw_buf_ok(&w->text) ? gw_arena_copy(w->arena, gw_buf_span(&w->text))
                               : (struct gw_span){NULL, 0};
    gw_buf_clear(&w->text);
    return out->ptr != NULL;
}

/* Message `from` and those that are joined with it. */
static bool make_message(struct writing *w, unsigned from, unsigned until,
                         struct engine_message *out)
{
    const struct api_message *m = &w->asked->messages[from];

    out->role = api_role_name(m->role);
    if (until == from + 1 && !has_tool_parts(m)) {
        out->content = api_message_text(m, w->arena);
        return out->content.ptr != NULL;
    }
    for (unsigned i = from; i < until; i++)
        put_parts(w, i);
    return take_text(w, &out->content);
}

/* The first message, with the tools at its end; *from is behind what it took. */
static bool make_system(struct writing *w, const struct api_tool *tools, unsigned n_tools,
                        unsigned *from, struct engine_message *out)
{
    const struct api_request *asked = w->asked;

    out->role = api_role_name(API_ROLE_SYSTEM);
    if (asked->n_messages != 0 && asked->messages[0].role == API_ROLE_SYSTEM) {
        struct gw_span text = api_message_text(&asked->messages[0], w->arena);

        if (text.ptr == NULL)
            return false;
        gw_buf_add(&w->text, text);
        if (text.len != 0)
            gw_buf_adds(&w->text, "\n\n");
        *from = 1;
    }
    put_tools(asked, tools, n_tools, &w->text);
    return take_text(w, &out->content);
}

enum gw_status local_tools_messages(const struct api_request *asked, const struct api_tool *tools,
                                    unsigned n_tools, struct gw_arena *arena,
                                    struct engine_message **out, unsigned *n_out,
                                    struct gw_err *err)
{
    struct writing w = {.asked = asked, .arena = arena};
    struct engine_message *m = gw_arena_array(arena, (size_t)asked->n_messages + 1, sizeof(*m));
    unsigned n = 0, from = 0;
    bool ok = m != NULL;

    if (ok && n_tools != 0)
        ok = make_system(&w, tools, n_tools, &from, &m[n++]);
    while (ok && from < asked->n_messages) {
        unsigned until = joined_until(asked, from);

        ok = make_message(&w, from, until, &m[n++]);
        from = until;
    }
    gw_buf_fini(&w.text);
    if (!ok)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    *out = m;
    *n_out = n;
    return GW_OK;
}
