/* engine/embed.c - the embedder's public calls: a model opened, described, asked. See engine.h; the thread is in
 * embed_work.c. */
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/embed_private.h"
#include "engine/folder.h"
#include "engine/gguf.h"

enum {
    DEFAULT_QUEUED = 64,
    MAX_QUEUED = 65536,
    STEP_TOKENS = 256, /* a step takes tens of milliseconds on one core */
    MAX_TOKENIZER_BYTES = 16 << 20,
    MAX_UNFINISHED_BYTES = 128 << 20, /* of text, all requests together */
    /* No text of more bytes a token is worth a look: ordinary text has 3 to 5. */
    MAX_TOKEN_BYTES = 64
};

/* ---- opening --------------------------------------------------------------------------------------- */

/* The folder's own name, what is not printable ASCII replaced. */
static void name_model(char *out, size_t size, const char *path)
{
    size_t end = strlen(path), begin, n;

    while (end > 1 && path[end - 1] == '/')
        end--;
    begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    n = end - begin < size - 1 ? end - begin : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = path[begin + i];
    for (size_t i = 0; i < n; i++)
        if (out[i] < 0x20 || out[i] == 0x7F)
            out[i] = '?';
    out[n] = '\0';
}

static enum gw_status load_folder(struct engine_embedder *e, const char *path,
                                  const struct kern_ops *ops, struct gw_err *err)
{
    struct gw_buf json = {0};
    enum gw_status st;

    GW_TRY(bert_load(&e->b, path, ops, err));
    GW_TRY(folder_read(path, "tokenizer.json", MAX_TOKENIZER_BYTES, &json, err));
    st = pieces_open(gw_buf_span(&json), &e->pieces, err);
    gw_buf_fini(&json);
    return st;
}

static enum gw_status load_file(struct engine_embedder *e, const char *path,
                                const struct kern_ops *ops, struct gw_err *err)
{
    struct gguf *g = NULL;
    enum gw_status st;

    GW_TRY(gguf_open(path, &g, err));
    st = bert_load_gguf(&e->b, g, ops, err);
    if (st == GW_OK)
        st = pieces_open_gguf(g, &e->pieces, err);
    gguf_close(g);
    return st;
}

/* Weights and vocabulary: what inspecting needs too. */
static enum gw_status load(struct engine_embedder *e, const char *path, const struct kern_ops *ops,
                           struct gw_err *err)
{
    struct stat st;

    name_model(e->name, sizeof(e->name), path);
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        GW_TRY(load_file(e, path, ops, err));
    else
        GW_TRY(load_folder(e, path, ops, err));
    if (pieces_n_vocab(&e->pieces) > e->b.n_vocab)
        return gw_fail(err, GW_EPARSE, "the tokenizer has %u tokens, the model %u",
                       pieces_n_vocab(&e->pieces), e->b.n_vocab);
    e->max_tokens = e->b.max_tokens;
    e->n_dims = embed_reranks(e) ? 1 : e->b.n_embd;
    return GW_OK;
}

static enum gw_status choose_limits(struct engine_embedder *e,
                                    const struct engine_embed_config *cfg, struct gw_err *err)
{
    e->max_unfinished = cfg->max_queued == 0 ? DEFAULT_QUEUED : cfg->max_queued;
    if (e->max_unfinished > MAX_QUEUED)
        return gw_fail(err, GW_EINVAL, "at most %d waiting requests are possible", MAX_QUEUED);
    if (cfg->max_tokens != 0)
        e->max_tokens = cfg->max_tokens;
    if (e->max_tokens < EMBED_MIN_TOKENS || e->max_tokens > e->b.n_positions)
        return gw_fail(err, GW_EINVAL, "a text can have %d to %u tokens, not %u", EMBED_MIN_TOKENS,
                       e->b.n_positions, e->max_tokens);
    e->step_tokens = e->max_tokens > STEP_TOKENS ? e->max_tokens : STEP_TOKENS;
    return GW_OK;
}

static enum gw_status start(struct engine_embedder *e, const struct engine_embed_config *cfg,
                            struct gw_err *err)
{
    GW_TRY(choose_limits(e, cfg, err));
    GW_TRY(pool_new(pool_choose_threads(cfg->threads), &e->p, err));
    GW_TRY(bert_space_new(&e->b, e->p, e->step_tokens, e->max_tokens, &e->space, err));
    e->cmds = gw_queue_new(e->max_unfinished, sizeof(struct embed_req *));
    e->runs = calloc(e->step_tokens / EMBED_MIN_TOKENS, sizeof(*e->runs));
    if (e->cmds == NULL || e->runs == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the embedder");
    if (pthread_create(&e->thread, NULL, embed_work, e) != 0)
        return gw_fail(err, GW_EIO, "cannot start the embedder's thread");
    e->started = true;
    return GW_OK;
}

enum gw_status engine_embedder_open(const struct engine_embed_config *cfg,
                                    struct engine_embedder **out, struct gw_err *err)
{
    struct engine_embedder *e = calloc(1, sizeof(*e));
    const struct kern_ops *ops = kern_ops(cfg->kernels);
    enum gw_status st;

    if (e == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the embedder");
    st = ops == NULL ? gw_fail(err, GW_EINVAL, "kernels %s: scalar, avx2, avx512 and amx are known",
                               cfg->kernels)
                     : load(e, cfg->model_path, ops, err);
    if (st == GW_OK)
        st = start(e, cfg, err);
    if (st != GW_OK) {
        if (err != NULL)
            (void)gw_fail_prefix(err, "%s", cfg->model_path);
        engine_embedder_close(e);
        return st;
    }
    *out = e;
    return GW_OK;
}

void engine_embedder_close(struct engine_embedder *e)
{
    if (e == NULL)
        return;
    if (e->started) {
        atomic_store(&e->quit, true);
        gw_queue_close(e->cmds);
        (void)pthread_join(e->thread, NULL);
    }
    gw_queue_free(e->cmds);
    free(e->runs);
    bert_space_free(e->space);
    pool_free(e->p);
    pieces_fini(&e->pieces);
    bert_fini(&e->b);
    free(e);
}

/* ---- description ----------------------------------------------------------------------------------- */

static void describe(const struct engine_embedder *e, struct engine_embed_info *out)
{
    *out = (struct engine_embed_info){.arch = "bert",
                                      .file_bytes = e->b.file_bytes,
                                      .n_params = e->b.n_params,
                                      .n_dims = e->n_dims,
                                      .n_vocab = e->b.n_vocab,
                                      .n_layers = e->b.n_layers,
                                      .max_tokens = e->max_tokens,
                                      .reranks = embed_reranks(e)};
    (void)snprintf(out->pooling, sizeof(out->pooling), "%s",
                   out->reranks                 ? "score"
                   : e->b.pool == BERT_POOL_CLS ? "cls"
                                                : "mean");
    memcpy(out->name, e->name, sizeof(out->name));
    memcpy(out->quant, e->b.quant, sizeof(out->quant));
}

void engine_embedder_info(const struct engine_embedder *e, struct engine_embed_info *out)
{
    describe(e, out);
    out->threads = pool_n_threads(e->p);
    (void)snprintf(out->kernels, sizeof(out->kernels), "%s",
                   kern_ops_describe(e->b.ops, e->b.layers[0].q.type));
}

enum gw_status engine_embed_inspect(const char *path, struct engine_embed_info *out,
                                    struct gw_err *err)
{
    struct engine_embedder *e = calloc(1, sizeof(*e));
    enum gw_status st;

    if (e == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the embedder");
    st = load(e, path, kern_ops("scalar"), err);
    if (st == GW_OK)
        describe(e, out);
    else if (err != NULL)
        (void)gw_fail_prefix(err, "%s", path);
    engine_embedder_close(e);
    return st;
}

void engine_embedder_stats(const struct engine_embedder *e, struct engine_embed_stats *out)
{
    *out = (struct engine_embed_stats){.requests = atomic_load(&e->n_requests),
                                       .texts = atomic_load(&e->n_texts),
                                       .tokens = atomic_load(&e->n_tokens),
                                       .rejected = atomic_load(&e->n_rejected),
                                       .canceled = atomic_load(&e->n_canceled),
                                       .unfinished = atomic_load(&e->n_unfinished)};
}

/* ---- requests ---------------------------------------------------------------------------------------- */

struct engine_embed_chan *engine_embed_chan_new(struct engine_embedder *e)
{
    return embed_chan_new(e, e->max_unfinished);
}

/* Sets *bytes to the length of all texts. */
static enum gw_status check(const struct engine_embedder *e, const struct gw_span *texts,
                            unsigned n_texts, size_t *bytes, struct gw_err *err)
{
    const size_t longest = (size_t)e->max_tokens * MAX_TOKEN_BYTES;
    size_t all = 0;

    if (texts == NULL || n_texts == 0 || n_texts > ENGINE_EMBED_MAX_TEXTS)
        return gw_fail(err, GW_EINVAL, "a request has 1 to %d texts", ENGINE_EMBED_MAX_TEXTS);
    for (unsigned i = 0; i < n_texts; i++) {
        if (texts[i].len == 0)
            return gw_fail(err, GW_EINVAL, "text %u is empty", i);
        if (texts[i].len > longest)
            return gw_fail(err, GW_ELIMIT,
                           "text %u has %zu bytes, more than the %u tokens that this model takes",
                           i, texts[i].len, e->max_tokens);
        all += texts[i].len;
    }
    *bytes = all;
    return GW_OK;
}

/* Counts a request of that many bytes in; false when there is no room for it. */
static bool reserve(struct engine_embedder *e, size_t bytes)
{
    if (atomic_fetch_add(&e->n_unfinished, 1) >= e->max_unfinished) {
        atomic_fetch_sub(&e->n_unfinished, 1);
        return false;
    }
    if (atomic_fetch_add(&e->n_bytes, bytes) + bytes > MAX_UNFINISHED_BYTES) {
        atomic_fetch_sub(&e->n_bytes, bytes);
        atomic_fetch_sub(&e->n_unfinished, 1);
        return false;
    }
    return true;
}

static enum gw_status push(struct engine_embedder *e, struct embed_req *r, struct gw_err *err)
{
    struct engine_embed_chan *ch = r->chan;

    if (!embed_chan_add(ch, r)) {
        embed_req_unref(r);
        embed_req_unref(r);
        return gw_fail(err, GW_EAGAIN, "too many requests are unfinished on this channel");
    }
    if (gw_queue_push(e->cmds, &r) != GW_OK) { /* cannot be full: reserve() counted */
        embed_chan_remove(ch, r);
        embed_req_unref(r);
        return gw_fail(err, GW_EAGAIN, "the embedder's queue is full");
    }
    return GW_OK;
}

/* What both kinds of requests do; a reranker's first text is the query. */
static enum gw_status submit(struct engine_embed_chan *ch, const struct gw_span *texts,
                             unsigned n_texts, uint64_t deadline_ns, void *ctx, uint64_t *id,
                             struct gw_err *err)
{
    struct engine_embedder *e = ch->e;
    struct embed_req *r;
    size_t bytes = 0;
    uint64_t new_id = 0;
    enum gw_status st;

    GW_TRY(check(e, texts, n_texts, &bytes, err));
    if (!reserve(e, bytes)) {
        atomic_fetch_add(&e->n_rejected, 1);
        return gw_fail(err, GW_EAGAIN, "the embedder's queue is full");
    }
    r = embed_req_new(ch, texts, n_texts, bytes);
    if (r == NULL) {
        st = gw_fail(err, GW_ENOMEM, "out of memory for the request");
    } else {
        r->id = new_id = atomic_fetch_add(&e->next_id, 1) + 1;
        r->ctx = ctx;
        r->deadline_ns = deadline_ns;
        r->submit_ns = gw_clock_ns();
        if (embed_reranks(e)) {
            r->query = r->texts[0];
            r->texts++;
            r->n_texts--;
        }
        st = push(e, r, err);
    }
    if (st != GW_OK) {
        atomic_fetch_sub(&e->n_bytes, bytes);
        atomic_fetch_sub(&e->n_unfinished, 1);
        return st;
    }
    atomic_fetch_add(&e->n_requests, 1);
    *id = new_id;
    return GW_OK;
}

enum gw_status engine_embed_submit(struct engine_embed_chan *ch, const struct gw_span *texts,
                                   unsigned n_texts, uint64_t deadline_ns, void *ctx, uint64_t *id,
                                   struct gw_err *err)
{
    if (embed_reranks(ch->e))
        return gw_fail(err, GW_EUNSUPPORTED, "this model scores documents and gives no vectors");
    return submit(ch, texts, n_texts, deadline_ns, ctx, id, err);
}

enum gw_status engine_rerank_submit(struct engine_embed_chan *ch, const struct gw_span *texts,
                                    unsigned n_texts, uint64_t deadline_ns, void *ctx, uint64_t *id,
                                    struct gw_err *err)
{
    if (!embed_reranks(ch->e))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "this model gives vectors and does not score documents");
    if (n_texts < 2)
        return gw_fail(err, GW_EINVAL, "a request has a query and at least one document");
    return submit(ch, texts, n_texts, deadline_ns, ctx, id, err);
}
