/* proxy/store/principal.h - who a caller is, and what that caller may do.
 *
 * A principal comes from a key of the database, from a client certificate (mTLS) or from a signed token (JWT); nothing
 * behind the stage `identify` needs to know which. A list that is empty does not restrict. Plain values: they point into
 * an arena or a configuration that outlives them. Thread: any. */
#ifndef PROXY_PRINCIPAL_H
#define PROXY_PRINCIPAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

enum {
    PROXY_PRINCIPAL_MAX_GROUPS = 32,
    PROXY_PRINCIPAL_MAX_NAMES = 64, /* patterns of models, and of targets */
    PROXY_PRINCIPAL_MAX_NETWORKS = 32,
};

/* How a caller proved who it is. */
enum proxy_via { PROXY_VIA_NONE, PROXY_VIA_KEY, PROXY_VIA_MTLS, PROXY_VIA_JWT };
const char *proxy_via_name(enum proxy_via via); /* "none", "key", "mtls", "jwt" */

/* An address range. */
struct proxy_network {
    int family; /* AF_INET, AF_INET6 */
    unsigned char bytes[16];
    unsigned bits;
};

struct proxy_principal {
    enum proxy_via via;
    struct gw_span
        id; /* of the credential, for records: key id, certificate's serial, token's id */
    struct gw_span name; /* of the key; of a certificate or a token: the user */
    struct gw_span
        user; /* the person or program, who may have several keys; never empty with via: policy's user */
    struct gw_span owner; /* tenant; may be empty */
    struct gw_span team;  /* may be empty */
    const struct gw_span *groups;
    unsigned n_groups;
    const struct gw_span *models; /* patterns of the model names that may be asked for */
    unsigned n_models;
    const struct gw_span
        *targets; /* patterns of the targets (and of intercepted hosts) that may answer */
    unsigned n_targets;
    const struct proxy_network *networks; /* where it may come from */
    unsigned n_networks;
    int64_t expires_ms;           /* wall clock; 0: never */
    unsigned char key_sha256[32]; /* via key: of its text, for proxy_store_check() */
};

/* Bytes of all that p points to; and copies it into that many bytes at block, aligned for a pointer: *out is p with the
 * copies. p may be *out. */
size_t proxy_principal_bytes(const struct proxy_principal *p);
void proxy_principal_pack(void *block, const struct proxy_principal *p,
                          struct proxy_principal *out);

/* Copies p and all it points to into arena, in one piece. False (and *out unchanged) when out of memory. */
bool proxy_principal_copy(struct gw_arena *arena, const struct proxy_principal *p,
                          struct proxy_principal *out);

/* May it ask for that model: by the name that was asked for, or by what an alias makes of it? A principal whose models
 * are listed may not ask for "no model": behind such endpoints (files, batches) any model could stand. */
bool proxy_principal_may_model(const struct proxy_principal *p, struct gw_span asked,
                               struct gw_span meant);
bool proxy_principal_may_target(const struct proxy_principal *p, struct gw_span name);
/* May it come from that address ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1")? What is no address is outside every
 * range. */
bool proxy_principal_may_address(const struct proxy_principal *p, const char *address);

/* Reads "10.0.0.0/8", "2001:db8::/32" or one address. Bits behind the prefix must be zero: 10.1.2.3/8 is a mistake. False,
 * and *out unchanged, for anything else. */
bool proxy_network_parse(struct gw_span text, struct proxy_network *out);

#endif
