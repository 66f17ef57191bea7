/* engine/steer.c - see steer.h. */
#include "engine/steer.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_FORCED = 256, /* bytes at a time */
    MIN_FORCED = 3,   /* fewer are no two tokens */
};

struct steer_space {
    const struct tok *t;
    struct mask_cache *masks;
    const struct kern_ops *ops;
    uint64_t *bits;
    int32_t *ids; /* room for a list */
};

struct steer {
    struct steer_space *sp;
    struct matcher *m;
};

struct steer_space *steer_space_new(const struct tok *t, const struct kern_ops *ops)
{
    struct steer_space *sp = calloc(1, sizeof(*sp));

    if (sp == NULL)
        return NULL;
    sp->t = t;
    sp->ops = ops;
    sp->ids = calloc(tok_n_vocab(t) / STEER_FEW + 1, sizeof(*sp->ids));
    sp->masks = mask_cache_new(t);
    if (sp->masks != NULL)
        sp->bits = calloc(mask_words(sp->masks) + 1, sizeof(*sp->bits));
    if (sp->bits == NULL || sp->ids == NULL) {
        steer_space_free(sp);
        return NULL;
    }
    mask_warm(sp->masks);
    return sp;
}

void steer_space_free(struct steer_space *sp)
{
    if (sp == NULL)
        return;
    mask_cache_free(sp->masks);
    free(sp->bits);
    free(sp->ids);
    free(sp);
}

void steer_space_stats(const struct steer_space *sp, struct mask_stats *out)
{
    mask_cache_stats(sp->masks, out);
}

struct steer *steer_new(struct steer_space *sp, struct engine_grammar *g)
{
    struct steer *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->sp = sp;
    s->m = matcher_new(g, tok_space_prefix(sp->t));
    if (s->m == NULL) {
        free(s);
        return NULL;
    }
    return s;
}

void steer_free(struct steer *s)
{
    if (s == NULL)
        return;
    matcher_free(s->m);
    free(s);
}

bool steer_logits(struct steer *s, float *logits, unsigned n, const int32_t **ids, unsigned *n_ids)
{
    const struct steer_space *sp = s->sp;
    size_t few;

    if (!mask_fill(sp->masks, s->m, sp->bits))
        return false;
    few = sp->ops->mask(logits, sp->bits, n, sp->ids, tok_n_vocab(sp->t) / STEER_FEW);
    *ids = few == KERN_MASK_MANY ? NULL : sp->ids;
    *n_ids = few == KERN_MASK_MANY ? 0 : (unsigned)few;
    return few != 0;
}

enum steer_next steer_take(struct steer *s, int32_t id)
{
    if (!matcher_accept(s->m, tok_piece(s->sp->t, id)))
        return STEER_FAILED;
    return matcher_over(s->m) ? STEER_OVER : STEER_ON;
}

enum gw_status steer_forced(struct steer *s, struct tok_ids *out)
{
    char text[MAX_FORCED];
    size_t n = matcher_forced(s->m, text, sizeof(text)), at = 0;
    struct tok_ids ids = {0};
    enum gw_status st = GW_OK;

    if (n < MIN_FORCED || s->m->failed)
        return GW_OK;
    /* A character that is cut in two would be encoded as something else. */
    while (n != 0 && ((unsigned char)text[n - 1] & 0x80) != 0)
        n--;
    GW_TRY(tok_encode(s->sp->t, (struct gw_span){text, n}, false, &ids));
    for (size_t i = 0; i + 1 < ids.n && st == GW_OK; i++) {
        struct gw_span piece = tok_piece(s->sp->t, ids.ids[i]);

        /* Vocabularies that put a space in front of texts say something else here. */
        if (piece.len == 0 || piece.len > n - at || memcmp(piece.ptr, text + at, piece.len) != 0)
            break;
        st = tok_ids_add(out, ids.ids[i]);
        at += piece.len;
    }
    tok_ids_fini(&ids);
    return st;
}
