/* tests/unit/engine/test_smollm2.c - the default model against the exact reference: prompts, logits,
 * greedy answers, perplexity.
 *
 * Rows: ../shared/models/smollm2.jsonl. File: models/smollm2-135m-instruct-q4_1.gguf, which `make run`
 * fetches. */
#include <math.h>

#include "engine/chat.h"
#include "engine/tokenizer.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"
#include "tests/unit/engine/rows.h"

static const char *const model_path = "models/smollm2-135m-instruct-q4_1.gguf";

/* Allowed difference of a logit, in standard deviations of the logits. Fine activations and f16 keys and
 * values leave at most 0.06, and would leave 0.002 with rests in all blocks; coarse ones would be 0.34 off. */
static const double BOUND = 0.08;

struct bed {
    struct rig rig;
    struct tok *tok;
    struct chat *chat;
};

static void feed(struct rig *r, struct kvcache_seq *s, const int32_t *ids, unsigned n, unsigned pos,
                 unsigned n_logits)
{
    struct forward_run run = {
        .seq = s, .tokens = ids, .n_tokens = n, .pos = pos, .n_logits = n_logits};

    if (CHECK(kvcache_reserve(r->kv, s, pos + n) == GW_OK))
        forward_step(r->f, &run, 1);
}

static void check_prompt(const struct bed *b, const struct row *row, const struct tok_ids *ids)
{
    const struct row_field *want = row_get(row, "ids");
    bool same = ids->n == want->n_nums;

    for (size_t i = 0; same && i < ids->n; i++)
        same = ids->ids[i] == (int32_t)want->nums[i];
    (void)b;
    CHECK(same);
}

/* The greedy tokens as long as the reference is sure enough of them. */
static void check_greedy(struct bed *b, const struct row *row, struct kvcache_seq *s, unsigned pos)
{
    const struct row_field *want = row_get(row, "greedy"), *gap = row_get(row, "greedy_gap");
    double sd = row_num(row, "logit_std");

    for (size_t i = 0; i < want->n_nums; i++) {
        const float *z = forward_logits(b->rig.f, 0);
        int32_t id = (int32_t)b->rig.m.ops->argmax(z, b->rig.m.n_vocab);

        if (gap->nums[i] > 2 * BOUND * sd)
            CHECK(id == (int32_t)want->nums[i]);
        else if (id != (int32_t)want->nums[i])
            printf("token %zu differs where the reference is not sure (%.3f)\n", i, gap->nums[i]);
        id = (int32_t)want->nums[i]; /* what follows is asked on the reference's own path */
        feed(&b->rig, s, &id, 1, pos++, 1);
    }
}

static void test_chat_row(struct bed *b, const struct row *row)
{
    const struct row_field *m = row_get(row, "messages"), *top = row_get(row, "top");
    struct engine_message messages[ROW_STRS / 2];
    double sd = row_num(row, "logit_std"), worst = 0;
    struct kvcache_seq s = {0};
    struct tok_ids ids = {0};
    struct gw_err err;

    for (size_t i = 0; i + 1 < m->n_strs; i += 2)
        messages[i / 2] =
            (struct engine_message){gw_span_str(m->strs[i]), gw_span_str(m->strs[i + 1])};
    if (!CHECK(chat_encode(b->chat, messages, (unsigned)m->n_strs / 2, true, &ids, &err) ==
               GW_OK)) {
        printf("%s\n", err.text);
        return;
    }
    check_prompt(b, row, &ids);
    for (unsigned i = 0; i < ids.n; i += RIG_STEP) {
        unsigned n = (unsigned)ids.n - i < RIG_STEP ? (unsigned)ids.n - i : RIG_STEP;

        feed(&b->rig, &s, ids.ids + i, n, i, i + n == ids.n);
    }
    for (size_t i = 0; i + 1 < top->n_nums; i += 2) {
        float z = forward_logits(b->rig.f, 0)[(size_t)top->nums[i]];

        worst = fmax(worst, fabs((double)z - top->nums[i + 1]) / sd);
    }
    printf("largest difference of the top logits: %.4f standard deviations\n", worst);
    CHECK(worst <= BOUND);
    check_greedy(b, row, &s, (unsigned)ids.n);
    tok_ids_fini(&ids);
    kvcache_release(b->rig.kv, &s);
}

/* -log p(id) of a row of logits. */
static double surprise(const float *z, unsigned n, int32_t id)
{
    double top = (double)z[0], sum = 0;

    for (unsigned i = 1; i < n; i++)
        top = fmax(top, (double)z[i]);
    for (unsigned i = 0; i < n; i++)
        sum += exp((double)z[i] - top);
    return log(sum) + top - (double)z[id];
}

static void test_perplexity(struct bed *b, const struct row *row)
{
    enum { MAX_TOKENS = 1024 };
    unsigned n = (unsigned)row_num(row, "n_tokens");
    char path[256], text[16384];
    struct tok_ids ids = {0};
    struct kvcache_seq s = {0};
    double sum = 0;
    size_t len;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s", row_str(row, "text_file"));
    path[strcspn(path, " ")] = '\0';
    f = fopen(path, "re");
    if (f == NULL) {
        test_skip("no text for the perplexity on this system");
        return;
    }
    len = fread(text, 1, sizeof(text), f);
    (void)fclose(f);
    if (!CHECK(tok_encode(b->tok, (struct gw_span){text, len}, false, &ids) == GW_OK) ||
        !CHECK(ids.n > n && n < MAX_TOKENS && ids.ids[0] == (int32_t)row_num(row, "first_ids")))
        return;
    for (unsigned i = 0; i < n; i += RIG_STEP) {
        unsigned k = n - i < RIG_STEP ? n - i : RIG_STEP;

        feed(&b->rig, &s, ids.ids + i, k, i, k);
        for (unsigned j = 0; j < k && i + j + 1 < n; j++)
            sum += surprise(forward_logits(b->rig.f, j), b->rig.m.n_vocab, ids.ids[i + j + 1]);
    }
    sum = exp(sum / (n - 1));
    printf("perplexity %.4f, exact %.4f\n", sum, row_num(row, "perplexity"));
    CHECK(fabs(sum / row_num(row, "perplexity") - 1) < 0.005);
    tok_ids_fini(&ids);
    kvcache_release(b->rig.kv, &s);
}

static void test_rows(struct bed *b)
{
    static char line[ROW_LINE];
    static struct row row;
    unsigned n = 0;
    FILE *f = fopen(RIG_SHARED "/smollm2.jsonl", "re");

    if (f == NULL) {
        test_skip("no ../shared/models/smollm2.jsonl");
        return;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        if (!CHECK(row_parse(&row, line)))
            break;
        if (strcmp(row_str(&row, "kind"), "chat") == 0 && n++ % TEST_STEP == 0)
            test_chat_row(b, &row);
        else if (strcmp(row_str(&row, "kind"), "perplexity") == 0)
            test_perplexity(b, &row);
    }
    row_clear(&row);
    (void)fclose(f);
}

int main(void)
{
    struct bed b = {0};
    struct gw_err err;

#ifdef __SANITIZE_THREAD__
    test_skip(
        "arithmetic of one thread, minutes under ThreadSanitizer: test_sched covers the threads");
    return test_done();
#endif
    if (access(model_path, R_OK) != 0) {
        test_skip("no models/smollm2-135m-instruct-q4_1.gguf");
        return test_done();
    }
    if (CHECK(rig_init(&b.rig, model_path, getenv("KERNELS"), 2, &err) == GW_OK) &&
        CHECK(tok_open(b.rig.g, &b.tok, &err) == GW_OK) &&
        CHECK(chat_open(b.rig.g, b.tok, &b.chat, &err) == GW_OK))
        test_rows(&b);
    chat_free(b.chat);
    tok_free(b.tok);
    rig_fini(&b.rig);
    return test_done();
}
