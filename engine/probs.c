/* engine/probs.c - see probs.h. */
#include "engine/probs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

/* What lies further below the largest logit has no share that a float would show, even a million times. */
static const float REACH = 40.0f;

struct probs_space {
    float *row;
    unsigned n;
};

/* A token that waits, and behind it its n_top alternatives. */
struct waiting {
    struct engine_token token;
    size_t end; /* of its bytes, in the answer */
};

struct probs {
    unsigned n_top;
    size_t end;          /* bytes of all tokens taken */
    struct gw_buf queue; /* struct waiting with alternatives */
    size_t text;         /* bytes of text that no token has been told with yet */
};

struct probs_space *probs_space_new(unsigned n_vocab)
{
    struct probs_space *sp = calloc(1, sizeof(*sp));

    if (sp == NULL)
        return NULL;
    sp->row = calloc(n_vocab, sizeof(*sp->row));
    if (sp->row == NULL) {
        free(sp);
        return NULL;
    }
    return sp;
}

void probs_space_free(struct probs_space *sp)
{
    if (sp == NULL)
        return;
    free(sp->row);
    free(sp);
}

void probs_keep(struct probs_space *sp, const float *logits, unsigned n)
{
    memcpy(sp->row, logits, n * sizeof(*logits));
    sp->n = n;
}

struct probs *probs_new(unsigned n_top)
{
    struct probs *p = calloc(1, sizeof(*p));

    if (p != NULL)
        p->n_top = n_top;
    return p;
}

void probs_free(struct probs *p)
{
    if (p == NULL)
        return;
    gw_buf_fini(&p->queue);
    free(p);
}

bool probs_ok(const struct probs *p)
{
    return gw_buf_ok(&p->queue);
}

/* ---- one row ------------------------------------------------------------------------------- */

/* The logarithm of the sum of all exponentials: what a logit is its log probability above. */
static double log_sum(const struct probs_space *sp)
{
    float top = -INFINITY;
    double sum = 0;

    for (unsigned i = 0; i < sp->n; i++)
        if (sp->row[i] > top) /* false for NaN */
            top = sp->row[i];
    if (isinf(top))
        return top;
    for (unsigned i = 0; i < sp->n; i++) {
        float below = top - sp->row[i];

        if (below <= REACH)
            sum += (double)expf(-below);
    }
    return (double)top + log(sum);
}

/* One infinite logit has all of the probability. */
static float log_prob(float logit, double sum)
{
    double v = isinf(sum) ? (double)(logit >= INFINITY ? 0.0f : -INFINITY) : (double)logit - sum;

    return v < 0 ? (float)v : isnan(v) ? -INFINITY : 0.0f;
}

/* The n most likely tokens, the smaller id first among equals. Returns how many there are. */
static unsigned find_top(const struct probs_space *sp, unsigned n, struct engine_prob *top)
{
    unsigned got = 0;

    for (unsigned i = 0; i < sp->n && n != 0; i++) {
        float z = sp->row[i];
        unsigned at = got;

        if (isnan(z) || (got == n && z <= top[n - 1].logprob))
            continue;
        for (; at != 0 && z > top[at - 1].logprob; at--)
            if (at < n)
                top[at] = top[at - 1];
        top[at] = (struct engine_prob){(int32_t)i, z};
        got += got < n;
    }
    return got;
}

void probs_take(struct probs *p, struct probs_space *sp, int32_t id, size_t bytes, size_t skipped)
{
    struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS];
    double sum = log_sum(sp);
    unsigned n = find_top(sp, p->n_top, top);
    struct waiting w = {.end = p->end + bytes};

    for (unsigned i = 0; i < n; i++)
        top[i].logprob = log_prob(top[i].logprob, sum);
    w.token.drawn.id = id;
    w.token.drawn.logprob =
        (unsigned)id < sp->n ? log_prob(sp->row[id], sum) : log_prob(-INFINITY, sum);
    w.token.n_top = (uint16_t)n;
    w.token.skip = (uint16_t)skipped;
    p->end = w.end;
    gw_buf_add(&p->queue, (struct gw_span){(const char *)&w, sizeof(w)});
    gw_buf_add(&p->queue, (struct gw_span){(const char *)top, n * sizeof(*top)});
}

/* ---- telling -------------------------------------------------------------------------------- */

void probs_give(struct probs *p, size_t certain, size_t text, struct gw_buf *out)
{
    size_t at = 0;

    p->text += text;
    while (gw_buf_ok(&p->queue) && at < p->queue.len) {
        struct waiting w;
        size_t n_top;

        memcpy(&w, p->queue.ptr + at, sizeof(w));
        if (w.end > certain)
            break;
        n_top = w.token.n_top * sizeof(struct engine_prob);
        w.token.text_bytes = (uint32_t)p->text;
        p->text = 0;
        gw_buf_add(out, (struct gw_span){(const char *)&w.token, sizeof(w.token)});
        gw_buf_add(out, (struct gw_span){p->queue.ptr + at + sizeof(w), n_top});
        at += sizeof(w) + n_top;
    }
    gw_buf_drop(&p->queue, at);
}

bool engine_token_next(struct gw_span *tokens, struct engine_token *out,
                       struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS])
{
    size_t n_top;

    if (tokens->len < sizeof(*out))
        return false;
    memcpy(out, tokens->ptr, sizeof(*out));
    n_top = out->n_top * sizeof(*top);
    memcpy(top, tokens->ptr + sizeof(*out), n_top);
    *tokens = gw_span_from(*tokens, sizeof(*out) + n_top);
    return true;
}
