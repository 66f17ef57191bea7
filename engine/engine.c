/* engine/engine.c - the public calls: a model opened, described, asked. See engine.h.
 *
 * Owns the model, tokenizer, template, compute threads and scheduler, in this order of dependence;
 * closing is the reverse. */
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/chat.h"
#include "engine/device.h"
#include "engine/gguf.h"
#include "engine/hf.h"
#include "engine/kvcache.h"
#include "engine/lora.h"
#include "engine/model.h"
#include "engine/model_repack.h"
#include "engine/pool.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/sched.h"
#include "engine/tokenizer.h"

enum {
    DEFAULT_CONTEXT = 8192,
    DEFAULT_SEQS = 8,
    DEFAULT_QUEUED = 64,
    MAX_SEQS = 256,
    MAX_QUEUED = 65536,
    MAX_MESSAGES = 4096,
    MAX_STOPS = 16,
    MAX_STOP_BYTES = 1024,
    INT8_HEAD_DIM = 64,
    /* No text of more bytes a token is worth a look: ordinary text has 3 to 5. */
    MAX_TOKEN_BYTES = 64
};

struct engine {
    struct model m;
    struct tok *tok;
    struct chat *chat;
    struct pool *p;
    struct sched *s;
    struct drafter *drafter; /* NULL: there is no draft model */
    struct medusa *medusa;   /* NULL: there are no heads */
    struct device *device;   /* NULL: the CPU computes all */
    char device_words[160];
    struct adapter {
        char *name;
        struct lora *lora;
    } * adapters;
    unsigned n_adapters;
    enum kern_kv_type *layer_types; /* NULL: all are alike */
    unsigned max_context, max_unfinished;
    atomic_ullong next_id;
};

/* ---- opening ---------------------------------------------------------------------------- */

/* Tokenizer and template out of g; the model's vocabulary must hold every id of the tokenizer. */
static enum gw_status open_text(struct engine *e, const struct gguf *g, struct gw_err *err)
{
    GW_TRY(tok_open(g, &e->tok, err));
    if (tok_n_vocab(e->tok) > e->m.n_vocab)
        return gw_fail(err, GW_EPARSE, "the tokenizer has %u tokens, the model %u",
                       tok_n_vocab(e->tok), e->m.n_vocab);
    return chat_open(g, e->tok, &e->chat, err);
}

/* Few numbers make a coarse scale matter. */
static enum kern_kv_type kv_type(enum engine_kv kv, unsigned head_dim)
{
    static const enum kern_kv_type types[] = {
        [ENGINE_KV_F16] = KERN_KV_F16,       [ENGINE_KV_I8] = KERN_KV_I8,
        [ENGINE_KV_FP8] = KERN_KV_FP8,       [ENGINE_KV_I4] = KERN_KV_I4,
        [ENGINE_KV_POLAR4] = KERN_KV_POLAR4, [ENGINE_KV_POLAR3] = KERN_KV_POLAR3,
        [ENGINE_KV_QJL] = KERN_KV_QJL,       [ENGINE_KV_ADAPTIVE] = KERN_KV_I4};

    if (kv == ENGINE_KV_AUTO)
        return head_dim >= INT8_HEAD_DIM ? KERN_KV_I8 : KERN_KV_F16;
    return types[kv];
}

static const struct adapter *find_adapter(const struct engine *e, struct gw_span name)
{
    for (unsigned i = 0; i < e->n_adapters; i++)
        if (gw_span_is(name, e->adapters[i].name))
            return &e->adapters[i];
    return NULL;
}

/* Loads them; *max_rank gets the largest. What was loaded before a failure engine_close frees. */
static enum gw_status open_adapters(struct engine *e, const struct engine_config *cfg,
                                    unsigned *max_rank, struct gw_err *err)
{
    if (cfg->n_adapters > ENGINE_MAX_ADAPTERS)
        return gw_fail(err, GW_EINVAL, "at most %d adapters are possible", ENGINE_MAX_ADAPTERS);
    e->adapters = calloc((size_t)cfg->n_adapters + 1, sizeof(*e->adapters));
    if (e->adapters == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the adapters");
    for (unsigned i = 0; i < cfg->n_adapters; i++) {
        const struct engine_adapter *from = &cfg->adapters[i];
        struct adapter *a = &e->adapters[i];

        if (from->name[0] == '\0' || find_adapter(e, gw_span_str(from->name)) != NULL)
            return gw_fail(err, GW_EINVAL,
                           "adapter \"%s\": names are not empty, and not used twice", from->name);
        GW_TRY(lora_open(from->path, &e->m, &a->lora, err));
        a->name = strdup(from->name);
        e->n_adapters++;
        if (a->name == NULL)
            return gw_fail(err, GW_ENOMEM, "out of memory for the adapters");
        *max_rank = a->lora->max_rank > *max_rank ? a->lora->max_rank : *max_rank;
    }
    return GW_OK;
}

/* Whether a device keeps keys and values so: GW_EUNSUPPORTED. */
static enum gw_status check_device_kv(enum engine_kv kv, struct gw_err *err)
{
    static const char *const names[] = {
        [ENGINE_KV_POLAR4] = "polar4", [ENGINE_KV_POLAR3] = "polar3", [ENGINE_KV_QJL] = "qjl"};

    if (device_has_kv(kv_type(kv, INT8_HEAD_DIM)))
        return GW_OK;
    return gw_fail(
        err, GW_EUNSUPPORTED,
        "kv %s is not built in for GPUs, which keep f16, int8, fp8, int4 and adaptive: take one "
        "of those, or device cpu",
        names[kv]);
}

/* fp8 weights where the CPU computes by name: GW_EUNSUPPORTED. */
static enum gw_status check_cpu_weights(const struct device_spec *spec, enum engine_weights weights,
                                        struct gw_err *err)
{
    if (spec->kind != DEVICE_CPU || weights == ENGINE_WEIGHTS_AS_STORED)
        return GW_OK;
    return gw_fail(err, GW_EUNSUPPORTED,
                   "weights fp8 is built in for GPUs only: device cuda or auto, or weights "
                   "as_stored");
}

/* What a device does not do: GW_EUNSUPPORTED. Heads guess from what the CPU has of the last layer. */
static enum gw_status check_device_wishes(const struct engine_config *cfg, struct gw_err *err)
{
    if (cfg->medusa_path != NULL)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "a model with Medusa heads is computed on the CPU: device cpu or auto");
    return check_device_kv(cfg->kv, err);
}

/* How several GPUs share a model. */
static enum gw_status note_split(struct device_spec *spec, enum engine_split split,
                                 struct gw_err *err)
{
    spec->tensors = split == ENGINE_SPLIT_TENSORS;
    if (spec->tensors && (spec->kind != DEVICE_CUDA || spec->n_parts < 2))
        return gw_fail(err, GW_EINVAL,
                       "tensors are shared by several GPUs that `device` names: cuda:0,1");
    return GW_OK;
}

static const char no_gpu_for_fp8[] =
    "weights fp8 is for GPUs, and there is none: the CPU computes with the weights as stored";

/* Notes why the CPU computes although there are GPUs. */
static void say_why_cpu(struct engine *e, const struct engine_config *cfg, const char *why)
{
    const char *more = cfg->weights == ENGINE_WEIGHTS_FP8 ? "; its weights are as stored" : "";

    (void)snprintf(e->device_words, sizeof(e->device_words), "%.*s%s",
                   (int)(sizeof(e->device_words) - 1 - strlen(more)), why, more);
}

/* What nobody asked for by name must not keep a model from being served: the CPU then, and device_words says why. */
static enum gw_status wanted_device(struct engine *e, const struct engine_config *cfg,
                                    struct device_spec *spec, struct gw_err *err)
{
    struct gw_err why = {0};

    GW_TRY(device_parse(cfg->device, spec, err));
    GW_TRY(note_split(spec, cfg->split, err));
    GW_TRY(check_cpu_weights(spec, cfg->weights, err));
    if (spec->kind == DEVICE_CUDA)
        return check_device_wishes(cfg, err);
    if (!device_wanted(spec) && cfg->weights == ENGINE_WEIGHTS_FP8)
        (void)snprintf(e->device_words, sizeof(e->device_words), "%s", no_gpu_for_fp8);
    if (device_wanted(spec) && check_device_wishes(cfg, &why) != GW_OK) {
        spec->kind = DEVICE_CPU;
        say_why_cpu(e, cfg, why.text);
    }
    return GW_OK;
}

/* Brings layers to the device, if one is wanted, and makes the others ready for the CPU. */
static enum gw_status use_device(struct engine *e, const struct device_spec *spec,
                                 const struct engine_config *cfg, const struct kern_ops *ops,
                                 unsigned seqs, struct gw_err *err)
{
    struct device_limits limits = {
        .max_tokens = seqs > SCHED_STEP_TOKENS ? seqs : SCHED_STEP_TOKENS,
        .max_rows = seqs > SCHED_DRAFT_ROWS ? seqs : SCHED_DRAFT_ROWS,
        .max_seqs = seqs,
        .max_context = e->max_context,
        .n_ids = tok_n_vocab(e->tok),
        .kv_type = kv_type(cfg->kv, e->m.head_dim),
        .layer_types = e->layer_types,
        .fp8_weights = cfg->weights == ENGINE_WEIGHTS_FP8,
        .n_adapters = e->n_adapters,
    };
    struct gw_err why = {0};
    enum gw_status st;
    unsigned first;

    if (!device_wanted(spec))
        return GW_OK;
    for (unsigned i = 0; i < e->n_adapters; i++)
        limits.adapters[i] = e->adapters[i].lora;
    st = device_open(spec, &e->m, &limits, &e->device, &why);
    if (st != GW_OK)
        return gw_fail(err, st, "%s", why.text);
    if (e->device != NULL)
        (void)snprintf(e->device_words, sizeof(e->device_words), "%s", e->device->words);
    else
        say_why_cpu(e, cfg, why.text);
    first = e->device != NULL ? e->device->first_layer : e->m.n_layers;
    for (unsigned i = 0; i < e->n_adapters; i++)
        GW_TRY(lora_repack(e->adapters[i].lora, ops, first, err));
    return model_repack(&e->m, ops, e->p, first, err);
}

/* The draft model or the heads, if they are named. */
static enum gw_status open_guessers(struct engine *e, const struct engine_config *cfg,
                                    const struct kern_ops *ops, unsigned seqs, struct gw_err *err)
{
    const struct drafter_config dc = {.path = cfg->draft_path,
                                      .ops = ops,
                                      .p = e->p,
                                      .tok = e->tok,
                                      .max_context = e->max_context,
                                      .max_seqs = seqs};

    const struct medusa_config mc = {
        .path = cfg->medusa_path, .m = &e->m, .p = e->p, .n_ids = tok_n_vocab(e->tok)};

    if (cfg->draft_path != NULL && cfg->medusa_path != NULL)
        return gw_fail(err, GW_EINVAL, "a draft model and Medusa heads both guess: name one");
    if (cfg->medusa_path != NULL)
        return medusa_open(&mc, &e->medusa, err);
    return cfg->draft_path == NULL ? GW_OK : drafter_open(&dc, &e->drafter, err);
}

/* Its limits in tokens and requests, and what each layer keeps of a token. */
static enum gw_status set_limits(struct engine *e, const struct engine_config *cfg,
                                 struct sched_config *sc, struct gw_err *err)
{
    sc->max_context = cfg->max_context == 0 ? DEFAULT_CONTEXT : cfg->max_context;
    if (sc->max_context > e->m.max_context)
        sc->max_context = e->m.max_context;
    e->max_context = sc->max_context;
    e->max_unfinished = sc->max_seqs + sc->max_queued;
    sc->kv_type = kv_type(cfg->kv, e->m.head_dim);
    if (cfg->kv != ENGINE_KV_ADAPTIVE)
        return GW_OK;
    e->layer_types = calloc(e->m.n_layers, sizeof(*e->layer_types));
    if (e->layer_types == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the KV cache");
    kvcache_adapt(e->m.n_layers, e->layer_types);
    sc->layer_types = e->layer_types;
    return GW_OK;
}

/* Its threads, its weights in the layout of ops, and what it knows of text. */
static enum gw_status open_parts(struct engine *e, const struct engine_config *cfg,
                                 const struct gguf *g, const struct kern_ops *ops,
                                 struct gw_err *err)
{
    GW_TRY(pool_new(pool_choose_threads(cfg->threads), &e->p, err));
    GW_TRY(model_load(&e->m, g, ops, e->p, cfg->progress, cfg->progress_ctx, err));
    return open_text(e, g, err);
}

static enum gw_status start(struct engine *e, const struct engine_config *cfg, const struct gguf *g,
                            struct gw_err *err)
{
    const struct kern_ops *ops = kern_ops(cfg->kernels);
    struct sched_config sc = {
        .m = &e->m,
        .max_seqs = cfg->max_seqs == 0 ? DEFAULT_SEQS : cfg->max_seqs,
        .max_queued = cfg->max_queued == 0 ? DEFAULT_QUEUED : cfg->max_queued,
        .prefixes = cfg->prefixes,
        .no_drafts = cfg->no_drafts,
    };
    struct device_spec spec;

    if (ops == NULL)
        return gw_fail(err, GW_EINVAL, "kernels %s: scalar, avx2, avx512 and amx are known",
                       cfg->kernels);
    if (sc.max_seqs > MAX_SEQS || sc.max_queued > MAX_QUEUED)
        return gw_fail(err, GW_EINVAL, "at most %d sequences and %d waiting requests are possible",
                       MAX_SEQS, MAX_QUEUED);
    GW_TRY(wanted_device(e, cfg, &spec, err));
    /* A device takes the file's layout. */
    GW_TRY(open_parts(e, cfg, g, device_wanted(&spec) ? kern_ops("scalar") : ops, err));
    GW_TRY(open_adapters(e, cfg, &sc.max_rank, err));
    GW_TRY(set_limits(e, cfg, &sc, err));
    GW_TRY(use_device(e, &spec, cfg, ops, sc.max_seqs, err));
    GW_TRY(open_guessers(e, cfg, ops, sc.max_seqs, err));
    sc.device = e->device;
    sc.tok = e->tok;
    sc.chat = e->chat;
    sc.p = e->p;
    sc.drafter = e->drafter;
    sc.medusa = e->medusa;
    return sched_new(&sc, &e->s, err);
}

enum gw_status engine_open(const struct engine_config *cfg, struct engine **out, struct gw_err *err)
{
    struct engine *e = calloc(1, sizeof(*e));
    struct gguf *g = NULL;
    enum gw_status st;

    if (e == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the engine");
    st = hf_open_any(cfg->model_path, true, &g, err);
    if (st == GW_OK) {
        st = start(e, cfg, g, err);
        if (st != GW_OK && err != NULL)
            (void)gw_fail_prefix(err, "%s", cfg->model_path);
    }
    gguf_close(g); /* everything was copied: the file may now change or go away */
    if (st != GW_OK) {
        engine_close(e);
        return st;
    }
    *out = e;
    return GW_OK;
}

void engine_close(struct engine *e)
{
    if (e == NULL)
        return;
    sched_free(e->s);
    drafter_close(e->drafter);
    medusa_close(e->medusa);
    device_close(e->device);
    chat_free(e->chat);
    tok_free(e->tok);
    for (unsigned i = 0; i < e->n_adapters; i++) {
        lora_free(e->adapters[i].lora);
        free(e->adapters[i].name);
    }
    free(e->adapters);
    model_fini(&e->m);
    pool_free(e->p);
    free(e->layer_types);
    free(e);
}

/* ---- description ------------------------------------------------------------------------ */

static void describe(const struct engine *e, struct engine_info *out)
{
    const struct model *m = &e->m;
    const char *warnings[] = {m->warning, e->tok == NULL ? "" : tok_warning(e->tok),
                              e->chat == NULL ? "" : chat_warning(e->chat)};
    size_t at = 0;

    *out = (struct engine_info){.file_bytes = m->file_bytes,
                                .n_params = m->n_params,
                                .n_vocab = m->n_vocab,
                                .n_layers = m->n_layers,
                                .n_embd = m->n_embd,
                                .n_adapters = e->n_adapters,
                                .max_context = e->max_context};
    (void)snprintf(out->name, sizeof(out->name), "%s", m->name);
    (void)snprintf(out->arch, sizeof(out->arch), "%s", m->arch);
    (void)snprintf(out->quant, sizeof(out->quant), "%s", m->quant);
    (void)snprintf(out->kernels, sizeof(out->kernels), "%s", m->kernels);
    for (size_t i = 0; i < sizeof(warnings) / sizeof(warnings[0]); i++) {
        int n = snprintf(out->warning + at, sizeof(out->warning) - at, "%s%s",
                         at != 0 && warnings[i][0] != '\0' ? "; " : "", warnings[i]);

        at += n > 0 ? (size_t)n : 0;
        if (at >= sizeof(out->warning))
            at = sizeof(out->warning) - 1;
    }
}

void engine_info(const struct engine *e, struct engine_info *out)
{
    describe(e, out);
    out->kv_bytes = sched_kv_bytes(e->s);
    (void)snprintf(out->device, sizeof(out->device), "%s", e->device_words);
    out->threads = pool_n_threads(e->p);
}

void engine_device(const struct engine *e, struct engine_device *out)
{
    *out = (struct engine_device){.failed = sched_is_lost(e->s)};
    sched_cost(e->s, &out->cost);
    if (e->device != NULL)
        device_health(e->device, out);
}

enum gw_status engine_check_device(const struct engine_config *cfg, const char **note,
                                   struct gw_err *err)
{
    struct device_spec spec;

    GW_TRY(device_parse(cfg->device, &spec, err));
    GW_TRY(check_cpu_weights(&spec, cfg->weights, err));
    if (spec.kind == DEVICE_CUDA)
        GW_TRY(check_device_kv(cfg->kv, err));
    GW_TRY(device_check(&spec, err));
    if (note != NULL)
        *note = cfg->weights == ENGINE_WEIGHTS_FP8 && !device_wanted(&spec) ? no_gpu_for_fp8 : NULL;
    return GW_OK;
}

enum gw_status engine_check_split(const struct engine_config *cfg, struct gw_err *err)
{
    struct device_spec spec;
    struct gguf *g = NULL;
    struct model m = {0};
    enum gw_status st;

    if (cfg->split != ENGINE_SPLIT_TENSORS)
        return GW_OK;
    GW_TRY(device_parse(cfg->device, &spec, err));
    GW_TRY(note_split(&spec, cfg->split, err));
    if (hf_open_any(cfg->model_path, false, &g, NULL) != GW_OK)
        return GW_OK;
    st = model_inspect(&m, g, kern_ops(NULL), NULL) == GW_OK ? device_check_split(&spec, &m, err)
                                                             : GW_OK;
    model_fini(&m);
    gguf_close(g);
    return st;
}

void engine_stats(struct engine *e, struct engine_stats *out)
{
    sched_stats(e->s, out);
}

enum gw_status engine_inspect(const char *path, struct engine_info *out, struct gw_err *err)
{
    struct engine e = {0};
    struct gguf *g = NULL;
    enum gw_status st;

    GW_TRY(hf_open_any(path, false, &g, err));
    st = model_inspect(&e.m, g, kern_ops(NULL), err);
    if (st == GW_OK)
        st = open_text(&e, g, err);
    if (st != GW_OK && err != NULL)
        (void)gw_fail_prefix(err, "%s", path);
    if (st == GW_OK) {
        e.max_context = e.m.max_context;
        describe(&e, out);
    }
    chat_free(e.chat);
    tok_free(e.tok);
    model_fini(&e.m);
    gguf_close(g);
    return st;
}

/* ---- requests --------------------------------------------------------------------------- */

struct engine_chan *engine_chan_new(struct engine *e)
{
    return request_chan_new(e, e->max_unfinished);
}

static enum gw_status check_biases(const struct engine *e, const struct engine_params *params,
                                   struct gw_err *err)
{
    for (unsigned i = 0; i < params->n_bias; i++)
        if (params->bias[i].id < 0 || (unsigned)params->bias[i].id >= tok_n_vocab(e->tok))
            return gw_fail(err, GW_EINVAL, "a bias is of token %d, but the vocabulary has %u",
                           (int)params->bias[i].id, tok_n_vocab(e->tok));
    return GW_OK;
}

static enum gw_status check(const struct engine_message *messages, unsigned n_messages,
                            const struct engine_params *params, struct gw_err *err)
{
    if (messages == NULL || n_messages == 0 || n_messages > MAX_MESSAGES)
        return gw_fail(err, GW_EINVAL, "a request has 1 to %d messages", MAX_MESSAGES);
    if (params->n_stop > MAX_STOPS)
        return gw_fail(err, GW_EINVAL, "at most %d stop strings are possible", MAX_STOPS);
    for (unsigned i = 0; i < params->n_stop; i++)
        if (params->stop[i].len == 0 || params->stop[i].len > MAX_STOP_BYTES)
            return gw_fail(err, GW_EINVAL, "a stop string has 1 to %d bytes", MAX_STOP_BYTES);
    if (params->tenant.len > ENGINE_MAX_TENANT_BYTES)
        return gw_fail(err, GW_EINVAL, "a tenant's name has at most %d bytes",
                       ENGINE_MAX_TENANT_BYTES);
    if (params->priority < -ENGINE_MAX_PRIORITY || params->priority > ENGINE_MAX_PRIORITY)
        return gw_fail(err, GW_EINVAL, "a priority is from -%d to %d", ENGINE_MAX_PRIORITY,
                       ENGINE_MAX_PRIORITY);
    return sampler_check(params, err);
}

enum gw_status engine_submit(struct engine_chan *ch, const struct engine_message *messages,
                             unsigned n_messages, const struct engine_params *params, void *ctx,
                             uint64_t *id, struct gw_err *err)
{
    struct engine *e = ch->e;
    const struct adapter *adapter = NULL;
    struct request *r;
    enum gw_status st;

    GW_TRY(check(messages, n_messages, params, err));
    if (params->adapter.len != 0) {
        adapter = find_adapter(e, params->adapter);
        if (adapter == NULL)
            return gw_fail(err, GW_ENOENT, "the model has no adapter of this name");
    }
    GW_TRY(check_biases(e, params, err));
    r = request_new(ch, messages, n_messages, params, (size_t)e->max_context * MAX_TOKEN_BYTES);
    if (r == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the request");
    r->id = atomic_fetch_add(&e->next_id, 1) + 1;
    r->ctx = ctx;
    if (adapter != NULL) {
        r->lora = adapter->lora;
        r->lora_id = (unsigned)(adapter - e->adapters) + 1;
    }
    if (!request_chan_add(ch, r)) {
        request_unref(r);
        request_unref(r);
        return gw_fail(err, GW_EAGAIN, "too many requests are unfinished on this channel");
    }
    st = sched_push(e->s, r, err);
    if (st != GW_OK) {
        request_chan_remove(ch, r);
        request_unref(r);
        return st;
    }
    *id = r->id;
    return GW_OK;
}

unsigned engine_says(const struct engine *e)
{
    return chat_says(e->chat);
}

unsigned engine_n_vocab(const struct engine *e)
{
    return tok_n_vocab(e->tok);
}

struct gw_span engine_token_bytes(const struct engine *e, int32_t id)
{
    struct gw_span piece = tok_piece(e->tok, id);

    return piece.len == 0 ? tok_text(e->tok, id) : piece;
}

/* ---- tools ------------------------------------------------------------------------------ */

enum gw_status engine_tokenize(const struct engine *e, struct gw_span text, int32_t **out,
                               size_t *n)
{
    struct tok_ids ids = {0};

    GW_TRY(tok_encode(e->tok, text, false, &ids));
    if (ids.ids == NULL) { /* free() takes it, but NULL looks like a failure */
        ids.ids = calloc(1, sizeof(*ids.ids));
        if (ids.ids == NULL)
            return GW_ENOMEM;
    }
    *out = ids.ids;
    *n = ids.n;
    return GW_OK;
}

enum gw_status engine_render(const struct engine *e, const struct engine_message *messages,
                             unsigned n_messages, struct gw_buf *out, struct gw_err *err)
{
    struct chat_prompt p = {0};

    GW_TRY(chat_render(e->chat, messages, n_messages, true, &p, err));
    gw_buf_add(out, gw_buf_span(&p.text));
    chat_prompt_fini(&p);
    return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory for the prompt");
}

enum gw_status engine_bench(struct engine *e, unsigned prompt, unsigned decode,
                            struct engine_bench *out, struct gw_err *err)
{
    return sched_bench(e->s, prompt, decode, out, err);
}
