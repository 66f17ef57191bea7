/* engine/model_rope.c - how far each position turns each pair of a head's values, scaling included.
 *
 * Scalings: linear (all frequencies divided), a table of divisors (rope_freqs.weight of Llama 3.1), yarn
 * (slow pairs divided, fast ones kept, arXiv 2309.00071), longrope (one table of divisors for short contexts
 * and one for long ones: phi3). Pure; any thread. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/model_private.h"

static enum gw_status rope_new(struct model_reader *r, double base, struct model_rope *out)
{
    const unsigned half = r->m->n_rot / 2;

    out->scale = 1;
    out->freqs = calloc(half, sizeof(*out->freqs));
    if (out->freqs == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory for the model");
    for (unsigned i = 0; i < half; i++)
        out->freqs[i] = pow(base, -2.0 * (double)i / (double)r->m->n_rot);
    return GW_OK;
}

/* Each of the tensor's values divides its frequency. Nothing when there is no such tensor. */
static enum gw_status divide_by(struct model_reader *r, const char *tensor, struct model_rope *rope)
{
    const struct gguf_tensor *t = gguf_tensor(r->g, tensor);
    const unsigned n = r->m->n_rot / 2;

    if (t == NULL)
        return GW_OK;
    if (t->type != KERN_TYPE_F32 || t->n_dims != 1 || t->dims[0] != n)
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s must be %u F32 values", tensor, n);
    for (unsigned i = 0; i < n; i++) {
        float f;

        memcpy(&f, (const char *)t->data + i * sizeof(f), sizeof(f));
        if (!(f > 0) || !isfinite(f))
            return gw_fail(r->err, GW_EPARSE, "GGUF: %s[%u] is not above 0", tensor, i);
        rope->freqs[i] /= (double)f;
    }
    return GW_OK;
}

/* A base of 1 or more. */
static enum gw_status read_base(struct model_reader *r, const char *suffix, double otherwise,
                                double *out)
{
    double base = 0;

    GW_TRY(model_maybe_float(r, suffix, otherwise, &base));
    if (!(base >= 1) || !isfinite(base))
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is below 1", r->key);
    *out = base;
    return GW_OK;
}

static enum gw_status read_positive(struct model_reader *r, const char *suffix, double otherwise,
                                    double *out)
{
    double v = 0;

    GW_TRY(model_maybe_float(r, suffix, otherwise, &v));
    if (!(v > 0) || !isfinite(v))
        return gw_fail(r->err, GW_EPARSE, "GGUF: %s is not above 0", r->key);
    *out = v;
    return GW_OK;
}

/* The pair that turns `turns` times within the original context. */
static double yarn_pair(const struct model *m, double base, double context, double turns)
{
    return (double)m->n_rot * log(context / (turns * 2 * M_PI)) / (2 * log(base));
}

/* Pairs that turn often keep their frequency, those that turn less than once are divided by factor, and
 * between the two it goes straight from one to the other. */
static enum gw_status scale_yarn(struct model_reader *r, double base, double factor,
                                 struct model_rope *rope)
{
    struct model *m = r->m;
    double fast = 0, slow = 0, attn = 0, low, high;
    unsigned context = 0;

    GW_TRY(model_maybe(r, "rope.scaling.original_context_length", MODEL_MAX_CONTEXT, m->max_context,
                       &context));
    GW_TRY(read_positive(r, "rope.scaling.yarn_beta_fast", 32, &fast));
    GW_TRY(read_positive(r, "rope.scaling.yarn_beta_slow", 1, &slow));
    GW_TRY(read_positive(r, "rope.scaling.attn_factor", 1, &attn));
    low = fmax(0, floor(yarn_pair(m, base, context, fast)));
    high = fmin(m->n_rot - 1, ceil(yarn_pair(m, base, context, slow)));
    for (unsigned i = 0; i < m->n_rot / 2; i++) {
        const double along = ((double)i - low) / fmax(0.001, high - low);
        const double kept = 1 - fmin(1, fmax(0, along));

        rope->freqs[i] = rope->freqs[i] / factor * (1 - kept) + rope->freqs[i] * kept;
    }
    rope->scale = (float)(attn * (1 + (factor > 1 ? 0.1 * log(factor) : 0)));
    return GW_OK;
}

/* Short divisors up to the original context, long ones above it. */
static enum gw_status scale_long(struct model_reader *r, double base)
{
    struct model *m = r->m;
    double attn = 0;

    GW_TRY(model_need(r, "rope.scaling.original_context_length", MODEL_MAX_CONTEXT, &m->long_from));
    GW_TRY(read_positive(r, "rope.scaling.attn_factor", 1, &attn));
    GW_TRY(rope_new(r, base, &m->rope_long));
    GW_TRY(divide_by(r, "rope_factors_long.weight", &m->rope_long));
    GW_TRY(divide_by(r, "rope_factors_short.weight", &m->ropes[0]));
    m->ropes[0].scale = m->rope_long.scale = (float)attn;
    return GW_OK;
}

static enum gw_status scale_global(struct model_reader *r, double base)
{
    struct model *m = r->m;
    struct gw_span scaling = {NULL, 0};
    double factor = 1;

    if (gguf_has(r->g, model_key(r, "rope.scaling.type")))
        GW_TRY(gguf_str(r->g, r->key, &scaling, r->err));
    if (gguf_tensor(r->g, "rope_factors_long.weight") != NULL)
        return scale_long(r, base);
    if (scaling.len == 0 || gw_span_is(scaling, "none"))
        return GW_OK;
    if (!gw_span_is(scaling, "linear") && !gw_span_is(scaling, "yarn"))
        return gw_fail(r->err, GW_EUNSUPPORTED,
                       "this model's %s is not built in; none, linear, yarn and longrope are",
                       r->key);
    GW_TRY(read_positive(r, "rope.scaling.factor", 1, &factor));
    if (gw_span_is(scaling, "yarn"))
        return scale_yarn(r, base, factor, &m->ropes[0]);
    for (unsigned i = 0; i < m->n_rot / 2; i++)
        m->ropes[0].freqs[i] /= factor;
    return GW_OK;
}

enum gw_status model_read_ropes(struct model_reader *r)
{
    double base = 0, local = 0;
    bool any_local = false;

    for (unsigned i = 0; i < r->m->n_layers; i++)
        any_local = any_local || r->m->layers[i].rope != 0;
    GW_TRY(read_base(r, "rope.freq_base", 10000, &base));
    GW_TRY(rope_new(r, base, &r->m->ropes[0]));
    GW_TRY(scale_global(r, base));
    GW_TRY(divide_by(r, "rope_freqs.weight", &r->m->ropes[0]));
    if (!any_local)
        return GW_OK;
    GW_TRY(read_base(r, "rope.freq_base_swa", r->family->local_base, &local));
    return rope_new(r, local, &r->m->ropes[1]);
}
