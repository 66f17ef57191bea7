/* tests/unit/engine/test_medusa.c - Medusa heads: their guesses against a computation of its own, the same answers with them, and
 * hostile files. */
#include <math.h>

#include "engine/lora.h"
#include "engine/medusa.h"
#include "engine/sched_private.h"
#include "tests/unit/engine/medusa_make.h"
#include "tests/unit/engine/sched_bed.h"

enum { CONTEXT = 512, MOST_JOBS = 16, ANSWER = 48 };

static char dir[] = "/tmp/sluice-medusa-XXXXXX";

static const char *in_dir(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *out = paths[next++ % 8];

    (void)snprintf(out, sizeof(paths[0]), "%s/%s", dir, name);
    return out;
}

static struct medusa *open_heads(const struct bed *b, const char *path)
{
    const struct medusa_config cfg = {
        .path = path, .m = &b->m, .p = b->p, .n_ids = tok_n_vocab(b->tok)};
    struct medusa *md = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(medusa_open(&cfg, &md, &err) == GW_OK))
        printf("%s\n", err.text);
    return md;
}

/* ---- numbers ---------------------------------------------------------------------------------- */

/* The logits of a head, in double precision, straight from the definition. */
static void head_logits(const struct bed *b, const struct mm_heads *h, unsigned head,
                        const float *hidden, double *out)
{
    const unsigned d = h->d;
    double *x = calloc(d, sizeof(*x)), *y = calloc(d, sizeof(*y));
    float *row = calloc(d, sizeof(*row));

    for (unsigned i = 0; i < d; i++)
        x[i] = (double)hidden[i];
    for (unsigned k = 0; k < h->n_blocks; k++) {
        for (unsigned r = 0; r < d; r++) {
            y[r] = h->bias[head][k] == NULL ? 0 : (double)h->bias[head][k][r];
            for (unsigned c = 0; c < d; c++)
                y[r] += (double)h->weight[head][k][(size_t)r * d + c] * x[c];
        }
        for (unsigned r = 0; r < d; r++)
            x[r] += y[r] / (1 + exp(-y[r]));
    }
    for (unsigned v = 0; v < h->n_vocab; v++) {
        out[v] = 0;
        if (h->output[head] == NULL)
            kern_matrix_row_f32(&b->m.output, v, row);
        for (unsigned c = 0; c < d; c++)
            out[v] += x[c] * (double)(h->output[head] != NULL ? h->output[head][(size_t)v * d + c]
                                                              : row[c]);
    }
    free(x);
    free(y);
    free(row);
}

/* A guess has, of the ids that are guessed, the largest logit, or one within the error of the blocks. */
static void check_guess(const struct bed *b, const double *logits, int32_t id, double error)
{
    double most = -INFINITY, least = INFINITY;

    for (unsigned v = 0; v < tok_n_vocab(b->tok); v++) {
        most = fmax(most, logits[v]);
        least = fmin(least, logits[v]);
    }
    CHECK(id >= 0 && (unsigned)id < tok_n_vocab(b->tok) &&
          logits[id] >= most - error * (most - least));
}

static void test_numbers(const struct bed *b, unsigned n_heads, unsigned n_blocks, bool own,
                         const char *type, double error)
{
    const unsigned d = b->m.n_embd, used = n_heads < MEDUSA_MAX_USED ? n_heads : MEDUSA_MAX_USED;
    double *logits = calloc(b->m.n_vocab, sizeof(*logits));
    struct mm_heads h;
    struct medusa *md;
    uint64_t seed = 11;

    mm_init(&h, d, b->m.n_vocab, n_heads, n_blocks, own, 3 + n_heads);
    CHECK(mm_write(&h, in_dir("heads"), type));
    md = open_heads(b, in_dir("heads"));
    CHECK(md != NULL && medusa_n_heads(md) == used);
    for (unsigned i = 0; md != NULL && i < 12; i++) {
        const unsigned k = 1 + i % used;
        float *hidden = lm_fill(d, 2, &seed);
        int32_t out[MEDUSA_MAX_USED] = {-1, -1, -1, -1};

        medusa_guess(md, hidden, k, out);
        for (unsigned j = 0; j < k; j++) {
            head_logits(b, &h, j, hidden, logits);
            check_guess(b, logits, out[j], error);
        }
        CHECK(k == MEDUSA_MAX_USED || out[k] == -1);
        free(hidden);
    }
    medusa_close(md);
    mm_fini(&h);
    free(logits);
}

/* What a row of logits was computed from: the output matrix makes that row of it. */
static void test_hidden(const struct bed *b, unsigned n_tokens)
{
    const unsigned d = b->m.n_embd;
    const struct kvcache_shape shape = {.n_layers = b->m.n_layers,
                                        .n_kv_heads = b->m.n_kv_heads,
                                        .head_dim = b->m.head_dim,
                                        .n_tokens = 64,
                                        .max_seq_tokens = 64};
    const int32_t tokens[8] = {1, 5, 9, 13, 17, 21, 25, 29};
    struct kvcache_seq seq = {0};
    struct kvcache *kv = NULL;
    struct forward *f = NULL;
    struct forward_run run = {.seq = &seq,
                              .tokens = tokens,
                              .n_tokens = n_tokens,
                              .n_logits = n_tokens < 3 ? n_tokens : 3};
    float *row = calloc(d, sizeof(*row));

    CHECK(kvcache_new(&shape, &kv, NULL) == GW_OK && kvcache_reserve(kv, &seq, 64) == GW_OK);
    CHECK(forward_new(&b->m, kv, b->p, 16, 16, 64, &f, NULL) == GW_OK);
    CHECK(forward_step(f, &run, 1) == GW_OK);
    for (unsigned i = 0; i < run.n_logits; i++) {
        const float *hidden = forward_hidden(f, i), *logits = forward_logits(f, i);

        for (unsigned v = 0; v < b->m.n_vocab; v += 7) {
            double sum = 0, size = 0;

            kern_matrix_row_f32(&b->m.output, v, row);
            for (unsigned c = 0; c < d; c++) {
                sum += (double)row[c] * (double)hidden[c];
                size += fabs((double)row[c] * (double)hidden[c]);
            }
            CHECK(fabs(sum - (double)logits[v]) <= 0.02 * size);
        }
    }
    free(row);
    forward_free(f);
    kvcache_release(kv, &seq);
    kvcache_free(kv);
}

/* ---- heads that are right ------------------------------------------------------------------------ */

/* A greedy answer, and what each of its tokens was drawn from. */
struct answer_of {
    int32_t ids[ANSWER];
    float *hidden; /* [ANSWER][n_embd] */
};

static void answer_greedily(const struct bed *b, const char *text, struct answer_of *a)
{
    const struct kvcache_shape shape = {.n_layers = b->m.n_layers,
                                        .n_kv_heads = b->m.n_kv_heads,
                                        .head_dim = b->m.head_dim,
                                        .n_tokens = CONTEXT,
                                        .max_seq_tokens = CONTEXT,
                                        .type = b->kv_type};
    const struct engine_message m = {GW_SPAN("user"), gw_span_str(text)};
    const unsigned d = b->m.n_embd;
    struct kvcache_seq seq = {0};
    struct kvcache *kv = NULL;
    struct forward *f = NULL;
    struct tok_ids ids = {0};

    CHECK(chat_encode(b->chat, &m, 1, true, &ids, NULL) == GW_OK && ids.n + ANSWER < CONTEXT);
    CHECK(kvcache_new(&shape, &kv, NULL) == GW_OK && kvcache_reserve(kv, &seq, CONTEXT) == GW_OK);
    CHECK(forward_new(&b->m, kv, b->p, CONTEXT, 1, CONTEXT, &f, NULL) == GW_OK);
    a->hidden = calloc((size_t)ANSWER * d, sizeof(float));
    for (unsigned i = 0, pos = 0; i < ANSWER; i++) {
        struct forward_run run = {.seq = &seq,
                                  .tokens = ids.ids + pos,
                                  .n_tokens = (unsigned)ids.n - pos,
                                  .pos = pos,
                                  .n_logits = 1};

        CHECK(forward_step(f, &run, 1) == GW_OK);
        pos = (unsigned)ids.n;
        memcpy(a->hidden + (size_t)i * d, forward_hidden(f, 0), d * sizeof(float));
        a->ids[i] = (int32_t)b->m.ops->argmax(forward_logits(f, 0), tok_n_vocab(b->tok));
        CHECK(tok_ids_add(&ids, a->ids[i]) == GW_OK);
    }
    tok_ids_fini(&ids);
    forward_free(f);
    kvcache_release(kv, &seq);
    kvcache_free(kv);
}

/* ---- answers ------------------------------------------------------------------------------------- */

static struct sched *open_sched(const struct bed *b, struct medusa *md, bool eager, unsigned seqs,
                                unsigned kv_tokens, unsigned max_rank)
{
    const struct sched_config cfg = {.m = &b->m,
                                     .tok = b->tok,
                                     .chat = b->chat,
                                     .p = b->p,
                                     .max_context = CONTEXT,
                                     .max_seqs = seqs,
                                     .max_queued = MOST_JOBS,
                                     .medusa = md,
                                     .eager_drafts = eager,
                                     .no_drafts = md == NULL,
                                     .max_rank = max_rank,
                                     .kv_tokens = kv_tokens};
    struct sched *s = NULL;

    CHECK(sched_new(&cfg, &s, NULL) == GW_OK);
    return s;
}

/* What differs between jobs beside their number. */
struct mix {
    struct engine_grammar *grammar; /* of every fourth; NULL: none */
    const struct lora *lora;        /* of every third; NULL: none */
    bool cancel;                    /* one of them */
};

static void make_jobs(struct job *jobs, unsigned n, const char *text, float temperature,
                      const struct mix *mix)
{
    for (unsigned i = 0; i < n; i++) {
        jobs[i] = (struct job){.text = text, .params = bed_drawn};
        jobs[i].params.temperature = i % 2 == 0 ? temperature : 0;
        jobs[i].params.max_tokens = ANSWER;
        jobs[i].params.seed = i + 1;
        jobs[i].params.frequency_penalty = i == 2 ? 0.5f : 0;
        jobs[i].params.grammar = i % 4 == 3 ? mix->grammar : NULL;
        jobs[i].params.logprobs = i == 4;
        jobs[i].lora = i % 3 == 2 ? mix->lora : NULL;
        jobs[i].cancel_after = mix->cancel && i == 1 ? 4 : 0;
    }
}

/* n at once with heads, and each alone without guesses: the same bytes. */
static struct engine_stats check_same(const struct bed *b, struct medusa *md, bool eager,
                                      unsigned n, unsigned kv_tokens, float temperature,
                                      const struct mix *mix, const char *text)
{
    struct sched *with = open_sched(b, md, eager, n, kv_tokens, LM_MAX_RANK),
                 *without = open_sched(b, NULL, false, 4, 0, LM_MAX_RANK);
    struct job a[MOST_JOBS], c[MOST_JOBS];
    struct engine_stats st;

    make_jobs(a, n, text, temperature, mix);
    make_jobs(c, n, text, temperature, mix);
    bed_run(with, a, n);
    for (unsigned i = 0; i < n; i++)
        if (c[i].cancel_after == 0)
            bed_run(without, &c[i], 1);
    for (unsigned i = 0; i < n; i++) {
        if (c[i].cancel_after != 0)
            continue;
        CHECK(a[i].end.status == GW_OK && a[i].end.completion_tokens == c[i].end.completion_tokens);
        CHECK(a[i].end.finish == c[i].end.finish);
        CHECK(gw_span_eq(gw_buf_span(&a[i].out), gw_buf_span(&c[i].out)));
    }
    st = bed_settle(with);
    CHECK(st.draft_medusa_taken <= st.draft_medusa_tokens);
    CHECK(st.draft_medusa_tokens <= st.draft_tokens && st.draft_model_tokens == 0);
    CHECK(bed_settle(without).draft_tokens == 0);
    bed_clear(a, n);
    bed_clear(c, n);
    sched_free(with);
    sched_free(without);
    return st;
}

static struct engine_grammar *make_grammar(void)
{
    const struct engine_format format = {.kind = ENGINE_FORMAT_REGEX,
                                         .text = GW_SPAN("[a-z]{5,40}")};
    struct engine_grammar *g = NULL;

    CHECK(engine_grammar_new(&format, &g, NULL) == GW_OK);
    return g;
}

/* Heads that know nothing, in all company. */
static void test_random(const struct bed *b, const struct lora *lora)
{
    const struct mix none = {.cancel = false}, all = {make_grammar(), lora, true};
    char *text = bed_text(30, "people play and");
    struct mm_heads h;
    struct medusa *md;

    mm_init(&h, b->m.n_embd, b->m.n_vocab, 4, 1, false, 5);
    CHECK(mm_write(&h, in_dir("heads"), "F16"));
    md = open_heads(b, in_dir("heads"));
    if (md != NULL) {
        CHECK(check_same(b, md, true, 1, 0, 0, &none, text).draft_medusa_tokens > 40);
        CHECK(check_same(b, md, true, 4, 0, 0.8f, &all, text).draft_medusa_tokens > 10);
        (void)check_same(b, md, true, 16, 0, 0.8f, &all, text);
        (void)check_same(b, md, true, 6, 512, 0.5f, &all, text); /* few pages: some are sent back */
        (void)check_same(b, md, false, 1, 0, 1.2f, &none, text);
        (void)check_same(b, md, false, 4, 0, 0.4f, &all, text);
    }
    medusa_close(md);
    mm_fini(&h);
    free(text);
    engine_grammar_unref(all.grammar);
}

/* Tokens before the end of a greedy answer. */
static unsigned length(const struct bed *b, const struct answer_of *a)
{
    unsigned n = 0;

    while (n < ANSWER && !tok_is_end(b->tok, a->ids[n]))
        n++;
    return n;
}

/* Heads that learned the very answer: nearly every guess is taken. */
static void test_right(const struct bed *b)
{
    const struct mix none = {.cancel = false};
    char *text = NULL;
    struct answer_of a = {.hidden = NULL};
    struct engine_stats st;
    struct mm_heads h;
    struct medusa *md;

    for (unsigned n = 20; n < 40 && (n == 20 || length(b, &a) < ANSWER); n++) { /* a long one */
        free(a.hidden);
        free(text);
        text = bed_text(n, "people play and");
        answer_greedily(b, text, &a);
    }
    mm_init(&h, b->m.n_embd, b->m.n_vocab, 3, 1, true, 9);
    mm_learn(&h, a.ids, a.hidden, ANSWER);
    CHECK(mm_write(&h, in_dir("heads"), "F32"));
    md = open_heads(b, in_dir("heads"));
    if (md != NULL) {
        st = check_same(b, md, true, 1, 0, 0, &none, text);
        CHECK(st.draft_medusa_tokens > 10 &&
              st.draft_medusa_taken * 4 > st.draft_medusa_tokens * 3);
        printf("learned heads: %llu of %llu guesses taken\n",
               (unsigned long long)st.draft_medusa_taken,
               (unsigned long long)st.draft_medusa_tokens);
    }
    medusa_close(md);
    mm_fini(&h);
    free(a.hidden);
    free(text);
}

/* ---- the switch ------------------------------------------------------------------------------------ */

/* By hand: a step of 1 to 5 tokens takes 100, 110, .. 140, the guesses 20. */
static void test_switch(void)
{
    static struct sched s;
    struct seq q = {.head_missed = {0.5f, 0.5f, 0.5f, 0.5f}};

    CHECK(sched_heads_worth(&s, &q, 1, 4) == 4); /* nothing is known: find out */
    for (unsigned i = 1; i <= 5; i++)
        s.width_ns[i] = 90 + 10 * i;
    s.heads_ns[1] = 20;
    /* (1 + 1/2) / 130, (1 + 3/4) / 140, (1 + 7/8) / 150, (1 + 15/16) / 160 */
    CHECK(sched_heads_worth(&s, &q, 1, 4) == 2 || sched_heads_worth(&s, &q, 1, 4) == 3);
    CHECK(sched_heads_worth(&s, &q, 1, 1) == 1);
    q.head_missed[0] = 0.9f; /* 1.1 / 130 is less than 1 / 100 */
    CHECK(sched_heads_worth(&s, &q, 1, 4) == 0);
    q.head_missed[0] = 0;
    q.head_missed[1] = 1;
    CHECK(sched_heads_worth(&s, &q, 1, 4) == 1);
    s.heads_ns[1] = 200; /* the guesses take longer than what they save */
    CHECK(sched_heads_worth(&s, &q, 1, 4) == 0);
}

/* ---- hostile files ---------------------------------------------------------------------------------- */

static void refuse(const struct bed *b, enum gw_status status, const char *word)
{
    const struct medusa_config cfg = {
        .path = in_dir("bad"), .m = &b->m, .p = b->p, .n_ids = tok_n_vocab(b->tok)};
    struct medusa *md = NULL;
    struct gw_err err = {GW_OK, ""};
    const enum gw_status st = medusa_open(&cfg, &md, &err);

    if (!CHECK(st == status && md == NULL && strstr(err.text, word) != NULL &&
               strstr(err.text, "Medusa heads") != NULL))
        printf("%d, not %d: %s (wanted: %s)\n", (int)st, (int)status, err.text, word);
    medusa_close(md);
}

/* A good file of one head with one tensor more, or another shape. */
static void write_bad(const struct mm_heads *h, const char *name, const char *type, unsigned rows,
                      unsigned cols, const char *config)
{
    struct mm_file f = {.data = {0}};

    if (name != NULL)
        mm_add(&f, name, type, rows, cols, h->weight[1][0]);
    if (name == NULL || strncmp(name, "0.0.", 4) != 0)
        mm_add(&f, "0.0.linear.weight", "F32", h->d, h->d, h->weight[0][0]);
    CHECK(mm_finish(&f, in_dir("bad"), config, SIZE_MAX));
}

static void test_hostile_names(const struct bed *b, const struct mm_heads *h)
{
    const unsigned d = h->d;
    const struct {
        const char *name, *type;
        unsigned rows, cols;
        const char *config;
        enum gw_status status;
        const char *word;
    } bad[] = {
        {"0.0.linear.weight", "F32", d, d - 1, NULL, GW_EINVAL, "shape"},
        {"0.0.linear.weight", "F32", d * d, 0, NULL, GW_EINVAL, "shape"},
        {"0.0.linear.weight", "F32", 0, 0, NULL, GW_EINVAL, "shape"},
        {"0.0.linear.bias", "F32", d, 0, NULL, GW_EPARSE, "0.0.linear.weight"},
        {"0.1.weight", "F32", d - 1, d, NULL, GW_EINVAL, "shape"},
        {"0.2.weight", "F32", d, d, NULL, GW_EPARSE, "output matrix"},
        {"0.2.linear.weight", "F32", d, d, NULL, GW_EPARSE, "behind the last"},
        {"1.0.linear.weight", "I32", d, d, NULL, GW_EUNSUPPORTED, "F32, F16 or BF16"},
        {"1.0.linear.weight", "F32", d, d, "{\"medusa_num_heads\":3}", GW_EPARSE, "from 1 to 2"},
        {"1.0.linear.weight", "F32", d, d, "{\"medusa_num_heads\":0}", GW_EPARSE, "from 1 to 2"},
        {"1.0.linear.weight", "F32", d, d, "{\"medusa_num_heads\":\"x\"}", GW_EPARSE,
         "from 1 to 2"},
        {"1.0.linear.weight", "F32", d, d, "{\"medusa_num_layers\":2}", GW_EPARSE, "num_layers"},
        {"1.0.linear.weight", "F32", d, d, "{", GW_EPARSE, "config.json"},
        {"1.1.linear.weight", "F32", d, d, "{\"medusa_num_heads\":2}", GW_EPARSE, "from 1 to 1"},
        {"32.0.linear.weight", "F32", d, d, NULL, GW_EUNSUPPORTED, "no part"},
        {"1.9.weight", "F32", d, d, NULL, GW_EUNSUPPORTED, "no part"},
        {"99999999999999999999.0.linear.weight", "F32", d, d, NULL, GW_EUNSUPPORTED, "no part"},
        {"00.0.linear.weight", "F32", d, d, NULL, GW_EPARSE, "twice"},
        {"medusa_head.0.0.linear.weight", "F32", d, d, NULL, GW_EPARSE, "twice"},
        {"lm_head.weight", "F32", d, d, NULL, GW_EUNSUPPORTED, "no part"},
        {"1.", "F32", d, d, NULL, GW_EUNSUPPORTED, "no part"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_bad(h, bad[i].name, bad[i].type, bad[i].rows, bad[i].cols, bad[i].config);
        refuse(b, bad[i].status, bad[i].word);
    }
}

static void test_hostile(const struct bed *b)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f};
    struct mm_heads h;
    struct engine_medusa_info info;
    struct medusa *md;

    mm_init(&h, b->m.n_embd, b->m.n_vocab, 2, 1, true, 21);
    test_hostile_names(b, &h);
    for (unsigned i = 0; i < 12; i++) {
        float *x[] = {h.weight[1][0], h.bias[0][0], h.output[1]};
        const size_t n[] = {(size_t)h.d * h.d, h.d, (size_t)h.n_vocab * h.d};
        const size_t at = i % 2 == 0 ? n[i % 3] - 1 : n[i % 3] / 2;
        const float was = x[i % 3][at];

        x[i % 3][at] = bad[i % 4];
        CHECK(mm_write(&h, in_dir("bad"), "F32"));
        refuse(b, GW_ECORRUPT, "finite");
        x[i % 3][at] = was;
    }
    for (size_t keep = 0; keep < 900; keep += keep < 40 ? 1 : 13) { /* cut off anywhere */
        struct mm_file f = {.data = {0}};

        mm_add_all(&f, &h, "", "F16");
        CHECK(mm_finish(&f, in_dir("bad"), NULL, keep));
        refuse(b, GW_EPARSE, "");
    }
    (void)unlink(in_dir("bad/medusa_lm_head.safetensors"));
    refuse(b, GW_ENOENT, "medusa_lm_head.safetensors");
    /* What is good after all: names as in a model's own file, no biases, no configuration. */
    free(h.bias[0][0]);
    free(h.bias[1][0]);
    h.bias[0][0] = h.bias[1][0] = NULL;
    {
        struct mm_file f = {.data = {0}};

        mm_add_all(&f, &h, "medusa_head.", "BF16");
        CHECK(mm_finish(&f, in_dir("good"), NULL, SIZE_MAX));
    }
    md = open_heads(b, in_dir("good"));
    CHECK(md != NULL && medusa_n_heads(md) == 2);
    medusa_close(md);
    CHECK(engine_kind(in_dir("good")) == ENGINE_KIND_MEDUSA);
    CHECK(engine_medusa_inspect(in_dir("good"), &info, NULL) == GW_OK && info.n_heads == 2 &&
          info.n_blocks == 1 && info.n_outputs == 2 && info.n_embd == h.d);
    mm_fini(&h);
}

/* ---- all of it --------------------------------------------------------------------------------------- */

/* A tiny model with odd sizes, whose heads stay F32, and an adapter. */
static void test_made(void)
{
    struct lm_adapter ad;
    struct lora *lora = NULL;
    struct bed b = {0};

    lm_adapter_init(&ad, 5, 8, 0x7F, 31);
    CHECK(lm_model(in_dir("model.gguf"), NULL) && lm_adapter_gguf(&ad, in_dir("adapter.gguf")));
    if (bed_init(&b, in_dir("model.gguf"))) {
        CHECK(lora_open(in_dir("adapter.gguf"), &b.m, &lora, NULL) == GW_OK);
        test_numbers(&b, 1, 1, false, "F32", 1e-4);
        test_numbers(&b, 3, 2, true, "F32", 1e-4);
        test_numbers(&b, 6, 1, false, "F16", 0.01);
        test_hidden(&b, 1);
        test_hidden(&b, 8);
        test_random(&b, lora);
        test_right(&b);
        test_hostile(&b);
    }
    lora_free(lora);
    bed_fini(&b);
    lm_adapter_fini(&ad);
}

/* One whose matrices are blocks, and the heads with them. */
static void test_blocks(void)
{
    char why[256] = "the model generator failed", path[PATH_MAX + 64];
    const char *models = rig_models(why);
    struct bed b = {0};

    if (models == NULL) {
        test_skip(why);
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/tiny-qwen2-Q8_0.gguf", models);
    if (bed_init(&b, path)) {
        test_numbers(&b, 4, 1, false, "F32", 0.06);
        test_numbers(&b, 2, 2, true, "BF16", 0.06);
        test_hidden(&b, 2);
        test_random(&b, NULL);
    }
    bed_fini(&b);
}

int main(void)
{
    static const char *const left[] = {"model.gguf",
                                       "adapter.gguf",
                                       "heads/config.json",
                                       "heads/medusa_lm_head.safetensors",
                                       "bad/config.json",
                                       "good/medusa_lm_head.safetensors",
                                       "heads",
                                       "bad",
                                       "good"};

    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    test_switch();
    test_made();
    test_blocks();
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        (void)remove(in_dir(left[i]));
    (void)rmdir(dir);
    return test_done();
}
