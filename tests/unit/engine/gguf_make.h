/* tests/unit/engine/gguf_make.h - writes small GGUF files into memory, right or wrong. */
#ifndef TESTS_UNIT_ENGINE_GGUF_MAKE_H
#define TESTS_UNIT_ENGINE_GGUF_MAKE_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "engine/gguf.h"

static inline void make_u32(struct gw_buf *b, uint32_t v)
{
    gw_buf_add(b, (struct gw_span){(const char *)&v, sizeof(v)});
}

static inline void make_u64(struct gw_buf *b, uint64_t v)
{
    gw_buf_add(b, (struct gw_span){(const char *)&v, sizeof(v)});
}

static inline void make_str(struct gw_buf *b, const char *s)
{
    make_u64(b, strlen(s));
    gw_buf_adds(b, s);
}

static inline void make_key(struct gw_buf *b, const char *key, uint32_t type)
{
    make_str(b, key);
    make_u32(b, type);
}

static inline void make_head(struct gw_buf *b, uint32_t version, uint64_t tensors, uint64_t pairs)
{
    gw_buf_adds(b, "GGUF");
    make_u32(b, version);
    make_u64(b, tensors);
    make_u64(b, pairs);
}

static inline void make_tensor(struct gw_buf *b, const char *name, uint64_t d0, uint64_t d1,
                               uint32_t type, uint64_t offset)
{
    make_str(b, name);
    make_u32(b, 2);
    make_u64(b, d0);
    make_u64(b, d1);
    make_u32(b, type);
    make_u64(b, offset);
}

static inline void make_pad(struct gw_buf *b, size_t alignment)
{
    while (b->len % alignment != 0)
        gw_buf_addc(b, '\0');
}

/* A valid file with every value type, two tensors (F32 4 x 2, Q8_0 32 x 1), 32-byte alignment. */
static inline void make_valid(struct gw_buf *b)
{
    float f = 1.5f;
    double d = -2.5;

    make_head(b, 3, 2, 10);
    make_key(b, "general.architecture", GGUF_STRING);
    make_str(b, "llama");
    make_key(b, "a.u8", GGUF_U8);
    gw_buf_addc(b, 7);
    make_key(b, "a.i32", GGUF_I32);
    make_u32(b, (uint32_t)-5);
    make_key(b, "a.u64", GGUF_U64);
    make_u64(b, 1ull << 40);
    make_key(b, "a.f32", GGUF_F32);
    gw_buf_add(b, (struct gw_span){(const char *)&f, sizeof(f)});
    make_key(b, "a.f64", GGUF_F64);
    gw_buf_add(b, (struct gw_span){(const char *)&d, sizeof(d)});
    make_key(b, "a.bool", GGUF_BOOL);
    gw_buf_addc(b, 1);
    make_key(b, "a.strs", GGUF_ARRAY);
    make_u32(b, GGUF_STRING);
    make_u64(b, 3);
    make_str(b, "x");
    make_str(b, "");
    make_str(b, "yz");
    make_key(b, "a.u32s", GGUF_ARRAY);
    make_u32(b, GGUF_U32);
    make_u64(b, 2);
    make_u32(b, 8);
    make_u32(b, 9);
    make_key(b, "general.alignment", GGUF_U32);
    make_u32(b, 32);
    make_tensor(b, "first.weight", 4, 2, 0, 0);
    make_tensor(b, "second.weight", 32, 1, 8, 32);
    make_pad(b, 32);
    for (int i = 0; i < 32 + 34; i++)
        gw_buf_addc(b, (char)i);
}

/* The numbers of a model: those that the metadata says, or those of the tensors. */
struct make_shape {
    const char *arch;
    uint32_t layers, d, ff, heads, kv_heads, head_dim, vocab, context;
};

static const struct make_shape make_small = {"llama", 1, 32, 64, 2, 1, 16, 8, 64};

static inline void make_arch_u32(struct gw_buf *b, const char *arch, const char *key, uint32_t v)
{
    char full[128];

    (void)snprintf(full, sizeof(full), "%s.%s", arch, key);
    make_key(b, full, GGUF_U32);
    make_u32(b, v);
}

/* Collects tensor infos; the data is zeros, 32-byte aligned. */
struct make_tensors {
    struct gw_buf infos;
    uint64_t n, bytes;
};

static inline void make_add(struct make_tensors *t, const char *name, uint32_t d0, uint32_t d1)
{
    make_str(&t->infos, name);
    make_u32(&t->infos, d1 == 0 ? 1 : 2);
    make_u64(&t->infos, d0);
    if (d1 != 0)
        make_u64(&t->infos, d1);
    make_u32(&t->infos, d1 == 0 ? 0 : 2); /* vectors F32, matrices Q4_0 */
    make_u64(&t->infos, t->bytes);
    t->bytes += d1 == 0 ? (uint64_t)d0 * 4 : (uint64_t)d0 / 32 * 18 * d1;
    t->bytes = (t->bytes + 31) / 32 * 32;
    t->n++;
}

/* A llama model with the metadata of said and the tensors of real, an SPM vocabulary, and one more tensor
 * when extra is not NULL. */
static inline void make_model(struct gw_buf *b, const struct make_shape *said,
                              const struct make_shape *real, const char *extra)
{
    static const char *const names[] = {"<unk>", "<s>", "</s>", "a", "b", "c", "d", "e"};
    uint32_t q = real->heads * real->head_dim, kv = real->kv_heads * real->head_dim;
    struct make_tensors t = {0};
    float eps = 1e-5f;
    char name[64];

    make_add(&t, "token_embd.weight", real->d, real->vocab);
    make_add(&t, "output_norm.weight", real->d, 0);
    for (uint32_t i = 0; i < real->layers; i++) {
        const struct {
            const char *name;
            uint32_t d0, d1;
        } all[] = {{"attn_norm", real->d, 0},       {"ffn_norm", real->d, 0},
                   {"attn_q", real->d, q},          {"attn_k", real->d, kv},
                   {"attn_v", real->d, kv},         {"attn_output", q, real->d},
                   {"ffn_gate", real->d, real->ff}, {"ffn_up", real->d, real->ff},
                   {"ffn_down", real->ff, real->d}};

        for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
            (void)snprintf(name, sizeof(name), "blk.%u.%s.weight", i, all[k].name);
            make_add(&t, name, all[k].d0, all[k].d1);
        }
    }
    if (extra != NULL)
        make_add(&t, extra, 32, 0);
    make_head(b, 3, t.n, 17);
    make_key(b, "general.architecture", GGUF_STRING);
    make_str(b, said->arch);
    make_arch_u32(b, said->arch, "block_count", said->layers);
    make_arch_u32(b, said->arch, "embedding_length", said->d);
    make_arch_u32(b, said->arch, "feed_forward_length", said->ff);
    make_arch_u32(b, said->arch, "attention.head_count", said->heads);
    make_arch_u32(b, said->arch, "attention.head_count_kv", said->kv_heads);
    make_arch_u32(b, said->arch, "attention.key_length", said->head_dim);
    make_arch_u32(b, said->arch, "vocab_size", said->vocab);
    make_arch_u32(b, said->arch, "context_length", said->context);
    (void)snprintf(name, sizeof(name), "%s.attention.layer_norm_rms_epsilon", said->arch);
    make_key(b, name, GGUF_F32);
    gw_buf_add(b, (struct gw_span){(const char *)&eps, sizeof(eps)});
    make_key(b, "tokenizer.ggml.model", GGUF_STRING);
    make_str(b, "llama");
    make_key(b, "tokenizer.ggml.tokens", GGUF_ARRAY);
    make_u32(b, GGUF_STRING);
    make_u64(b, 8);
    for (size_t i = 0; i < 8; i++)
        make_str(b, names[i]);
    make_key(b, "tokenizer.ggml.scores", GGUF_ARRAY);
    make_u32(b, GGUF_F32);
    make_u64(b, 8);
    for (size_t i = 0; i < 8; i++)
        make_u32(b, 0);
    make_key(b, "tokenizer.ggml.token_type", GGUF_ARRAY);
    make_u32(b, GGUF_I32);
    make_u64(b, 8);
    for (uint32_t i = 0; i < 8; i++)
        make_u32(b, i == 0 ? 2 : i < 3 ? 3 : 1);
    make_key(b, "tokenizer.ggml.bos_token_id", GGUF_U32);
    make_u32(b, 1);
    make_key(b, "tokenizer.ggml.eos_token_id", GGUF_U32);
    make_u32(b, 2);
    make_key(b, "tokenizer.ggml.unknown_token_id", GGUF_U32);
    make_u32(b, 0);
    gw_buf_add(b, gw_buf_span(&t.infos));
    make_pad(b, 32);
    for (uint64_t i = 0; i < t.bytes; i++)
        gw_buf_addc(b, 0);
    gw_buf_fini(&t.infos);
}

#endif
