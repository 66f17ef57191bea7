/* proxy/identity/keyring.h - the keys of one issuer: fetched or read by a thread of its own, answered from memory.
 *
 * A URL is asked every `refresh`, a file is looked at every second. What cannot be fetched or read leaves the last good
 * keys in force, until they are `max_stale` old: then there are none, and tokens are refused (fail closed). A token with a
 * key id that is not known asks for a fetch at once, but there is at most one in ten seconds: nobody can make the gateway
 * a nuisance to the issuer. Setups with the same issuer share one (a reload does not forget its keys). */
#ifndef PROXY_KEYRING_H
#define PROXY_KEYRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "proxy/config/config.h"
#include "proxy/identity/jwt.h"

struct keyring;

/* Starts the thread; the strings of cfg are copied. A file must be readable and good now, a URL may come later. GW_EIO,
 * GW_EPARSE, GW_ENOMEM. Thread: not a loop's. */
enum gw_status keyring_open(const struct proxy_config_jwt *cfg, struct keyring **out,
                            struct gw_err *err);
/* Is it what cfg asks for? */
bool keyring_suits(const struct keyring *k, const struct proxy_config_jwt *cfg);
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(
    struct keyring *k); /* may wait a second for a fetch to break off; k may be NULL */

/* The keys, to be given back with jwt_keys_unref(); NULL: none that may be used. Thread: any; does not block. */
struct jwt_keys *keyring_get(struct keyring *k);

/* Asks for a fetch because a key id was not known. True: one runs or is about to, so it is worth trying again in a
 * second. Thread: any. */
bool keyring_want(struct keyring *k);

#endif
