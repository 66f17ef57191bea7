/* proxy/net/hmac_key.h - the key behind every HMAC in records and allowlists, and every placeholder: made once per state
 * directory, "hmac.key". Reads and writes files: not on event loops. */
#ifndef PROXY_HMAC_KEY_H
#define PROXY_HMAC_KEY_H

#include <stdbool.h>

#include "base/err.h"

enum { HMAC_KEY_BYTES = 32 };

/* make: when there is none. GW_ENOENT (not make), GW_EIO, GW_ECORRUPT, GW_ELIMIT; key is as it was. The caller wipes it. */
enum gw_status hmac_key_load(const char *state_dir, bool make, unsigned char key[HMAC_KEY_BYTES],
                             struct gw_err *err);

#endif
