/* proxy/provider/provider_token.h - access tokens of vertex targets, kept fresh by a thread.
 *
 * The thread (libcurl blocks, an event loop must not) fetches a token for each target at the start and a new one well
 * before the old one expires; after a failure it tries again, after 1 s at first and at most every minute. What it has
 * is read under a mutex. A target without credentials gets the token of the account that its machine runs as, from the
 * metadata server of Google Cloud (GCE_METADATA_HOST, as Google's own libraries have it). TLS is verified; SSL_CERT_FILE
 * and the proxy variables of the environment count. */
#ifndef PROXY_PROVIDER_TOKEN_H
#define PROXY_PROVIDER_TOKEN_H

#include "base/buf.h"
#include "base/err.h"
#include "proxy/config/config.h"

struct provider_tokens;

/* Starts the thread. *out is the caller's (provider_tokens_close); NULL when cfg, which must outlive it, has no vertex
 * target. like: those of the configuration before, or NULL: what they have of the same credentials is taken over. Does not
 * wait for tokens. Errors: GW_ENOMEM, GW_EIO; GW_EPARSE for credentials that cannot be used. Thread: the
 * one that starts the server. */
enum gw_status provider_tokens_open(const struct proxy_config *cfg, struct provider_tokens *like,
                                    struct provider_tokens **out, struct gw_err *err);

/* Waits until each target has a token, at most that long. Blocks: not for loops. t may be NULL. */
void provider_tokens_wait(struct provider_tokens *t, int64_t timeout_ms);

/* Ends the thread (a fetch under way is given up) and wipes the tokens. t may be NULL. */
void provider_tokens_close(struct provider_tokens *t);

/* Appends the target's token. GW_EAGAIN: there is none that is valid, and err says so in words for the client; GW_ENOENT:
 * not a target of this configuration; GW_ENOMEM. Waits for nothing but the mutex. Thread: any. */
enum gw_status provider_tokens_add(struct provider_tokens *t,
                                   const struct proxy_config_target *target, struct gw_buf *out,
                                   struct gw_err *err);

#endif
