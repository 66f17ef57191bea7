/* proxy/cache/cache_value.c - an answer as one text, for a store outside: "SLC1", eight bytes a number (when it was stored, five
 * counts of tokens, the length of its type), all with the lowest byte first, then the type and the body. Pure. */
#include "proxy/cache/cache_redis.h"

enum { N_TOKENS = 5, HEAD_BYTES = 4 + 8 * (N_TOKENS + 2), MAX_TYPE_BYTES = 200 };

static const char magic[] = "SLC1";

static void put_number(struct gw_buf *out, uint64_t v)
{
    char bytes[8];

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (char)(v >> (8 * i) & 0xFF);
    gw_buf_add(out, (struct gw_span){bytes, sizeof(bytes)});
}

static uint64_t number_at(struct gw_span value, size_t at)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)(unsigned char)value.ptr[at + i] << (8 * i);
    return v;
}

void cache_value_write(struct gw_buf *out, const struct cache_answer *answer)
{
    gw_buf_adds(out, magic);
    put_number(out, (uint64_t)answer->stored_ms);
    for (unsigned i = 0; i < N_TOKENS; i++)
        put_number(out, answer->tokens[i]);
    put_number(out, answer->type.len);
    gw_buf_add(out, answer->type);
    gw_buf_add(out, answer->body);
}

/* The type becomes a field of an answer's head. */
static bool is_type(struct gw_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7E)
            return false;
    return s.len != 0;
}

bool cache_value_read(struct gw_span value, struct cache_answer *out)
{
    struct cache_answer a = {.stored_ms = 0};
    uint64_t n;

    if (value.len < HEAD_BYTES || !gw_span_starts(value, gw_span_str(magic)))
        return false;
    a.stored_ms = (int64_t)number_at(value, 4);
    for (unsigned i = 0; i < N_TOKENS; i++)
        a.tokens[i] = number_at(value, 12 + 8 * (size_t)i);
    n = number_at(value, HEAD_BYTES - 8);
    if (a.stored_ms < 0 || n > MAX_TYPE_BYTES || n > value.len - HEAD_BYTES)
        return false;
    a.type = (struct gw_span){value.ptr + HEAD_BYTES, (size_t)n};
    a.body = gw_span_from(value, HEAD_BYTES + (size_t)n);
    if (!is_type(a.type) || a.body.len == 0)
        return false;
    *out = a;
    return true;
}
