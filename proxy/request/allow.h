/* proxy/request/allow.h - findings that an allowlist says are none. Pure; any thread. */
#ifndef PROXY_ALLOW_H
#define PROXY_ALLOW_H

#include "proxy/config/config.h"
#include "proxy/store/principal.h"

/* What is asked about. */
struct allow_finding {
    struct gw_span value;   /* as found */
    struct gw_span rule;    /* its id */
    struct gw_span pointer; /* where it stands, as in records */
    const struct proxy_principal *who;
    int64_t now_ms;
};

/* The entry that takes the finding away, or NULL. key: of the HMACs in records. */
const struct proxy_config_allow *allow_find(const struct proxy_config *cfg, struct gw_span key,
                                            const struct allow_finding *f);

#endif
