/* proxy/config/service_account.h - a Google service account's key: its JSON file, and the signed statements that buy access tokens.
 *
 * The file is the one that Google Cloud hands out ("type": "service_account"); the statement is a JWT (RFC 7519) for the
 * grant of RFC 7523, signed with RS256. Pure: nothing is sent from here. Thread: one at a time per key. */
#ifndef PROXY_SERVICE_ACCOUNT_H
#define PROXY_SERVICE_ACCOUNT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct service_account;

/* Reads the file's text. On success *out is the caller's (service_account_free). GW_EPARSE: not such a file;
 * GW_EUNSUPPORTED: credentials of another type; GW_ENOMEM. err quotes nothing of the file but its type. */
enum gw_status service_account_read(struct gw_span json, struct service_account **out,
                                    struct gw_err *err);
void service_account_free(struct service_account *k); /* wipes; k may be NULL */

/* Where tokens come from: https, or http on a loopback address. */
const char *service_account_token_uri(const struct service_account *k);
/* The project that the account belongs to; "" when the file does not say it. */
const char *service_account_project(const struct service_account *k);

/* Appends the JWT for Google Cloud's APIs, good for an hour from now_s. GW_EIO: OpenSSL refused; GW_ENOMEM. out may then
 * hold a part. */
enum gw_status service_account_assert(const struct service_account *k, int64_t now_s,
                                      struct gw_buf *out, struct gw_err *err);

#endif
