/* proxy/identity/identity.h - who stands behind a token or a client certificate, by the rules of one configuration.
 *
 * Keys are the store's (proxy/store/store.h); what is here needs no database. Opened with a setup and closed with it;
 * answers from memory on any thread. */
#ifndef PROXY_IDENTITY_H
#define PROXY_IDENTITY_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "proxy/config/config.h"
#include "proxy/identity/cert.h"
#include "proxy/store/principal.h"

struct identity;

/* cfg must outlive it. like: the identity of the setup before, whose issuers' keys are shared; or NULL. Errors as
 * keyring_open(). Thread: not a loop's. */
enum gw_status identity_open(const struct proxy_config *cfg, const struct identity *like,
                             struct identity **out, struct gw_err *err);
void identity_close(struct identity *id); /* id may be NULL */

/* Is that to be taken for a token? False when the configuration knows no issuer. */
bool identity_is_token(const struct identity *id, struct gw_span credential);

/* Whose token is it? GW_OK; GW_EDENIED: it proves nothing here; GW_ETIMEDOUT: expired; GW_EAGAIN: its key is being
 * fetched, so try again in a second; GW_EIO: the issuer has no keys that may be used (answer 503); GW_ENOMEM. *why: a
 * fixed sentence for the client. The principal lies in the arena. Tokens that were accepted are remembered (token_cache.h). */
enum gw_status identity_of_token(const struct identity *id, struct gw_span token, int64_t now_ms,
                                 struct gw_json *json, struct gw_arena *arena,
                                 struct proxy_principal *out, const char **why);

/* Whose certificate is it? OpenSSL has verified it. GW_OK; GW_ENOENT: no line of auth.mtls knows it; GW_ETIMEDOUT: it has
 * expired since the handshake; GW_ENOMEM. */
enum gw_status identity_of_cert(const struct identity *id, const struct cert *cert, int64_t now_ms,
                                struct gw_arena *arena, struct proxy_principal *out);

#endif
