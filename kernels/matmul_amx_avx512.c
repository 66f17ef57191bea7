/* kernels/matmul_amx_avx512.c - the matrix product of the table "amx": int8 and bfloat16 on tiles. Pure; any thread.
 *
 * Quantized matrices: up to DECODE_TOKENS tokens go the way of the table "avx512"; for more, the sums of 32 (16 where a
 * type has two scales a tile) code * activation products come from TDPBSUD, 16 tokens by 16 rows at once. An unpacked
 * tile of a panel is what the instruction wants as its second operand, the blocks of activations are its first, where
 * they are. What follows, from integers to floats, are the operations of "avx512" in their order, so the bits are those
 * of that table, and do not depend on the number of tokens.
 *
 * BF16 matrices: a float is the sum of three bfloat16, exactly, so three TDPBF16PS a step give the product of the
 * floats themselves, rounded in sums only; for one token as for many, since the sums must be the same. */
#include <math.h>
#include <string.h>

#include "kernels/amx.h"
#include "kernels/ops_avx512.h"
#include "kernels/tile_avx512.h"

enum {
    DECODE_TOKENS = 8,
    AMX_TOKENS = 16,
    CHUNK_TILES = 8,  /* 4 KiB of codes, 8 to 32 KiB of sums */
    PAIR_COLS = 32,   /* columns of a step of bfloat16 */
    CHUNK_COLS = 256, /* 24 KiB of activations in parts */
    PARTS = 3,
};

/* Tiles 0 and 1 are sums, 2 and 3 first, 4 and 5 second operands; `a` and `b` are the bytes of a row of a first, the
 * rows of a second. */
static void configure(unsigned n_tokens, unsigned a_bytes, unsigned b_rows)
{
    struct amx_config c = {.palette = 1};

    for (unsigned i = 0; i < 6; i++) {
        c.row_bytes[i] = (uint16_t)(i / 2 == 1 ? a_bytes : 64);
        c.rows[i] = (uint8_t)(i / 2 == 2 ? b_rows : n_tokens);
    }
    amx_configure(&c);
}

/* Tiles [from, to) of a panel, times the tokens [token, token + n). */
struct part {
    const struct kern_acts *x;
    size_t from, to, token;
    unsigned n;
    struct wide_tile wide[CHUNK_TILES] __attribute__((aligned(64)));
    /* [tile][half][token][row], of the plane q and of the rests */
    int32_t sum[CHUNK_TILES][2][AMX_TOKENS][PANEL_ROWS] __attribute__((aligned(64)));
    int32_t rest[CHUNK_TILES][2][AMX_TOKENS][PANEL_ROWS] __attribute__((aligned(64)));
    bool has_rests[CHUNK_TILES]; /* of a token here */
};

static bool any_rests(const struct part *p, size_t b)
{
    int32_t any = 0;

    for (unsigned t = 0; t < p->n; t++)
        any |= p->x->blocks[(p->token + t) * p->x->stride + b].has_rests;
    return any != 0;
}

/* The sums of a tile and a half of it; two sets of tiles take turns. */
INLINE void sum_tile(struct part *p, bool fine, size_t b, int half, size_t half_bytes)
{
    const size_t i = b - p->from, at = p->token * p->x->stride + b;
    const size_t off = (size_t)half * half_bytes;

    AMX_LOAD(2, p->x->blocks[at].q + off, p->x->stride * sizeof(*p->x->blocks));
    AMX_LOAD(4, p->wide[i].q[4 * half], 64);
    AMX_ZERO(0);
    AMX_DOT_SU(0, 2, 4);
    AMX_STORE(0, p->sum[i][half], 64);
    if (!fine || !p->has_rests[i])
        return;
    AMX_LOAD(3, p->x->rests + at * KERN_BLOCK + off, p->x->stride * KERN_BLOCK);
    AMX_ZERO(1);
    AMX_DOT_SU(1, 3, 4);
    AMX_STORE(1, p->rest[i][half], 64);
}

/* sum of codes * activations of a half of tile i and token t: 16 rows. */
INLINE __m512i finish_sum(enum kern_type type, bool fine, const struct part *p, size_t i, int half,
                          unsigned t, const struct kern_act_block *x)
{
    __m512i sum = _mm512_load_si512(p->sum[i][half][t]);

    if (fine)
        sum = _mm512_slli_epi32(sum, 8);
    if (!has_min(type))
        sum = _mm512_add_epi32(sum, start_sum(type, half, x));
    if (fine && p->has_rests[i])
        sum = _mm512_add_epi32(sum, _mm512_load_si512(p->rest[i][half][t]));
    return sum;
}

/* out += what the tiles give one token. */
INLINE void finish_token(enum kern_type type, bool fine, const struct part *p, unsigned t,
                         float *out, __mmask16 rows)
{
    const struct kern_act_block *x = p->x->blocks + (p->token + t) * p->x->stride + p->from;
    __m512 f = p->from == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, out);

    for (size_t i = 0; i < p->to - p->from; i++, x++) {
        const struct tile w = {.wide = &p->wide[i]};
        __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(finish_sum(type, fine, p, i, 0, t, x)),
                                 tile_scale(&w, 0));

        if (has_halves(type))
            v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(finish_sum(type, fine, p, i, 1, t, x)),
                                tile_scale(&w, 1), v);
        f = add_product(type, v, &w, x, f);
    }
    _mm512_mask_storeu_ps(out, rows, f);
}

/* One panel, all columns, many tokens. */
INLINE void run_panel(enum kern_type type, bool fine, const char *panel, size_t n_tiles,
                      unsigned n_tokens, struct part *p, float *out, size_t out_stride,
                      __mmask16 rows)
{
    const unsigned k = has_halves(type) ? KERN_BLOCK / 2 : KERN_BLOCK;
    struct tile w;

    for (p->from = 0; p->from < n_tiles; p->from = p->to) {
        p->to = p->from + CHUNK_TILES < n_tiles ? p->from + CHUNK_TILES : n_tiles;
        for (size_t b = p->from; b < p->to; b++) {
            load_tile(type, panel, b, &w, 0);
            store_wide(type, &w, &p->wide[b - p->from]);
        }
        for (p->token = 0; p->token < n_tokens; p->token += p->n) {
            const unsigned left = n_tokens - (unsigned)p->token;
            const unsigned n = left < AMX_TOKENS ? left : AMX_TOKENS;

            if (n != p->n)
                configure(n, k, k / 4);
            p->n = n;
            for (size_t b = p->from; b < p->to; b++) {
                p->has_rests[b - p->from] = fine && any_rests(p, b);
                sum_tile(p, fine, b, 0, k);
                if (has_halves(type))
                    sum_tile(p, fine, b, 1, k);
            }
            for (unsigned t = 0; t < n; t++)
                finish_token(type, fine, p, t, out + (p->token + t) * out_stride, rows);
        }
    }
}

INLINE void matmul(enum kern_type type, bool fine, const struct kern_matrix *w,
                   const struct kern_acts *x, unsigned n_tokens, float *out, size_t out_stride,
                   size_t row_from, size_t row_to)
{
    const size_t bytes = panel_bytes(type, w->cols);
    struct part p;

    if (n_tokens <= DECODE_TOKENS) {
        kern_avx512_matmul(w, x, n_tokens, out, out_stride, row_from, row_to);
        return;
    }
    p.x = x;
    p.n = 0;
    for (size_t row = row_from; row < row_to; row += PANEL_ROWS)
        run_panel(type, fine, (const char *)w->data + row / PANEL_ROWS * bytes,
                  w->cols / KERN_BLOCK, n_tokens, &p, out + row, out_stride,
                  lanes_below(row_to - row));
    amx_release();
}

/* ---- bfloat16 ---------------------------------------------------------------------------- */

/* Activations of some tokens and columns in three parts, x = [0] + [1] + [2]. */
struct parts {
    uint16_t of[PARTS][AMX_TOKENS][CHUNK_COLS] __attribute__((aligned(64)));
};

/* The upper half of each float, which is a bfloat16; what is left of the float. A NaN stays one. */
INLINE __m512 split_off(__m512 x, uint16_t *out)
{
    const __m512i upper =
        _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32((int)0xffff0000u));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    const __m512i kept = _mm512_mask_mov_epi32(upper, nan, _mm512_set1_epi32(0x7fc00000));
    /* nothing is left of what is not finite */
    const __mmask16 finite =
        _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(INFINITY), _CMP_LT_OQ);

    _mm256_storeu_si256((__m256i *)(void *)out, _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16)));
    return _mm512_maskz_sub_ps(finite, x, _mm512_castsi512_ps(upper));
}

/* Columns [col, col + n) of m tokens, zeroes behind them up to whole steps. */
static void split(struct parts *p, const float *x, size_t x_stride, unsigned m, size_t n)
{
    const size_t end = (n + PAIR_COLS - 1) / PAIR_COLS * PAIR_COLS;

    for (unsigned t = 0; t < m; t++) {
        for (size_t i = 0; i < end; i += VF_LANES) {
            __m512 v = i < n ? vf_load_n(x + t * x_stride + i, n - i) : vf_zero();

            for (unsigned k = 0; k < PARTS; k++)
                v = split_off(v, &p->of[k][t][i]);
        }
    }
}

/* Tile 0 += one panel's columns of a chunk times the tokens of p; n columns, of which the weights are at w. */
static void dot_chunk(const struct parts *p, const uint16_t *w, size_t n)
{
    for (size_t i = 0; i < n; i += PAIR_COLS) {
        const uint16_t *from = w + i * PANEL_ROWS;
        uint16_t last[PAIR_COLS * PANEL_ROWS] __attribute__((aligned(64)));

        if (n - i < PAIR_COLS) { /* the panel ends within the step */
            const size_t bytes = (n - i + 1) / 2 * 2 * PANEL_ROWS * sizeof(*w);

            memset(last, 0, sizeof(last));
            memcpy(last, from, bytes);
            from = last;
        }
        AMX_LOAD(4, from, 64);
        AMX_LOAD(2, &p->of[2][0][i], sizeof(p->of[0][0]));
        AMX_DOT_BF16(0, 2, 4);
        AMX_LOAD(3, &p->of[1][0][i], sizeof(p->of[0][0]));
        AMX_DOT_BF16(0, 3, 4);
        AMX_LOAD(2, &p->of[0][0][i], sizeof(p->of[0][0]));
        AMX_DOT_BF16(0, 2, 4);
    }
}

/* Rows [row, row + 16) of m tokens, the columns from `col` on; sums so far wait in out. */
static void bf16_panel(const struct kern_matrix *w, const struct parts *p, unsigned m, size_t row,
                       size_t row_to, size_t col, size_t n, float *out, size_t out_stride)
{
    const uint16_t *panel =
        (const uint16_t *)w->data +
        row / PANEL_ROWS * (panel_bytes(KERN_TYPE_BF16, w->cols) / sizeof(*panel)) +
        col * PANEL_ROWS;
    const __mmask16 rows = lanes_below(row_to - row);
    float sums[AMX_TOKENS][PANEL_ROWS] __attribute__((aligned(64)));

    if (col == 0) {
        AMX_ZERO(0);
    } else {
        for (unsigned t = 0; t < m; t++)
            _mm512_store_ps(sums[t], _mm512_maskz_loadu_ps(rows, out + t * out_stride + row));
        AMX_LOAD(0, sums, 64);
    }
    dot_chunk(p, panel, n);
    AMX_STORE(0, sums, 64);
    for (unsigned t = 0; t < m; t++)
        _mm512_mask_storeu_ps(out + t * out_stride + row, rows, _mm512_load_ps(sums[t]));
}

static void matmul_bf16(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                        float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    struct parts p;
    unsigned m, before = 0;

    for (size_t col = 0; col < w->cols; col += CHUNK_COLS) {
        const size_t n = w->cols - col < CHUNK_COLS ? w->cols - col : CHUNK_COLS;

        for (unsigned t = 0; t < n_tokens; t += m) {
            m = n_tokens - t < AMX_TOKENS ? n_tokens - t : AMX_TOKENS;
            if (m != before)
                configure(m, 64, AMX_TOKENS);
            before = m;
            split(&p, x->x + t * x->x_stride + col, x->x_stride, m, n);
            for (size_t row = row_from; row < row_to; row += PANEL_ROWS)
                bf16_panel(w, &p, m, row, row_to, col, n, out + t * out_stride, out_stride);
        }
    }
    amx_release();
}

static void matmul_float(const struct kern_matrix *w, const struct kern_acts *x, unsigned n_tokens,
                         float *out, size_t out_stride, size_t row_from, size_t row_to)
{
    if (w->type == KERN_TYPE_BF16)
        matmul_bf16(w, x, n_tokens, out, out_stride, row_from, row_to);
    else
        kern_avx512_matmul_float(w, x, n_tokens, out, out_stride, row_from, row_to);
}

#define MATMUL_TABLE       kern_amx_matmul
#define MATMUL_TABLE_FLOAT matmul_float
#include "kernels/matmul_types.h"
