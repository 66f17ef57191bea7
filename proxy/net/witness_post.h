/* proxy/net/witness_post.h - the connection to the witness of the ledger's checkpoints, for audit/witness.c. */
#ifndef PROXY_WITNESS_POST_H
#define PROXY_WITNESS_POST_H

#include "audit/audit.h"

/* Where he is; the texts are the configuration's that was read at the start, copied. */
struct witness_post {
    char url[2048], ca[1024];
    struct audit_witness witness; /* for audit_config; points to this */
};

/* Fills in w for the URL in front of /add-checkpoint and the file of certificates, "": the system's. GW_ELIMIT: too long; GW_ENOMEM.
 * Before threads. */
enum gw_status witness_post_init(struct witness_post *w, const char *url, const char *ca,
                                 struct gw_err *err);

#endif
