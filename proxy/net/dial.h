/* proxy/net/dial.h - from a host name to a connected socket, without blocking.
 *
 * Order: the configured `resolve:` map, then a literal address, then DNS; the addresses that may be dialled
 * are tried one after the other within one deadline. What is checked is the address that is dialled, so a
 * name that resolves differently the second time gains nothing. Through a proxy only the proxy is resolved and dialled here:
 * it resolves the target's name itself, so that public_only can look at literal addresses alone. Thread: the worker's. */
#ifndef PROXY_DIAL_H
#define PROXY_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/config/config.h"

struct worker;
struct dial;

struct dial_target {
    const char *host; /* lower case; must live until done is called */
    uint16_t port;
    const struct proxy_config_resolves *resolve;
    bool public_only; /* refuse non-public addresses that are not in allow */
    const struct proxy_config_nets *allow;
    int64_t timeout_ms;
    const struct proxy_config_egress *via; /* its URL not set, or NULL: directly */
};

/* fd: a connected non-blocking socket that now belongs to the callee, or -1 and why. */
typedef void (*dial_done_fn)(void *ctx, int fd, bool timed_out, const char *why);

/* Starts. done is called once, never from inside, unless dial_cancel() comes first. NULL: out of memory. */
struct dial *dial_start(struct worker *w, const struct dial_target *t, dial_done_fn done,
                        void *ctx);
void dial_cancel(struct dial *d);

#endif
