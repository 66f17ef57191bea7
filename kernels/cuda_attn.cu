/* kernels/cuda_attn.cu - attention over pages: prefill, decode with keys split over blocks, and a prefix that sequences share.
 *
 * One kernel does all three. A block takes ROWS rows, which are query heads of one KV head and of tokens that see the same pages (so
 * the heads of a group read keys once), and goes through keys page by page with an online softmax. Keys are cut into splits of
 * SPLIT_KEYS at fixed positions, whatever the step holds; splits are merged in order by one function, in registers where a block has all
 * of a row's splits and by merge_kernel else. So a row's bits depend neither on its company, nor on how its sequence was cut into
 * steps, nor on whether its prefix was read for others too.
 *
 * Shapes are [outer][inner]; hd is head_dim. */
#include <limits.h>

#include "kernels/cuda_kv.cuh"

enum {
    SPLIT_KEYS = 256, /* a multiple of KERN_CUDA_PAGE */
    SPLIT_TOKENS =
        64, /* steps of up to so many tokens split keys over blocks; larger ones have blocks enough */
    FEW_ROWS = 8,   /* decode: a group of heads */
    MANY_ROWS = 32, /* prefill, and prefixes that are shared */
    SPLIT_PAGES = SPLIT_KEYS / KERN_CUDA_PAGE
};

/* What all blocks know. */
struct attn_args {
    struct kern_cuda_kv kv;
    struct kern_cuda_step step;
    struct kern_cuda_attn a;
    unsigned layer, group, n_splits;
    bool split;   /* blockIdx.z is the split, and its result goes to part and sums */
    bool shared;  /* rows are tokens of all sequences of a group that shares pages */
    float *part;  /* [token][split][head][hd] */
    float2 *sums; /* [token][split][head]: largest score, sum of exp(score - largest) */
};

/* Rows of a block: query heads of tokens that see the pages at table. */
struct attn_tile {
    int first, n_tokens; /* tokens of the step; n_tokens 0: nothing to do */
    int seq;             /* whose pages */
    int from, to;        /* splits [from, to) */
};

/* A row's state between pages. */
struct attn_sum {
    float max, sum;
};

/* ---- merging ---------------------------------------------------------------------------- */

/* Takes a split into what came before: the factors of both. */
static __device__ __forceinline__ float2 merge_factors(struct attn_sum *all, float max, float sum)
{
    const float top = fmaxf(all->max, max);
    const float old = all->max == -INFINITY ? 0.0f : expf(all->max - top);
    const float now = max == -INFINITY ? 0.0f : expf(max - top);

    all->sum = fmaf(all->sum, old, sum * now);
    all->max = top;
    return make_float2(old, now);
}

static __device__ __forceinline__ float merge_value(float all, float value, float2 f)
{
    return fmaf(all, f.x, value * f.y);
}

/* The first key that a token at `pos` sees. */
static __device__ __forceinline__ int first_key(const struct attn_args &g, int pos)
{
    return g.a.window != 0 && pos + 1 > (int)g.a.window ? pos + 1 - (int)g.a.window : 0;
}

/* Whether a token at pos sees a key of a split. */
static __device__ __forceinline__ bool sees(const struct attn_args &g, int pos, int split)
{
    return split * SPLIT_KEYS <= pos && (split + 1) * SPLIT_KEYS > first_key(g, pos);
}

/* Splits whose keys all sequences of the group of `seq` share; 0: it is in none. */
static __device__ int shared_splits(const struct attn_args &g, int seq)
{
    for (unsigned i = 0; g.split && i < g.step.n_shared; i++) {
        const int32_t *s = g.step.shared + 3 * i;

        if (seq >= s[0] && seq < s[0] + s[1])
            return s[2] / SPLIT_PAGES;
    }
    return 0;
}

/* ---- which rows ------------------------------------------------------------------------- */

/* Cuts tokens [first, end) into tiles; true when number *i is one of them. Else *i counts on behind them. */
static __device__ bool tile_in(int *i, int first, int end, int tile_tokens, struct attn_tile *t)
{
    const int n = (end - first + tile_tokens - 1) / tile_tokens;

    if (*i >= n) {
        *i -= n;
        return false;
    }
    t->first = first + *i * tile_tokens;
    t->n_tokens = min(tile_tokens, end - t->first);
    return true;
}

/* Finds the rows of this block. */
static __device__ struct attn_tile find_tile(const struct attn_args &g, int tile_tokens)
{
    struct attn_tile t = {0, 0, 0, 0, 0};
    int i = (int)blockIdx.x;

    if (g.shared) {
        for (unsigned k = 0; k < g.step.n_shared; k++) {
            const int32_t *s = g.step.shared + 3 * k;

            t.seq = s[0];
            if (tile_in(&i, g.step.seq_first[s[0]], g.step.seq_first[s[0] + s[1]], tile_tokens,
                        &t)) {
                t.to = s[2] / SPLIT_PAGES;
                break;
            }
        }
    } else {
        for (t.seq = 0; t.seq < (int)g.step.n_seqs; t.seq++)
            if (tile_in(&i, g.step.seq_first[t.seq], g.step.seq_first[t.seq + 1], tile_tokens, &t))
                break;
        if (t.n_tokens != 0) {
            t.from = shared_splits(g, t.seq);
            t.to = g.step.pos[t.first + t.n_tokens - 1] / SPLIT_KEYS + 1;
        }
    }
    if (g.split) {
        if ((int)blockIdx.z < t.from || (int)blockIdx.z >= t.to)
            t.n_tokens = 0;
        t.from = (int)blockIdx.z;
        t.to = t.from + 1;
    }
    return t;
}

/* ---- the kernel ------------------------------------------------------------------------- */

/* Shared memory of a block. */
struct attn_shared {
    float *q;         /* [rows][hd] */
    float *tile;      /* [16][hd + 1]: a page of keys, then of values */
    float *p;         /* [rows][16]: scores, then weights */
    float *old, *now; /* [rows]: factors of what was summed before, and of what comes */
    int *pos;         /* [rows]: -1: sees nothing */
};

static inline __host__ __device__ size_t attn_floats(unsigned rows, unsigned hd)
{
    return (size_t)rows * hd + (size_t)KERN_CUDA_PAGE * (hd + 1) + (size_t)rows * KERN_CUDA_PAGE +
           3 * (size_t)rows;
}

static __device__ __forceinline__ struct attn_shared attn_lay_out(float *mem, unsigned rows,
                                                                  unsigned hd)
{
    struct attn_shared s;

    s.q = mem;
    s.tile = s.q + rows * hd;
    s.p = s.tile + KERN_CUDA_PAGE * (hd + 1);
    s.old = s.p + rows * KERN_CUDA_PAGE;
    s.now = s.old + rows;
    s.pos = (int *)(s.now + rows);
    return s;
}

/* A page's first n keys or values as floats, zeros behind them: what was never written may be no number. */
static __device__ __forceinline__ void load_page(const struct attn_args &g, unsigned char *block,
                                                 bool values, unsigned n, unsigned hd,
                                                 unsigned threads, float *tile)
{
#pragma unroll 2
    for (unsigned i = threadIdx.x; i < KERN_CUDA_PAGE * hd; i += threads)
        tile[i / hd * (hd + 1) + i % hd] =
            i / hd < n
                ? cuda_kv_value(g.kv.type, cuda_kv_row_of(g.kv, block, i / hd, values), i % hd)
                : 0.0f;
}

/* HD: head_dim, or 0: any up to 256. ROWS * 16 threads: each has the score of a row and a key, and HD / 16 numbers of the output. */
template <unsigned HD, unsigned ROWS>
static __global__ void __launch_bounds__(ROWS *KERN_CUDA_PAGE, 1) attn_kernel(struct attn_args g)
{
    enum { THREADS = ROWS * KERN_CUDA_PAGE, N_ACC = (HD == 0 ? 256 : HD) / 16 };
    const unsigned hd = HD == 0 ? g.kv.head_dim : HD, t = threadIdx.x;
    const unsigned row = t / KERN_CUDA_PAGE, key = t % KERN_CUDA_PAGE;
    const unsigned passes = (g.group + ROWS - 1) / ROWS; /* of a group with more heads than rows */
    const unsigned kv_head = blockIdx.y / passes, before = blockIdx.y % passes * ROWS;
    const unsigned heads = passes > 1 ? min(g.group - before, ROWS) : g.group;
    const unsigned head0 = kv_head * g.group + before;
    KERN_SHARED(float, mem);
    const struct attn_shared s = attn_lay_out(mem, ROWS, hd);
    const struct attn_tile rows = find_tile(g, ROWS / g.group == 0 ? 1 : (int)(ROWS / g.group));
    const unsigned n_rows = (unsigned)rows.n_tokens * heads;
    float acc[N_ACC], all[N_ACC];
    struct attn_sum whole = {-INFINITY, 0}; /* the same in all threads of a row */
    int low = INT_MAX, high = -1;           /* keys that some row sees */

    if (rows.n_tokens == 0)
        return; /* the whole block */
#pragma unroll 1
    for (unsigned i = t; i < ROWS * hd; i += THREADS) {
        const unsigned r = i / hd;

        s.q[i] = r < n_rows ? g.a.q[(rows.first + r / heads) * g.a.q_stride +
                                    (head0 + r % heads) * (size_t)hd + i % hd]
                            : 0.0f;
    }
    if (t < ROWS)
        s.pos[t] = t < n_rows ? g.step.pos[rows.first + t / heads] : -1;
    __syncthreads();
    if (g.kv.type == KERN_CUDA_KV_Q4)
        for (unsigned r = t / 32; r < ROWS; r += THREADS / 32)
            cuda_rotate(s.q + r * hd, hd, false, t % 32);
    for (unsigned r = 0; r < n_rows; r += heads)
        if (s.pos[r] >= 0) {
            low = min(low, first_key(g, s.pos[r]));
            high = max(high, s.pos[r]);
        }
    const int pos = s.pos[row], first = pos < 0 ? 0 : first_key(g, pos);

#pragma unroll
    for (unsigned n = 0; n < N_ACC; n++)
        all[n] = 0;
    for (int split = rows.from; split < rows.to; split++) {
        const int end = min((split + 1) * SPLIT_KEYS, high + 1);
        float most = -INFINITY, sum = 0;

#pragma unroll
        for (unsigned n = 0; n < N_ACC; n++)
            acc[n] = 0;
        for (int at = max(split * SPLIT_KEYS, low / KERN_CUDA_PAGE * KERN_CUDA_PAGE); at < end;
             at += KERN_CUDA_PAGE) {
            const uint32_t page =
                g.step.pages[(size_t)rows.seq * g.step.max_pages + at / KERN_CUDA_PAGE];
            unsigned char *block = cuda_kv_block(g.kv, page, g.layer, kv_head);
            const int k = at + (int)key;
            float score = 0, top = most;

            __syncthreads(); /* the values and weights of the page before were used */
            load_page(g, block, false, (unsigned)(end - at), hd, THREADS, s.tile);
            __syncthreads();
#pragma unroll 8
            for (unsigned i = 0; i < hd; i++)
                score = fmaf(s.q[row * hd + i], s.tile[key * (hd + 1) + i], score);
            score *= g.a.scale;
            if (g.a.cap > 0)
                score = g.a.cap * tanhf(score / g.a.cap);
            if (k < first || k > pos)
                score = -INFINITY;
            s.p[t] = score;
            __syncthreads(); /* the scores are there; keys were used */
            load_page(g, block, true, (unsigned)(end - at), hd, THREADS, s.tile);
            for (unsigned i = 0; i < KERN_CUDA_PAGE; i++)
                top = fmaxf(top, s.p[row * KERN_CUDA_PAGE + i]);
            __syncthreads(); /* scores were read */
            s.p[t] = score == -INFINITY ? 0.0f : expf(score - top);
            const float fix = most == -INFINITY ? 0.0f : expf(most - top);
            if (key == 0)
                s.old[row] = fix;
            __syncthreads();
            most = top;
            sum *= fix;
            for (unsigned i = 0; i < KERN_CUDA_PAGE; i++)
                sum += s.p[row * KERN_CUDA_PAGE + i];
#pragma unroll
            for (unsigned n = 0; n < N_ACC; n++) {
                const unsigned o = t + n * THREADS, r = o / hd, c = o % hd;

                if (HD == 0 && r >= ROWS)
                    break;
                acc[n] *= s.old[r];
#pragma unroll 4
                for (unsigned i = 0; i < KERN_CUDA_PAGE; i++)
                    acc[n] = fmaf(s.p[r * KERN_CUDA_PAGE + i], s.tile[i * (hd + 1) + c], acc[n]);
            }
        }
        __syncthreads(); /* s.old was used */
        if (g.split) {
            const size_t slots = (size_t)g.n_splits * g.a.n_heads; /* of a token */
            float *part = g.part + ((size_t)split * g.a.n_heads + head0) * hd;
            float2 *sums = g.sums + (size_t)split * g.a.n_heads + head0;

#pragma unroll
            for (unsigned n = 0; n < N_ACC; n++) {
                const unsigned o = t + n * THREADS, r = o / hd;

                if (r >= n_rows)
                    break;
                part[((rows.first + r / heads) * slots + r % heads) * hd + o % hd] = acc[n];
            }
            if (key == 0 && row < n_rows)
                sums[(rows.first + row / heads) * slots + row % heads] = make_float2(most, sum);
            return;
        }
        const float2 f = merge_factors(&whole, most, sum);

        if (key == 0) {
            s.old[row] = f.x;
            s.now[row] = f.y;
        }
        __syncthreads();
#pragma unroll
        for (unsigned n = 0; n < N_ACC; n++) {
            const unsigned r = (t + n * THREADS) / hd;

            if (HD == 0 && r >= ROWS)
                break;
            all[n] = merge_value(all[n], acc[n], make_float2(s.old[r], s.now[r]));
        }
    }
    __syncthreads();
    if (key == 0)
        s.now[row] = whole.sum;
    __syncthreads();
#pragma unroll
    for (unsigned n = 0; n < N_ACC; n++) {
        const unsigned o = t + n * THREADS;

        if (o / hd >= n_rows)
            break;
        s.q[o] = s.now[o / hd] > 0 ? all[n] / s.now[o / hd] : all[n] * s.now[o / hd];
    }
    __syncthreads();
    if (g.kv.type == KERN_CUDA_KV_Q4)
        for (unsigned r = t / 32; r < n_rows; r += THREADS / 32)
            cuda_rotate(s.q + r * hd, hd, true, t % 32);
    __syncthreads();
#pragma unroll 1
    for (unsigned i = t; i < n_rows * hd; i += THREADS)
        g.a.out[(rows.first + i / hd / heads) * g.a.out_stride +
                (head0 + i / hd % heads) * (size_t)hd + i % hd] = s.q[i];
}

/* A block a token and head: its splits in order. Threads: at least hd, and a multiple of 32. */
static __global__ void merge_kernel(struct attn_args g)
{
    const unsigned hd = g.kv.head_dim, token = blockIdx.x, head = blockIdx.y, t = threadIdx.x;
    const int pos = g.step.pos[token];
    KERN_SHARED(float, row);
    struct attn_sum whole = {-INFINITY, 0};
    float all = 0;

    for (int split = 0; split < (int)g.n_splits && split * SPLIT_KEYS <= pos; split++) {
        const size_t slot = ((size_t)token * g.n_splits + split) * g.a.n_heads + head;

        if (!sees(g, pos, split))
            continue;
        const float2 of = g.sums[slot];
        const float2 f = merge_factors(&whole, of.x, of.y);

        if (t < hd)
            all = merge_value(all, g.part[slot * hd + t], f);
    }
    if (t < hd)
        row[t] = whole.sum > 0 ? all / whole.sum : all * whole.sum;
    __syncthreads();
    if (g.kv.type == KERN_CUDA_KV_Q4 && t < 32)
        cuda_rotate(row, hd, true, t);
    __syncthreads();
    if (t < hd)
        g.a.out[token * g.a.out_stride + head * (size_t)hd + t] = row[t];
}

/* ---- launchers -------------------------------------------------------------------------- */

template <unsigned HD, unsigned ROWS>
static void launch(struct kern_cuda *c, const struct attn_args &g)
{
    const unsigned tokens = ROWS / g.group == 0 ? 1 : ROWS / g.group;
    const unsigned passes = (g.group + ROWS - 1) / ROWS;
    const unsigned groups = g.shared ? g.step.n_shared : g.step.n_seqs;
    const dim3 grid(min(g.step.n_tokens, g.step.n_tokens / tokens + groups),
                    g.kv.n_kv_heads * passes, g.split ? g.n_splits : 1);

    kern_cuda_run(c, "attention", attn_kernel<HD, ROWS>, grid, dim3(ROWS * KERN_CUDA_PAGE),
                  attn_floats(ROWS, g.kv.head_dim) * sizeof(float), g);
}

/* Heads that most models have get their own code; for larger ones fewer rows, which fit into 48 KiB. */
static void launch_rows(struct kern_cuda *c, const struct attn_args &g, bool many)
{
    switch (g.kv.head_dim) {
    case 64:
        many ? launch<64, MANY_ROWS>(c, g) : launch<64, FEW_ROWS>(c, g);
        break;
    case 128:
        many ? launch<128, MANY_ROWS>(c, g) : launch<128, FEW_ROWS>(c, g);
        break;
    case 256:
        many ? launch<256, MANY_ROWS / 2>(c, g) : launch<256, FEW_ROWS>(c, g);
        break;
    default:
        many ? launch<0, MANY_ROWS / 2>(c, g) : launch<0, FEW_ROWS>(c, g);
        break;
    }
}

static unsigned n_splits(unsigned max_keys)
{
    return (max_keys + SPLIT_KEYS - 1) / SPLIT_KEYS;
}

size_t kern_cuda_attn_scratch(const struct kern_cuda *c, unsigned max_tokens, unsigned max_keys,
                              unsigned n_heads, unsigned head_dim)
{
    const size_t tokens = max_tokens < SPLIT_TOKENS ? max_tokens : (unsigned)SPLIT_TOKENS;
    const size_t slots = tokens * n_splits(max_keys) * n_heads;

    (void)c;
    return slots * (head_dim * sizeof(float) + sizeof(float2));
}

void kern_cuda_attn(struct kern_cuda *c, const struct kern_cuda_kv *kv, unsigned layer,
                    const struct kern_cuda_step *s, const struct kern_cuda_attn *a)
{
    struct attn_args g = {};
    const bool decode = s->n_tokens == s->n_seqs;

    g.kv = *kv;
    g.step = *s;
    g.a = *a;
    g.layer = layer;
    g.group = a->n_heads / kv->n_kv_heads;
    g.n_splits = n_splits(s->max_keys);
    g.split = s->n_tokens <= SPLIT_TOKENS && g.n_splits > 1;
    if (s->n_tokens == 0)
        return;
    if (g.split) {
        const size_t slots = (size_t)s->n_tokens * g.n_splits * a->n_heads;

        g.sums =
            (float2 *)kern_cuda_scratch(c, slots * (kv->head_dim * sizeof(float) + sizeof(float2)));
        if (g.sums == NULL)
            return; /* the context remembers why */
        g.part = (float *)(g.sums + slots);
    }
    launch_rows(c, g, !decode);
    if (g.split && s->n_shared != 0) {
        g.shared = true;
        launch_rows(c, g, true);
        g.shared = false;
    }
    if (g.split)
        kern_cuda_run(c, "attention's merge", merge_kernel, dim3(s->n_tokens, a->n_heads),
                      dim3((kv->head_dim + 31) / 32 * 32), kv->head_dim * sizeof(float), g);
}
