/* proxy/answer/translate.c - see translate.h. */
#include "proxy/answer/translate.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/answer/tokens.h"

enum { MAX_CHOICES = 128 }; /* what an API allows for n */

/* The open block of a choice. Blocks of one choice do not overlap (api.h), so one filter is enough. */
struct choice {
    struct filter *filter;
    struct tokens tokens; /* of the text that the filter holds */
    unsigned block;
    enum api_block kind;
    bool open;
    bool hidden; /* policy has changed its text */
};

struct translate {
    struct api_writer *writer;
    const struct filter_config *cfg; /* NULL: texts are passed on; else: */
    struct filter_config watched;    /* cfg, noting what is hidden */
    bool whole;                      /* the answer is not streamed */
    bool hid;                        /* by the filter that was called last */
    struct choice *choices;
    unsigned n_choices;
    unsigned restored; /* by filters that are gone */
    struct translate_seen seen;
    char model[128];
};

static enum gw_action decide_and_note(void *ctx, const struct dlp_guard_finding *f)
{
    struct translate *t = ctx;
    enum gw_action action = t->cfg->decide(t->cfg->ctx, f);

    t->hid |= action >= GW_ACTION_MASK;
    return action;
}

struct translate *translate_new(const struct api_writer_config *writer,
                                const struct filter_config *filter)
{
    struct translate *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->cfg = filter;
    t->whole = !writer->stream;
    if (filter != NULL) {
        t->watched = *filter;
        t->watched.decide = decide_and_note;
        t->watched.ctx = t;
    }
    t->writer = api_writer_new(writer);
    if (t->writer == NULL) {
        free(t);
        return NULL;
    }
    return t;
}

static void drop_filter(struct translate *t, struct choice *c)
{
    if (c->filter != NULL)
        t->restored += filter_restored(c->filter);
    filter_free(c->filter);
    c->filter = NULL;
    tokens_fini(&c->tokens);
    c->open = false;
}

void translate_free(struct translate *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < t->n_choices; i++) {
        filter_free(t->choices[i].filter);
        tokens_fini(&t->choices[i].tokens);
    }
    free(t->choices);
    api_writer_free(t->writer);
    free(t);
}

static struct choice *choice_of(struct translate *t, unsigned index)
{
    struct choice *grown;

    if (index >= MAX_CHOICES)
        return NULL;
    if (index >= t->n_choices) {
        grown = realloc(t->choices, (index + 1) * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        memset(grown + t->n_choices, 0, (index + 1 - t->n_choices) * sizeof(*grown));
        t->choices = grown;
        t->n_choices = index + 1;
    }
    return &t->choices[index];
}

static void note(struct translate *t, const struct api_event *ev)
{
    size_t n = ev->model.len < sizeof(t->model) - 1 ? ev->model.len : sizeof(t->model) - 1;

    if (ev->type == API_EVENT_START && n != 0) {
        memcpy(t->model, ev->model.ptr, n);
        t->seen.model = (struct gw_span){t->model, n};
    }
    if (ev->type == API_EVENT_DELTA)
        t->seen.text_bytes += ev->text.len;
    if (ev->usage.known)
        t->seen.usage = ev->usage;
    if (ev->type == API_EVENT_FINISH && ev->choice == 0)
        t->seen.finish = ev->finish;
    t->seen.ended |= ev->type == API_EVENT_END;
    if (ev->type == API_EVENT_ERROR) {
        t->seen.failed = true;
        t->seen.status = ev->failure.status;
    }
}

/* Writes text as a piece of the choice's open block, with its tokens. A whole answer tells them only when all of the text is
 * there, since a list with a gap is of no use. */
static enum gw_status put_text(struct translate *t, struct choice *c, unsigned choice,
                               struct gw_span text, bool last, struct gw_buf *out)
{
    struct api_event ev = {.type = API_EVENT_DELTA,
                           .choice = choice,
                           .block = c->block,
                           .kind = c->kind,
                           .text = text};

    if (c->hidden || filter_restored(c->filter) != 0)
        tokens_lose(&c->tokens);
    if (t->whole && !last)
        c->tokens.written += text.len;
    else
        tokens_ready(&c->tokens, text.len, &ev);
    return text.len == 0 && ev.n_tokens == 0 ? GW_OK : api_writer_put(t->writer, &ev, out);
}

typedef enum gw_status (*filter_fn)(struct filter *f, struct gw_buf *out);

/* What a filter gives up (finish or release) goes out as a piece of its block. */
static enum gw_status flush(struct translate *t, unsigned choice, filter_fn fn, bool last,
                            struct gw_buf *out)
{
    struct choice *c = &t->choices[choice];
    struct gw_buf now = {0};
    enum gw_status st;

    if (c->filter == NULL)
        return GW_OK;
    t->hid = false;
    st = fn(c->filter, &now);
    c->hidden |= t->hid;
    if (st == GW_OK)
        st = gw_buf_ok(&now) ? put_text(t, c, choice, gw_buf_span(&now), last, out) : GW_ENOMEM;
    gw_buf_fini(&now);
    return st;
}

static enum gw_status begin_block(struct translate *t, const struct api_event *ev,
                                  struct gw_buf *out)
{
    struct choice *c = choice_of(t, ev->choice);

    if (c == NULL)
        return ev->choice >= MAX_CHOICES ? GW_ELIMIT : GW_ENOMEM;
    if (c->open)
        return GW_EINVAL;
    c->block = ev->block;
    c->kind = ev->kind;
    c->open = true;
    c->hidden = false;
    if (t->cfg != NULL) {
        c->filter = filter_new(&t->watched, ev->kind == API_BLOCK_TOOL ? 1 : 0);
        if (c->filter == NULL)
            return GW_ENOMEM;
    }
    return api_writer_put(t->writer, ev, out);
}

static enum gw_status more_text(struct translate *t, const struct api_event *ev, struct gw_buf *out)
{
    struct choice *c = choice_of(t, ev->choice);
    struct gw_buf now = {0};
    enum gw_status st;

    if (c == NULL || !c->open)
        return GW_EINVAL;
    if (c->filter == NULL)
        return api_writer_put(t->writer, ev, out);
    if (!tokens_add(&c->tokens, ev))
        return GW_ENOMEM;
    t->hid = false;
    st = filter_feed(c->filter, ev->text, &now);
    c->hidden |= t->hid;
    if (st == GW_OK)
        st =
            gw_buf_ok(&now) ? put_text(t, c, ev->choice, gw_buf_span(&now), false, out) : GW_ENOMEM;
    gw_buf_fini(&now);
    return st;
}

static enum gw_status end_block(struct translate *t, const struct api_event *ev, struct gw_buf *out)
{
    struct choice *c = choice_of(t, ev->choice);

    if (c == NULL || !c->open)
        return GW_EINVAL;
    GW_TRY(flush(t, ev->choice, filter_finish, true, out));
    drop_filter(t, c);
    return api_writer_put(t->writer, ev, out);
}

/* It is of the text that came: of a changed one no provider takes it, so the client gets none to send back. What is held
 * back is judged first. */
static enum gw_status put_signature(struct translate *t, const struct api_event *ev,
                                    struct gw_buf *out)
{
    struct choice *c = choice_of(t, ev->choice);

    if (c == NULL)
        return ev->choice >= MAX_CHOICES ? GW_ELIMIT : GW_ENOMEM;
    if (c->open)
        GW_TRY(flush(t, ev->choice, filter_finish, false, out));
    return c->hidden ? GW_OK : api_writer_put(t->writer, ev, out);
}

enum gw_status translate_put(struct translate *t, const struct api_event *ev, struct gw_buf *out)
{
    note(t, ev);
    switch (ev->type) {
    case API_EVENT_BLOCK:
        return begin_block(t, ev, out);
    case API_EVENT_DELTA:
        return more_text(t, ev, out);
    case API_EVENT_BLOCK_END:
        return end_block(t, ev, out);
    case API_EVENT_SIGNATURE:
        return put_signature(t, ev, out);
    case API_EVENT_START:
    case API_EVENT_FINISH:
    case API_EVENT_USAGE:
    case API_EVENT_ERROR:
    case API_EVENT_END:
    default:
        return api_writer_put(t->writer, ev, out);
    }
}

size_t translate_held(const struct translate *t)
{
    size_t n = 0;

    for (unsigned i = 0; i < t->n_choices; i++)
        if (t->choices[i].filter != NULL)
            n += filter_held(t->choices[i].filter);
    return n;
}

enum gw_status translate_release(struct translate *t, struct gw_buf *out)
{
    for (unsigned i = 0; i < t->n_choices; i++)
        GW_TRY(flush(t, i, filter_release, false, out));
    return GW_OK;
}

const struct translate_seen *translate_seen(const struct translate *t)
{
    return &t->seen;
}

unsigned translate_restored(const struct translate *t)
{
    unsigned n = t->restored;

    for (unsigned i = 0; i < t->n_choices; i++)
        if (t->choices[i].filter != NULL)
            n += filter_restored(t->choices[i].filter);
    return n;
}

const char *translate_media_type(const struct translate *t)
{
    return api_writer_media_type(t->writer);
}
