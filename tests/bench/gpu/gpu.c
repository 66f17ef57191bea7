/* tests/bench/gpu/gpu.c - the workbench: what a GPU reaches when it only copies or only multiplies, and what the products of kernels/ reach. One thread.
 *
 * usage: gpu probe     says whether there is a GPU that this build can use; exit status 0: yes, 1: no
 *        gpu serve     reads lines from standard input and answers each with a line, for tests/bench/gpu/bench.py:
 *   device                       name|major|minor|multiprocessors|bytes|emulated (0 or 1)
 *   health                       MHz of processors and memory, degrees, watts, joules, reasons to throttle, version of the driver; or "error ..."
 *   copy BYTES                   GB/s of a copy of so many on the device, read and written
 *   peak TURNS                   T operations/s of the tensor cores on registers alone: bf16, int8
 *   product TYPE ROWS COLS N...  bytes on the device, then the microseconds of a product with N tokens each */
#include <stdlib.h>
#include <string.h>

#include "tests/bench/gpu/peak.h"
#include "tests/simt/knobs.h"
#include "tests/unit/kernels/util.h"

static const enum kern_type types[] = {
    KERN_TYPE_Q4_0, KERN_TYPE_Q4_1, KERN_TYPE_Q8_0, KERN_TYPE_Q4_K,
    KERN_TYPE_Q5_K, KERN_TYPE_Q6_K, KERN_TYPE_F16,  KERN_TYPE_BF16,
};
enum {
    N_TYPES = sizeof(types) / sizeof(types[0]),
    MAX_COPIES = 64,
    MAX_TOKENS = 512,
    MAX_SIZES = 8,
    PASSES = 5
};

struct bench {
    struct kern_cuda *c;
    struct kern_cuda_info info;
    struct kern_cuda_event *from, *to;
    struct gw_err err;
};

static void must(struct bench *b, enum gw_status st)
{
    if (st != GW_OK) {
        printf("error %s\n", b->err.text);
        (void)fflush(stdout);
        exit(2);
    }
}

/* The shortest of some runs of f, in seconds. */
static double best(struct bench *b, void (*f)(struct bench *b, void *ctx), void *ctx)
{
    double s = 1e9;

    for (unsigned i = 0; i < PASSES; i++) {
        kern_cuda_event_mark(b->from);
        f(b, ctx);
        kern_cuda_event_mark(b->to);
        must(b, kern_cuda_sync(b->c, &b->err));
        const double t = (double)kern_cuda_event_ms(b->from, b->to) / 1e3;

        if (t > 0 && t < s)
            s = t;
    }
    return s;
}

/* ---- ceilings --------------------------------------------------------------------------------- */

struct copy {
    struct kern_cuda_buf *buf;
    size_t bytes;
};

static void run_copy(struct bench *b, void *ctx)
{
    const struct copy *p = ctx;

    kern_cuda_copy(b->c, kern_cuda_at(p->buf, p->bytes), kern_cuda_at(p->buf, 0), p->bytes);
}

static void copy(struct bench *b, size_t bytes)
{
    struct copy p = {.bytes = bytes < b->info.free_bytes / 8 ? bytes : b->info.free_bytes / 8};

    must(b, kern_cuda_buf_new(b->c, 2 * p.bytes, &p.buf, &b->err));
    printf("%.3f\n", 2 * (double)p.bytes / best(b, run_copy, &p) / 1e9);
    kern_cuda_buf_free(p.buf);
}

struct peak {
    struct kern_cuda_buf *buf;
    bool ints;
    int turns;
    double ops;
};

static void run_peak(struct bench *b, void *ctx)
{
    struct peak *p = ctx;

    p->ops = peak_run(b->c, p->ints, p->turns, kern_cuda_at(p->buf, 0));
}

static void peak(struct bench *b, int turns)
{
    struct peak p = {.turns = turns};
    double tops[2];

    must(b, kern_cuda_buf_new(b->c, 4, &p.buf, &b->err));
    for (unsigned ints = 0; ints < 2; ints++) {
        double s;

        p.ints = ints == 1;
        s = best(b, run_peak, &p);
        tops[ints] = p.ops / s / 1e12;
    }
    printf("%.6g %.6g\n", tops[0], tops[1]);
    kern_cuda_buf_free(p.buf);
}

/* ---- products --------------------------------------------------------------------------------- */

/* The same matrix several times, so that all of them do not fit into the second cache. */
struct product {
    struct kern_cuda_matrix *w[MAX_COPIES];
    unsigned n_copies;
    struct kern_cuda_acts a;
    float *out;
    size_t rows;
};

static void run_product(struct bench *b, void *ctx)
{
    const struct product *p = ctx;

    for (unsigned i = 0; i < p->n_copies; i++)
        kern_cuda_matmul(b->c, p->w[i], &p->a, p->out, p->rows, false);
}

static void product(struct bench *b, enum kern_type type, size_t rows, size_t cols,
                    const unsigned *tokens, unsigned n_sizes)
{
    const size_t bytes = kern_cuda_matrix_bytes(type, rows, cols);
    struct kern_cuda_buf *x = NULL, *mem = NULL, *out = NULL;
    struct product p = {.rows = rows};
    uint64_t seed = 1;
    uint8_t *gguf = util_matrix(type, rows, cols, &seed);
    float *host = util_alloc(MAX_TOKENS * cols * 4);

    p.n_copies = (unsigned)(4 * (size_t)b->info.l2_bytes / bytes) + 2;
    if (p.n_copies > MAX_COPIES)
        p.n_copies = MAX_COPIES;
    if (simt_is_here())
        p.n_copies = 1;
    util_fill(host, MAX_TOKENS * cols, &seed);
    for (unsigned i = 0; i < p.n_copies; i++)
        must(b, kern_cuda_matrix_new(b->c, type, rows, cols, gguf, false, &p.w[i], &b->err));
    must(b, kern_cuda_buf_new(b->c, MAX_TOKENS * cols * 4, &x, &b->err));
    must(b, kern_cuda_buf_new(b->c, kern_cuda_acts_bytes(MAX_TOKENS, cols, false), &mem, &b->err));
    must(b, kern_cuda_buf_new(b->c, MAX_TOKENS * rows * 4, &out, &b->err));
    must(b, kern_cuda_upload(x, 0, host, MAX_TOKENS * cols * 4, &b->err));
    p.out = kern_cuda_at(out, 0);
    printf("%zu", bytes);
    for (unsigned i = 0; i < n_sizes; i++) {
        kern_cuda_acts_init(&p.a, kern_cuda_at(mem, 0), tokens[i], cols, false, kern_cuda_at(x, 0));
        kern_cuda_quantize(b->c, &p.a);
        printf(" %.4f", best(b, run_product, &p) / p.n_copies * 1e6);
    }
    printf("\n");
    for (unsigned i = 0; i < p.n_copies; i++)
        kern_cuda_matrix_free(p.w[i]);
    kern_cuda_buf_free(x);
    kern_cuda_buf_free(mem);
    kern_cuda_buf_free(out);
    free(gguf);
    free(host);
}

/* "TYPE ROWS COLS N..." */
static void parse_product(struct bench *b, char *args)
{
    char *save = NULL;
    const char *name = strtok_r(args, " ", &save);
    unsigned tokens[MAX_SIZES], n = 0;
    size_t shape[2] = {0};

    for (char *w; (w = strtok_r(NULL, " ", &save)) != NULL && n < 2 + MAX_SIZES; n++) {
        const unsigned long v = strtoul(w, NULL, 10);

        if (n < 2)
            shape[n] = v;
        else
            tokens[n - 2] = v == 0 || v > MAX_TOKENS ? MAX_TOKENS : (unsigned)v;
    }
    for (unsigned i = 0; name != NULL && n > 2 && i < N_TYPES; i++)
        if (strcmp(kern_type_info(types[i])->name, name) == 0 &&
            kern_cuda_matrix_bytes(types[i], shape[0], shape[1]) != 0) {
            product(b, types[i], shape[0], shape[1], tokens, n - 2);
            return;
        }
    printf("error no such product\n");
}

/* ---- what is there ---------------------------------------------------------------------------- */

static void health(void)
{
    struct kern_cuda_health h;
    struct gw_err err = {0};

    if (kern_cuda_health(0, &h, &err) == GW_OK)
        printf("%u %u %u %.1f %.1f 0x%llx %s\n", h.sm_mhz, h.mem_mhz, h.celsius, h.watts, h.joules,
               h.throttle, h.driver[0] == '\0' ? "-" : h.driver);
    else
        printf("error %s\n", err.text);
}

static void answer(struct bench *b, char *line)
{
    char *args = strchr(line, ' ');

    if (args != NULL)
        *args++ = '\0';
    if (strcmp(line, "device") == 0)
        printf("%s|%u|%u|%u|%llu|%d\n", b->info.name, b->info.major, b->info.minor,
               b->info.multiprocessors, (unsigned long long)b->info.bytes, simt_is_here());
    else if (strcmp(line, "health") == 0)
        health();
    else if (strcmp(line, "copy") == 0 && args != NULL)
        copy(b, strtoull(args, NULL, 10));
    else if (strcmp(line, "peak") == 0 && args != NULL)
        peak(b, (int)strtol(args, NULL, 10));
    else if (strcmp(line, "product") == 0 && args != NULL)
        parse_product(b, args);
    else
        printf("error there is no word %s\n", line);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct bench b = {.c = NULL};
    char line[256];

    if (argc != 2 || (strcmp(argv[1], "probe") != 0 && strcmp(argv[1], "serve") != 0)) {
        (void)fprintf(stderr, "usage: gpu probe|serve\n");
        return 2;
    }
    if (kern_cuda_count() == 0) {
        printf("no GPU: %s\n", kern_cuda_reason());
        return 1;
    }
    if (kern_cuda_open(0, &b.c, &b.info, &b.err) != GW_OK) {
        printf("no GPU: %s\n", b.err.text);
        return 1;
    }
    if (strcmp(argv[1], "probe") == 0) {
        printf("%s, compute capability %u.%u, %u multiprocessors, %.0f GB\n", b.info.name,
               b.info.major, b.info.minor, b.info.multiprocessors, (double)b.info.bytes / 1e9);
        kern_cuda_close(b.c);
        return 0;
    }
    must(&b, kern_cuda_event_new(b.c, &b.from, &b.err));
    must(&b, kern_cuda_event_new(b.c, &b.to, &b.err));
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        answer(&b, line);
    }
    kern_cuda_event_free(b.from);
    kern_cuda_event_free(b.to);
    kern_cuda_close(b.c);
    return 0;
}
