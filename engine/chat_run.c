/* engine/chat_run.c - runs a parsed chat template over messages: its statements and the way in.
 *
 * Loops and strings are bounded by the work budget, memory by the arena, output by the sink. See
 * chat_eval.c for how failures travel. One rendering, one thread. */
#include "engine/chat_eval.h"

/* How a list of statements ended. */
enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

static enum flow run_list(struct jrun *r, const struct jinja_node *n);

/* ---- names ---------------------------------------------------------------------------------------- */

static void add_name(struct jrun *r, struct gw_span name, struct jval value, bool border)
{
    struct jscope *s = jrun_alloc(r, 1, sizeof(*s));

    if (s == NULL)
        return;
    *s = (struct jscope){name, value, r->scope, border};
    r->scope = s;
}

/* Sets a name in the innermost loop only, as Jinja does: it is gone when the loop goes on. */
static void set_name(struct jrun *r, struct gw_span name, struct jval value)
{
    for (struct jscope *s = r->scope; s != NULL && !s->border && jrun_work(r, 1); s = s->next) {
        if (gw_span_eq(s->name, name)) {
            s->value = value;
            return;
        }
    }
    add_name(r, name, value, false);
}

/* ---- statements ------------------------------------------------------------------------------------ */

/* Sends s to the sink, cut where its marks change. */
static void output(struct jrun *r, struct jstr s)
{
    size_t from = 0;

    if (!jrun_work(r, s.len / 16))
        return;
    while (from < s.len) {
        bool user = s.user != NULL && s.user[from] != 0;
        size_t to = s.len;

        if (s.user != NULL) {
            const unsigned char *change = memchr(s.user + from, user ? 0 : 1, s.len - from);

            if (change != NULL)
                to = (size_t)(change - s.user);
        }
        chat_sink_add(r->sink, (struct gw_span){s.ptr + from, to - from}, user);
        from = to;
    }
    if (chat_sink_status(r->sink) != GW_OK)
        jrun_fail(r, chat_sink_status(r->sink), "the prompt is too long");
}

static enum flow run_set(struct jrun *r, const struct jinja_node *n)
{
    struct jval value;

    if (n->c != NULL || n->b == NULL) {
        jrun_fail(r, GW_EUNSUPPORTED, "block set is not supported");
        return FLOW_NEXT;
    }
    value = jinja_eval(r, n->b);
    if (r->status != GW_OK)
        return FLOW_NEXT;
    if (n->a->kind == JINJA_NAME) {
        set_name(r, n->a->text, value);
        return FLOW_NEXT;
    }
    struct jval object = jinja_eval(r, n->a->a);
    if (object.type == JVAL_DICT)
        jdict_set(r, object.dict, (struct jstr){n->a->text.ptr, NULL, n->a->text.len}, value);
    else
        jrun_fail(r, GW_EUNSUPPORTED, "only members of a namespace can be set");
    return FLOW_NEXT;
}

/* Binds the loop's names to item; false when it does not fit. */
static bool bind_item(struct jrun *r, const struct jinja_node *n, struct jval item)
{
    size_t i = 0;

    if (n->a == NULL) {
        add_name(r, n->text, item, false);
        return r->status == GW_OK;
    }
    if (item.type == JVAL_LIST && item.list->n > 0) {
        add_name(r, n->text, item.list->items[i++], false);
        for (const struct jinja_node *name = n->a; name != NULL && i < item.list->n;
             name = name->next, i++)
            add_name(r, name->text, item.list->items[i], false);
    }
    if (i == 0)
        jrun_fail(r, GW_EUNSUPPORTED, "a loop's item cannot be taken apart");
    return r->status == GW_OK;
}

/* The items that pass the loop's own condition. */
static const struct jlist *filtered(struct jrun *r, const struct jinja_node *n,
                                    const struct jlist *all)
{
    struct jval out;
    size_t kept = 0;

    if (n->e == NULL)
        return all;
    out = jval_list(r, all->n);
    for (size_t i = 0; i < all->n && r->status == GW_OK; i++) {
        struct jscope *before = r->scope;

        if (bind_item(r, n, all->items[i]) && jval_truth(jinja_eval(r, n->e)))
            out.list->items[kept++] = all->items[i];
        r->scope = before;
    }
    if (r->status != GW_OK)
        return all;
    out.list->n = kept;
    return out.list;
}

static enum flow run_for(struct jrun *r, const struct jinja_node *n)
{
    const struct jlist *list = jval_iterate(r, jinja_eval(r, n->d));
    struct jscope *before = r->scope;
    struct jloop *loop = jrun_alloc(r, 1, sizeof(*loop));

    if (loop == NULL)
        return FLOW_NEXT;
    loop->list = list = filtered(r, n, list);
    if (list->n == 0)
        (void)run_list(r, n->c);
    for (size_t i = 0; i < list->n && jrun_work(r, 4); i++) {
        loop->index = i;
        add_name(r, (struct gw_span){NULL, 0}, jval_undefined, true);
        add_name(r, GW_SPAN("loop"), (struct jval){.type = JVAL_LOOP, .loop = loop}, false);
        enum flow flow = bind_item(r, n, list->items[i]) ? run_list(r, n->b) : FLOW_BREAK;
        r->scope = before;
        if (flow == FLOW_BREAK)
            break;
    }
    return FLOW_NEXT;
}

static enum flow run_text(struct jrun *r, const struct jinja_node *n)
{
    output(r, (struct jstr){n->text.ptr, NULL, n->text.len});
    return FLOW_NEXT;
}

static enum flow run_output(struct jrun *r, const struct jinja_node *n)
{
    struct jval v = jinja_eval(r, n->a);

    if (r->status == GW_OK)
        output(r, jval_text(r, v));
    return FLOW_NEXT;
}

static enum flow run_if(struct jrun *r, const struct jinja_node *n)
{
    return run_list(r, jval_truth(jinja_eval(r, n->a)) ? n->b : n->c);
}

static enum flow run_break(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    (void)n;
    return FLOW_BREAK;
}

static enum flow run_continue(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    (void)n;
    return FLOW_CONTINUE;
}

static enum flow run_list(struct jrun *r, const struct jinja_node *n)
{
    typedef enum flow runner(struct jrun *, const struct jinja_node *);
    static runner *const runners[] = {
        [JINJA_TEXT] = run_text,         [JINJA_OUTPUT] = run_output, [JINJA_IF] = run_if,
        [JINJA_FOR] = run_for,           [JINJA_SET] = run_set,       [JINJA_BREAK] = run_break,
        [JINJA_CONTINUE] = run_continue,
    };

    for (; n != NULL && jrun_work(r, 1); n = n->next) {
        enum flow flow = FLOW_NEXT;

        r->line = n->line;
        if (n->kind < sizeof(runners) / sizeof(runners[0]))
            flow = runners[n->kind](r, n);
        else
            jrun_fail(r, GW_EUNSUPPORTED, "a value stands where a statement is expected");
        if (flow != FLOW_NEXT)
            return flow;
    }
    return FLOW_NEXT;
}

/* ---- the way in -------------------------------------------------------------------------------------- */

static struct jstr user_string(const struct jrun *r, struct gw_span text)
{
    return (struct jstr){text.ptr, r->marks, text.len};
}

static struct jval make_messages(struct jrun *r, const struct jinja_input *in)
{
    static const char role[] = "role", content[] = "content";
    struct jval out;

    for (unsigned i = 0; i < in->n_messages; i++) {
        const struct engine_message *m = &in->messages[i];

        if (m->role.len > r->n_marks)
            r->n_marks = m->role.len;
        if (m->content.len > r->n_marks)
            r->n_marks = m->content.len;
    }
    r->marks = jrun_alloc(r, r->n_marks, 1);
    out = jval_list(r, in->n_messages);
    if (r->status != GW_OK)
        return out;
    memset(r->marks, 1, r->n_marks);
    for (unsigned i = 0; i < in->n_messages && r->status == GW_OK; i++) {
        struct jval m = jval_dict(r);

        if (r->status != GW_OK)
            break;
        jdict_set(r, m.dict, (struct jstr){role, NULL, sizeof(role) - 1},
                  jval_string(user_string(r, in->messages[i].role)));
        jdict_set(r, m.dict, (struct jstr){content, NULL, sizeof(content) - 1},
                  jval_string(user_string(r, in->messages[i].content)));
        out.list->items[i] = m;
    }
    return out;
}

enum gw_status jinja_render(const struct jinja *j, const struct jinja_input *in,
                            struct chat_sink *sink, struct gw_err *err)
{
    struct jrun r = {.work = JINJA_MAX_WORK, .status = GW_OK, .err = err, .sink = sink};
    size_t bytes = 0;

    for (unsigned i = 0; i < in->n_messages; i++) {
        if (in->messages[i].content.len > CHAT_MAX_PROMPT_BYTES ||
            in->messages[i].role.len > CHAT_MAX_PROMPT_BYTES)
            return gw_fail(err, GW_ELIMIT, "message %u is too long for a prompt", i + 1);
        bytes += in->messages[i].content.len + in->messages[i].role.len + 256;
    }
    /* Each step of a concatenation copies its text and marks. */
    r.arena = gw_arena_new(((size_t)8 << 20) + 32 * bytes);
    if (r.arena == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a prompt");
    add_name(&r, GW_SPAN("messages"), make_messages(&r, in), false);
    add_name(&r, GW_SPAN("add_generation_prompt"), jval_bool(in->add_generation_prompt), false);
    add_name(&r, GW_SPAN("bos_token"), jval_template(in->bos), false);
    add_name(&r, GW_SPAN("eos_token"), jval_template(in->eos), false);
    add_name(&r, GW_SPAN("tools"), (struct jval){.type = JVAL_NONE}, false);
    add_name(&r, GW_SPAN("documents"), (struct jval){.type = JVAL_NONE}, false);
    (void)run_list(&r, j->body);
    gw_arena_free(r.arena);
    return r.status;
}
