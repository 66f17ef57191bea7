/* proxy/request/record.h - copies plain values of a request into audit events. The only place where the two meet, and
 * the place to look when asking what an auditor can see: no prompt text is put in but encrypted to the auditor, and only
 * where `audit.payload` wants it. Worker's thread. */
#ifndef PROXY_RECORD_H
#define PROXY_RECORD_H

#include "audit/audit.h"
#include "dlp/dlp.h"
#include "router/router.h"

struct audit_event;
struct gw_buf;
struct req;
struct worker;

/* ---- texts (record_payload.c) ------------------------------------------------------------- */

/* What `audit.payload` says of a request that was decided: the first line for which all holds. */
enum audit_payload_level record_level(const struct req *req);

/* Bytes of the answer, as the client gets them: kept as far as they are to be sealed. */
void record_answer_bytes(struct req *req, struct gw_span bytes);

/* Seals the request's body, or its answer, into out, and names the level in ev. Nothing to do at other levels. GW_EIO,
 * GW_ENOMEM: it could not be sealed. */
enum gw_status record_seal(struct req *req, bool answer, struct gw_buf *out,
                           struct audit_event *ev);

/* What stands at a finding, as far as records may show it: out is empty but at level masked, and for secrets. */
void record_mask(const struct req *req, enum gw_class class_, struct gw_span value,
                 struct gw_buf *out);

/* ---- records ------------------------------------------------------------------------------ */

/* Emits the findings and the decided record. done: called when it is durable; NULL: nobody waits. Sets
 * req->decided. On failure done is not called. */
enum gw_status record_decided(struct req *req, audit_done_fn done);

/* Emits the completed record: how it ended. Failures are counted by audit and logged. */
void record_completed(struct req *req, uint64_t now_ns);

/* What record_shadow() says of a CONNECT that was not bumped. */
struct record_shadow {
    const char *client_ip, *host, *sni;
    uint16_t client_port;
    struct gw_span user;
    bool denied;
    const char *why;
    uint64_t bytes_out, bytes_in; /* to the host; from it */
    uint64_t duration_us;
};
void record_shadow(struct worker *w, const struct record_shadow *s);

/* A finding in the answer, and what was done about it. Callers stop after RECORD_MAX_FINDINGS of a request: that is what a
 * person would read. */
enum { RECORD_MAX_FINDINGS = 100 };
struct record_answer {
    enum gw_action action, would; /* would: with what is on trial in force */
    uint16_t line;                /* of policy, or ROUTER_NO_LINE */
    const char *allowlist;        /* the entry that took it away, or NULL */
};
void record_answer_finding(struct req *req, const struct dlp_guard_finding *f,
                           const struct record_answer *a);

/* What a policy that decides differently would do: "zone" when it only sends it elsewhere. zones: of the decision that
 * holds. */
const char *record_would_name(const struct router_would *w, unsigned zones);

/* A word of the client's or the provider's as records may show it: "(hidden)" when a rule finds a secret in it, or is sure of anything. Looked at
 * once a request, and once a worker where clients say the same again and again (record_word.c). */
enum record_word { RECORD_AGENT, RECORD_HOST, RECORD_MODEL, RECORD_ANSWERED, RECORD_WORDS };
struct gw_span record_word(struct req *req, enum record_word which, struct gw_span text);

/* What a worker remembers of such words. */
enum { RECORD_KNOWN = 64 };
struct record_known {
    uint64_t key[2]; /* of the hashes; zeros: not made yet */
    struct {
        uint64_t hash; /* of the word and the rules; 0: none */
        bool clean;
    } words[RECORD_KNOWN];
};

/* The path as records may show it: not at all when something was found in it. */
struct gw_span record_path(const struct req *req);

#endif
