/* proxy/http/pending.h - bytes that an incremental reader keeps until the rest of their event has come. Inline; pure.
 *
 * Where an event lies whole in the bytes just fed nothing is copied: `all` is those bytes. Else `all` is what was kept and
 * they behind it. Thread: the reader's. */
#ifndef PROXY_PENDING_H
#define PROXY_PENDING_H

#include "base/buf.h"
#include "base/err.h"

/* *all becomes what there is to read; valid until pending_keep(). GW_ENOMEM. */
static inline enum gw_status pending_join(struct gw_buf *pending, struct gw_span bytes,
                                          struct gw_span *all)
{
    *all = bytes;
    if (pending->len == 0)
        return GW_OK;
    gw_buf_add(pending, bytes);
    *all = gw_buf_span(pending);
    return gw_buf_ok(pending) ? GW_OK : GW_ENOMEM;
}

/* Keeps all but its first `used` bytes. GW_ELIMIT: those are more than max (they are kept all the same, for who wants to pass
 * them on); GW_ENOMEM. */
static inline enum gw_status pending_keep(struct gw_buf *pending, struct gw_span all, size_t used,
                                          size_t max)
{
    if (pending->len != 0)
        gw_buf_drop(pending, used);
    else
        gw_buf_add(pending, gw_span_from(all, used));
    if (!gw_buf_ok(pending))
        return GW_ENOMEM;
    return pending->len > max ? GW_ELIMIT : GW_OK;
}

#endif
