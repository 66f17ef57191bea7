/* kernels/kv_code.c - rotating and coding keys and values; see kv_code.h. The same for every table, so that a
 * cache has the same bytes whatever wrote it. Pure; any thread. */
#include "kernels/kv_code.h"

#include <math.h>

/* Levels that minimise the squared error of a standard normal value (Lloyd, Max). */
#define NORMAL_3 -2.1520f, -1.3439f, -0.7560f, -0.2451f, 0.2451f, 0.7560f, 1.3439f, 2.1520f
#define NORMAL_4                                                                                   \
    -2.7326f, -2.0690f, -1.6181f, -1.2562f, -0.9424f, -0.6568f, -0.3881f, -0.1284f, 0.1284f,       \
        0.3881f, 0.6568f, 0.9424f, 1.2562f, 1.6181f, 2.0690f, 2.7326f

static const float levels_i4[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
static const float levels_3[16] = {NORMAL_3, NORMAL_3};
static const float levels_4[16] = {NORMAL_4};
static const float levels_sketch[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1, 1};

/* Drawn once. */
const uint64_t kern_kv_signs[KERN_KV_TURNS][KV_CODE_MAX_DIM / 64] = {
    {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0x2545f4914f6cdd1d,
     0xd6e8feb86659fd93, 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3},
    {0x589965cc75374cc3, 0x1d8e4e27c47d124f, 0xeb44accab455d165, 0x6c62272e07bb0142,
     0xcbf29ce484222325, 0x7fb5d329728ea185, 0x81dadef4bc2dd44d, 0x4cf5ad432745937f},
};

struct kern_kv_form kern_kv_form(enum kern_kv_type type, unsigned head_dim)
{
    const unsigned groups = (head_dim + KV_CODE_GROUP - 1) / KV_CODE_GROUP;
    const unsigned all = (unsigned)kern_kv_padded(head_dim);

    if (type == KERN_KV_POLAR3)
        return (struct kern_kv_form){3, 3, 1, 1, all, levels_3, levels_3, NULL};
    if (type == KERN_KV_QJL)
        return (struct kern_kv_form){4, 4, 2, 1, all, levels_3, levels_4, levels_sketch};
    if (type == KERN_KV_POLAR4)
        return (struct kern_kv_form){4, 4, 1, 1, all, levels_4, levels_4, NULL};
    return (struct kern_kv_form){4, 4, groups, groups, KV_CODE_GROUP, levels_i4, levels_i4, NULL};
}

size_t kern_kv_block_bytes(enum kern_kv_type type, unsigned head_dim)
{
    const size_t values = (size_t)head_dim * KERN_KV_BLOCK * 2;
    struct kern_kv_form f;

    if (type == KERN_KV_F16)
        return values * sizeof(uint16_t);
    if (kern_kv_is_byte(type))
        return values + sizeof(float) * KERN_KV_BLOCK * 2;
    f = kern_kv_form(type, head_dim);
    return kern_kv_padded(head_dim) * KERN_KV_BLOCK * (f.k_bits + f.v_bits) / 8 +
           (size_t)(f.k_rows + f.v_rows) * KERN_KV_BLOCK * sizeof(uint16_t);
}

/* ---- rotating --------------------------------------------------------------------------- */

static void flip_signs(float *x, size_t n, enum kern_kv_turn turn)
{
    for (size_t i = 0; i < n; i++)
        if (kern_kv_signs[turn][i / 64] >> i % 64 & 1)
            x[i] = -x[i];
}

/* Walsh-Hadamard transform of n numbers, a power of two; it is its own inverse. */
static void transform(float *x, size_t n)
{
    const float norm = 1.0f / sqrtf((float)n);

    for (size_t half = 1; half < n; half *= 2) {
        for (size_t i = 0; i < n; i += 2 * half) {
            for (size_t j = i; j < i + half; j++) {
                const float a = x[j], b = x[j + half];

                x[j] = a + b;
                x[j + half] = a - b;
            }
        }
    }
    for (size_t i = 0; i < n; i++)
        x[i] *= norm;
}

static void transform_pieces(float *x, size_t n)
{
    for (size_t piece; n != 0; x += piece, n -= piece) {
        piece = kern_kv_piece(n);
        transform(x, piece);
    }
}

void kern_kv_rotate(float *x, size_t n, enum kern_kv_turn turn)
{
    flip_signs(x, n, turn);
    transform_pieces(x, n);
}

void kern_kv_rotate_back(float *x, size_t n, enum kern_kv_turn turn)
{
    transform_pieces(x, n);
    flip_signs(x, n, turn);
}

/* ---- coding ----------------------------------------------------------------------------- */

/* A scale as it is kept, and its inverse, 0 where there is none. */
static uint16_t keep_scale(float d, float *kept, float *inverse)
{
    const uint16_t h = kern_f32_f16(kern_kv_held(d));

    *kept = kern_f16_f32(h);
    *inverse = *kept != 0 && fabsf(1.0f / *kept) < INFINITY ? 1.0f / *kept : 0;
    return h;
}

/* The place of x among levels -8 to 7. */
static uint8_t code_i4(float x)
{
    const float at = rintf(x) + 8.0f;

    return (uint8_t)(at > 15 ? 15 : at > 0 ? at : 0); /* NaN: 0 */
}

/* The nearest of n levels, a power of two. */
static uint8_t code_level(const float *levels, unsigned n, float x)
{
    unsigned at = 0;

    for (unsigned half = n / 2; half != 0; half /= 2)
        if (x > 0.5f * (levels[at + half - 1] + levels[at + half]))
            at += half;
    return (uint8_t)at;
}

/* Groups of 32 whose number of largest magnitude becomes -8. */
static void code_groups(const float *x, size_t n, uint8_t *codes, uint16_t *scales)
{
    for (size_t g = 0; g * KV_CODE_GROUP < n; g++) {
        const size_t from = g * KV_CODE_GROUP,
                     to = from + KV_CODE_GROUP < n ? from + KV_CODE_GROUP : n;
        float most = 0, d, inverse;
        bool is_nan = false;

        for (size_t i = from; i < to; i++) {
            most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
            is_nan = is_nan || isnan(x[i]);
        }
        scales[g * KERN_KV_BLOCK] = keep_scale(is_nan ? NAN : most / -8.0f, &d, &inverse);
        for (size_t i = from; i < to; i++)
            codes[i] = code_i4(x[i] * inverse);
    }
}

/* One scale, with which what is decoded is as long as x. Returns it, and what each code decodes to without it. */
static float code_normal(const float *x, size_t n, const float *levels, unsigned n_levels,
                         uint8_t *codes, uint16_t *scale)
{
    double squares = 0, coded = 0;
    float d, inverse;

    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    inverse = squares > 0 ? (float)sqrt((double)n / squares) : 0;
    if (!(inverse < INFINITY))
        inverse = 0;
    for (size_t i = 0; i < n; i++) {
        codes[i] = code_level(levels, n_levels, x[i] * inverse);
        coded += (double)levels[codes[i]] * (double)levels[codes[i]];
    }
    *scale = keep_scale((float)sqrt(squares / coded), &d, &inverse);
    return d;
}

/* Bit 3 of the codes: the signs of what they lost, rotated once more; and the scale that makes up for knowing
 * no more than those: sqrt(pi / 2) |lost| / sqrt(n). */
static void sketch(const float *x, size_t n, const float *levels, float d, uint8_t *codes,
                   uint16_t *scale)
{
    float lost[KV_CODE_MAX_DIM] = {0}, kept, inverse;
    double squares = 0;

    for (size_t i = 0; i < n; i++) {
        lost[i] = x[i] - d * levels[codes[i]];
        squares += (double)lost[i] * (double)lost[i];
    }
    kern_kv_rotate(lost, n, KERN_KV_TURN_SKETCH);
    for (size_t i = 0; i < n; i++)
        codes[i] |= lost[i] > 0 ? 8 : 0;
    *scale = keep_scale((float)sqrt(squares * 1.5707963267948966 / (double)n), &kept, &inverse);
}

static void store_key(uint8_t *out, unsigned bits, const uint8_t *codes, size_t dim, size_t key)
{
    out += key;
    if (bits == 4) {
        for (size_t i = 0; i < dim; i += 2, out += KERN_KV_BLOCK)
            *out = (uint8_t)(codes[i] | codes[i + 1] << 4);
        return;
    }
    for (size_t i = 0; i < dim; i += 8) {
        uint32_t all = 0;

        for (unsigned j = 0; j < 8; j++)
            all |= (uint32_t)codes[i + j] << 3 * j;
        for (unsigned j = 0; j < 3; j++, out += KERN_KV_BLOCK)
            *out = (uint8_t)(all >> 8 * j & 255);
    }
}

static void store_value(uint8_t *out, unsigned bits, const uint8_t *codes, size_t dim, size_t key)
{
    out += key * dim * bits / 8;
    if (bits == 4) {
        for (size_t i = 0; i < dim; i += 16, out += 8)
            for (unsigned j = 0; j < 8; j++)
                out[j] = (uint8_t)(codes[i + j] | codes[i + j + 8] << 4);
        return;
    }
    for (size_t i = 0; i < dim; i += 8) {
        uint32_t all = 0;

        for (unsigned j = 0; j < 8; j++)
            all |= (uint32_t)codes[i + j] << 3 * j;
        for (unsigned j = 0; j < 3; j++)
            *out++ = (uint8_t)(all >> 8 * j & 255);
    }
}

void kern_kv_put_code(const struct kern_kv *kv, size_t pos, const float *k, const float *v)
{
    const struct kern_kv_form f = kern_kv_form(kv->type, kv->head_dim);
    const struct kern_kv_coded b = kern_kv_coded(kv, &f, pos / KERN_KV_BLOCK);
    const size_t n = kv->head_dim, padded = kern_kv_padded(kv->head_dim), key = pos % KERN_KV_BLOCK;
    uint8_t codes[KV_CODE_MAX_DIM] = {0};
    float d;

    if (kv->type == KERN_KV_I4) {
        code_groups(k, n, codes, b.k_scale + key);
    } else {
        d = code_normal(k, n, f.k_levels, f.k_bits == 3 || f.k_sketch != NULL ? 8 : 16, codes,
                        b.k_scale + key);
        if (f.k_sketch != NULL)
            sketch(k, n, f.k_levels, d, codes, b.k_scale + KERN_KV_BLOCK + key);
    }
    store_key(b.k, f.k_bits, codes, padded, key);
    if (kv->type == KERN_KV_I4)
        code_groups(v, n, codes, b.v_scale + key);
    else
        (void)code_normal(v, n, f.v_levels, f.v_bits == 3 ? 8 : 16, codes, b.v_scale + key);
    store_value(b.v, f.v_bits, codes, padded, key);
}
