/* proxy/provider_key.h - a Google service account's key: its JSON file, and the signed statements that buy access tokens.
 *
 * The file is the one that Google Cloud hands out ("type": "service_account"); the statement is a JWT (RFC 7519) for the
 * grant of RFC 7523, signed with RS256. Pure: nothing is sent from here. Thread: one at a time per key. */
#ifndef PROXY_PROVIDER_KEY_H
#define PROXY_PROVIDER_KEY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct provider_key;

/* Reads the file's text. On success *out is the caller's (provider_key_free). GW_EPARSE: not such a file;
 * GW_EUNSUPPORTED: credentials of another type; GW_ENOMEM. err quotes nothing of the file but its type. */
enum gw_status provider_key_read(struct gw_span json, struct provider_key **out,
                                 struct gw_err *err);
void provider_key_free(struct provider_key *k); /* wipes; k may be NULL */

/* Where tokens come from: https, or http on a loopback address. */
const char *provider_key_token_uri(const struct provider_key *k);
/* The project that the account belongs to; "" when the file does not say it. */
const char *provider_key_project(const struct provider_key *k);

/* Appends the JWT for Google Cloud's APIs, good for an hour from now_s. GW_EIO: OpenSSL refused; GW_ENOMEM. out may then
 * hold a part. */
enum gw_status provider_key_assert(const struct provider_key *k, int64_t now_s, struct gw_buf *out,
                                   struct gw_err *err);

#endif
