/* tests/bench/medusa_data.c - what Medusa heads are trained on: answers of a model, and for each of their tokens what the model's output
 * matrix got. For tests/bench/medusa_train.py.
 *
 * usage: medusa_data MODEL FOLDER TOKENS [THREADS] < prompts
 * Each line of standard input is a user's message; it is answered with at most TOKENS tokens, every other one greedily, the rest with a
 * temperature of 0.7. Writes into FOLDER, all numbers little-endian:
 *   rows.bin    for each token of an answer, in its order, eight answers side by side: int32 number of the answer, int32 id, float32[n_embd] that it was drawn from
 *   output.bin  float32[n_vocab][n_embd], the output matrix
 *   shape.txt   n_embd and n_vocab */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/chat.h"
#include "engine/forward.h"
#include "engine/hf.h"
#include "engine/sampler.h"
#include "engine/tokenizer.h"

enum { CONTEXT = 2048, STREAMS = 8, STEP_TOKENS = 256, MAX_PATH = 4096 };

struct stream {
    struct kvcache_seq kv;
    struct sampler *sampler;
    unsigned pos, left; /* left 0: it has ended */
    int32_t id;         /* to feed */
    int32_t number;
};

struct bed {
    struct gguf *g;
    struct pool *p;
    struct model m;
    struct tok *tok;
    struct chat *chat;
    struct kvcache *kv;
    struct forward *f;
    struct sampler_space *space;
    FILE *rows;
    unsigned tokens; /* of an answer */
    uint64_t n_rows;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "medusa_data: %s\n", what);
    exit(1);
}

static FILE *create(const char *folder, const char *name)
{
    char path[MAX_PATH];
    FILE *f = NULL;

    if (snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path))
        f = fopen(path, "wbe");
    if (f == NULL)
        die("cannot create a file in the folder");
    return f;
}

static void put(FILE *f, const void *data, size_t n)
{
    if (fwrite(data, 1, n, f) != n)
        die("cannot write");
}

static void open_bed(struct bed *b, const char *path, unsigned threads)
{
    struct gw_err err = {GW_OK, ""};

    if (hf_open_any(path, true, &b->g, &err) != GW_OK || pool_new(threads, &b->p, &err) != GW_OK ||
        model_load(&b->m, b->g, kern_ops(NULL), b->p, NULL, NULL, &err) != GW_OK ||
        tok_open(b->g, &b->tok, &err) != GW_OK || chat_open(b->g, b->tok, &b->chat, &err) != GW_OK)
        die(err.text);
    const struct kvcache_shape shape = {.n_layers = b->m.n_layers,
                                        .n_kv_heads = b->m.n_kv_heads,
                                        .head_dim = b->m.head_dim,
                                        .n_tokens = STREAMS * CONTEXT,
                                        .max_seq_tokens = CONTEXT,
                                        .type = b->m.head_dim >= 64 ? KERN_KV_I8 : KERN_KV_F16};
    if (kvcache_new(&shape, &b->kv, &err) != GW_OK ||
        forward_new(&b->m, b->kv, b->p, STEP_TOKENS, STREAMS, CONTEXT, &b->f, &err) != GW_OK)
        die(err.text);
    b->space = sampler_space_new(b->m.n_vocab);
    if (b->space == NULL)
        die("out of memory");
}

/* Draws what follows row `row` of the step, and notes what it was drawn from. */
static void draw(struct bed *b, struct stream *s, unsigned row)
{
    const unsigned n = tok_n_vocab(b->tok) < b->m.n_vocab ? tok_n_vocab(b->tok) : b->m.n_vocab;
    const int32_t id = sampler_pick(s->sampler, b->space, forward_logits(b->f, row), n);

    put(b->rows, &s->number, sizeof(s->number));
    put(b->rows, &id, sizeof(id));
    put(b->rows, forward_hidden(b->f, row), b->m.n_embd * sizeof(float));
    b->n_rows++;
    sampler_accept(s->sampler, id, true);
    s->id = id;
    s->left = tok_is_end(b->tok, id) ? 0 : s->left - 1;
}

/* Reads a prompt and draws the first token behind it. */
static void begin(struct bed *b, struct stream *s, struct gw_span text, int32_t number)
{
    const struct engine_params params = {.temperature = number % 2 == 0 ? 0 : 0.7f,
                                         .top_p = 1,
                                         .repeat_penalty = 1,
                                         .seed = (uint64_t)number + 1};
    const struct engine_message message = {GW_SPAN("user"), text};
    struct tok_ids ids = {0};

    *s = (struct stream){.sampler = sampler_new(&params, CONTEXT), .number = number};
    if (s->sampler == NULL || chat_encode(b->chat, &message, 1, true, &ids, NULL) != GW_OK)
        die("out of memory for a prompt");
    if (ids.n + b->tokens + 1 < CONTEXT &&
        kvcache_reserve(b->kv, &s->kv, (unsigned)ids.n + b->tokens + 1) == GW_OK) {
        s->left = b->tokens;
        for (unsigned at = 0; at < ids.n; at += STEP_TOKENS) {
            struct forward_run run = {.seq = &s->kv, .tokens = ids.ids + at, .pos = at};

            run.n_tokens = (unsigned)ids.n - at < STEP_TOKENS ? (unsigned)ids.n - at : STEP_TOKENS;
            run.n_logits = at + run.n_tokens == ids.n;
            (void)forward_step(b->f, &run, 1);
        }
        s->pos = (unsigned)ids.n;
        draw(b, s, 0);
    }
    tok_ids_fini(&ids);
}

/* A token of each stream that has not ended. False: all have. */
static bool step(struct bed *b, struct stream streams[STREAMS])
{
    struct forward_run runs[STREAMS];
    struct stream *whose[STREAMS];
    unsigned n = 0;

    for (unsigned i = 0; i < STREAMS; i++) {
        struct stream *s = &streams[i];

        if (s->left == 0)
            continue;
        whose[n] = s;
        runs[n++] = (struct forward_run){
            .seq = &s->kv, .tokens = &s->id, .n_tokens = 1, .pos = s->pos++, .n_logits = 1};
    }
    if (n == 0)
        return false;
    (void)forward_step(b->f, runs, n);
    for (unsigned i = 0; i < n; i++)
        draw(b, whose[i], runs[i].logits_row);
    return true;
}

static void answer_all(struct bed *b)
{
    struct stream streams[STREAMS] = {0};
    char *line = NULL;
    size_t room = 0;
    ssize_t n = 0;
    int32_t number = 0;

    while (n >= 0) {
        unsigned k = 0;

        while (k < STREAMS && (n = getline(&line, &room, stdin)) > 0)
            begin(b, &streams[k++], (struct gw_span){line, (size_t)n - (line[n - 1] == '\n')},
                  number++);
        while (step(b, streams))
            continue;
        for (unsigned i = 0; i < k; i++) {
            kvcache_release(b->kv, &streams[i].kv);
            sampler_free(streams[i].sampler);
            streams[i] = (struct stream){.left = 0};
        }
        (void)fprintf(stderr, "%d answers, %llu tokens\n", (int)number,
                      (unsigned long long)b->n_rows);
    }
    free(line);
}

static void write_output(const struct bed *b, const char *folder)
{
    FILE *f = create(folder, "output.bin"), *shape = create(folder, "shape.txt");
    float *row = malloc(b->m.n_embd * sizeof(*row));

    if (row == NULL)
        die("out of memory");
    for (unsigned i = 0; i < b->m.n_vocab; i++) {
        kern_matrix_row_f32(&b->m.output, i, row);
        put(f, row, b->m.n_embd * sizeof(*row));
    }
    free(row);
    (void)fprintf(shape, "%u %u\n", b->m.n_embd, b->m.n_vocab);
    if (fclose(f) != 0 || fclose(shape) != 0)
        die("cannot write");
}

int main(int argc, char **argv)
{
    struct bed b = {0};

    if (argc < 4)
        die("usage: medusa_data MODEL FOLDER TOKENS [THREADS] < prompts");
    b.tokens = (unsigned)strtoul(argv[3], NULL, 10);
    open_bed(&b, argv[1], argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 1);
    if (b.tokens == 0 || b.tokens > CONTEXT / 2)
        die("TOKENS is a number from 1 to 1024");
    b.rows = create(argv[2], "rows.bin");
    write_output(&b, argv[2]);
    answer_all(&b);
    if (fclose(b.rows) != 0)
        die("cannot write");
    sampler_space_free(b.space);
    forward_free(b.f);
    kvcache_free(b.kv);
    chat_free(b.chat);
    tok_free(b.tok);
    model_fini(&b.m);
    pool_free(b.p);
    gguf_close(b.g);
    return 0;
}
