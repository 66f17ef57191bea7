/* proxy/api/api_keep.c - keeps an answer's events until its end, for writers of whole answers. Pure; one thread at a time. */
#include "proxy/api/api_private.h"

enum { MAX_KEPT_BYTES = 64 << 20, MIN_TEXT_BYTES = 64 };

struct api_kept_block *api_kept_open(const struct api_kept *kept, unsigned choice)
{
    struct api_kept_block *last;

    if (choice >= kept->n_choices || kept->choices[choice] == NULL)
        return NULL;
    last = kept->choices[choice]->last;
    return last != NULL && last->open ? last : NULL;
}

static enum gw_status append(struct api_kept *kept, struct gw_arena *arena, struct api_kept_text *t,
                             struct gw_span more)
{
    size_t len = t->span.len;

    if (more.len > MAX_KEPT_BYTES - kept->bytes)
        return GW_ELIMIT;
    if (more.len == 0)
        return GW_OK;
    if (len + more.len > t->cap) {
        size_t cap = (len + more.len) * 2 < MIN_TEXT_BYTES ? MIN_TEXT_BYTES : (len + more.len) * 2;
        char *mem = gw_arena_alloc(arena, cap);

        if (mem == NULL)
            return GW_ENOMEM;
        if (len != 0)
            memcpy(mem, t->mem, len);
        t->mem = mem;
        t->cap = cap;
    }
    memcpy(t->mem + len, more.ptr, more.len);
    t->span = (struct gw_span){t->mem, len + more.len};
    kept->bytes += more.len;
    return GW_OK;
}

static enum gw_status append_tokens(struct api_kept *kept, struct gw_arena *arena,
                                    struct api_kept_block *b, const struct api_event *ev)
{
    for (unsigned i = 0; i < ev->n_tokens; i++) {
        struct api_token t = ev->tokens[i];
        size_t bytes = t.n_top * sizeof(*t.top);
        struct api_chance *top;

        if (bytes > MAX_KEPT_BYTES - kept->bytes)
            return GW_ELIMIT;
        top = gw_arena_alloc(arena, bytes + 1);
        if (top == NULL)
            return GW_ENOMEM;
        if (bytes != 0)
            memcpy(top, t.top, bytes);
        t.top = top;
        kept->bytes += bytes;
        GW_TRY(append(kept, arena, &b->tokens, (struct gw_span){(const char *)&t, sizeof(t)}));
    }
    return GW_OK;
}

const struct api_token *api_kept_tokens(const struct api_kept_block *b, size_t *n)
{
    *n = b->tokens.span.len / sizeof(struct api_token);
    return *n == 0 ? NULL : (const struct api_token *)(const void *)b->tokens.mem;
}

static enum gw_status begin(struct api_kept *kept, struct gw_arena *arena,
                            struct api_kept_choice *c, const struct api_event *ev)
{
    struct api_kept_block *b;

    if (ev->id.len + ev->name.len > MAX_KEPT_BYTES - kept->bytes)
        return GW_ELIMIT;
    b = gw_arena_alloc(arena, sizeof(*b));
    if (b == NULL)
        return GW_ENOMEM;
    kept->bytes += ev->id.len + ev->name.len;
    b->block = ev->block;
    b->kind = ev->kind;
    b->open = true;
    b->id = gw_arena_copy(arena, ev->id);
    b->name = gw_arena_copy(arena, ev->name);
    if (b->id.ptr == NULL || b->name.ptr == NULL)
        return GW_ENOMEM;
    if (c->last == NULL)
        c->blocks = b;
    else
        c->last->next = b;
    c->last = b;
    return GW_OK;
}

/* The choice an event speaks of, made when it is the first to. */
static enum gw_status choice_of(struct api_kept *kept, struct gw_arena *arena, unsigned choice,
                                struct api_kept_choice **out)
{
    if (choice >= API_MAX_CHOICES)
        return GW_ELIMIT;
    if (kept->choices[choice] == NULL) {
        kept->choices[choice] = gw_arena_alloc(arena, sizeof(**out));
        if (kept->choices[choice] == NULL)
            return GW_ENOMEM;
    }
    if (choice >= kept->n_choices)
        kept->n_choices = choice + 1;
    *out = kept->choices[choice];
    return GW_OK;
}

enum gw_status api_keep(struct api_kept *kept, struct gw_arena *arena, const struct api_event *ev)
{
    struct api_kept_choice *c = NULL;
    struct api_kept_block *b;

    if (ev->type != API_EVENT_BLOCK && ev->type != API_EVENT_DELTA &&
        ev->type != API_EVENT_SIGNATURE && ev->type != API_EVENT_BLOCK_END &&
        ev->type != API_EVENT_FINISH)
        return GW_OK;
    GW_TRY(choice_of(kept, arena, ev->choice, &c));
    if (ev->type == API_EVENT_BLOCK)
        return begin(kept, arena, c, ev);
    if (ev->type == API_EVENT_FINISH) {
        c->finish = ev->finish;
        c->stop = gw_arena_copy(arena, ev->text);
        return c->stop.ptr == NULL ? GW_ENOMEM : GW_OK;
    }
    b = api_kept_open(kept, ev->choice);
    if (b == NULL)
        return GW_OK; /* outside of any block: no reader emits that */
    if (ev->type == API_EVENT_BLOCK_END) {
        b->open = false;
    } else if (ev->type == API_EVENT_DELTA) {
        GW_TRY(append_tokens(kept, arena, b, ev));
        return append(kept, arena, &b->text, ev->text);
    } else {
        return append(kept, arena, &b->signature, ev->text);
    }
    return GW_OK;
}
