/* proxy/limits/limits_reply.c - see limits_reply.h. */
#include "proxy/limits/limits_reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

enum {
    MAX_ELEMENTS = 1024,  /* of an array: a script's answer has at most 3 * 128 + 2 */
    MAX_BUFFER = 1 << 20, /* of an answer that is not complete */
};

struct limits_reader {
    redisReader *reader;
    redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *task, int elements); /* hiredis' own */
};

/* hiredis allocates what an array says it holds before its first element came. */
static void *create_array(const redisReadTask *task, int elements)
{
    const struct limits_reader *r = task->privdata;

    return elements > MAX_ELEMENTS ? NULL : r->create_array(task, elements);
}

struct limits_reader *limits_reader_new(void)
{
    struct limits_reader *r = calloc(1, sizeof(*r));

    if (r == NULL)
        return NULL;
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

void limits_reader_free(struct limits_reader *r)
{
    if (r == NULL)
        return;
    redisReaderFree(r->reader);
    free(r);
}

enum gw_status limits_reader_feed(struct limits_reader *r, struct gw_span bytes)
{
    if (bytes.len > MAX_BUFFER || r->reader->len - r->reader->pos > MAX_BUFFER - bytes.len)
        return GW_ELIMIT;
    if (bytes.len == 0)
        return GW_OK;
    return redisReaderFeed(r->reader, bytes.ptr, bytes.len) == REDIS_OK ? GW_OK : GW_ENOMEM;
}

enum gw_status limits_reader_next(struct limits_reader *r, struct redisReply **out)
{
    void *reply = NULL;

    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
        return GW_EPARSE;
    if (reply == NULL)
        return GW_EAGAIN;
    *out = reply;
    return GW_OK;
}
