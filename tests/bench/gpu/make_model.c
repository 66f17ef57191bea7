/* tests/bench/gpu/make_model.c - writes a GGUF model of a real shape with random weights, for measuring speed where nothing can be fetched.
 *
 * usage: make_model OUT Q4_0|Q4_K_M [--layers N] [--embd N] [--heads N] [--kv-heads N] [--head-dim N] [--ffn N] [--vocab N] [--context N]
 * Without options it is of the shape of Llama 3.1 8B: 4.7 GB in Q4_0, 4.9 GB in Q4_K_M. Types by tensor as llama.cpp's own files have them: the output
 * in Q6_K, and with Q4_K_M the values and half of the "down" matrices of the layers that quantize.c calls sensitive. Bits are random, scales are random
 * around the value with which a row keeps its input's size; norms are ones. The vocabulary is bytes and filler; the control tokens' rows of
 * the output are zeros, so that a greedy answer never ends by itself. A piece at a time goes to the file: memory stays small. One thread. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/gguf_write.h"
#include "kernels/kernels.h"

enum { PIECE = 1 << 20, N_CONTROL = 2, MAX_NAME = 64 };

struct shape {
    unsigned layers, embd, heads, kv_heads, head_dim, ffn, vocab, context;
};

struct maker {
    struct shape s;
    bool mixed; /* Q4_K_M */
    struct gguf_writer head;
    int fd;
    uint64_t seed;
    uint8_t *piece; /* PIECE bytes */
};

static void die(const char *what, const char *why)
{
    (void)fprintf(stderr, "make_model: %s: %s\n", what, why);
    exit(1);
}

/* ---- random blocks ---------------------------------------------------------------------------- */

/* splitmix64 (Sebastiano Vigna, public domain). */
static uint64_t next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* size times 0.75 to 1.25, as a half. */
static uint16_t scale(uint64_t *seed, float size)
{
    return kern_f32_f16(size * (0.75f + 0.5f * (float)(next(seed) >> 40) / 16777216.0f));
}

/* The spread of a weight over its block's d, all bits random: of q - 8; of sc * q with a minimum of 7.5 times its scale; of sc * (q - 32). */
static float spread(uint32_t type)
{
    return type == KERN_TYPE_Q4_0 ? 4.7f : type == KERN_TYPE_Q4_K ? 261 : 1367;
}

/* Blocks of a matrix whose rows have so many columns. Scales are in place; everything else is random. */
static void fill(uint8_t *p, size_t n_blocks, uint32_t type, float d, uint64_t *seed)
{
    const size_t bytes = n_blocks * kern_type_info(type)->block_bytes;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        const uint64_t v = next(seed);

        memcpy(p + i, &v, 8);
    }
    for (; i < bytes; i++)
        p[i] = (uint8_t)next(seed);
    for (i = 0; i < n_blocks; i++) {
        if (type == KERN_TYPE_Q4_0) {
            struct kern_block_q4_0 *b = (struct kern_block_q4_0 *)(void *)p + i;

            b->d = scale(seed, d);
        } else if (type == KERN_TYPE_Q4_K) {
            struct kern_block_q4_k *b = (struct kern_block_q4_k *)(void *)p + i;

            b->d = scale(seed, d);
            b->dmin = kern_f32_f16(7.5f * kern_f16_f32(b->d));
        } else {
            ((struct kern_block_q6_k *)(void *)p + i)->d = scale(seed, d);
        }
    }
}

/* ---- the file ----------------------------------------------------------------------------------- */

static void put(const struct maker *m, const void *bytes, size_t n)
{
    const char *p = bytes;

    while (n > 0) {
        const ssize_t k = write(m->fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            die("cannot write", strerrordesc_np(errno));
        p += k;
        n -= (size_t)k;
    }
}

static void pad(const struct maker *m, uint64_t bytes)
{
    static const char zeros[GGUF_WRITE_ALIGNMENT];

    put(m, zeros, gguf_write_padded(bytes) - bytes);
}

/* A matrix; the last n_zero rows are zeros. */
static void put_matrix(struct maker *m, uint32_t type, uint64_t cols, uint64_t rows,
                       uint64_t n_zero)
{
    const struct kern_type_info *t = kern_type_info(type);
    const size_t row = cols / t->block_elems * t->block_bytes;
    const float d = 1 / (spread(type) * sqrtf((float)cols));

    for (uint64_t at = 0, n; at < rows; at += n) {
        const bool zero = at >= rows - n_zero;
        const uint64_t left = zero ? rows - at : rows - n_zero - at;

        n = PIECE / row < left ? PIECE / row : left;
        if (zero)
            memset(m->piece, 0, n * row);
        else
            fill(m->piece, n * row / t->block_bytes, type, d, &m->seed);
        put(m, m->piece, n * row);
    }
    pad(m, row * rows);
}

static void put_ones(struct maker *m, uint64_t n)
{
    float *x = (float *)(void *)m->piece;

    for (uint64_t i = 0; i < n; i++)
        x[i] = 1;
    put(m, x, n * sizeof(float));
    pad(m, n * sizeof(float));
}

/* ---- the tensors ---------------------------------------------------------------------------- */

/* write: the bytes too; else only what the head says of it. */
static void tensor(struct maker *m, bool write, const char *name, uint32_t type, uint64_t cols,
                   uint64_t rows)
{
    const uint64_t dims[2] = {cols, rows};
    const bool output = strcmp(name, "output.weight") == 0;

    if (!write) {
        if (gguf_write_tensor(&m->head, gw_span_str(name), type, rows == 0 ? 1 : 2, dims) ==
            UINT64_MAX)
            die(name, "its size does not fit its type: columns must be a multiple of the block");
    } else if (rows == 0) {
        put_ones(m, cols);
    } else {
        put_matrix(m, type, cols, rows, output ? N_CONTROL : 0);
    }
}

/* As engine/quantize.c and llama.cpp choose them. */
static bool is_sensitive(unsigned i, unsigned n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static void tensors(struct maker *m, bool write)
{
    const struct shape *s = &m->s;
    const uint64_t d = s->embd, q = (uint64_t)s->heads * s->head_dim,
                   kv = (uint64_t)s->kv_heads * s->head_dim;
    const uint32_t base = m->mixed ? KERN_TYPE_Q4_K : KERN_TYPE_Q4_0;

    tensor(m, write, "token_embd.weight", base, d, s->vocab);
    tensor(m, write, "output_norm.weight", KERN_TYPE_F32, d, 0);
    tensor(m, write, "output.weight", KERN_TYPE_Q6_K, d, s->vocab);
    for (unsigned i = 0; i < s->layers; i++) {
        const uint32_t more = m->mixed && is_sensitive(i, s->layers) ? KERN_TYPE_Q6_K : base;
        const struct {
            const char *name;
            uint32_t type;
            uint64_t cols, rows;
        } all[] = {{"attn_norm", KERN_TYPE_F32, d, 0},
                   {"ffn_norm", KERN_TYPE_F32, d, 0},
                   {"attn_q", base, d, q},
                   {"attn_k", base, d, kv},
                   {"attn_v", more, d, kv},
                   {"attn_output", base, q, d},
                   {"ffn_gate", base, d, s->ffn},
                   {"ffn_up", base, d, s->ffn},
                   {"ffn_down", more, s->ffn, d}};

        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
            char name[MAX_NAME];

            (void)snprintf(name, sizeof(name), "blk.%u.%s.weight", i, all[k].name);
            tensor(m, write, name, all[k].type, all[k].cols, all[k].rows);
        }
    }
}

/* ---- the head --------------------------------------------------------------------------------- */

static void add_string(struct gw_buf *b, const char *s)
{
    const uint64_t n = strlen(s);

    gw_buf_add(b, (struct gw_span){(const char *)&n, sizeof(n)});
    gw_buf_adds(b, s);
}

/* The printable character that byte-level BPE maps a byte to, as UTF-8. */
static void byte_token(unsigned byte, char out[4])
{
    static const unsigned kept[][2] = {{33, 127}, {161, 173}, {174, 256}};
    unsigned c = 256;

    for (unsigned b = 0; b <= byte; b++) {
        bool keep = false;

        for (size_t i = 0; i < 3; i++)
            keep = keep || (b >= kept[i][0] && b < kept[i][1]);
        if (b == byte)
            c = keep ? b : c;
        else
            c += !keep;
    }
    if (c < 128) {
        out[0] = (char)c;
        out[1] = '\0';
    } else {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 63));
        out[2] = '\0';
    }
}

static void vocabulary(struct maker *m)
{
    const unsigned n = m->s.vocab;
    struct gw_buf tokens = {0}, types = {0};

    for (unsigned i = 0; i < n; i++) {
        const bool control = i >= n - N_CONTROL;
        const int32_t type = control ? 3 : 1;
        char name[MAX_NAME];

        if (i < 256)
            byte_token(i, name);
        else if (control)
            (void)snprintf(name, sizeof(name), "%s",
                           i == n - 1 ? "<|end_of_text|>" : "<|begin_of_text|>");
        else
            (void)snprintf(name, sizeof(name), "filler_%u", i);
        add_string(&tokens, name);
        gw_buf_add(&types, (struct gw_span){(const char *)&type, sizeof(type)});
    }
    gguf_write_str(&m->head, "tokenizer.ggml.model", GW_SPAN("gpt2"));
    gguf_write_str(&m->head, "tokenizer.ggml.pre", GW_SPAN("llama-bpe"));
    gguf_write_array(&m->head, "tokenizer.ggml.tokens", GGUF_STRING, n, gw_buf_span(&tokens));
    gguf_write_array(&m->head, "tokenizer.ggml.token_type", GGUF_I32, n, gw_buf_span(&types));
    gguf_write_array(&m->head, "tokenizer.ggml.merges", GGUF_STRING, 0, (struct gw_span){"", 0});
    gguf_write_u32(&m->head, "tokenizer.ggml.bos_token_id", n - 2);
    gguf_write_u32(&m->head, "tokenizer.ggml.eos_token_id", n - 1);
    gw_buf_fini(&tokens);
    gw_buf_fini(&types);
}

static void pairs(struct maker *m)
{
    const struct shape *s = &m->s;

    gguf_write_str(&m->head, "general.architecture", GW_SPAN("llama"));
    gguf_write_str(&m->head, "general.name", GW_SPAN("random weights"));
    gguf_write_u32(&m->head, "general.file_type", m->mixed ? 15 : 2);
    gguf_write_u32(&m->head, "general.quantization_version", 2);
    gguf_write_u32(&m->head, "llama.block_count", s->layers);
    gguf_write_u32(&m->head, "llama.context_length", s->context);
    gguf_write_u32(&m->head, "llama.embedding_length", s->embd);
    gguf_write_u32(&m->head, "llama.feed_forward_length", s->ffn);
    gguf_write_u32(&m->head, "llama.attention.head_count", s->heads);
    gguf_write_u32(&m->head, "llama.attention.head_count_kv", s->kv_heads);
    gguf_write_u32(&m->head, "llama.attention.key_length", s->head_dim);
    gguf_write_u32(&m->head, "llama.attention.value_length", s->head_dim);
    gguf_write_u32(&m->head, "llama.rope.dimension_count", s->head_dim);
    gguf_write_u32(&m->head, "llama.vocab_size", s->vocab);
    gguf_write_f32(&m->head, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_write_f32(&m->head, "llama.rope.freq_base", 500000);
    vocabulary(m);
}

static unsigned number(const char *name, const char *text)
{
    char *end;
    const unsigned long v = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || v == 0 || v > 1u << 24)
        die(name, "a number above 0 is needed");
    return (unsigned)v;
}

static void options(struct shape *s, int argc, char **argv)
{
    const struct {
        const char *name;
        unsigned *v;
    } all[] = {{"layers", &s->layers},     {"embd", &s->embd},         {"heads", &s->heads},
               {"kv-heads", &s->kv_heads}, {"head-dim", &s->head_dim}, {"ffn", &s->ffn},
               {"vocab", &s->vocab},       {"context", &s->context}};
    enum { N = sizeof(all) / sizeof(all[0]) };
    struct option longs[N + 1] = {{0}};
    int c;

    for (int i = 0; i < N; i++)
        longs[i] = (struct option){all[i].name, required_argument, NULL, i};
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c < 0 || c >= N)
            exit(2);
        *all[c].v = number(all[c].name, optarg);
    }
    if (s->vocab < 256 + N_CONTROL + 1 || s->embd > PIECE / sizeof(float))
        die("the shape", "the vocabulary has 259 tokens or more, a row at most 262,144 numbers");
}

int main(int argc, char **argv)
{
    struct maker m = {.s = {32, 4096, 32, 8, 128, 14336, 128256, 131072}, .seed = 1};
    struct gw_buf head = {0};
    char part[4096];

    options(&m.s, argc, argv);
    if (argc - optind != 2 ||
        (strcmp(argv[optind + 1], "Q4_0") != 0 && strcmp(argv[optind + 1], "Q4_K_M") != 0))
        die("usage", "make_model OUT Q4_0|Q4_K_M [--layers N] [--embd N] ...");
    m.mixed = strcmp(argv[optind + 1], "Q4_K_M") == 0;
    m.piece = malloc(PIECE);
    pairs(&m);
    tensors(&m, false);
    gguf_write_head(&m.head, &head);
    if (m.piece == NULL || !gguf_write_ok(&m.head) || !gw_buf_ok(&head))
        die("the head", "out of memory");
    if ((size_t)snprintf(part, sizeof(part), "%s.part", argv[optind]) >= sizeof(part))
        die(argv[optind], "the name is too long");
    m.fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (m.fd < 0)
        die(part, strerrordesc_np(errno));
    put(&m, head.ptr, head.len);
    tensors(&m, true);
    if (close(m.fd) != 0 || rename(part, argv[optind]) != 0)
        die(argv[optind], strerrordesc_np(errno));
    gguf_write_fini(&m.head);
    gw_buf_fini(&head);
    free(m.piece);
    return 0;
}
