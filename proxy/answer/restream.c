/* proxy/answer/restream.c - see restream.h. An event is read into its strings (restream_event.c), the dialect says what they are
 * (restream_dialect.c), each goes through its filter, and the event is written again with the texts that changed. */
#include "proxy/answer/restream.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/answer/restream_private.h"

enum { MAX_TEXTS = 512, MAX_SPLICES = 2 * RS_MAX_NODES, MAX_DECISIONS = 1024 };

/* ---- decisions ---------------------------------------------------------------------------- */

static uint64_t hash_of(struct gw_span s)
{
    uint64_t h = 0xCBF29CE484222325ull;

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 0x100000001B3ull;
    return h;
}

static enum gw_action decide_and_note(void *ctx, const struct dlp_guard_finding *f)
{
    struct restream *r = ctx;
    enum gw_action action = r->cfg->decide(r->cfg->ctx, f);

    if (r->decisions == NULL)
        r->decisions = calloc(MAX_DECISIONS, sizeof(*r->decisions));
    if (r->decisions != NULL && r->n_decisions < MAX_DECISIONS)
        r->decisions[r->n_decisions++] = (struct decision){hash_of(f->text), f->rule, action};
    return action;
}

static enum gw_action decide_again(void *ctx, const struct dlp_guard_finding *f)
{
    const struct restream *r = ctx;
    uint64_t value = hash_of(f->text);

    for (unsigned i = 0; i < r->n_decisions; i++)
        if (r->decisions[i].rule == f->rule && r->decisions[i].value == value)
            return r->decisions[i].action;
    return decide_and_note(ctx, f);
}

/* Nothing can be hidden in a signed text without breaking the client's next request. */
static enum gw_action decide_signed(void *ctx, const struct dlp_guard_finding *f)
{
    enum gw_action action = decide_and_note(ctx, f);

    return action >= GW_ACTION_MASK ? GW_ACTION_BLOCK : action;
}

/* ---- life --------------------------------------------------------------------------------- */

static struct filter_config derive(struct restream *r, dlp_guard_fn decide)
{
    struct filter_config c = *r->cfg;

    c.decide = decide;
    c.ctx = r;
    return c;
}

struct restream *restream_new(const struct filter_config *cfg, enum api_dialect dialect,
                              struct gw_json *json)
{
    struct restream *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->cfg = cfg;
    r->dialect = dialect;
    r->json = json;
    r->grow = derive(r, decide_and_note);
    r->repeat = derive(r, decide_again);
    r->signed_ = derive(r, decide_signed);
    r->signed_.vault = NULL;
    r->restore = derive(r, NULL);
    r->restore.scanner = NULL;
    return r;
}

static void text_fini(struct text *t)
{
    filter_free(t->filter);
    gw_buf_fini(&t->name);
    gw_buf_fini(&t->template_);
}

void restream_free(struct restream *r)
{
    if (r == NULL)
        return;
    for (unsigned i = 0; i < r->n_texts; i++)
        text_fini(&r->texts[i]);
    rs_event_fini(&r->ev);
    gw_buf_fini(&r->news);
    gw_buf_fini(&r->lines);
    gw_buf_fini(&r->about);
    free(r->texts);
    free(r->decisions);
    free(r->splices);
    free(r->what);
    free(r);
}

unsigned restream_count(const struct restream *r)
{
    unsigned n = r->n_restored;

    for (unsigned i = 0; i < r->n_texts; i++)
        n += filter_restored(r->texts[i].filter);
    return n;
}

size_t restream_held(const struct restream *r)
{
    size_t n = 0;

    for (unsigned i = 0; i < r->n_texts; i++)
        n += filter_held(r->texts[i].filter);
    return n;
}

/* ---- texts -------------------------------------------------------------------------------- */

static enum gw_status find_text(struct restream *r, const struct rs_text *what, struct text **out)
{
    struct text *t;

    for (unsigned i = 0; i < r->n_texts; i++) {
        if (r->texts[i].path == what->path) {
            *out = &r->texts[i];
            return GW_OK;
        }
    }
    if (r->n_texts == MAX_TEXTS)
        return GW_ELIMIT;
    if (r->n_texts == r->cap_texts) {
        unsigned cap = r->cap_texts == 0 ? 8 : r->cap_texts * 2;

        t = realloc(r->texts, cap * sizeof(*t));
        if (t == NULL)
            return GW_ENOMEM;
        r->texts = t;
        r->cap_texts = cap;
    }
    t = &r->texts[r->n_texts];
    *t = (struct text){.path = what->path,
                       .choice = what->choice,
                       .thought = what->thought,
                       .nesting = what->nesting,
                       .is_signed = what->kind == RS_SIGNED};
    t->filter = filter_new(t->is_signed ? &r->signed_ : &r->grow, what->nesting);
    if (t->filter == NULL)
        return GW_ENOMEM;
    r->n_texts++;
    *out = t;
    return GW_OK;
}

static void remove_text(struct restream *r, unsigned i)
{
    r->n_restored += filter_restored(r->texts[i].filter);
    text_fini(&r->texts[i]);
    r->n_texts--;
    memmove(r->texts + i, r->texts + i + 1, (r->n_texts - i) * sizeof(*r->texts));
}

/* ---- splices ------------------------------------------------------------------------------ */

/* The bytes of `news` from `at` on take the place of [start, end) of the event. */
static enum gw_status splice(struct restream *r, size_t start, size_t end, size_t at)
{
    if (r->n_splices == r->cap_splices) {
        unsigned cap = r->cap_splices == 0 ? 16 : r->cap_splices * 2;
        struct splice *grown;

        if (cap > MAX_SPLICES)
            return GW_ELIMIT;
        grown = realloc(r->splices, cap * sizeof(*grown));
        if (grown == NULL)
            return GW_ENOMEM;
        r->splices = grown;
        r->cap_splices = cap;
    }
    if (!gw_buf_ok(&r->news))
        return GW_ENOMEM;
    r->splices[r->n_splices++] = (struct splice){start, end, at, r->news.len - at};
    return GW_OK;
}

static int by_start(const void *a, const void *b)
{
    const struct splice *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* Appends the event with the splices made. */
static void apply(struct restream *r, struct gw_buf *out)
{
    size_t from = 0;

    if (r->n_splices > 1)
        qsort(r->splices, r->n_splices, sizeof(*r->splices), by_start);
    for (unsigned i = 0; i < r->n_splices; i++) {
        const struct splice *s = &r->splices[i];

        if (s->start < from) /* inside of one that is gone */
            continue;
        gw_buf_add(out, (struct gw_span){r->ev.data.ptr + from, s->start - from});
        if (s->len != 0)
            gw_buf_add(out, (struct gw_span){r->news.ptr + s->at, s->len});
        from = s->end;
    }
    gw_buf_add(out, gw_span_from(r->ev.data, from));
}

static size_t offset_of(const struct restream *r, struct gw_span part)
{
    return (size_t)(part.ptr - r->ev.data.ptr);
}

/* The event's number in the stream, moved on by the events of our own in front of it. */
static enum gw_status renumber(struct restream *r)
{
    struct gw_span raw = r->ev.sequence;
    size_t start, at = r->news.len;
    uint64_t v = 0;

    if (raw.len == 0 || raw.len > 18 || r->dialect != API_RESPONSES)
        return GW_OK;
    for (size_t i = 0; i < raw.len; i++) {
        if (raw.ptr[i] < '0' || raw.ptr[i] > '9')
            return GW_OK;
        v = v * 10 + (uint64_t)(raw.ptr[i] - '0');
    }
    r->next_number = v + r->n_own + 1;
    if (r->n_own == 0)
        return GW_OK;
    start = offset_of(r, raw);
    gw_buf_addu(&r->news, v + r->n_own);
    return splice(r, start, start + raw.len, at);
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* Ends text i: what was held back comes as an event of its own. */
static enum gw_status end_text(struct restream *r, unsigned i, const struct sink *to)
{
    struct gw_buf held = {0};
    enum gw_status st = filter_finish(r->texts[i].filter, &held);

    if (st == GW_OK)
        st = restream_own_emit(r, &r->texts[i], gw_buf_span(&held), to);
    gw_buf_fini(&held);
    remove_text(r, i);
    return st;
}

static enum gw_status end_all(struct restream *r, const struct sink *to)
{
    enum gw_status st = GW_OK;

    /* In the order in which they began. */
    while (r->n_texts > 0 && st == GW_OK)
        st = end_text(r, 0, to);
    return st;
}

/* ---- an event ----------------------------------------------------------------------------- */

static bool holds_piece_of(const struct restream *r, uint64_t path, unsigned from)
{
    for (unsigned i = from; i < r->ev.n_leaves; i++) {
        const struct rs_text *what = &r->what[i];

        if ((what->kind == RS_GROW || what->kind == RS_SIGNED) && what->path == path)
            return true;
    }
    return false;
}

/* Lets go what is held back of text i; it is still judged together with what comes. */
static enum gw_status release_text(struct restream *r, unsigned i, const struct sink *to)
{
    struct gw_buf held = {0};
    enum gw_status st = filter_release(r->texts[i].filter, &held);

    if (st == GW_OK)
        st = restream_own_emit(r, &r->texts[i], gw_buf_span(&held), to);
    gw_buf_fini(&held);
    return st;
}

/* In a chat nothing says that a content or a reasoning is over when something else of the choice begins, and clients
 * show what they have: it is let go. Calls of tools may alternate, and nobody reads their beginnings. */
static enum gw_status release_passed(struct restream *r, const struct sink *to)
{
    for (unsigned i = 0; i < r->n_texts; i++) {
        const struct text *t = &r->texts[i];
        bool other = false;

        for (unsigned k = 0; t->nesting == 0 && k < r->ev.n_leaves && !other; k++) {
            const struct rs_text *what = &r->what[k];

            other = what->kind == RS_GROW && what->choice == t->choice && what->path != t->path &&
                    r->ev.leaves[k].raw.len != 0;
        }
        if (other && !holds_piece_of(r, t->path, 0))
            GW_TRY(release_text(r, i, to));
    }
    return GW_OK;
}

/* Texts that the event ends without a piece of them. */
static enum gw_status end_others(struct restream *r, const struct sink *to)
{
    for (unsigned i = 0; i < r->n_texts;) {
        const struct text *t = &r->texts[i];

        if (rs_ends(r->dialect, &r->ev, t->path, t->choice) && !holds_piece_of(r, t->path, 0))
            GW_TRY(end_text(r, i, to));
        else
            i++;
    }
    return GW_OK;
}

/* Feeds a piece of a growing text; appends what goes out now. */
static enum gw_status feed_growing(struct restream *r, unsigned leaf, const struct rs_text *what,
                                   struct gw_span text, struct gw_span name, struct gw_buf *now)
{
    struct text *t;
    bool last = rs_ends(r->dialect, &r->ev, what->path, what->choice) &&
                !holds_piece_of(r, what->path, leaf + 1);

    GW_TRY(find_text(r, what, &t));
    GW_TRY(filter_feed(t->filter, text, now));
    if (last) {
        GW_TRY(filter_finish(t->filter, now));
        remove_text(r, (unsigned)(t - r->texts));
        return GW_OK;
    }
    return filter_is_empty(t->filter) ? GW_OK : restream_own_keep(r, t, &r->ev.leaves[leaf], name);
}

static enum gw_status feed_whole(struct restream *r, const struct rs_text *what,
                                 struct gw_span text, struct gw_buf *now)
{
    const struct filter_config *cfg = what->kind == RS_RESTORE  ? &r->restore
                                      : what->kind == RS_REPEAT ? &r->repeat
                                                                : &r->grow;
    struct filter *f = filter_new(cfg, what->nesting);
    enum gw_status st = GW_ENOMEM;

    if (f != NULL)
        st = filter_last(f, text, now);
    if (f != NULL)
        r->n_restored += filter_restored(f);
    filter_free(f);
    return st;
}

/* What repeats a text that changed token by token says nothing any more. */
static enum gw_status empty_spots(struct restream *r, int64_t choice)
{
    for (unsigned i = 0; i < r->ev.n_spots; i++) {
        struct rs_spot *s = &r->ev.spots[i];
        size_t at = r->news.len;

        if (s->json || s->end <= s->start || rs_choice(r->dialect, &r->ev, s->node) != choice)
            continue;
        gw_buf_adds(&r->news, r->dialect == API_RESPONSES ? "[]" : "null");
        GW_TRY(splice(r, s->start, s->end, at));
        s->end = s->start;
    }
    return GW_OK;
}

static enum gw_status rewrite_leaf(struct restream *r, unsigned i, struct gw_span name)
{
    const struct rs_leaf *leaf = &r->ev.leaves[i];
    const struct rs_text what = r->what[i];
    struct gw_buf plain = {0}, now = {0};
    struct gw_span text = leaf->raw;
    size_t start = offset_of(r, leaf->raw), at = r->news.len;
    enum gw_status st = GW_OK;

    if (what.kind == RS_PASS || (what.kind == RS_RESTORE && r->cfg->vault == NULL))
        return GW_OK;
    if (leaf->escaped) {
        if (!gw_buf_reserve(&plain, leaf->raw.len + 1))
            return GW_ENOMEM;
        plain.len = gw_json_decode(leaf->raw, plain.ptr);
        text = gw_buf_span(&plain);
    }
    if (what.kind == RS_GROW || what.kind == RS_SIGNED)
        st = feed_growing(r, i, &what, text, name, &now);
    else
        st = feed_whole(r, &what, text, &now);
    if (st == GW_OK && !gw_buf_ok(&now))
        st = GW_ENOMEM;
    if (st == GW_OK && !gw_span_eq(text, gw_buf_span(&now))) {
        gw_buf_add_json(&r->news, gw_buf_span(&now));
        st = splice(r, start, start + leaf->raw.len, at);
        if (st == GW_OK && r->cfg->scanner != NULL)
            st = empty_spots(r, what.choice);
    }
    gw_buf_fini(&plain);
    gw_buf_fini(&now);
    return st;
}

/* An object of anything goes through a filter as the JSON text that it is. */
static enum gw_status rewrite_json(struct restream *r, const struct rs_spot *s)
{
    const struct rs_text what = {.kind = RS_WHOLE, .nesting = 1};
    struct gw_span text = {r->ev.data.ptr + s->start, s->end - s->start};
    size_t at = r->news.len;
    enum gw_status st = feed_whole(r, &what, text, &r->news);

    if (st != GW_OK || !gw_buf_ok(&r->news))
        return st != GW_OK ? st : GW_ENOMEM;
    if (gw_span_eq(text, (struct gw_span){r->news.ptr + at, r->news.len - at}))
        return GW_OK;
    return splice(r, s->start, s->end, at);
}

/* An event that could not be read cannot be changed either: with a finding that would have to be hidden it ends the
 * stream. */
static enum gw_status check_odd(struct restream *r, struct gw_span data)
{
    struct gw_buf now = {0};
    struct filter *f;
    enum gw_status st = GW_ENOMEM;

    if (r->cfg->scanner == NULL)
        return GW_OK;
    f = filter_new(&r->signed_, 1);
    if (f != NULL)
        st = filter_last(f, data, &now);
    filter_free(f);
    gw_buf_fini(&now);
    return st;
}

/* Gemini says these in every event; so do we. */
static enum gw_status note_about(struct restream *r)
{
    static const char *const names[] = {"modelVersion", "responseId"};

    if (r->dialect != API_GEMINI || r->about.len != 0)
        return GW_OK;
    for (unsigned i = 0; i < r->ev.n_leaves; i++) {
        const struct rs_leaf *l = &r->ev.leaves[i];

        for (unsigned k = 0; k < 2; k++) {
            if (!rs_key_is(&r->ev, l->node, names[k]) || r->ev.nodes[l->node].parent != RS_ROOT)
                continue;
            gw_buf_printf(&r->about, ",\"%s\":\"", names[k]);
            gw_buf_add(&r->about, l->raw);
            gw_buf_addc(&r->about, '"');
        }
    }
    return gw_buf_ok(&r->about) ? GW_OK : GW_ENOMEM;
}

/* Says what each leaf is. */
static enum gw_status classify_all(struct restream *r)
{
    if (r->ev.n_leaves > r->cap_what) {
        struct rs_text *grown = realloc(r->what, r->ev.cap_leaves * sizeof(*grown));

        if (grown == NULL)
            return GW_ENOMEM;
        r->what = grown;
        r->cap_what = r->ev.cap_leaves;
    }
    for (unsigned i = 0; i < r->ev.n_leaves; i++)
        r->what[i] = rs_classify(r->dialect, &r->ev, &r->ev.leaves[i]);
    return GW_OK;
}

static enum gw_status rewrite(struct restream *r, struct gw_span name, const struct sink *to)
{
    r->n_splices = 0;
    gw_buf_clear(&r->news);
    GW_TRY(classify_all(r));
    GW_TRY(note_about(r));
    GW_TRY(end_others(r, to));
    if (r->dialect == API_CHAT && r->cfg->scanner != NULL)
        GW_TRY(release_passed(r, to));
    for (unsigned i = 0; i < r->ev.n_leaves; i++)
        GW_TRY(rewrite_leaf(r, i, name));
    for (unsigned i = 0; i < r->ev.n_spots; i++)
        if (r->ev.spots[i].json)
            GW_TRY(rewrite_json(r, &r->ev.spots[i]));
    return renumber(r);
}

enum gw_status restream_data(struct restream *r, struct gw_span name, struct gw_span data,
                             restream_piece_fn fn, void *ctx)
{
    const struct sink to = {fn, ctx};
    const struct restream_piece same = {.name = name, .data = data, .same = true};
    struct gw_buf now = {0};
    enum gw_status st;

    if (gw_span_is(data, "[DONE]"))
        GW_TRY(end_all(r, &to));
    if (data.len != 0 && !rs_read(r->dialect, &r->ev, r->json, data)) {
        GW_TRY(check_odd(r, data));
        return fn(ctx, &same);
    }
    if (data.len == 0)
        return fn(ctx, &same);
    st = rewrite(r, name, &to);
    if (st == GW_OK && r->n_splices == 0)
        return fn(ctx, &same);
    if (st == GW_OK)
        apply(r, &now);
    if (st == GW_OK)
        st = gw_buf_ok(&now)
                 ? fn(ctx, &(struct restream_piece){.name = name, .data = gw_buf_span(&now)})
                 : GW_ENOMEM;
    gw_buf_fini(&now);
    return st;
}

enum gw_status restream_end(struct restream *r, restream_piece_fn fn, void *ctx)
{
    return end_all(r, &(struct sink){fn, ctx});
}

enum gw_status restream_let_go(struct restream *r, restream_piece_fn fn, void *ctx)
{
    const struct sink to = {fn, ctx};
    enum gw_status st = GW_OK;

    for (unsigned i = 0; i < r->n_texts && st == GW_OK; i++)
        st = release_text(r, i, &to);
    return st;
}

/* ---- event streams ------------------------------------------------------------------------ */

/* Where pieces of an event stream go. */
struct sse_sink {
    const struct sse_event *ev; /* NULL: pieces of our own only */
    struct gw_buf *out;
    bool *cut; /* the last event that was written has no end */
};

static enum gw_status to_sse(void *ctx, const struct restream_piece *p)
{
    const struct sse_sink *to = ctx;

    if (p->own &&
        *to->cut) /* a stream that broke off: without an end, ours would be a part of it */
        gw_buf_adds(to->out, "\n\n");
    *to->cut = !p->own && !to->ev->ended;
    if (p->own)
        sse_write(to->out, p->name, p->data);
    else if (p->same)
        gw_buf_add(to->out, to->ev->raw);
    else
        sse_rewrite(to->out, to->ev, p->data);
    return gw_buf_ok(to->out) ? GW_OK : GW_ENOMEM;
}

enum gw_status restream_event(struct restream *r, const struct sse_event *ev, struct gw_buf *out)
{
    struct sse_event seen = *ev;

    GW_TRY(restream_lines(r, ev, &seen.raw));
    return restream_data(r, ev->name, ev->data, to_sse, &(struct sse_sink){&seen, out, &r->cut});
}

enum gw_status restream_finish(struct restream *r, struct gw_buf *out)
{
    return restream_end(r, to_sse, &(struct sse_sink){NULL, out, &r->cut});
}

enum gw_status restream_release(struct restream *r, struct gw_buf *out)
{
    return restream_let_go(r, to_sse, &(struct sse_sink){NULL, out, &r->cut});
}
