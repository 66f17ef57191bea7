/* tests/unit/engine/test_minilm.c - all-MiniLM-L6-v2 against an independent reference: token ids, vectors.
 *
 * Rows: tests/golden/minilm (made by make.py there). Model: models/all-minilm-l6-v2, which `make test`
 * fetches. */
#include <math.h>
#include <poll.h>

#include "engine/engine.h"
#include "engine/folder.h"
#include "kernels/kernels.h"
#include "tests/test.h"
#include "tests/unit/engine/rows.h"
#include "tests/unit/engine/tokenizer_text.h"

#define MODEL "models/all-minilm-l6-v2"

/* With a sanitizer a step is up to a hundred times slower: fewer vectors, all the ids. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { N_CHECKED = 40 };
#else
enum { N_CHECKED = 200 };
#endif
enum { N_ROWS = 200, N_DIMS = 384, N_SCALAR = 12, BATCH = 32 };

struct golden {
    char *text[N_ROWS];
    int32_t *ids[N_ROWS];
    unsigned n_ids[N_ROWS];
    double vectors[N_ROWS][N_DIMS];
};

static struct golden golden;

/* ---- golden files --------------------------------------------------------------------------- */

static bool load_row(struct row *row, const char *line, unsigned i)
{
    const struct row_field *ids;

    if (!row_parse(row, line))
        return false;
    ids = row_get(row, "ids");
    if (row_get(row, "text")->n_strs != 1)
        return false;
    golden.text[i] = strdup(row_get(row, "text")->strs[0]);
    golden.ids[i] = calloc(ids->n_nums + 1, sizeof(*golden.ids[i]));
    golden.n_ids[i] = (unsigned)ids->n_nums;
    for (size_t k = 0; k < ids->n_nums; k++)
        golden.ids[i][k] = (int32_t)ids->nums[k];
    return true;
}

static bool load_rows(void)
{
    FILE *f = fopen("tests/golden/minilm/sentences.jsonl", "re");
    struct row *row = calloc(1, sizeof(*row));
    char *line = malloc(ROW_LINE);
    unsigned n = 0;

    while (f != NULL && n < N_ROWS && fgets(line, ROW_LINE, f) != NULL && load_row(row, line, n))
        n++;
    if (f != NULL)
        (void)fclose(f);
    row_clear(row);
    free(row);
    free(line);
    return n == N_ROWS;
}

static bool load_vectors(void)
{
    FILE *f = fopen("tests/golden/minilm/vectors.f16", "re");
    uint16_t half[N_DIMS];
    unsigned n = 0;

    while (f != NULL && n < N_ROWS && fread(half, sizeof(half), 1, f) == 1) {
        for (unsigned k = 0; k < N_DIMS; k++)
            golden.vectors[n][k] = (double)kern_f16_f32(half[k]);
        n++;
    }
    if (f != NULL)
        (void)fclose(f);
    return n == N_ROWS;
}

static void free_golden(void)
{
    for (unsigned i = 0; i < N_ROWS; i++) {
        free(golden.text[i]);
        free(golden.ids[i]);
    }
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void test_ids(void)
{
    struct wordpiece *wp = NULL;
    struct gw_buf json = {0};
    struct gw_err err = {0};

    CHECK(folder_read(MODEL, "tokenizer.json", 1 << 24, &json, &err) == GW_OK);
    if (!CHECK(open_text(gw_buf_span(&json), &wp, NULL, &err) == GW_OK)) {
        fprintf(stderr, "%s\n", err.text);
        gw_buf_fini(&json);
        return;
    }
    gw_buf_fini(&json);
    CHECK(wordpiece_n_vocab(wp) == 30522);
    for (unsigned i = 0; i < N_ROWS; i++) {
        int32_t ids[256];
        unsigned n = 0;

        if (!CHECK(wordpiece_encode(wp, gw_span_str(golden.text[i]), ids, 256, &n)) ||
            !CHECK(n == golden.n_ids[i] && memcmp(ids, golden.ids[i], n * sizeof(*ids)) == 0))
            fprintf(stderr, "sentence %u\n", i);
    }
    wordpiece_free(wp);
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* Submits n texts and waits for their event. */
static bool embed(struct engine_embed_chan *ch, unsigned from, unsigned n,
                  struct engine_embed_event *ev)
{
    struct pollfd p = {.fd = engine_embed_chan_fd(ch), .events = POLLIN};
    struct gw_span texts[N_ROWS];
    struct gw_err err = {0};
    uint64_t id = 0;

    for (unsigned i = 0; i < n; i++)
        texts[i] = gw_span_str(golden.text[from + i]);
    if (!CHECK(engine_embed_submit(ch, texts, n, 0, ev, &id, &err) == GW_OK))
        return false;
    while (!engine_embed_chan_next(ch, ev))
        if (!CHECK(poll(&p, 1, 240000) > 0))
            return false;
    return CHECK(ev->status == GW_OK && ev->n_texts == n && ev->n_dims == N_DIMS);
}

/* 1 - cosine of the angle between them. */
static double distance(const float *got, const double *want)
{
    double dot = 0, a = 0, b = 0;

    for (unsigned k = 0; k < N_DIMS; k++) {
        dot += (double)got[k] * want[k];
        a += (double)got[k] * (double)got[k];
        b += want[k] * want[k];
    }
    CHECK(fabs(a - 1) < 1e-5);
    return 1 - dot / sqrt(a * b);
}

/* The first n sentences in requests of BATCH; *vectors gets them. */
static void test_vectors(struct engine_embed_chan *ch, const char *name, unsigned n, float *vectors)
{
    double worst = 0;
    unsigned worst_at = 0;

    for (unsigned from = 0; from < n; from += BATCH) {
        unsigned count = n - from < BATCH ? n - from : BATCH, tokens = 0;
        struct engine_embed_event ev;

        if (!embed(ch, from, count, &ev))
            return;
        for (unsigned i = 0; i < count; i++) {
            double d = distance(ev.vectors + (size_t)i * N_DIMS, golden.vectors[from + i]);

            tokens += golden.n_ids[from + i];
            if (!(d <= worst)) {
                worst = d;
                worst_at = from + i;
            }
        }
        CHECK(ev.prompt_tokens == tokens);
        memcpy(vectors + (size_t)from * N_DIMS, ev.vectors, (size_t)count * N_DIMS * sizeof(float));
        free(ev.vectors);
    }
    printf("%s: largest 1 - cosine of %u sentences is %.2e (number %u)\n", name, n, worst,
           worst_at);
    CHECK(worst <= 1e-3);
}

/* Alone a text has the same bits as in company. */
static void test_company(struct engine_embed_chan *ch, const float *vectors, unsigned n)
{
    for (unsigned i = 0; i < n; i += 17) {
        struct engine_embed_event ev;

        if (embed(ch, i, 1, &ev))
            CHECK(memcmp(ev.vectors, vectors + (size_t)i * N_DIMS, N_DIMS * sizeof(float)) == 0);
        free(ev.vectors);
    }
}

static void test_table(const char *name, unsigned n)
{
    const struct engine_embed_config cfg = {.model_path = MODEL, .kernels = name};
    struct engine_embedder *e = NULL;
    struct engine_embed_info info;
    float *vectors = calloc((size_t)N_ROWS * N_DIMS, sizeof(*vectors));
    struct gw_err err = {0};

    if (!CHECK(engine_embedder_open(&cfg, &e, &err) == GW_OK)) {
        fprintf(stderr, "%s\n", err.text);
        free(vectors);
        return;
    }
    engine_embedder_info(e, &info);
    CHECK(strcmp(info.name, "all-minilm-l6-v2") == 0 && info.n_dims == N_DIMS &&
          info.max_tokens == 256 && info.n_layers == 6 && strcmp(info.quant, "F32") == 0);
    struct engine_embed_chan *ch = engine_embed_chan_new(e);
    test_vectors(ch, name, n, vectors);
    test_company(ch, vectors, n);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
    free(vectors);
}

int main(void)
{
    static const char *const tables[] = {"scalar", "avx2", "avx512"};
    struct engine_embed_info info;
    struct gw_err err = {0};

    if (!CHECK(load_rows()) || !CHECK(load_vectors()))
        return test_done();
    if (engine_embed_inspect(MODEL, &info, &err) == GW_ENOENT) {
        test_skip(MODEL " is not there: sluice models pull all-minilm-l6-v2 --dir models");
        free_golden();
        return test_done();
    }
    test_ids();
    for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (kern_ops_exact(tables[i]) != NULL)
            test_table(tables[i], i == 0 ? N_SCALAR : N_CHECKED);
        else
            test_skip("a table of kernels: this CPU lacks the instructions");
    }
    free_golden();
    return test_done();
}
