/* tests/unit/engine/gguf_make.h - writes small GGUF files into memory, right or wrong. */
#ifndef TESTS_UNIT_ENGINE_GGUF_MAKE_H
#define TESTS_UNIT_ENGINE_GGUF_MAKE_H

#include <stdint.h>

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

#endif
