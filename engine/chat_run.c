/* engine/chat_run.c - runs a parsed chat template over messages: its statements and the way in.
 *
 * Loops and strings are bounded by the work budget, memory by the arena, output by the sink. See
 * chat_eval.c for how failures travel. One rendering, one thread. */
#include <time.h>

#include "engine/chat_eval.h"

/* ---- statements ------------------------------------------------------------------------------------ */

/* Sends s to the sink, cut where its marks change. */
static void output(struct jrun *r, struct jstr s)
{
    size_t from = 0;

    if (!jrun_work(r, s.len / 16))
        return;
    if (r->capture != NULL) {
        jbuild_add(r, r->capture, s);
        return;
    }
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

enum jinja_flow jinja_run_captured(struct jrun *r, const struct jinja_node *statements,
                                   struct jstr *out)
{
    struct jbuild text = {0}, *outer = r->capture;
    struct jframe *before = r->frame;
    enum jinja_flow flow;

    r->capture = &text;
    r->frame = jframe_new(r, before);
    flow = jinja_run(r, statements);
    r->frame = before;
    r->capture = outer;
    *out = jbuild_done(&text);
    return flow;
}

/* What a block gathered, through the filters behind its name; filters may be NULL. */
static struct jval through(struct jrun *r, struct jstr text, const struct jinja_node *filters)
{
    struct jstr before = r->captured;
    struct jval out = jval_string(text);

    if (filters != NULL) {
        r->captured = text;
        out = jinja_eval(r, filters);
        r->captured = before;
    }
    return out;
}

/* Sets a name in the frame at hand only, as Jinja does: what a loop sets is gone in its next round. */
static void assign(struct jrun *r, const struct jinja_node *target, struct jval value)
{
    if (target->kind == JINJA_NAME) {
        jframe_set(r, r->frame, target->text, value);
        return;
    }
    struct jval object = jinja_eval(r, target->a);
    if (r->status != GW_OK)
        return;
    if (object.type == JVAL_DICT && object.dict->is_namespace)
        jdict_set(r, object.dict, (struct jstr){target->text.ptr, NULL, target->text.len}, value);
    else
        jrun_fail(r, GW_EUNSUPPORTED, "only members of a namespace can be set");
}

static enum jinja_flow run_set(struct jrun *r, const struct jinja_node *n)
{
    enum jinja_flow flow = JINJA_FLOW_NEXT;
    struct jstr text = {NULL, NULL, 0};
    struct jval value;

    if (n->number != 0) {
        flow = jinja_run_captured(r, n->c, &text);
        if (flow != JINJA_FLOW_NEXT)
            return flow; /* a jump out of it: nothing is set */
        value = through(r, text, n->b);
    } else {
        value = jinja_eval(r, n->b);
    }
    if (r->status != GW_OK)
        return flow;
    if (n->a->kind != JINJA_LIST) {
        assign(r, n->a, value);
        return flow;
    }
    const struct jlist *parts = jval_iterate(r, value);
    const struct jinja_node *target = n->a->a;
    for (size_t i = 0; i < parts->n && target != NULL && r->status == GW_OK;
         i++, target = target->next) {
        assign(r, target, parts->items[i]);
        if ((target->next == NULL) != (i + 1 == parts->n))
            jrun_fail(r, GW_EUNSUPPORTED, "a value has another number of parts than names");
    }
    return flow;
}

static enum jinja_flow run_macro(struct jrun *r, const struct jinja_node *n)
{
    struct jmacro *m = jrun_alloc(r, 1, sizeof(*m));

    if (m != NULL) {
        *m = (struct jmacro){n, r->frame};
        jframe_set(r, r->frame, n->text, (struct jval){.type = JVAL_MACRO, .macro = m});
    }
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_call_block(struct jrun *r, const struct jinja_node *n)
{
    struct jmacro *m = jrun_alloc(r, 1, sizeof(*m)); /* a namespace may keep it */
    struct jval caller = {.type = JVAL_MACRO, .macro = m}, out = jval_undefined;

    if (m == NULL)
        return JINJA_FLOW_NEXT;
    *m = (struct jmacro){n->b, r->frame};
    out = jinja_call(r, n->a, &caller);
    if (r->status == GW_OK)
        output(r, jval_text(r, out));
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_filtered(struct jrun *r, const struct jinja_node *n)
{
    struct jstr text;
    enum jinja_flow flow = jinja_run_captured(r, n->b, &text);

    if (flow != JINJA_FLOW_NEXT)
        return flow;
    struct jval out = through(r, text, n->a);
    if (r->status == GW_OK)
        output(r, jval_text(r, out));
    return flow;
}

static enum jinja_flow run_with(struct jrun *r, const struct jinja_node *n)
{
    struct jframe *before = r->frame, *inner = jframe_new(r, before);
    enum jinja_flow flow;

    for (const struct jinja_node *name = n->a; name != NULL && r->status == GW_OK;
         name = name->next) {
        struct jval value = jinja_eval(r, name->a);

        jframe_set(r, inner, name->text, value);
    }
    r->frame = inner;
    flow = jinja_run(r, n->b);
    r->frame = before;
    return flow;
}

/* Binds the loop's names to item, in the frame at hand. */
static void bind_item(struct jrun *r, const struct jinja_node *n, struct jval item)
{
    const struct jinja_node *name = n->a;
    size_t i = 1;

    if (name == NULL) {
        jframe_set(r, r->frame, n->text, item);
        return;
    }
    const struct jlist *parts = jval_iterate(r, item);
    if (parts->n > 0)
        jframe_set(r, r->frame, n->text, parts->items[0]);
    for (; name != NULL && i < parts->n; name = name->next)
        jframe_set(r, r->frame, name->text, parts->items[i++]);
    if (name != NULL || i != parts->n)
        jrun_fail(r, GW_EUNSUPPORTED, "a loop's item cannot be taken apart");
}

/* The items that pass the loop's own condition. */
static const struct jlist *filtered(struct jrun *r, const struct jinja_node *n,
                                    const struct jlist *all)
{
    struct jframe *before = r->frame;
    struct jval out;
    size_t kept = 0;

    if (n->e == NULL)
        return all;
    out = jval_list(r, all->n);
    for (size_t i = 0; i < all->n && r->status == GW_OK; i++) {
        r->frame = jframe_new(r, before);
        bind_item(r, n, all->items[i]);
        if (r->status == GW_OK && jval_truth(jinja_eval(r, n->e)) && r->status == GW_OK)
            out.list->items[kept++] = all->items[i];
        r->frame = before;
    }
    if (r->status != GW_OK)
        return all;
    out.list->n = kept;
    return out.list;
}

static enum jinja_flow run_for(struct jrun *r, const struct jinja_node *n)
{
    const struct jlist *list = jval_iterate(r, jinja_eval(r, n->d));
    struct jframe *before = r->frame;
    struct jloop *loop = jrun_alloc(r, 1, sizeof(*loop));

    if (loop == NULL)
        return JINJA_FLOW_NEXT;
    loop->list = list = filtered(r, n, list);
    if (list->n == 0) {
        r->frame = jframe_new(r, before);
        (void)jinja_run(r, n->c);
        r->frame = before;
    }
    for (size_t i = 0; i < list->n && jrun_work(r, 4); i++) {
        enum jinja_flow flow;

        loop->index = i;
        r->frame = jframe_new(r, before);
        jframe_set(r, r->frame, GW_SPAN("loop"), (struct jval){.type = JVAL_LOOP, .loop = loop});
        bind_item(r, n, list->items[i]);
        flow = jinja_run(r, n->b);
        r->frame = before;
        if (flow == JINJA_FLOW_BREAK)
            break;
    }
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_text(struct jrun *r, const struct jinja_node *n)
{
    output(r, (struct jstr){n->text.ptr, NULL, n->text.len});
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_output(struct jrun *r, const struct jinja_node *n)
{
    struct jval v = jinja_eval(r, n->a);

    if (r->status == GW_OK)
        output(r, jval_text(r, v));
    return JINJA_FLOW_NEXT;
}

static enum jinja_flow run_if(struct jrun *r, const struct jinja_node *n)
{
    return jinja_run(r, jval_truth(jinja_eval(r, n->a)) ? n->b : n->c);
}

static enum jinja_flow run_break(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    (void)n;
    return JINJA_FLOW_BREAK;
}

static enum jinja_flow run_continue(struct jrun *r, const struct jinja_node *n)
{
    (void)r;
    (void)n;
    return JINJA_FLOW_CONTINUE;
}

enum jinja_flow jinja_run(struct jrun *r, const struct jinja_node *statements)
{
    typedef enum jinja_flow runner(struct jrun *, const struct jinja_node *);
    static runner *const runners[] = {
        [JINJA_TEXT] = run_text,
        [JINJA_OUTPUT] = run_output,
        [JINJA_IF] = run_if,
        [JINJA_FOR] = run_for,
        [JINJA_SET] = run_set,
        [JINJA_BREAK] = run_break,
        [JINJA_CONTINUE] = run_continue,
        [JINJA_MACRO] = run_macro,
        [JINJA_WITH] = run_with,
        [JINJA_FILTERED] = run_filtered,
        [JINJA_CALL_BLOCK] = run_call_block,
    };
    enum jinja_flow flow = JINJA_FLOW_NEXT;

    (void)jrun_enter(r);
    for (const struct jinja_node *n = statements; n != NULL && jrun_work(r, 1); n = n->next) {
        r->line = n->line;
        if (n->kind < sizeof(runners) / sizeof(runners[0]))
            flow = runners[n->kind](r, n);
        else
            jrun_fail(r, GW_EUNSUPPORTED, "a value stands where a statement is expected");
        if (flow != JINJA_FLOW_NEXT)
            break;
    }
    r->depth--;
    return flow;
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

static void add_name(struct jrun *r, struct gw_span name, struct jval value)
{
    jframe_set(r, r->frame, name, value);
}

/* What the caller says beside messages; without messages, they may be there, too. */
static void add_vars(struct jrun *r, struct gw_span text)
{
    struct jval vars = text.len == 0 ? jval_undefined : jval_from_json(r, text);

    if (vars.type != JVAL_DICT)
        return;
    for (const struct jentry *e = vars.dict->first; e != NULL && r->status == GW_OK; e = e->next)
        add_name(r, jstr_span(e->key), e->value);
}

enum gw_status jinja_render(const struct jinja *j, const struct jinja_input *in,
                            struct chat_sink *sink, struct gw_err *err)
{
    struct jrun r = {.work = JINJA_MAX_WORK, .status = GW_OK, .err = err, .sink = sink};
    size_t bytes = in->vars.len;

    if (in->vars.len > CHAT_MAX_PROMPT_BYTES)
        return gw_fail(err, GW_ELIMIT, "the values of a prompt are too long");
    for (unsigned i = 0; i < in->n_messages; i++) {
        if (in->messages[i].content.len > CHAT_MAX_PROMPT_BYTES ||
            in->messages[i].role.len > CHAT_MAX_PROMPT_BYTES)
            return gw_fail(err, GW_ELIMIT, "message %u is too long for a prompt", i + 1);
        bytes += in->messages[i].content.len + in->messages[i].role.len + 256;
    }
    r.now = in->now != 0 ? in->now : (int64_t)time(NULL);
    /* Each step of a concatenation copies its text and marks. */
    r.arena = gw_arena_new(((size_t)8 << 20) + 32 * bytes);
    if (r.arena == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a prompt");
    r.frame = jframe_new(&r, NULL);
    add_name(&r, GW_SPAN("add_generation_prompt"), jval_bool(in->add_generation_prompt));
    add_name(&r, GW_SPAN("bos_token"), jval_template(in->bos));
    add_name(&r, GW_SPAN("eos_token"), jval_template(in->eos));
    add_name(&r, GW_SPAN("tools"), (struct jval){.type = JVAL_NONE});
    add_name(&r, GW_SPAN("documents"), (struct jval){.type = JVAL_NONE});
    add_vars(&r, in->vars);
    if (in->messages != NULL)
        add_name(&r, GW_SPAN("messages"), make_messages(&r, in));
    (void)jinja_run(&r, j->body);
    gw_arena_free(r.arena);
    return r.status;
}
