/* tests/unit/kernels/test_cuda_attn.c - what happens between the product of queries, keys and values and that of the output, on the emulated
 * device: against the scalar table, and against itself, bit for bit, for other company and other cuts. */
#include "kernels/cuda.h"
#include "tests/simt/knobs.h"
#include "tests/unit/kernels/util.h"

enum { MAX_SEQS = 6 };

struct shape {
    unsigned n_heads, n_kv, hd, n_rot, n_seqs, len[MAX_SEQS];
    unsigned window, shared; /* pages that all sequences begin with */
    float cap;
    bool neox, bias, norm;
    enum kern_cuda_kv_type type;
};

/* A problem on both sides. */
struct bed {
    const struct shape *s;
    unsigned n_tokens, longest, n_qkv, n_att, max_pages, n_pages;
    float *qkv, *bias, *norm, *cos, *sin; /* [token][n_qkv], [n_qkv], [2][hd], [pos][n_rot / 2] */
    float *q, *want, *got, *again;        /* queries as turned, [token][n_att] */
    int32_t *meta;                        /* pos, seq, seq_first, shared */
    uint32_t *pages;                      /* [seq][max_pages] */
    struct kern_kv cache;
    struct kern_cuda *c;
    struct kern_cuda_buf *d_qkv, *d_vec, *d_meta, *d_pages, *d_kv, *d_out;
    struct kern_cuda_kv kv;
};

static float *at(const struct kern_cuda_buf *b, size_t floats)
{
    return kern_cuda_at(b, floats * sizeof(float));
}

static struct kern_cuda_buf *put(struct kern_cuda *c, const void *x, size_t bytes)
{
    struct kern_cuda_buf *b = NULL;

    CHECK(kern_cuda_buf_new(c, bytes, &b, NULL) == GW_OK &&
          (x == NULL || kern_cuda_upload(b, 0, x, bytes, NULL) == GW_OK));
    return b;
}

/* Numbers of random size; what sequences share is equal. */
static void fill(struct bed *b, uint64_t *seed)
{
    const struct shape *s = b->s;
    unsigned t = 0;

    for (size_t i = 0; i < (size_t)b->n_tokens * b->n_qkv; i++)
        b->qkv[i] = 2 * util_randf(seed);
    for (unsigned i = 0; i < b->n_qkv; i++)
        b->bias[i] = util_randf(seed) / 2;
    for (unsigned i = 0; i < 2 * s->hd; i++)
        b->norm[i] = 1 + util_randf(seed) / 2;
    for (unsigned q = 0; q < s->n_seqs; t += s->len[q++]) {
        for (unsigned i = 0; i < s->len[q]; i++) {
            b->meta[t + i] = (int32_t)i;
            b->meta[b->n_tokens + t + i] = (int32_t)q;
        }
        b->meta[2 * b->n_tokens + q] = (int32_t)t;
        memcpy(b->qkv + (size_t)t * b->n_qkv, b->qkv,
               (size_t)s->shared * 16 * b->n_qkv * sizeof(float));
    }
    b->meta[2 * b->n_tokens + s->n_seqs] = (int32_t)t;
}

/* Page numbers that nobody has twice. */
static void number_pages(struct bed *b)
{
    unsigned next = b->s->shared;

    for (unsigned q = 0; q < b->s->n_seqs; q++)
        for (unsigned p = 0; p < b->max_pages; p++)
            b->pages[q * b->max_pages + p] = p < b->s->shared ? b->s->shared - 1 - p : next++;
}

/* The scalar table's way: queries turned, keys and values in a cache, attention of each token. */
static void compute(struct bed *b)
{
    const struct kern_ops *ops = kern_ops_exact("scalar");
    const struct shape *s = b->s;
    const unsigned group = s->n_heads / s->n_kv, hd = s->hd;

    b->cache.type = s->type == KERN_CUDA_KV_I8    ? KERN_KV_I8
                    : s->type == KERN_CUDA_KV_FP8 ? KERN_KV_FP8
                    : s->type == KERN_CUDA_KV_Q4  ? KERN_KV_I4
                                                  : KERN_KV_F16;
    b->cache.head_dim = hd;
    b->cache.block_stride = s->n_kv * kern_kv_block_bytes(b->cache.type, hd);
    b->cache.base = util_alloc(b->n_pages * b->cache.block_stride);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned t = 0; t < b->n_tokens; t++) {
            const unsigned pos = (unsigned)b->meta[t], q = (unsigned)b->meta[b->n_tokens + t];
            const float *c = b->cos + (size_t)pos * (s->n_rot / 2);
            const float *n = b->sin + (size_t)pos * (s->n_rot / 2);

            for (unsigned h = 0; h < s->n_kv; h++) {
                struct kern_kv kv = b->cache;
                float k[512], v[512], *turned = b->q + (size_t)t * b->n_att + h * group * hd;
                const float *from = b->qkv + (size_t)t * b->n_qkv;

                kv.base = (char *)kv.base + h * kern_kv_block_bytes(kv.type, hd);
                kv.table = b->pages + q * b->max_pages;
                if (pass == 1) {
                    const struct kern_attn a = {.q = turned,
                                                .out =
                                                    b->want + (size_t)t * b->n_att + h * group * hd,
                                                .q_stride = b->n_att,
                                                .out_stride = b->n_att,
                                                .n_tokens = 1,
                                                .n_heads = group,
                                                .n_keys = pos + 1,
                                                .scale = 1 / sqrtf((float)hd),
                                                .window = s->window,
                                                .cap = s->cap};

                    ops->attn(&kv, &a);
                    continue;
                }
                for (unsigned i = 0; i < hd; i++) {
                    const unsigned ik = b->n_att + h * hd + i, iv = ik + s->n_kv * hd;

                    k[i] = from[ik] + (s->bias ? b->bias[ik] : 0);
                    v[i] = from[iv] + (s->bias ? b->bias[iv] : 0);
                }
                for (unsigned i = 0; i < group * hd; i++)
                    turned[i] =
                        from[h * group * hd + i] + (s->bias ? b->bias[h * group * hd + i] : 0);
                for (unsigned g = 0; s->norm && g < group; g++)
                    ops->rms_norm(turned + g * hd, turned + g * hd, b->norm, hd, 1e-5f);
                if (s->norm)
                    ops->rms_norm(k, k, b->norm + hd, hd, 1e-5f);
                ops->rope(turned, group, hd, s->n_rot, c, n,
                          s->neox ? KERN_ROPE_NEOX : KERN_ROPE_NORM);
                ops->rope(k, 1, hd, s->n_rot, c, n, s->neox ? KERN_ROPE_NEOX : KERN_ROPE_NORM);
                ops->kv_put(&kv, pos, k, v);
            }
        }
    }
    free(b->cache.base);
}

static void open_bed(struct bed *b, const struct shape *s, struct kern_cuda *c)
{
    uint64_t seed = s->hd * 1000 + s->n_heads * 10 + s->n_seqs;
    unsigned most = 0;

    *b = (struct bed){.s = s, .c = c};
    for (unsigned q = 0; q < s->n_seqs; q++) {
        b->n_tokens += s->len[q];
        most = s->len[q] > most ? s->len[q] : most;
    }
    b->longest = most;
    b->n_att = s->n_heads * s->hd;
    b->n_qkv = b->n_att + 2 * s->n_kv * s->hd;
    b->max_pages = (most + 15) / 16;
    b->n_pages = s->shared + s->n_seqs * b->max_pages;
    b->qkv = util_alloc((size_t)b->n_tokens * b->n_qkv * 4);
    b->bias = util_alloc(b->n_qkv * 4);
    b->norm = util_alloc(2 * s->hd * 4);
    b->cos = util_alloc((size_t)most * (s->n_rot / 2 + 1) * 4);
    b->sin = util_alloc((size_t)most * (s->n_rot / 2 + 1) * 4);
    b->q = util_alloc((size_t)b->n_tokens * b->n_att * 4);
    b->want = util_alloc((size_t)b->n_tokens * b->n_att * 4);
    b->got = util_alloc((size_t)b->n_tokens * b->n_qkv * 4);
    b->again = util_alloc((size_t)b->n_tokens * b->n_att * 4);
    b->meta = util_alloc((2 * (size_t)b->n_tokens + s->n_seqs + 4) * 4);
    b->pages = util_alloc((size_t)s->n_seqs * b->max_pages * 4);
    for (unsigned p = 0; p < most; p++)
        for (unsigned i = 0; i < s->n_rot / 2; i++) {
            b->cos[p * (s->n_rot / 2) + i] = cosf((float)p / (float)(i + 1));
            b->sin[p * (s->n_rot / 2) + i] = sinf((float)p / (float)(i + 1));
        }
    fill(b, &seed);
    number_pages(b);
    b->meta[2 * b->n_tokens + s->n_seqs + 1] = 0;
    b->meta[2 * b->n_tokens + s->n_seqs + 2] = (int32_t)s->n_seqs;
    b->meta[2 * b->n_tokens + s->n_seqs + 3] = (int32_t)s->shared;
    compute(b);
    b->d_qkv = put(c, b->qkv, (size_t)b->n_tokens * b->n_qkv * 4);
    b->d_vec =
        put(c, NULL, (b->n_qkv + 2 * (size_t)s->hd + 2 * (size_t)most * (s->n_rot / 2 + 1)) * 4);
    CHECK(kern_cuda_upload(b->d_vec, 0, b->bias, b->n_qkv * 4, NULL) == GW_OK);
    CHECK(kern_cuda_upload(b->d_vec, b->n_qkv * 4, b->norm, 2 * s->hd * 4, NULL) == GW_OK);
    CHECK(kern_cuda_upload(b->d_vec, (b->n_qkv + 2 * s->hd) * 4, b->cos,
                           (size_t)most * (s->n_rot / 2) * 4, NULL) == GW_OK);
    CHECK(kern_cuda_upload(b->d_vec, (b->n_qkv + 2 * s->hd + most * (s->n_rot / 2)) * 4, b->sin,
                           (size_t)most * (s->n_rot / 2) * 4, NULL) == GW_OK);
    b->d_meta = put(c, b->meta, (2 * (size_t)b->n_tokens + s->n_seqs + 4) * 4);
    b->d_pages = put(c, b->pages, (size_t)s->n_seqs * b->max_pages * 4);
    b->kv = (struct kern_cuda_kv){.n_kv_heads = s->n_kv, .head_dim = s->hd, .type = s->type};
    b->kv.page_bytes = 2 * s->n_kv * kern_cuda_kv_block_bytes(s->type, s->hd); /* two layers */
    b->d_kv = put(c, NULL, b->n_pages * b->kv.page_bytes);
    b->kv.base = kern_cuda_at(b->d_kv, 0);
    b->d_out = put(c, NULL, (size_t)b->n_tokens * b->n_att * 4);
    {
        unsigned char *nan = util_alloc(b->n_pages * b->kv.page_bytes);

        memset(nan, 0xff, b->n_pages * b->kv.page_bytes); /* what was never written is no number */
        CHECK(kern_cuda_upload(b->d_kv, 0, nan, b->n_pages * b->kv.page_bytes, NULL) == GW_OK);
        free(nan);
    }
}

static void close_bed(struct bed *b)
{
    kern_cuda_buf_free(b->d_qkv);
    kern_cuda_buf_free(b->d_vec);
    kern_cuda_buf_free(b->d_meta);
    kern_cuda_buf_free(b->d_pages);
    kern_cuda_buf_free(b->d_kv);
    kern_cuda_buf_free(b->d_out);
    free(b->qkv);
    free(b->bias);
    free(b->norm);
    free(b->cos);
    free(b->sin);
    free(b->q);
    free(b->want);
    free(b->got);
    free(b->again);
    free(b->meta);
    free(b->pages);
}

/* The largest difference of two arrays, to the largest magnitude of the second. */
static float differ(const float *a, const float *b, size_t n)
{
    float most = 0, size = 0;

    for (size_t i = 0; i < n; i++) {
        const float d = fabsf(a[i] - b[i]);

        most = !(d <= most) ? d : most;
        size = fmaxf(size, fabsf(b[i]));
    }
    return most / size;
}

static struct kern_cuda_step whole_step(const struct bed *b)
{
    const int32_t *meta = kern_cuda_at(b->d_meta, 0);

    return (struct kern_cuda_step){.n_tokens = b->n_tokens,
                                   .n_seqs = b->s->n_seqs,
                                   .max_pages = b->max_pages,
                                   .max_keys = b->max_pages * 16,
                                   .pos = meta,
                                   .seq = meta + b->n_tokens,
                                   .seq_first = meta + 2 * b->n_tokens,
                                   .pages = kern_cuda_at(b->d_pages, 0),
                                   .shared = meta + 2 * b->n_tokens + b->s->n_seqs + 1};
}

static void attend(const struct bed *b, const struct kern_cuda_step *step, const float *q)
{
    const struct kern_cuda_attn a = {.q = q,
                                     .out = at(b->d_out, 0),
                                     .q_stride = b->n_qkv,
                                     .out_stride = b->n_att,
                                     .n_heads = b->s->n_heads,
                                     .scale = 1 / sqrtf((float)b->s->hd),
                                     .cap = b->s->cap,
                                     .window = b->s->window};

    kern_cuda_attn(b->c, &b->kv, 1, step, &a);
}

static void fetch(const struct bed *b, const struct kern_cuda_buf *from, size_t floats, float *to)
{
    struct gw_err err = {0};

    CHECK(kern_cuda_download(from, 0, to, floats * 4, &err) == GW_OK);
    if (!CHECK(kern_cuda_sync(b->c, &err) == GW_OK))
        printf("%s\n", err.text);
}

/* The last token of each sequence alone, as in decode: bits as in the step of all tokens. */
static void test_decode(struct bed *b, unsigned max_keys, unsigned n_shared)
{
    const struct shape *s = b->s;
    struct kern_cuda_step step = whole_step(b);
    int32_t meta[3 * MAX_SEQS + 4];
    struct kern_cuda_buf *d_meta, *d_q = put(b->c, NULL, (size_t)s->n_seqs * b->n_qkv * 4);
    size_t wrong = 0;

    for (unsigned q = 0; q < s->n_seqs; q++) {
        const unsigned t = (unsigned)b->meta[2 * b->n_tokens + q + 1] - 1;

        meta[q] = b->meta[t];
        meta[s->n_seqs + q] = meta[2 * s->n_seqs + q] = (int32_t)q;
        kern_cuda_copy(b->c, at(d_q, (size_t)q * b->n_qkv), at(b->d_qkv, (size_t)t * b->n_qkv),
                       b->n_qkv * 4);
    }
    meta[3 * s->n_seqs] = (int32_t)s->n_seqs;
    meta[3 * s->n_seqs + 1] = 0;
    meta[3 * s->n_seqs + 2] = (int32_t)s->n_seqs;
    meta[3 * s->n_seqs + 3] = (int32_t)s->shared;
    d_meta = put(b->c, meta, (3 * s->n_seqs + 4) * 4);
    step.n_tokens = s->n_seqs;
    step.max_keys = max_keys;
    step.n_shared = n_shared;
    step.pos = kern_cuda_at(d_meta, 0);
    step.seq = step.pos + s->n_seqs;
    step.seq_first = step.pos + 2 * s->n_seqs;
    step.shared = step.pos + 3 * s->n_seqs + 1;
    attend(b, &step, at(d_q, 0));
    fetch(b, b->d_out, (size_t)s->n_seqs * b->n_att, b->again);
    for (unsigned q = 0; q < s->n_seqs; q++) {
        const size_t t = (size_t)b->meta[2 * b->n_tokens + q + 1] - 1;

        wrong += memcmp(b->again + (size_t)q * b->n_att, b->got + t * b->n_att, b->n_att * 4) != 0;
    }
    if (!CHECK(wrong == 0))
        printf("decode, %u keys, %u shared: %zu of %u differ\n", max_keys, n_shared, wrong,
               s->n_seqs);
    kern_cuda_buf_free(d_meta);
    kern_cuda_buf_free(d_q);
}

static void test_shape(struct kern_cuda *c, const struct shape *s, float tolerance)
{
    struct bed b;
    struct kern_cuda_step step;
    const float *cosines, *vec;
    float off;

    open_bed(&b, s, c);
    vec = at(b.d_vec, 0);
    cosines = at(b.d_vec, b.n_qkv + 2 * s->hd);
    step = whole_step(&b);
    kern_cuda_qkv_write(
        c, &b.kv, 1, &step,
        &(struct kern_cuda_qkv){.qkv = at(b.d_qkv, 0),
                                .n_heads = s->n_heads,
                                .q_bias = s->bias ? vec : NULL,
                                .k_bias = s->bias ? vec + b.n_att : NULL,
                                .v_bias = s->bias ? vec + b.n_att + s->n_kv * s->hd : NULL,
                                .q_norm = s->norm ? vec + b.n_qkv : NULL,
                                .k_norm = s->norm ? vec + b.n_qkv + s->hd : NULL,
                                .eps = 1e-5f,
                                .rope = {.cos = cosines,
                                         .sin = cosines + (size_t)b.longest * (s->n_rot / 2),
                                         .n_rot = s->n_rot,
                                         .neox = s->neox}});
    fetch(&b, b.d_qkv, (size_t)b.n_tokens * b.n_qkv, b.got);
    for (unsigned t = 0; t < b.n_tokens; t++) /* the queries alone */
        memmove(b.got + (size_t)t * b.n_att, b.got + (size_t)t * b.n_qkv, b.n_att * 4);
    CHECK(differ(b.got, b.q, (size_t)b.n_tokens * b.n_att) < KERN_TOL_OP);

    attend(&b, &step, at(b.d_qkv, 0));
    fetch(&b, b.d_out, (size_t)b.n_tokens * b.n_att, b.got);
    off = differ(b.got, b.want, (size_t)b.n_tokens * b.n_att);
    if (!CHECK(off < tolerance))
        printf("%u heads, %u KV heads of %u, type %d: off by %g\n", s->n_heads, s->n_kv, s->hd,
               (int)s->type, (double)off);
    test_decode(&b, b.max_pages * 16, 0);
    test_decode(&b, b.max_pages * 16 + 700, 0);
    if (s->shared != 0)
        test_decode(&b, b.max_pages * 16, 1);
    close_bed(&b);
}

/* Numbers that a row of keys or values may hold, by the row's number: normal ones, all zeros, none but tiny ones, halves of
 * steps around every code of e4m3, beyond the range of f16, infinity, no number. */
static void odd_row(float *x, unsigned n, unsigned row, uint64_t *seed)
{
    util_fill(x, n, seed);
    for (unsigned i = 0; i < n; i++) {
        switch (row % 8) {
        case 1:
            x[i] = i % 2 == 0 ? 0.0f : -0.0f;
            break;
        case 2:
            x[i] *= 1e-40f;
            break;
        case 3: /* the largest is 448, so the scale is 1 */
            x[i] = i == 0 ? 448.0f : ldexpf((float)(i % 64) / 2, (int)(i / 64) * 3 - 9);
            break;
        case 4:
            x[i] = i == 0 ? -448.0f : ldexpf((float)(16 + i % 32) / 32, (int)(i % 19) - 10);
            break;
        case 5:
            x[i] *= 1e6f;
            break;
        default:
            break;
        }
    }
    if (row % 8 >= 6)
        x[n / 2] = row % 8 == 6 ? INFINITY : NAN;
}

/* A page of keys and values that nothing turns: codes and scales are those of the CPU, bit for bit. */
static void test_codes(struct kern_cuda *c, enum kern_cuda_kv_type type, unsigned hd)
{
    const enum kern_kv_type cpu = type == KERN_CUDA_KV_FP8 ? KERN_KV_FP8 : KERN_KV_I8;
    const size_t bytes = kern_kv_block_bytes(cpu, hd);
    struct kern_kv want = {.head_dim = hd, .type = cpu, .block_stride = bytes};
    float *qkv = util_alloc(16 * 3 * (size_t)hd * 4);
    int32_t meta[16 + 16 + 2 + 1] = {0}; /* positions, sequences, where these begin, their page */
    unsigned char *got = util_alloc(bytes);
    struct kern_cuda_buf *d_qkv, *d_meta, *d_kv = put(c, NULL, bytes);
    struct kern_cuda_step step = {.n_tokens = 16, .n_seqs = 1, .max_pages = 1, .max_keys = 16};
    size_t wrong = 0;
    uint64_t seed = hd;

    CHECK(kern_cuda_kv_block_bytes(type, hd) == bytes);
    want.base = util_alloc(bytes);
    for (unsigned t = 0; t < 16; t++) {
        float *k = qkv + (3 * (size_t)t + 1) * hd, *v = k + hd;

        util_fill(k - hd, hd, &seed);
        odd_row(k, hd, t, &seed);
        odd_row(v, hd, t / 2 + 3, &seed);
        meta[t] = (int32_t)t;
        kern_ops_exact("scalar")->kv_put(&want, t, k, v);
    }
    meta[33] = 16;
    d_qkv = put(c, qkv, 16 * 3 * (size_t)hd * 4);
    d_meta = put(c, meta, sizeof(meta));
    step.pos = kern_cuda_at(d_meta, 0);
    step.seq = step.pos + 16;
    step.seq_first = step.pos + 32;
    step.pages = (const uint32_t *)(const void *)(step.pos + 34);
    kern_cuda_qkv_write(c,
                        &(struct kern_cuda_kv){.base = kern_cuda_at(d_kv, 0),
                                               .page_bytes = bytes,
                                               .n_kv_heads = 1,
                                               .head_dim = hd,
                                               .type = type},
                        0, &step, &(struct kern_cuda_qkv){.qkv = at(d_qkv, 0), .n_heads = 1});
    CHECK(kern_cuda_download(d_kv, 0, got, bytes, NULL) == GW_OK &&
          kern_cuda_sync(c, NULL) == GW_OK);
    for (size_t i = 0; i < 16 * (size_t)hd; i++) { /* keys lie by dimension on the CPU */
        const unsigned char *w = want.base;

        wrong += got[i] != w[i % hd * 16 + i / hd];
        wrong += got[16 * hd + i] != w[16 * hd + i];
    }
    for (size_t i = 0; i < 32; i++) {
        float a, b;

        memcpy(&a, got + 32 * hd + 4 * i, 4);
        memcpy(&b, (const char *)want.base + 32 * hd + 4 * i, 4);
        wrong += isnan(b) ? isnan(a) == 0 : memcmp(&a, &b, 4) != 0;
    }
    if (!CHECK(wrong == 0))
        printf("type %d, heads of %u: %zu codes and scales differ\n", (int)type, hd, wrong);
    kern_cuda_buf_free(d_qkv);
    kern_cuda_buf_free(d_meta);
    kern_cuda_buf_free(d_kv);
    free(want.base);
    free(qkv);
    free(got);
}

/* A page becomes another one, and nothing else changes. */
static void test_copy(struct kern_cuda *c)
{
    struct kern_cuda_kv kv = {.page_bytes = 4112};
    const uint32_t pairs[] = {3, 0, 5, 1};
    unsigned char in[6 * 4112], out[6 * 4112];
    struct kern_cuda_buf *pages, *d_pairs = put(c, pairs, sizeof(pairs));
    uint64_t seed = 7;

    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (unsigned char)util_rand(&seed);
    pages = put(c, in, sizeof(in));
    kv.base = kern_cuda_at(pages, 0);
    kern_cuda_kv_copy(c, &kv, kern_cuda_at(d_pairs, 0), 2);
    CHECK(kern_cuda_download(pages, 0, out, sizeof(out), NULL) == GW_OK &&
          kern_cuda_sync(c, NULL) == GW_OK);
    memcpy(in, in + 3 * kv.page_bytes, kv.page_bytes);
    memcpy(in + kv.page_bytes, in + 5 * kv.page_bytes, kv.page_bytes);
    CHECK(memcmp(in, out, sizeof(in)) == 0);
    kern_cuda_buf_free(pages);
    kern_cuda_buf_free(d_pairs);
}

static void test_sizes(void)
{
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_F16, 64) == 2 * 16 * 128);
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_I8, 64) == 2 * 16 * (64 + 4));
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_Q4, 64) == 2 * 16 * (32 + 4));
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_Q4, 64) == kern_kv_block_bytes(KERN_KV_I4, 64));
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_Q4, 40) == 2 * 16 * (20 + 4));
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_Q4, 12) == 0);
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_F16, 0) == 0);
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_F16, 12) == 0);
    CHECK(kern_cuda_kv_block_bytes(KERN_CUDA_KV_F16, 264) == 0);
}

int main(void)
{
    static const struct shape shapes[] = {
        /* one head, one key; tails of pages */
        {1, 1, 8, 8, 3, {1, 15, 17}, .type = KERN_CUDA_KV_F16},
        {4, 2, 16, 8, 2, {33, 16}, .neox = true, .bias = true, .type = KERN_CUDA_KV_I8},
        /* a group of odd size; more heads than a block has rows */
        {6, 2, 24, 24, 2, {40, 5}, .norm = true, .type = KERN_CUDA_KV_F16},
        {12, 1, 8, 4, 2, {20, 31}, .type = KERN_CUDA_KV_I8},
        {40, 1, 8, 8, 1, {18}, .type = KERN_CUDA_KV_F16},
        /* sizes with code of their own */
        {4, 2, 64, 64, 2, {19, 34}, .type = KERN_CUDA_KV_F16},
        {4, 1, 128, 128, 2, {18, 21}, .neox = true, .norm = true, .type = KERN_CUDA_KV_I8},
        {2, 1, 256, 128, 1, {19}, .neox = true, .type = KERN_CUDA_KV_F16},
        {2, 2, 96, 96, 1, {18}, .neox = true, .type = KERN_CUDA_KV_I8},
        /* splits, windows that end inside them, caps */
        {2, 1, 8, 8, 3, {300, 530, 257}, .type = KERN_CUDA_KV_F16},
        {2, 1, 8, 8, 2, {290, 540}, .window = 33, .cap = 2, .type = KERN_CUDA_KV_I8},
        {4, 2, 8, 8, 2, {530, 260}, .window = 300, .cap = 5, .type = KERN_CUDA_KV_F16},
        /* 32 pages, two splits, that all begin with */
        {4, 2, 8, 8, 4, {530, 515, 540, 700}, .shared = 32, .type = KERN_CUDA_KV_F16},
        {2,
         1,
         8,
         8,
         5,
         {300, 270, 280, 290, 277},
         .window = 100,
         .shared = 16,
         .type = KERN_CUDA_KV_I8},
    };
    /* 4 bits, rotated: lengths that are rotated in one piece, in pieces, with a last group that is no whole one; splits, windows, prefixes. */
    static const struct shape rotated[] = {
        {4, 2, 64, 64, 2, {40, 300}, .type = KERN_CUDA_KV_Q4},
        {2, 1, 128, 128, 1, {40}, .neox = true, .norm = true, .type = KERN_CUDA_KV_Q4},
        {2, 2, 96, 96, 1, {18}, .neox = true, .bias = true, .type = KERN_CUDA_KV_Q4},
        {6, 2, 40, 8, 2, {33, 16}, .type = KERN_CUDA_KV_Q4},
        {1, 1, 8, 8, 3, {1, 15, 17}, .type = KERN_CUDA_KV_Q4},
        {2, 1, 256, 128, 1, {19}, .type = KERN_CUDA_KV_Q4},
        {4, 2, 32, 32, 2, {530, 260}, .window = 300, .cap = 5, .type = KERN_CUDA_KV_Q4},
        {4, 2, 32, 32, 3, {530, 515, 540}, .shared = 32, .type = KERN_CUDA_KV_Q4},
    };
    /* e4m3: the same code as int8 in attention, but for the reading of rows; splits, windows, prefixes. */
    static const struct shape fp8[] = {
        {4, 2, 64, 64, 2, {40, 300}, .type = KERN_CUDA_KV_FP8},
        {4, 1, 128, 128, 1, {40}, .neox = true, .norm = true, .type = KERN_CUDA_KV_FP8},
        {2, 2, 96, 96, 1, {18}, .neox = true, .bias = true, .type = KERN_CUDA_KV_FP8},
        {6, 2, 40, 8, 2, {33, 16}, .type = KERN_CUDA_KV_FP8},
        {1, 1, 8, 8, 3, {1, 15, 17}, .type = KERN_CUDA_KV_FP8},
        {2, 1, 256, 128, 1, {19}, .type = KERN_CUDA_KV_FP8},
        {4, 2, 32, 32, 2, {530, 260}, .window = 300, .cap = 5, .type = KERN_CUDA_KV_FP8},
        {4, 2, 32, 32, 3, {530, 515, 540}, .shared = 32, .type = KERN_CUDA_KV_FP8},
    };
    struct kern_cuda *c = NULL;

    if (!CHECK(kern_cuda_open(0, &c, NULL, NULL) == GW_OK))
        return test_done();
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        simt_set_order((unsigned)i % 3);
        test_shape(c, &shapes[i], KERN_TOL_ATTN);
    }
    /* Where a GPU fuses a product and a sum of rope, a number at the border of two codes gets the other one. */
    for (size_t i = 0; i < sizeof(fp8) / sizeof(fp8[0]); i++) {
        simt_set_order((unsigned)i % 3);
        test_shape(c, &fp8[i], simt_is_here() ? KERN_TOL_ATTN : 0.07f);
    }
    for (size_t i = 0; i < sizeof(rotated) / sizeof(rotated[0]); i++) {
        simt_set_order((unsigned)i % 3);
        test_shape(c, &rotated[i], simt_is_here() ? KERN_TOL_ATTN : 0.02f);
    }
    for (unsigned hd = 8; hd <= 256; hd *= 2) {
        test_codes(c, KERN_CUDA_KV_I8, hd);
        test_codes(c, KERN_CUDA_KV_FP8, hd);
    }
    test_copy(c);
    test_sizes();
    kern_cuda_close(c);
    return test_done();
}
