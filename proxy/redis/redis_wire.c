/* proxy/redis/redis_wire.c - see redis_wire.h. */
#include "proxy/redis/redis_wire.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

struct redis_reader {
    redisReader *reader;
    redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *task, int elements); /* hiredis' own */
    size_t max_bytes;
    unsigned max_elements;
};

void redis_command(struct gw_buf *out, const struct gw_span *args, unsigned n)
{
    gw_buf_printf(out, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++) {
        gw_buf_printf(out, "$%zu\r\n", args[i].len);
        gw_buf_add(out, args[i]);
        gw_buf_adds(out, "\r\n");
    }
}

/* hiredis allocates what an array says it holds before its first element came. */
static void *create_array(const redisReadTask *task, int elements)
{
    const struct redis_reader *r = task->privdata;

    return elements > (int)r->max_elements ? NULL : r->create_array(task, elements);
}

struct redis_reader *redis_reader_new(size_t max_bytes, unsigned max_elements)
{
    struct redis_reader *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->max_bytes = max_bytes;
    r->max_elements = max_elements;
    r->reader = redisReaderCreate();
    if (r->reader == NULL) {
        free(r);
        return NULL;
    }
    r->functions = *r->reader->fn;
    r->create_array = r->functions.createArray;
    r->functions.createArray = create_array;
    r->reader->fn = &r->functions;
    r->reader->privdata = r;
    return r;
}

void redis_reader_free(struct redis_reader *r)
{
    if (r == NULL)
        return;
    redisReaderFree(r->reader);
    free(r);
}

enum gw_status redis_reader_feed(struct redis_reader *r, struct gw_span bytes)
{
    if (bytes.len > r->max_bytes || r->reader->len - r->reader->pos > r->max_bytes - bytes.len)
        return GW_ELIMIT;
    if (bytes.len == 0)
        return GW_OK;
    return redisReaderFeed(r->reader, bytes.ptr, bytes.len) == REDIS_OK ? GW_OK : GW_ENOMEM;
}

enum gw_status redis_reader_next(struct redis_reader *r, struct redisReply **out)
{
    void *reply = NULL;

    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
        return GW_EPARSE;
    if (reply == NULL)
        return GW_EAGAIN;
    *out = reply;
    return GW_OK;
}
