/* proxy/local/local_format.h - the shape that a request demands of its answer, for the engine. */
#ifndef PROXY_LOCAL_FORMAT_H
#define PROXY_LOCAL_FORMAT_H

#include "proxy/api/api.h"
#include "proxy/local/local.h"

/* The grammar of the answer, the caller's reference, shared with earlier requests of the tenant; NULL when any text will do. GW_EINVAL, GW_EUNSUPPORTED: it cannot be
 * met, the message says where in the schema and *param which member; GW_ENOMEM. err is not NULL. */
enum gw_status local_format(const struct api_request *asked, const struct local_request *local,
                            struct gw_span tenant, struct gw_arena *arena,
                            struct engine_grammar **out, const char **param, struct gw_err *err);

#endif
