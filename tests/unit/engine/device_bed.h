/* tests/unit/engine/device_bed.h - models on the emulated GPU (tests/simt) beside the same on the CPU. */
#ifndef TESTS_UNIT_ENGINE_DEVICE_BED_H
#define TESTS_UNIT_ENGINE_DEVICE_BED_H

#include <math.h>

#include "engine/device.h"
#include "engine/hugemem.h"
#include "engine/lora.h"
#include "engine/model_repack.h"
#include "tests/simt/knobs.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

enum { PROMPT = 21, DECODE = 5, MAX_VOCAB = 1024, MAX_RANK = 20 };

/* A rig whose last layers are on the device. */
struct bed {
    struct rig r;
    struct device *d;
};

static inline struct device_limits limits_of(const struct rig *r)
{
    return (struct device_limits){.max_tokens = RIG_STEP,
                                  .max_rows = RIG_STEP,
                                  .max_seqs = RIG_SEQS,
                                  .max_context = RIG_CONTEXT,
                                  .n_ids = r->m.n_vocab,
                                  .kv_type = KERN_KV_F16};
}

static inline void bed_fini(struct bed *b)
{
    forward_free(b->r.f);
    b->r.f = NULL;
    kvcache_free(b->r.kv);
    b->r.kv = NULL;
    device_close(b->d);
    rig_fini(&b->r);
    *b = (struct bed){0};
}

/* How keys and values are kept, and adapters, when it is not f16 and none. */
struct bed_kind {
    enum kern_kv_type type;
    const enum kern_kv_type *layer_types;
    struct lora *adapters[2];
    unsigned n_adapters;
    bool tensors;     /* GPUs share each layer */
    bool fp8_weights; /* on the device */
};

static inline enum gw_status check_device(const char *device, enum engine_kv kv, struct gw_err *err)
{
    return engine_check_device(&(struct engine_config){.device = device, .kv = kv}, NULL, err);
}

/* spec: as in the configuration. The file's layout is what a device takes. */
static inline enum gw_status bed_init_kind(struct bed *b, const char *path, const char *spec,
                                           const struct bed_kind *kind, struct gw_err *err)
{
    struct device_spec parsed = {0};
    struct kvcache_shape shape;
    struct device_limits limits;
    enum gw_status st;

    *b = (struct bed){0};
    st = rig_init(&b->r, path, "scalar", 2, err);
    if (st != GW_OK)
        return st;
    forward_free(b->r.f);
    kvcache_free(b->r.kv);
    b->r.f = NULL;
    b->r.kv = NULL;
    b->r.m.acts_form = KERN_ACTS_FINE;
    limits = limits_of(&b->r);
    limits.kv_type = kind->type;
    limits.layer_types = kind->layer_types;
    limits.n_adapters = kind->n_adapters;
    limits.fp8_weights = kind->fp8_weights;
    for (unsigned i = 0; i < kind->n_adapters; i++)
        limits.adapters[i] = kind->adapters[i];
    st = device_parse(spec, &parsed, err);
    parsed.tensors = kind->tensors;
    if (st == GW_OK)
        st = device_open(&parsed, &b->r.m, &limits, &b->d, err);
    if (st == GW_OK && b->d == NULL)
        st = GW_ENOENT;
    if (st == GW_OK)
        st = model_repack(&b->r.m, kern_ops(NULL), b->r.p, b->d->first_layer, err);
    if (st == GW_OK)
        st = device_start(b->d, RIG_CONTEXT * RIG_SEQS / KERN_KV_BLOCK, err);
    if (st == GW_OK) {
        shape = (struct kvcache_shape){.n_layers = b->d->first_layer,
                                       .n_kv_heads = b->r.m.n_kv_heads,
                                       .head_dim = b->r.m.head_dim,
                                       .n_tokens = RIG_CONTEXT * RIG_SEQS,
                                       .max_seq_tokens = RIG_CONTEXT,
                                       .type = kind->type,
                                       .layer_types = kind->layer_types,
                                       .copy = device_copy_page,
                                       .copy_ctx = b->d};
        st = kvcache_new(&shape, &b->r.kv, err);
    }
    if (st == GW_OK)
        st = forward_new(&b->r.m, b->r.kv, b->r.p, RIG_STEP, RIG_STEP, RIG_CONTEXT, &b->r.f, err);
    for (unsigned i = 0; st == GW_OK && i < kind->n_adapters; i++)
        st = lora_repack(kind->adapters[i], kern_ops(NULL), b->d->first_layer, err);
    if (st == GW_OK && kind->n_adapters != 0)
        st = forward_allow_adapters(b->r.f, MAX_RANK, err);
    if (st == GW_OK)
        forward_use_device(b->r.f, b->d);
    else
        bed_fini(b);
    return st;
}

static inline enum gw_status bed_init(struct bed *b, const char *path, const char *spec,
                                      struct gw_err *err)
{
    return bed_init_kind(b, path, spec, &(struct bed_kind){.type = KERN_KV_F16}, err);
}

/* The rig on the CPU with activations as fine as the device's. */
static inline enum gw_status cpu_init_kind(struct rig *r, const char *path,
                                           const struct bed_kind *kind)
{
    struct kvcache_shape shape;

    GW_TRY(rig_init(r, path, "scalar", 2, NULL));
    forward_free(r->f);
    kvcache_free(r->kv);
    r->f = NULL;
    r->kv = NULL;
    r->m.acts_form = KERN_ACTS_FINE;
    shape = (struct kvcache_shape){.n_layers = r->m.n_layers,
                                   .n_kv_heads = r->m.n_kv_heads,
                                   .head_dim = r->m.head_dim,
                                   .n_tokens = RIG_CONTEXT * RIG_SEQS,
                                   .max_seq_tokens = RIG_CONTEXT,
                                   .type = kind->type,
                                   .layer_types = kind->layer_types};
    GW_TRY(kvcache_new(&shape, &r->kv, NULL));
    GW_TRY(forward_new(&r->m, r->kv, r->p, RIG_STEP, RIG_STEP, RIG_CONTEXT, &r->f, NULL));
    return kind->n_adapters == 0 ? GW_OK : forward_allow_adapters(r->f, MAX_RANK, NULL);
}

static inline enum gw_status cpu_init(struct rig *r, const char *path)
{
    return cpu_init_kind(r, path, &(struct bed_kind){.type = KERN_KV_F16});
}

static inline int32_t id_of(unsigned i, unsigned n_vocab)
{
    return (int32_t)((i * 7919u + 100u) % n_vocab);
}

/* The largest difference, to the largest magnitude. */
static inline double differ(const float *a, const float *b, size_t n)
{
    double most = 0, size = 0;

    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);

        most = !(d <= most) ? d : most;
        size = fmax(size, fabs((double)b[i]));
    }
    return most / size;
}

enum { SHARED = 272, SEQS = 4, TAIL = 3 };

/* One sequence of SHARED tokens whose pages others take over, too; each of SEQS then gets TAIL tokens of its own, all in one step a token. The
 * last one begins inside the shared pages and so copies one. Logits behind each of the tails' tokens: out[SEQS][TAIL][n_vocab]. */
static inline bool read_shared(struct rig *r, float *out)
{
    struct kvcache_seq seqs[SEQS] = {{0}};
    struct forward_run runs[SEQS];
    int32_t ids[SHARED], next[SEQS];
    bool ok = true;

    for (unsigned i = 0; i < SHARED; i++)
        ids[i] = id_of(i, r->m.n_vocab);
    ok = CHECK(kvcache_reserve(r->kv, &seqs[0], SHARED) == GW_OK);
    for (unsigned i = 0; ok && i < SHARED; i += 34) {
        runs[0] =
            (struct forward_run){.seq = &seqs[0], .tokens = ids + i, .n_tokens = 34, .pos = i};
        ok = CHECK(forward_step(r->f, runs, 1) == GW_OK);
    }
    for (unsigned s = 1; ok && s < SEQS; s++)
        for (unsigned i = 0; i < SHARED / KERN_KV_BLOCK; i++)
            ok = CHECK(kvcache_put(r->kv, &seqs[s], i, seqs[0].pages[i]) == GW_OK) && ok;
    for (unsigned t = 0; ok && t < TAIL; t++) {
        for (unsigned s = 0; s < SEQS; s++) {
            const unsigned pos = SHARED + t - (s == SEQS - 1 ? 5 : 0);

            next[s] = id_of(1000 + 10 * s + t, r->m.n_vocab);
            ok = CHECK(kvcache_reserve_from(r->kv, &seqs[s], pos, pos + 1) == GW_OK) && ok;
            runs[s] = (struct forward_run){
                .seq = &seqs[s], .tokens = &next[s], .n_tokens = 1, .pos = pos, .n_logits = 1};
        }
        ok = ok && CHECK(forward_step(r->f, runs, SEQS) == GW_OK);
        for (unsigned s = 0; ok && s < SEQS; s++)
            memcpy(out + (size_t)(s * TAIL + t) * r->m.n_vocab,
                   forward_logits(r->f, runs[s].logits_row), r->m.n_vocab * sizeof(float));
    }
    for (unsigned s = 0; s < SEQS; s++)
        kvcache_release(r->kv, &seqs[s]);
    return ok;
}

#endif
