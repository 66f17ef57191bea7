/* tests/unit/engine/test_rerank.c - scores of a small random cross-encoder, as a folder and as a GGUF file, against
 * plain arithmetic; what is refused. */
#include <sys/stat.h>

#include <poll.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/gguf_write.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/engine/bert_make.h"

static char dir[] = "/tmp/sluice-rerank-XXXXXX";
static char file[64];
static struct bm model;

/* ---- the same model as a GGUF file ------------------------------------------------------------ */

static const char *const names[][2] = {
    {"embeddings.word_embeddings", "token_embd"},
    {"embeddings.position_embeddings", "position_embd"},
    {"embeddings.token_type_embeddings", "token_types"},
    {"embeddings.LayerNorm", "token_embd_norm"},
    {"pooler.dense", "cls"},
    {"classifier", "cls.output"},
    {"attention.self.query", "attn_q"},
    {"attention.self.key", "attn_k"},
    {"attention.self.value", "attn_v"},
    {"attention.output.dense", "attn_output"},
    {"attention.output.LayerNorm", "attn_output_norm"},
    {"intermediate.dense", "ffn_up"},
    {"output.dense", "ffn_down"},
    {"output.LayerNorm", "layer_output_norm"},
};

static void file_name(const char *from, char out[96])
{
    char stem[96];
    const char *end = strrchr(from, '.'), *rest = from;
    unsigned layer = 0;

    if (sscanf(from, "encoder.layer.%u.", &layer) == 1)
        rest = from + strlen("encoder.layer.0.");
    (void)snprintf(stem, sizeof(stem), "%.*s", (int)(end - rest), rest);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(stem, names[i][0]) != 0)
            continue;
        if (rest == from)
            (void)snprintf(out, 96, "%s%s", names[i][1], end);
        else
            (void)snprintf(out, 96, "blk.%u.%s%s", layer, names[i][1], end);
        return;
    }
    abort();
}

static void write_keys(struct gguf_writer *w)
{
    static const char *const pieces[BM_VOCAB] = {"[PAD]",
                                                 "[UNK]",
                                                 "[CLS]",
                                                 "[SEP]",
                                                 "\xe2\x96\x81"
                                                 "a",
                                                 "\xe2\x96\x81"
                                                 "b",
                                                 "c",
                                                 "\xe2\x96\x81"
                                                 "d",
                                                 "\xe2\x96\x81."};
    struct gw_buf texts = {0};

    for (unsigned i = 0; i < BM_VOCAB; i++) {
        const uint64_t len = strlen(pieces[i]);

        gw_buf_add(&texts, (struct gw_span){(const char *)&len, sizeof(len)});
        gw_buf_adds(&texts, pieces[i]);
    }
    gguf_write_str(w, "general.architecture", GW_SPAN("bert"));
    gguf_write_u32(w, "bert.embedding_length", BM_EMBD);
    gguf_write_u32(w, "bert.block_count", BM_LAYERS);
    gguf_write_u32(w, "bert.attention.head_count", BM_HEADS);
    gguf_write_u32(w, "bert.feed_forward_length", BM_FF);
    gguf_write_u32(w, "bert.context_length", BM_POSITIONS);
    gguf_write_f32(w, "bert.attention.layer_norm_epsilon", 1e-6f);
    gguf_write_bool(w, "bert.attention.causal", false);
    gguf_write_u32(w, "bert.pooling_type", 4);
    gguf_write_str(w, "tokenizer.ggml.model", GW_SPAN("bert"));
    gguf_write_array(w, "tokenizer.ggml.tokens", GGUF_STRING, BM_VOCAB, gw_buf_span(&texts));
    gw_buf_fini(&texts);
}

static bool write_gguf(void)
{
    struct gguf_writer w = {.n_pairs = 0};
    struct gw_buf data = {0}, all = {0};
    bool ok;

    write_keys(&w);
    for (unsigned i = 0; i < model.n; i++) {
        const struct bm_tensor *t = &model.tensors[i];
        const uint64_t dims[2] = {t->cols, t->rows};
        char name[96];

        file_name(t->name, name);
        (void)gguf_write_tensor(&w, gw_span_str(name), KERN_TYPE_F32, t->rows == 0 ? 1 : 2, dims);
        for (size_t k = 0; k < (size_t)t->cols * (t->rows == 0 ? 1 : t->rows); k++)
            (void)bm_put(&model, &data, t->values[k]);
        while (data.len % GGUF_WRITE_ALIGNMENT != 0)
            gw_buf_addc(&data, '\0');
    }
    gguf_write_head(&w, &all);
    gw_buf_add(&all, gw_buf_span(&data));
    ok = gguf_write_ok(&w) && bm_write(dir, "model.gguf", gw_buf_span(&all));
    gguf_write_fini(&w);
    gw_buf_fini(&data);
    gw_buf_fini(&all);
    return ok;
}

/* ---- scores ----------------------------------------------------------------------------------- */

static struct engine_embedder *open_model(const char *path, const char *kernels, unsigned threads)
{
    const struct engine_embed_config cfg = {
        .model_path = path, .threads = threads, .kernels = kernels};
    struct engine_embedder *e = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(engine_embedder_open(&cfg, &e, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return e;
}

static bool next(struct engine_embed_chan *ch, struct engine_embed_event *ev)
{
    struct pollfd p = {.fd = engine_embed_chan_fd(ch), .events = POLLIN};

    while (!engine_embed_chan_next(ch, ev))
        if (poll(&p, 1, 60000) <= 0)
            return false;
    return true;
}

/* A query and documents, their ids behind one another: [CLS] query [SEP] document [SEP]. */
static const char *const words[] = {"a b.", "d d a", "bc", "d a zz . b bc a", "a b."};
static struct gw_span texts[sizeof(words) / sizeof(words[0])];
static const int32_t ids[][16] = {{7, 7, 4}, {5, 6}, {7, 4, 1, 8, 5, 5, 6, 4}, {4, 5, 8}};
static const unsigned n_ids[] = {3, 2, 8, 3};
enum { N_QUERY = 5, N_DOCUMENTS = 4 };

static double want_score(unsigned document)
{
    int32_t all[32] = {2, 4, 5, 8, 3};

    memcpy(all + N_QUERY, ids[document], n_ids[document] * sizeof(all[0]));
    all[N_QUERY + n_ids[document]] = 3;
    return bm_score(&model, all, N_QUERY + n_ids[document] + 1, N_QUERY);
}

static void test_scores(const char *path, const char *kernels, unsigned threads)
{
    struct engine_embedder *e = open_model(path, kernels, threads);
    struct engine_embed_chan *ch = e == NULL ? NULL : engine_embed_chan_new(e);
    struct engine_embed_event ev = {0}, one = {0};
    uint64_t id = 0;
    float scores[N_DOCUMENTS] = {0};

    if (!CHECK(ch != NULL))
        return;
    CHECK(engine_rerank_submit(ch, texts, N_DOCUMENTS + 1, 0, &id, &id, NULL) == GW_OK);
    CHECK(next(ch, &ev) && ev.status == GW_OK && ev.n_texts == N_DOCUMENTS && ev.n_dims == 1);
    CHECK(ev.prompt_tokens == N_DOCUMENTS * (N_QUERY + 1) + 3 + 2 + 8 + 3);
    for (unsigned i = 0; ev.vectors != NULL && i < N_DOCUMENTS; i++) {
        scores[i] = ev.vectors[i];
        if (!CHECK(fabs((double)scores[i] - want_score(i)) < 2e-5))
            fprintf(stderr, "%s %s: %u is %g, not %g\n", path, kernels, i, (double)scores[i],
                    want_score(i));
    }
    free(ev.vectors);
    for (unsigned i = 0; i < N_DOCUMENTS; i++) { /* alone, bit for bit */
        const struct gw_span pair[] = {texts[0], texts[i + 1]};

        CHECK(engine_rerank_submit(ch, pair, 2, 0, &id, &id, NULL) == GW_OK && next(ch, &one));
        CHECK(one.status == GW_OK && memcmp(one.vectors, &scores[i], sizeof(float)) == 0);
        free(one.vectors);
    }
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
}

static void test_limits(void)
{
    struct engine_embedder *e = open_model(file, NULL, 1);
    struct engine_embed_chan *ch = engine_embed_chan_new(e);
    struct engine_embed_event ev = {0};
    struct engine_embed_info info;
    struct gw_buf text = {0};
    uint64_t id = 0;

    for (unsigned i = 0; i < BM_POSITIONS; i++)
        gw_buf_adds(&text, "a ");

    const struct gw_span query[] = {gw_buf_span(&text), GW_SPAN("a")};
    const struct gw_span document[] = {GW_SPAN("a"), GW_SPAN("b"), gw_buf_span(&text)};
    engine_embedder_info(e, &info);
    CHECK(info.reranks && info.n_dims == 1 && strcmp(info.pooling, "score") == 0);
    CHECK(engine_embed_submit(ch, texts, 2, 0, NULL, &id, NULL) == GW_EUNSUPPORTED && id == 0);
    CHECK(engine_rerank_submit(ch, texts, 1, 0, NULL, &id, NULL) == GW_EINVAL && id == 0);
    CHECK(engine_rerank_submit(ch, query, 2, 0, NULL, &id, NULL) == GW_OK);
    CHECK(next(ch, &ev) && ev.status == GW_ELIMIT && ev.vectors == NULL);
    CHECK(engine_rerank_submit(ch, document, 3, 0, NULL, &id, NULL) == GW_OK);
    CHECK(next(ch, &ev) && ev.status == GW_ELIMIT && strstr(ev.error, "text 1 ") != NULL);
    gw_buf_fini(&text);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
    CHECK(engine_kind(file) == ENGINE_KIND_RERANK && engine_kind(dir) == ENGINE_KIND_RERANK);
}

int main(void)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512"};

    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    (void)snprintf(file, sizeof(file), "%s/model.gguf", dir);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        texts[i] = gw_span_str(words[i]);
    CHECK(bm_make_any(&model, dir, "F32", "bert.", true) && write_gguf());
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (kern_ops_exact(levels[i]) == NULL)
            continue;
        test_scores(dir, levels[i], 1 + (unsigned)i % 2);
        test_scores(file, levels[i], 2);
    }
    test_limits();
    bm_free(&model);
    CHECK(test_remove_tree(dir));
    return test_done();
}
