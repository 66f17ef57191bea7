/* tests/bench/gpu/engine.c - the whole engine on a GPU, timed one case at a time: requests through the scheduler, tokens picked greedily, as a client's are. For
 * tests/bench/gpu/bench.py, which runs it in turn with others.
 *
 * usage: engine MODEL DEVICE [--prompt N] [--decode N] [--streams N] [--behind N] [--each N] [--kv auto|f16|int8|int4] [--threads N]
 * Reads words from standard input and answers each with a line, "error ..." where it failed:
 *   where  which device computes how many layers, for people
 *   bytes  bytes of weights that a token reads, as the file has them; bytes that a token of context takes; multiplications of a prompt's token
 *   pp     tokens/s of a prompt of --prompt tokens (512)
 *   tg     tokens/s of a request that writes --decode tokens (128) behind a short prompt, and the mean context that they had
 *   many   tokens/s of --streams requests (64) at once, --each tokens (64) each behind --behind (1000) of their own that are in the cache: from the first
 *          token of the first to the last of the last; and how many of them were running when the first one ended */
#include "engine/engine.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/kvcache.h"
#include "engine/model.h"

enum { SHORT_TEXT = 16, SLACK = 128, MAX_STREAMS = 1024, PATIENCE_S = 120 };

struct options {
    unsigned prompt, decode, streams, behind, each, threads;
    enum engine_kv kv;
};

struct request {
    uint64_t first_ns, end_ns;
    struct engine_event done;
    bool started, ended;
};

struct bench {
    struct options o;
    struct engine *e;
    struct engine_chan *ch;
    struct gguf *g;
    struct model shape;
    uint64_t seed;
    unsigned around; /* tokens that the template puts around a text */
    struct request requests[MAX_STREAMS];
    char why[320]; /* what failed; "": nothing */
};

static void die(const char *what)
{
    (void)fprintf(stderr, "engine: %s\n", what);
    exit(1);
}

/* ---- requests --------------------------------------------------------------------------------- */

static uint32_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* n letters: as many tokens in a vocabulary of bytes. The caller frees it. */
static char *random_text(struct bench *b, unsigned n)
{
    char *s = malloc((size_t)n + 1);

    if (s == NULL)
        die("out of memory");
    for (unsigned i = 0; i < n; i++)
        s[i] = (char)('a' + next(&b->seed) % 26);
    s[n] = '\0';
    return s;
}

static void submit(struct bench *b, struct request *r, const char *text, unsigned n_tokens)
{
    const struct engine_message m = {GW_SPAN("user"), gw_span_str(text)};
    const struct engine_params p = {.max_tokens = n_tokens, .top_p = 1, .repeat_penalty = 1};
    struct gw_err err = {0};
    uint64_t id;

    *r = (struct request){0};
    if (engine_submit(b->ch, &m, 1, &p, r, &id, &err) != GW_OK) {
        (void)snprintf(b->why, sizeof(b->why), "%s", err.text);
        r->started = r->ended = true;
    }
}

static void take(struct bench *b, struct engine_event *ev)
{
    struct request *r = ev->ctx;

    if (ev->type == ENGINE_EVENT_TEXT) {
        gw_buf_fini(&ev->text);
        gw_buf_fini(&ev->tokens);
    } else if (ev->type == ENGINE_EVENT_START) {
        r->first_ns = gw_clock_ns();
        r->started = true;
    } else {
        r->end_ns = gw_clock_ns();
        r->ended = true;
        r->done = *ev;
        if (ev->status != GW_OK)
            (void)snprintf(b->why, sizeof(b->why), "%s", ev->error);
    }
}

/* Until all n have ended. Returns how many had begun and not ended when the first one did. */
static unsigned wait_all(struct bench *b, unsigned n)
{
    uint64_t last = gw_clock_ns();
    unsigned n_ended = 0, together = 0;

    while (n_ended < n && b->why[0] == '\0') {
        struct pollfd p = {.fd = engine_chan_fd(b->ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 1000);
        while (engine_chan_next(b->ch, &ev)) {
            last = gw_clock_ns();
            take(b, &ev);
            if (ev.type != ENGINE_EVENT_DONE)
                continue;
            for (unsigned i = 0; n_ended == 0 && i < n; i++)
                together += b->requests[i].started;
            n_ended++;
        }
        if (gw_clock_ns() - last > PATIENCE_S * GW_NS_PER_SEC)
            (void)snprintf(b->why, sizeof(b->why), "nothing came for %d s", PATIENCE_S);
    }
    return together;
}

/* One request of so many tokens in and out. */
static const struct engine_event *one(struct bench *b, unsigned n_in, unsigned n_out)
{
    char *text = random_text(b, n_in > b->around ? n_in - b->around : 1);

    submit(b, &b->requests[0], text, n_out);
    (void)wait_all(b, 1);
    free(text);
    return &b->requests[0].done;
}

/* ---- the cases -------------------------------------------------------------------------------- */

static double rate(unsigned n, uint64_t ns)
{
    return ns == 0 ? 0 : (double)n * (double)GW_NS_PER_SEC / (double)ns;
}

static void prompt(struct bench *b)
{
    const struct engine_event *ev = one(b, b->o.prompt, 1);

    if (b->why[0] == '\0')
        printf("%.3f\n", rate(ev->prompt_tokens, ev->prefill_ns));
}

static void decode(struct bench *b)
{
    const struct engine_event *ev = one(b, SHORT_TEXT + b->around, b->o.decode + 1);

    if (b->why[0] != '\0')
        return;
    if (ev->completion_tokens < 2) {
        (void)snprintf(b->why, sizeof(b->why), "the answer ended at once");
        return;
    }
    printf("%.3f %.1f\n", rate(ev->completion_tokens - 1, ev->decode_ns),
           ev->prompt_tokens + ev->completion_tokens / 2.0);
}

/* First what they have in common with themselves is computed and stays in the cache, then all begin together. */
static void many(struct bench *b)
{
    const unsigned n = b->o.streams;
    char **texts = calloc(n, sizeof(*texts));
    uint64_t from = UINT64_MAX, to = 0;
    unsigned tokens = 0, cached = 0, together = 0;

    if (texts == NULL)
        die("out of memory");
    for (unsigned i = 0; i < n; i++)
        texts[i] = random_text(b, b->o.behind > b->around ? b->o.behind - b->around : 1);
    for (unsigned pass = 0; pass < 2 && b->why[0] == '\0'; pass++) {
        for (unsigned i = 0; i < n; i++)
            submit(b, &b->requests[i], texts[i], pass == 0 ? 1 : b->o.each + 1);
        together = wait_all(b, n);
    }
    for (unsigned i = 0; i < n; i++) {
        const struct request *r = &b->requests[i];

        from = r->first_ns < from ? r->first_ns : from;
        to = r->end_ns > to ? r->end_ns : to;
        tokens += r->done.completion_tokens == 0 ? 0 : r->done.completion_tokens - 1;
        cached += r->done.cached_tokens;
        free(texts[i]);
    }
    free((void *)texts);
    if (b->why[0] == '\0' && cached < n * b->o.behind / 2)
        (void)snprintf(b->why, sizeof(b->why), "the cache has no room for %u contexts of %u", n,
                       b->o.behind);
    if (b->why[0] == '\0')
        printf("%.3f %u\n", rate(tokens, to - from), together);
}

/* Matrices that a decoded token reads, as the file has them; and weights of the layers, all of which a prompt's token meets. */
static void count_weights(const struct gguf *g, uint64_t *n_bytes, uint64_t *n_layers)
{
    const bool tied = gguf_tensor(g, "output.weight") == NULL;

    *n_bytes = *n_layers = 0;
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        if (t->n_dims != 2 || (!tied && gw_span_is(t->name, "token_embd.weight")))
            continue;
        *n_bytes += t->bytes;
        if (gw_span_starts(t->name, GW_SPAN("blk.")))
            *n_layers += t->dims[0] * t->dims[1];
    }
}

static void bytes(const struct bench *b)
{
    const struct model *m = &b->shape;
    const enum kern_kv_type type = b->o.kv == ENGINE_KV_F16                       ? KERN_KV_F16
                                   : b->o.kv == ENGINE_KV_I4                      ? KERN_KV_I4
                                   : b->o.kv == ENGINE_KV_I8 || m->head_dim >= 64 ? KERN_KV_I8
                                                                                  : KERN_KV_F16;
    const struct kvcache_shape shape = {.n_layers = m->n_layers,
                                        .n_kv_heads = m->n_kv_heads,
                                        .head_dim = m->head_dim,
                                        .type = type};
    uint64_t n_bytes, n_layers;

    count_weights(b->g, &n_bytes, &n_layers);
    printf("%llu %llu %llu\n", (unsigned long long)n_bytes,
           (unsigned long long)kvcache_token_bytes(&shape), (unsigned long long)n_layers);
}

static void answer(struct bench *b, const char *word)
{
    struct engine_info info;

    b->why[0] = '\0';
    if (strcmp(word, "where") == 0) {
        engine_info(b->e, &info);
        printf("%s\n", info.device[0] == '\0' ? "the CPU" : info.device);
    } else if (strcmp(word, "bytes") == 0) {
        bytes(b);
    } else if (strcmp(word, "pp") == 0) {
        prompt(b);
    } else if (strcmp(word, "tg") == 0) {
        decode(b);
    } else if (strcmp(word, "many") == 0) {
        many(b);
    } else {
        (void)snprintf(b->why, sizeof(b->why), "there is no word %s", word);
    }
    if (b->why[0] != '\0')
        printf("error %s\n", b->why);
    (void)fflush(stdout);
}

/* ---- opening ---------------------------------------------------------------------------------- */

static unsigned number(const char *text)
{
    char *end;
    const unsigned long v = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || v == 0 || v > 1u << 20)
        die("a number from 1 on is needed");
    return (unsigned)v;
}

static enum engine_kv kv_of(const char *name)
{
    static const struct {
        const char *name;
        enum engine_kv kv;
    } all[] = {{"auto", ENGINE_KV_AUTO},
               {"f16", ENGINE_KV_F16},
               {"int8", ENGINE_KV_I8},
               {"int4", ENGINE_KV_I4}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(name, all[i].name) == 0)
            return all[i].kv;
    die("--kv is auto, f16, int8 or int4");
    return ENGINE_KV_AUTO;
}

static void parse(struct options *o, int argc, char **argv)
{
    static const struct option longs[] = {
        {"prompt", required_argument, NULL, 'p'},  {"decode", required_argument, NULL, 'd'},
        {"streams", required_argument, NULL, 's'}, {"behind", required_argument, NULL, 'b'},
        {"each", required_argument, NULL, 'e'},    {"kv", required_argument, NULL, 'k'},
        {"threads", required_argument, NULL, 't'}, {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        unsigned *to = c == 'p'   ? &o->prompt
                       : c == 'd' ? &o->decode
                       : c == 's' ? &o->streams
                       : c == 'b' ? &o->behind
                       : c == 'e' ? &o->each
                                  : &o->threads;

        if (c == '?')
            exit(2);
        if (c == 'k')
            o->kv = kv_of(optarg);
        else
            *to = number(optarg);
    }
    if (argc - optind != 2 || o->streams > MAX_STREAMS)
        die("usage: engine MODEL DEVICE [--prompt N] [--decode N] [--streams N] [--behind N] "
            "[--each N] [--kv auto|f16|int8|int4] [--threads N]");
}

static unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static void open_bench(struct bench *b, const char *path, const char *device)
{
    const struct options *o = &b->o;
    const struct engine_config cfg = {
        .model_path = path,
        .threads = o->threads,
        .max_context = SLACK + larger(larger(o->prompt, o->decode), o->behind + o->each),
        .max_seqs = o->streams,
        .max_queued = o->streams,
        .kv = o->kv,
        .device = device,
        .no_drafts = true}; /* a random model repeats itself, and guesses would come true */
    struct gw_err err = {0};

    if (engine_open(&cfg, &b->e, &err) != GW_OK || gguf_open(path, &b->g, &err) != GW_OK ||
        model_inspect(&b->shape, b->g, kern_ops(NULL), &err) != GW_OK)
        die(err.text);
    b->ch = engine_chan_new(b->e);
    if (b->ch == NULL)
        die("out of memory");
    /* Also the first touch of weights and buffers, and the first recordings, which are not what is measured. */
    b->around = one(b, SHORT_TEXT, 8)->prompt_tokens;
    if (b->why[0] != '\0')
        die(b->why);
    b->around = b->around > SHORT_TEXT ? b->around - SHORT_TEXT : 0;
}

int main(int argc, char **argv)
{
    static struct bench b = {.o = {512, 128, 64, 1000, 64, 0, ENGINE_KV_AUTO}, .seed = 1};
    char word[16];

    parse(&b.o, argc, argv);
    open_bench(&b, argv[optind], argv[optind + 1]);
    while (scanf("%15s", word) == 1)
        answer(&b, word);
    engine_chan_free(b.ch);
    engine_close(b.e);
    model_fini(&b.shape);
    gguf_close(b.g);
    return 0;
}
