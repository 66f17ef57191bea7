#include "proxy/limits/limits_redis.h"

#include <stddef.h>
struct limits_redis *limits_redis_open(struct worker *w)
{
    (void)w;
    return NULL;
}
void limits_redis_close(struct limits_redis *r)
{
    (void)r;
}
enum gw_status limits_redis_send(struct limits_redis *r, struct limits_step *step)
{
    (void)r;
    (void)step;
    return GW_EIO;
}
bool limits_redis_may_go_apart(const struct limits_redis *r)
{
    (void)r;
    return false;
}
