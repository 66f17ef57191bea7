/* tests/bench/gpu/gpu.c - the workbench of the GPU's products: achieved GB/s and TFLOP/s, and their share of what the same device did in
 * the same run when it only copied, or only multiplied. usage: gpu [probe]
 * probe: says whether there is a GPU that this build can use; exit status 0: yes, 1: no. */
#include <stdlib.h>
#include <string.h>

#include "tests/bench/gpu/peak.h"
#include "tests/unit/kernels/util.h"

static const enum kern_type types[] = {
    KERN_TYPE_Q4_0, KERN_TYPE_Q4_1, KERN_TYPE_Q8_0, KERN_TYPE_Q4_K,
    KERN_TYPE_Q5_K, KERN_TYPE_Q6_K, KERN_TYPE_F16,  KERN_TYPE_BF16,
};
enum { N_TYPES = sizeof(types) / sizeof(types[0]), MAX_COPIES = 64, MAX_TOKENS = 512, PASSES = 5 };

struct bench {
    struct kern_cuda *c;
    struct kern_cuda_info info;
    struct kern_cuda_event *from, *to;
    double copy_gbs, peak_tops[2]; /* ceilings: of floats, of ints */
    struct gw_err err;
};

static void must(struct bench *b, enum gw_status st)
{
    if (st != GW_OK) {
        printf("FAIL  %s\n", b->err.text);
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

struct copy {
    struct kern_cuda_buf *buf;
    size_t bytes;
};

static void run_copy(struct bench *b, void *ctx)
{
    const struct copy *p = ctx;

    kern_cuda_copy(b->c, kern_cuda_at(p->buf, p->bytes), kern_cuda_at(p->buf, 0), p->bytes);
}

struct peak {
    struct kern_cuda_buf *buf;
    bool ints;
    double ops;
};

static void run_peak(struct bench *b, void *ctx)
{
    struct peak *p = ctx;

    p->ops = peak_run(b->c, p->ints, kern_cuda_at(p->buf, 0));
}

static void ceilings(struct bench *b)
{
    struct copy p = {.bytes =
                         b->info.free_bytes / 8 < (1u << 30) ? b->info.free_bytes / 8 : 1u << 30};

    must(b, kern_cuda_buf_new(b->c, 2 * p.bytes, &p.buf, &b->err));
    b->copy_gbs = 2 * (double)p.bytes / best(b, run_copy, &p) / 1e9;
    for (unsigned ints = 0; ints < 2; ints++) {
        struct peak k = {.buf = p.buf, .ints = ints == 1};
        const double s = best(b, run_peak, &k);

        b->peak_tops[ints] = k.ops / s / 1e12;
    }
    kern_cuda_buf_free(p.buf);
    printf("copies %.0f GB/s; tensor cores on registers: bf16 %.0f TFLOP/s, int8 %.0f TOP/s\n",
           b->copy_gbs, b->peak_tops[0], b->peak_tops[1]);
}

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

static void product(struct bench *b, enum kern_type type, size_t rows, size_t cols)
{
    static const unsigned tokens[] = {1, 2, 8, 32, 128, MAX_TOKENS};
    const size_t bytes = kern_cuda_matrix_bytes(type, rows, cols);
    const bool ints = kern_type_info(type)->quantized;
    struct kern_cuda_buf *x = NULL, *mem = NULL, *out = NULL;
    struct product p = {.rows = rows};
    uint64_t seed = 1;
    uint8_t *gguf = util_matrix(type, rows, cols, &seed);
    float *host = util_alloc(MAX_TOKENS * cols * 4);

    p.n_copies = (unsigned)(4 * (size_t)b->info.l2_bytes / bytes) + 2;
    if (p.n_copies > MAX_COPIES)
        p.n_copies = MAX_COPIES;
    util_fill(host, MAX_TOKENS * cols, &seed);
    for (unsigned i = 0; i < p.n_copies; i++)
        must(b, kern_cuda_matrix_new(b->c, type, rows, cols, gguf, false, &p.w[i], &b->err));
    must(b, kern_cuda_buf_new(b->c, MAX_TOKENS * cols * 4, &x, &b->err));
    must(b, kern_cuda_buf_new(b->c, kern_cuda_acts_bytes(MAX_TOKENS, cols, false), &mem, &b->err));
    must(b, kern_cuda_buf_new(b->c, MAX_TOKENS * rows * 4, &out, &b->err));
    must(b, kern_cuda_upload(x, 0, host, MAX_TOKENS * cols * 4, &b->err));
    p.out = kern_cuda_at(out, 0);
    for (unsigned i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        const unsigned n = tokens[i];
        double s, gbs, tops;

        kern_cuda_acts_init(&p.a, kern_cuda_at(mem, 0), n, cols, false, kern_cuda_at(x, 0));
        kern_cuda_quantize(b->c, &p.a);
        s = best(b, run_product, &p) / p.n_copies;
        gbs = (double)bytes / s / 1e9;
        tops = 2.0 * (double)rows * (double)cols * n / s / 1e12;
        printf(
            "%-5s %5zu x %5zu  %3u tokens  %8.2f us  %7.0f GB/s %5.1f %%  %7.1f T%sOP/s %5.1f %%\n",
            kern_type_info(type)->name, rows, cols, n, s * 1e6, gbs, 100 * gbs / b->copy_gbs, tops,
            ints ? "" : "FL", 100 * tops / b->peak_tops[ints]);
    }
    for (unsigned i = 0; i < p.n_copies; i++)
        kern_cuda_matrix_free(p.w[i]);
    kern_cuda_buf_free(x);
    kern_cuda_buf_free(mem);
    kern_cuda_buf_free(out);
    free(gguf);
    free(host);
}

static void health(const struct bench *b)
{
    struct kern_cuda_health h;
    struct gw_err err = {0};

    (void)b;
    if (kern_cuda_health(0, &h, &err) == GW_OK)
        printf("clocks %u and %u MHz, %u C, %.0f W, reasons to throttle 0x%llx\n", h.sm_mhz,
               h.mem_mhz, h.celsius, h.watts, h.throttle);
    else
        printf("no clocks: %s\n", err.text);
}

int main(int argc, char **argv)
{
    struct bench b = {.c = NULL};

    if (kern_cuda_count() == 0) {
        printf("no GPU: %s\n", kern_cuda_reason());
        return 1;
    }
    if (kern_cuda_open(0, &b.c, &b.info, &b.err) != GW_OK) {
        printf("no GPU: %s\n", b.err.text);
        return 1;
    }
    printf("%s, compute capability %u.%u, %u multiprocessors, %.0f GB\n", b.info.name, b.info.major,
           b.info.minor, b.info.multiprocessors, (double)b.info.bytes / 1e9);
    if (argc > 1 && strcmp(argv[1], "probe") == 0) {
        kern_cuda_close(b.c);
        return 0;
    }
    must(&b, kern_cuda_event_new(b.c, &b.from, &b.err));
    must(&b, kern_cuda_event_new(b.c, &b.to, &b.err));
    ceilings(&b);
    health(&b);
    for (unsigned i = 0; i < N_TYPES; i++) {
        product(&b, types[i], 4096, 4096);
        product(&b, types[i], 14336, 4096);
    }
    health(&b);
    kern_cuda_event_free(b.from);
    kern_cuda_event_free(b.to);
    kern_cuda_close(b.c);
    return 0;
}
