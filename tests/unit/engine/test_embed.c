/* tests/unit/engine/test_embed.c - the embedder on small random models: vectors, limits, cancelling, damage. */
#include <sys/stat.h>

#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/engine/bert_make.h"

static char dir[] = "/tmp/sluice-embed-XXXXXX";
static struct bm model;

static int ctxs[64]; /* what events are told apart by */

static struct engine_embedder *open_with(unsigned threads, unsigned max_tokens, unsigned queued,
                                         const char *kernels)
{
    const struct engine_embed_config cfg = {.model_path = dir,
                                            .threads = threads,
                                            .max_tokens = max_tokens,
                                            .max_queued = queued,
                                            .kernels = kernels};
    struct engine_embedder *e = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(engine_embedder_open(&cfg, &e, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return e;
}

/* Waits for the next event; false when none comes within ms. */
static bool next(struct engine_embed_chan *ch, struct engine_embed_event *ev, int ms)
{
    struct pollfd p = {.fd = engine_embed_chan_fd(ch), .events = POLLIN};

    while (!engine_embed_chan_next(ch, ev))
        if (poll(&p, 1, ms) <= 0)
            return false;
    return true;
}

static enum gw_status submit(struct engine_embed_chan *ch, const struct gw_span *texts, unsigned n,
                             void *ctx, uint64_t *id)
{
    struct gw_err err = {GW_OK, ""};
    enum gw_status st = engine_embed_submit(ch, texts, n, 0, ctx, id, &err);

    CHECK(st == err.code);
    return st;
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* A text of n words and its ids; n + 2 of them. */
static void make_text(unsigned n, unsigned seed, struct gw_buf *text, int32_t *ids)
{
    static const struct {
        const char *word;
        int32_t id;
    } words[] = {{"a ", 4}, {"B ", 5}, {"d ", 7}, {". ", 8}, {"zz ", 1}};

    gw_buf_clear(text);
    ids[0] = 2;
    for (unsigned i = 0; i < n; i++) {
        unsigned k = (seed + i * i * 7 + i / 3) % 5;

        gw_buf_adds(text, words[k].word);
        ids[i + 1] = words[k].id;
    }
    ids[n + 1] = 3;
}

/* Texts of all lengths in one request, each against plain arithmetic. */
static void test_vectors(const char *kernels, unsigned threads)
{
    enum { N = 24 };
    static int32_t ids[N][BM_MAX_SEQ];
    struct engine_embedder *e = open_with(threads, 0, 0, kernels);
    struct engine_embed_chan *ch = e == NULL ? NULL : engine_embed_chan_new(e);
    struct gw_buf text[N] = {{0}};
    struct gw_span spans[N];
    struct engine_embed_event ev = {0};
    unsigned tokens = 0, lengths[N];
    uint64_t id = 0;
    double worst = 0;

    if (!CHECK(ch != NULL))
        return;
    for (unsigned i = 0; i < N; i++) {
        lengths[i] = i == N - 1 ? BM_MAX_SEQ - 2 : i * 3;
        make_text(lengths[i] == 0 ? 1 : lengths[i], i, &text[i], ids[i]);
        lengths[i] = lengths[i] == 0 ? 1 : lengths[i];
        spans[i] = gw_buf_span(&text[i]);
        tokens += lengths[i] + 2;
    }
    CHECK(submit(ch, spans, N, &ctxs[1], &id) == GW_OK && id != 0);
    CHECK(next(ch, &ev, 60000));
    CHECK(ev.ctx == &ctxs[1] && ev.status == GW_OK && ev.n_texts == N && ev.n_dims == BM_EMBD &&
          ev.prompt_tokens == tokens);
    for (unsigned i = 0; ev.vectors != NULL && i < N; i++) {
        double want[BM_EMBD];

        bm_embed(&model, ids[i], lengths[i] + 2, want);
        for (unsigned k = 0; k < BM_EMBD; k++) {
            double d = fabs((double)ev.vectors[i * BM_EMBD + k] - want[k]);

            worst = d <= worst ? worst : d;
        }
    }
    if (!CHECK(worst < 2e-5))
        fprintf(stderr, "%s %s: off by %g\n", model.dtype, kernels, worst);
    free(ev.vectors);
    for (unsigned i = 0; i < N; i++)
        gw_buf_fini(&text[i]);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
}

/* ---- what is refused -------------------------------------------------------------------------- */

static void test_limits(void)
{
    struct engine_embedder *e = open_with(2, 6, 0, NULL);
    struct engine_embed_chan *ch = engine_embed_chan_new(e);
    static struct gw_span many[ENGINE_EMBED_MAX_TEXTS + 1];
    struct engine_embed_event ev = {0};
    struct engine_embed_stats stats;
    struct engine_embed_info info;
    char long_text[6 * 64 + 2];
    uint64_t id = 7;

    const struct gw_span two[] = {GW_SPAN("a a a a"), GW_SPAN("a a a a a")};
    CHECK(submit(ch, two, 2, &ctxs[2], &id) == GW_OK && id != 7);
    CHECK(next(ch, &ev, 60000) && ev.ctx == &ctxs[2] && ev.status == GW_ELIMIT);
    CHECK(ev.vectors == NULL && strstr(ev.error, "text 1 ") != NULL);
    CHECK(submit(ch, two, 1, NULL, &id) == GW_OK && next(ch, &ev, 60000) && ev.status == GW_OK);
    CHECK(ev.prompt_tokens == 6 && ev.n_texts == 1);
    free(ev.vectors);

    const struct gw_span blank[] = {GW_SPAN(" "), GW_SPAN("")};
    id = 7;
    CHECK(submit(ch, blank, 2, NULL, &id) == GW_EINVAL && submit(ch, blank, 0, NULL, &id) != GW_OK);
    CHECK(submit(ch, NULL, 1, NULL, &id) == GW_EINVAL && id == 7);
    CHECK(submit(ch, blank, 1, NULL, &id) == GW_OK && next(ch, &ev, 60000) && ev.status == GW_OK);
    CHECK(ev.prompt_tokens == 2);
    free(ev.vectors);

    memset(long_text, ' ', sizeof(long_text));
    const struct gw_span spaces = {long_text, sizeof(long_text)};
    CHECK(submit(ch, &spaces, 1, NULL, &id) == GW_ELIMIT);

    for (unsigned i = 0; i <= ENGINE_EMBED_MAX_TEXTS; i++)
        many[i] = GW_SPAN("a b");
    CHECK(submit(ch, many, ENGINE_EMBED_MAX_TEXTS + 1, NULL, &id) == GW_EINVAL);
    CHECK(submit(ch, many, ENGINE_EMBED_MAX_TEXTS, NULL, &id) == GW_OK && next(ch, &ev, 60000));
    CHECK(ev.status == GW_OK && ev.prompt_tokens == 4 * ENGINE_EMBED_MAX_TEXTS);
    free(ev.vectors);
    engine_embedder_info(e, &info);
    CHECK(info.max_tokens == 6 && info.n_dims == BM_EMBD && info.n_vocab == BM_VOCAB &&
          strcmp(info.arch, "bert") == 0 && info.kernels[0] != '\0' && info.threads >= 1);
    CHECK(strcmp(info.name, strrchr(dir, '/') + 1) == 0);
    engine_embedder_stats(e, &stats);
    CHECK(stats.requests == 4 && stats.texts == 2 + ENGINE_EMBED_MAX_TEXTS &&
          stats.unfinished == 0 && stats.canceled == 0);
    engine_embed_chan_free(ch);
    engine_embed_chan_free(NULL);
    engine_embedder_close(e);
    engine_embedder_close(NULL);
}

/* More tokens together than a request may have, though no text is too long. */
static void test_many_tokens(void)
{
    struct engine_embedder *e = open_with(1, 0, 0, NULL);
    struct engine_embed_chan *ch = engine_embed_chan_new(e);
    static struct gw_span many[ENGINE_EMBED_MAX_TEXTS];
    struct engine_embed_event ev = {0};
    uint64_t id = 0;
    char text[BM_MAX_SEQ];

    memset(text, '.', sizeof(text));
    for (unsigned i = 0; i < ENGINE_EMBED_MAX_TEXTS; i++)
        many[i] = (struct gw_span){text, BM_MAX_SEQ - 2};
    _Static_assert(ENGINE_EMBED_MAX_TEXTS * BM_MAX_SEQ < ENGINE_EMBED_MAX_TOKENS, "fits");
    CHECK(submit(ch, many, ENGINE_EMBED_MAX_TEXTS, NULL, &id) == GW_OK);
    engine_embed_cancel(ch, id);
    CHECK(submit(ch, many, 3, NULL, &id) == GW_OK && next(ch, &ev, 60000));
    CHECK(ev.status == GW_OK && ev.prompt_tokens == 3 * BM_MAX_SEQ);
    free(ev.vectors);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
}

/* ---- queue, cancelling, deadlines, closing ------------------------------------------------------ */

/* A request that keeps the embedder busy for a while. */
static enum gw_status submit_long(struct engine_embed_chan *ch, void *ctx, uint64_t *id)
{
    static struct gw_span many[ENGINE_EMBED_MAX_TEXTS];
    static char text[BM_MAX_SEQ - 2];

    memset(text, '.', sizeof(text));
    for (unsigned i = 0; i < ENGINE_EMBED_MAX_TEXTS; i++)
        many[i] = (struct gw_span){text, sizeof(text)};
    return submit(ch, many, ENGINE_EMBED_MAX_TEXTS, ctx, id);
}

static void test_queue(void)
{
    struct engine_embedder *e = open_with(1, 0, 2, "scalar");
    struct engine_embed_chan *ch = engine_embed_chan_new(e), *other = engine_embed_chan_new(e);
    const struct gw_span text = GW_SPAN("a");
    struct engine_embed_event ev = {0};
    struct engine_embed_stats stats;
    uint64_t first = 0, second = 0, third = 5;

    CHECK(submit_long(ch, &ctxs[1], &first) == GW_OK);
    CHECK(submit(other, &text, 1, &ctxs[2], &second) == GW_OK && second != first);
    if (submit(ch, &text, 1, &ctxs[3], &third) == GW_EAGAIN) /* unless the second is done already */
        CHECK(third == 5);
    /* a short request does not wait for the long one */
    CHECK(next(other, &ev, 60000) && ev.ctx == &ctxs[2] && ev.status == GW_OK);
    free(ev.vectors);
    engine_embedder_stats(e, &stats);
    CHECK(stats.unfinished >= 1);
    engine_embed_cancel(ch, first);
    engine_embed_cancel(ch, first);
    engine_embed_cancel(ch, 12345);
    while (next(ch, &ev, 200)) {
        CHECK(ev.ctx == &ctxs[3]);
        free(ev.vectors);
    }
    for (int i = 0; i < 600; i++) { /* the embedder hears of it between two steps */
        engine_embedder_stats(e, &stats);
        if (stats.unfinished == 0)
            break;
        (void)poll(NULL, 0, 50);
    }
    CHECK(stats.unfinished == 0 && stats.canceled == 1);
    CHECK(submit(ch, &text, 1, &ctxs[4], &first) == GW_OK && next(ch, &ev, 60000));
    CHECK(ev.ctx == &ctxs[4]);
    free(ev.vectors);
    engine_embed_chan_free(other);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
}

static void test_deadline(void)
{
    struct engine_embedder *e = open_with(1, 0, 0, NULL);
    struct engine_embed_chan *ch = engine_embed_chan_new(e);
    const struct gw_span text = GW_SPAN("a");
    struct engine_embed_event ev = {0};
    uint64_t id = 0;

    CHECK(engine_embed_submit(ch, &text, 1, 1, &ctxs[5], &id, NULL) == GW_OK);
    CHECK(next(ch, &ev, 60000) && ev.ctx == &ctxs[5] && ev.status == GW_ETIMEDOUT);
    CHECK(ev.vectors == NULL && ev.error[0] != '\0');
    CHECK(engine_embed_submit(ch, &text, 1, gw_clock_ns() + 60000000000u, &ctxs[6], &id, NULL) ==
          GW_OK);
    CHECK(next(ch, &ev, 60000) && ev.ctx == &ctxs[6] && ev.status == GW_OK);
    free(ev.vectors);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
}

/* Events that nobody takes, channels and engines that close over work: nothing leaks, nothing hangs. */
static void test_closing(void)
{
    for (unsigned round = 0; round < 6; round++) {
        struct engine_embedder *e = open_with(2, 0, 8, NULL);
        struct engine_embed_chan *ch = engine_embed_chan_new(e);
        const struct gw_span text = GW_SPAN("a b d");
        uint64_t id = 0;

        if (round % 2 == 0)
            CHECK(submit_long(ch, NULL, &id) == GW_OK);
        for (unsigned i = 0; i < 4; i++)
            CHECK(submit(ch, &text, 1, NULL, &id) == GW_OK);
        if (round >= 2)
            (void)poll(NULL, 0, 20);
        if (round >= 4)
            engine_embed_cancel(ch, id);
        engine_embed_chan_free(ch);
        engine_embedder_close(e);
    }
}

/* Requests from several channels at once, each of its own length, come out right. */
static void test_company(void)
{
    enum { CHANNELS = 4, ROUNDS = 12 };
    struct engine_embedder *e = open_with(2, 0, 64, NULL);
    struct engine_embed_chan *ch[CHANNELS];
    static int32_t ids[BM_MAX_SEQ];
    struct gw_buf text = {0};
    uint64_t id = 0;

    for (unsigned c = 0; c < CHANNELS; c++)
        ch[c] = engine_embed_chan_new(e);
    for (unsigned r = 0; r < ROUNDS; r++) {
        for (unsigned c = 0; c < CHANNELS; c++) {
            make_text(1 + r * 5 + c, r + c, &text, ids);

            const struct gw_span span = gw_buf_span(&text);
            CHECK(submit(ch[c], &span, 1, &ctxs[r], &id) == GW_OK);
        }
    }
    for (unsigned c = 0; c < CHANNELS; c++) {
        for (unsigned got = 0; got < ROUNDS; got++) {
            struct engine_embed_event ev = {0};
            double want[BM_EMBD], worst = 0;

            if (!CHECK(next(ch[c], &ev, 60000) && ev.status == GW_OK))
                break;
            unsigned r = (unsigned)((int *)ev.ctx - ctxs);
            make_text(1 + r * 5 + c, r + c, &text, ids);
            bm_embed(&model, ids, 3 + r * 5 + c, want);
            for (unsigned k = 0; k < BM_EMBD; k++)
                worst = fmax(worst, fabs((double)ev.vectors[k] - want[k]));
            CHECK(worst < 2e-5);
            free(ev.vectors);
        }
        engine_embed_chan_free(ch[c]);
    }
    gw_buf_fini(&text);
    engine_embedder_close(e);
}

/* ---- folders that are wrong ----------------------------------------------------------------------- */

static enum gw_status inspect(void)
{
    struct engine_embed_info info;
    struct gw_err err = {GW_OK, ""};
    enum gw_status st = engine_embed_inspect(dir, &info, &err);

    CHECK(st == err.code && (st == GW_OK || strstr(err.text, dir) != NULL));
    return st;
}

/* config.json with `from` replaced by `to`. */
static enum gw_status with_config(const char *from, const char *to)
{
    const char *at = strstr(bm_config, from);
    struct gw_buf b = {0};
    enum gw_status st;

    if (!CHECK(at != NULL))
        return GW_OK;
    gw_buf_add(&b, (struct gw_span){bm_config, (size_t)(at - bm_config)});
    gw_buf_adds(&b, to);
    gw_buf_adds(&b, at + strlen(from));
    CHECK(bm_write(dir, "config.json", gw_buf_span(&b)));
    st = inspect();
    gw_buf_fini(&b);
    CHECK(bm_write(dir, "config.json", gw_span_str(bm_config)));
    return st;
}

static enum gw_status with_file(const char *name, const char *text, const char *restore)
{
    enum gw_status st;

    CHECK(bm_write(dir, name, gw_span_str(text)));
    st = inspect();
    CHECK(bm_write(dir, name, gw_span_str(restore)));
    return st;
}

static void test_configs(void)
{
    CHECK(inspect() == GW_OK);
    CHECK(with_config("\"bert\"", "\"roberta\"") == GW_EUNSUPPORTED);
    CHECK(with_config("\"gelu\"", "\"relu\"") == GW_EUNSUPPORTED);
    CHECK(with_config("\"absolute\"", "\"relative_key\"") == GW_EUNSUPPORTED);
    CHECK(with_config("\"hidden_size\":36", "\"hidden_size\":39") == GW_EPARSE);
    CHECK(with_config("\"hidden_size\":36", "\"hidden_size\":0") == GW_EPARSE);
    CHECK(with_config("\"hidden_size\":36", "\"hidden_size\":\"36\"") == GW_EPARSE);
    CHECK(with_config("\"hidden_size\":36", "\"hidden_size\":99999999999") == GW_EPARSE);
    CHECK(with_config("_heads\":3", "_heads\":5") == GW_EPARSE);
    CHECK(with_config("_layers\":2", "_layers\":3") == GW_EPARSE); /* a tensor is missing */
    CHECK(with_config("_layers\":2", "_layers\":1") == GW_OK); /* tensors that nobody asks for */
    CHECK(with_config("_embeddings\":90", "_embeddings\":1") == GW_EPARSE);
    CHECK(with_config("\"vocab_size\":9", "\"vocab_size\":8") == GW_EPARSE);
    CHECK(with_config("1e-6", "\"x\"") == GW_EPARSE && with_config("1e-6", "-1") == GW_EPARSE);
    CHECK(with_config("{", "") == GW_EPARSE);
    CHECK(with_file("1_Pooling/config.json", "{\"pooling_mode_max_tokens\":true}", bm_pooling) ==
          GW_EUNSUPPORTED);
    CHECK(with_file("1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":false}", bm_pooling) ==
          GW_EUNSUPPORTED);
    CHECK(with_file("sentence_bert_config.json", "{\"max_seq_length\":1}",
                    "{\"max_seq_length\":70}") == GW_EPARSE);
    CHECK(with_file("tokenizer.json", "{}", bm_tokenizer) == GW_EUNSUPPORTED);
    CHECK(inspect() == GW_OK);
}

static void test_wrong_opens(void)
{
    struct engine_embed_config cfg = {.model_path = dir, .kernels = "none"};
    struct engine_embedder *e = NULL;
    struct gw_err err = {GW_OK, ""};

    CHECK(engine_embedder_open(&cfg, &e, &err) == GW_EINVAL && e == NULL);
    cfg = (struct engine_embed_config){.model_path = dir, .max_tokens = BM_POSITIONS + 1};
    CHECK(engine_embedder_open(&cfg, &e, &err) == GW_EINVAL && e == NULL);
    cfg.max_tokens = 1;
    CHECK(engine_embedder_open(&cfg, &e, NULL) == GW_EINVAL && e == NULL);
    cfg = (struct engine_embed_config){.model_path = "/nowhere/at/all"};
    CHECK(engine_embedder_open(&cfg, &e, &err) == GW_ENOENT && e == NULL);
    cfg = (struct engine_embed_config){.model_path = dir, .max_queued = 1u << 20};
    CHECK(engine_embedder_open(&cfg, &e, &err) == GW_EINVAL && e == NULL);
}

/* Infinite weights are found out, not handed over. */
static void test_not_finite(void)
{
    struct gw_buf file = {0};
    char path[256];
    struct engine_embed_event ev = {0};
    const struct gw_span text = GW_SPAN("a b");
    uint64_t id = 0;
    float inf = INFINITY;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/model.safetensors", dir);
    f = fopen(path, "r+");
    CHECK(f != NULL && fseek(f, -(long)sizeof(inf), SEEK_END) == 0 &&
          fwrite(&inf, sizeof(inf), 1, f) == 1 && fclose(f) == 0);
    struct engine_embedder *e = open_with(1, 0, 0, NULL);
    struct engine_embed_chan *ch = engine_embed_chan_new(e);
    CHECK(submit(ch, &text, 1, NULL, &id) == GW_OK && next(ch, &ev, 60000));
    CHECK(ev.status == GW_ECORRUPT && ev.vectors == NULL);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
    gw_buf_fini(&file);
}

static void test_types(void)
{
    static const char *const types[] = {"F32", "F16", "BF16"};
    static const char *const tables[] = {"scalar", "avx2", "avx512"};

    for (unsigned i = 0; i < 3; i++) {
        CHECK(bm_make(&model, dir, types[i], i == 1 ? "bert." : ""));
        for (unsigned k = 0; k < 3; k++) {
            if (kern_ops_exact(tables[k]) != NULL)
                test_vectors(tables[k], 1 + k % 2);
            else
                test_skip("a table of kernels: this CPU lacks the instructions");
        }
        bm_free(&model);
    }
}

int main(void)
{
    char sub[64];

    if (mkdtemp(dir) == NULL) {
        test_skip("no temporary folder");
        return test_done();
    }
    (void)snprintf(sub, sizeof(sub), "%s/1_Pooling", dir);
    CHECK(mkdir(sub, 0700) == 0);
    test_types();
    CHECK(bm_make(&model, dir, "F32", ""));
    test_limits();
    test_many_tokens();
    test_queue();
    test_deadline();
    test_closing();
    test_company();
    test_configs();
    test_wrong_opens();
    test_not_finite();
    bm_free(&model);
    CHECK(test_remove_tree(dir));
    return test_done();
}
