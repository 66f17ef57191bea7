/* audit/audit.h - what happened, provably: the spool is the truth, Kafka is its consumer.
 *
 * Events are plain values: no prompt text is in them, only lengths, counts, names and
 * HMACs, and a reason that its caller gives for the record (justification); where configuration wants texts, they are
 * encrypted first (audit_payload_seal()). Every event becomes one OCSF 1.8.0 JSON record, appended to the spool; `durable` means synced
 * (disk) or written (process). A sender thread feeds Kafka from the spool and re-creates its producer
 * when librdkafka gives up.
 *
 * Invariants: (A1) a record that was reported durable is in the spool after kill -9, once; (A2) every
 * decided record has a completed record in the end: emitting DECIDED takes the memory that COMPLETED will
 * need, and open() writes `gateway_lost` for those that a crash left alone; (A3) the spool never grows past its cap: at the cap, emit answers GW_ELIMIT; (A4) a damaged
 * segment never stops a start: the rest is set aside and a sluice.gap record says so. */
#ifndef AUDIT_AUDIT_H
#define AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "base/types.h"

enum audit_durability { AUDIT_DURABILITY_DISK, AUDIT_DURABILITY_PROCESS };
enum audit_on_full { AUDIT_ON_FULL_REJECT, AUDIT_ON_FULL_CONTINUE };

struct audit_sink;

/* One call to a witness. */
struct audit_post {
    struct gw_span body;        /* text/plain */
    bool (*stopped)(void *ctx); /* asked about once a second: ends the call */
    void *stopped_ctx;
    /* What came. */
    long status;          /* 0: no answer */
    struct gw_buf answer; /* at most 64 KiB; the caller's */
    char why[160];        /* there is none */
};

/* Who cosigns checkpoints. Lives as long as the audit. */
struct audit_witness {
    void (*post)(
        void *ctx,
        struct audit_post *p); /* to his add-checkpoint; blocks, on a thread of the audit's */
    void *ctx;
};

struct audit_config {
    const char *spool_dir; /* created with mode 0700 */
    const char *instance;  /* this gateway's name, in every record */
    const char *version;   /* product version */
    const char *config_digest, *rules_digest;
    const char *
        models; /* NULL, or the models in the process, a line each: "TARGET DIGEST MANIFEST SIGNER", the last two "-"
                         * when nobody vouches for it. In sluice.started */
    enum audit_durability durability;
    enum audit_on_full on_full;
    uint64_t max_spool_bytes;  /* cap, at least 8 MiB */
    uint64_t segment_bytes;    /* 0: 64 MiB */
    unsigned retain_seconds;   /* keep delivered segments that long while below the cap */
    unsigned n_channels;       /* how many audit_chan_open() calls will come */
    const char *kafka_brokers; /* NULL or "": no Kafka */
    const char *kafka_topic;
    const char *kafka_checkpoints; /* topic of the checkpoints; NULL or "": they go to no topic */
    const char *const *kafka_properties; /* librdkafka "name=value", NULL-terminated, or NULL */
    unsigned kafka_partitions;      /* of a topic that is not there and is made; 0: it is not */
    unsigned kafka_replication;     /* its copies; 0: the brokers' default */
    const struct audit_sink *sinks; /* n_sinks; other places that records go to (audit/sink.h) */
    unsigned n_sinks;
    const char *
        seal_key; /* file with the keys that sign checkpoints, made when it is not there; NULL: none are made */
    const struct audit_witness *witness; /* NULL: none */
    unsigned seal_interval_ms;           /* how often, when there are new records; 0: 10 seconds */
    struct audit_payload *
        payload; /* of audit_payload_open(), outlives the audit: made durable before records; or NULL */
};

struct audit;
struct audit_payload;

/* Opens (and recovers) the spool and starts the writer and sender threads; what the sinks are made of is taken over, also
 * on failure. Writes sluice.started and the
 * gateway_lost records. Only one process can have a spool open. Errors: GW_EIO, GW_EEXIST when locked
 * by another process, GW_EUNSUPPORTED for a format version it does not know. */
enum gw_status audit_open(const struct audit_config *cfg, struct audit **out, struct gw_err *err);

/* Writes sluice.stopped, makes all durable, gives Kafka up to drain_ms, ends the threads, frees.
 * a may be NULL. */
void audit_close(struct audit *a, int drain_ms);

/* The configuration was read anew: applied, or refused with a reason. */
struct audit_reload {
    bool ok;
    struct gw_span by;                          /* who asked: "SIGHUP", an operator */
    struct gw_span config_digest, rules_digest; /* the new ones; empty when it was not read */
    struct gw_span old_config_digest, old_rules_digest;
    struct gw_span reason; /* of a refusal */
};

/* Writes sluice.reloaded or sluice.reload_refused. Does not wait. GW_EAGAIN, GW_ELIMIT, GW_ENOMEM: there is no record.
 * Thread: any. */
enum gw_status audit_reloaded(struct audit *a, const struct audit_reload *r);

/* ---- events ----------------------------------------------------------------------------- */

enum audit_kind { AUDIT_DECIDED, AUDIT_COMPLETED, AUDIT_FINDING, AUDIT_SHADOW, AUDIT_CHANGED };

/* How a request ended. */
enum audit_end {
    AUDIT_END_COMPLETE,
    AUDIT_END_REFUSED, /* refused before a decision: 400, 401, 413, ... */
    AUDIT_END_BLOCKED, /* refused by the decision */
    AUDIT_END_CLIENT_ABORT,
    AUDIT_END_UPSTREAM_ERROR,
    AUDIT_END_TIMEOUT,
    AUDIT_END_GATEWAY_STOP,
    AUDIT_END_GATEWAY_LOST, /* written at start for decided records without an end */
    AUDIT_END_INTERNAL_ERROR,
};
const char *audit_end_name(enum audit_end e);

/* One attempt to have a request answered. */
struct audit_attempt {
    struct gw_span target, endpoint; /* endpoint: its URL; empty for the model in the process */
    struct gw_span outcome;          /* "answered", "status", "timeout", ... */
    int status;                      /* HTTP, 0: none */
    uint64_t us;                     /* until the outcome */
    bool hedge;                      /* begun beside one that was slow */
    uint64_t prompt_tokens,
        completion_tokens; /* of one that gave no answer, and not in the request's own */
    bool usage_estimated, has_cost;
    uint64_t cost_nano;
};
enum { AUDIT_MAX_ATTEMPTS = 8 };

/* What a policy that is not in force, or a part of one, would have done otherwise. */
struct audit_would {
    struct gw_span action, line, target; /* action: "zone" for elsewhere; empty: the same */
};

/* What stands between a request and the world, and whether it did. */
enum audit_guard {
    AUDIT_GUARD_IDENTITY,    /* who asks */
    AUDIT_GUARD_DLP_REQUEST, /* the scan of what is sent */
    AUDIT_GUARD_POLICY,      /* the decision */
    AUDIT_GUARD_LIMITS,      /* budgets */
    AUDIT_GUARD_DLP_ANSWER,  /* the scan of what comes back */
    AUDIT_GUARD_RESTORE,     /* values put back for placeholders */
    AUDIT_GUARDS
};
enum audit_guard_state {
    AUDIT_GUARD_NOT_REACHED, /* the request ended before */
    AUDIT_GUARD_RAN,         /* whatever it said */
    AUDIT_GUARD_NOT_APPLICABLE,
    AUDIT_GUARD_TIMED_OUT,
    AUDIT_GUARD_FAILED, /* it could not say anything */
};
struct audit_guard_run {
    enum audit_guard_state state;
    uint64_t us;
};

/* ---- texts, for the auditor only -----------------------------------------------------------
 *
 * What records hold of the texts of a request and its findings. Sealed texts are encrypted under a key of their subject
 * (the user), which lies, encrypted to the auditor's public key, in a file outside the ledger: reading takes the auditor's
 * secret key and that file; taking a subject's keys out of it erases the subject's texts in every copy of the ledger, and
 * changes no byte of it. The gateway itself can read back nothing (audit/payload_keys.h says why). */

enum audit_payload_level {
    AUDIT_PAYLOAD_NONE,   /* no value at all */
    AUDIT_PAYLOAD_HMAC,   /* keyed fingerprints */
    AUDIT_PAYLOAD_MASKED, /* and what a finding looks like, masked */
    AUDIT_PAYLOAD_SEALED, /* fingerprints, and the texts encrypted */
};
const char *audit_payload_level_name(enum audit_payload_level level);

struct audit_payload_config {
    const char
        *keys_path; /* the file with the subjects' keys; made, mode 0600, when it is not there */
    const char *auditor_path; /* PEM, X25519, public */
    uint64_t keep_ms;         /* keys go when all that they open is older than that; 0: they stay */
};

/* Opens the store. GW_EIO, GW_EINVAL (no such key), GW_ECORRUPT (not a store), GW_ENOMEM. Thread: any. */
enum gw_status audit_payload_open(const struct audit_payload_config *cfg,
                                  struct audit_payload **out, struct gw_err *err);
void audit_payload_close(struct audit_payload *p); /* wipes; p may be NULL */

/* A text to be sealed. */
struct audit_payload_text {
    struct gw_span subject; /* the user */
    struct gw_span request; /* its id: the text cannot be moved to another record */
    bool answer;            /* else what was asked */
    struct gw_span text;    /* so much of it as is to be sealed */
    uint64_t bytes;         /* of all of it */
};

/* Appends the JSON object for audit_event.payload. Does not wait: a new subject's key is appended to the file, the audit
 * syncs it before the record. GW_EIO, GW_ENOMEM: nothing was appended. Thread: any. */
enum gw_status audit_payload_seal(struct audit_payload *p, const struct audit_payload_text *t,
                                  struct gw_buf *out);

/* Destroys the keys of a subject: n_keys of them were there; n_before had been destroyed earlier. Durable when it returns.
 * A gateway that runs on the same file makes a new key for what comes later. GW_ENOENT: no such file; GW_EIO. */
enum gw_status audit_payload_erase(const char *keys_path, struct gw_span subject, unsigned *n_keys,
                                   unsigned *n_before, struct gw_err *err);

/* What opening sealed texts came to. */
struct audit_open_result {
    uint64_t opened, erased, no_key,
        failed; /* no_key: not in the file; failed: not for this secret key, or altered */
};
struct audit_open {
    const char *spool_dir, *keys_path;
    const char *secret_path;    /* PEM, X25519, private */
    const char *request, *user; /* patterns, or NULL */
    bool raw;                   /* the texts alone, one after the other */
};
/* Prints sealed texts in the order of their records: JSON lines, or raw. GW_ENOENT, GW_EIO, GW_EINVAL, GW_ENOMEM. */
enum gw_status audit_open_texts(const struct audit_open *o, FILE *out,
                                struct audit_open_result *result, struct gw_err *err);

/* One event. Empty spans and zeros are left out of the record. All spans are copied by audit_emit. */
struct audit_event {
    enum audit_kind kind;
    int64_t time_ms;           /* wall clock of the event; 0: now */
    struct gw_span request_id; /* correlation_uid */
    /* who and from where */
    struct gw_span auth, team; /* how the caller proved who it is: "key", "mtls", "jwt" */
    struct gw_span tenant, user, credential_id, user_agent, client_ip;
    const struct gw_span *groups;
    unsigned n_groups;
    uint16_t client_port;
    enum gw_ingress ingress;
    /* what was asked */
    struct gw_span operation;                    /* "chat.completions" */
    struct gw_span http_method, http_path, host; /* path without query */
    struct gw_span model;                        /* as requested */
    uint64_t body_bytes;
    struct gw_span body_hmac;     /* hex HMAC-SHA-256 of the request body */
    struct gw_span payload_level; /* what records of this request hold of texts; empty: hmac */
    struct gw_span payload;       /* of audit_payload_seal(); empty: nothing was sealed */
    bool
        no_payload; /* set by audit_emit(): the spool is nearly full, payload is left out and the record says so */
    bool stream;
    /* what was decided */
    enum gw_action action;
    bool blocked;
    struct gw_span target, target_zone, route_reason, reason_text, policy_line;
    struct gw_span target_model; /* after aliases */
    struct gw_span sensitivity, tier;
    unsigned complexity;
    unsigned n_findings;                 /* findings reported */
    unsigned n_allowed;                  /* of them taken away by an allowlist */
    struct audit_would would, simulated; /* of a finding: would.action only */
    struct gw_span justification,
        justified_line; /* why a line did not block, in the client's words */
    struct gw_span
        views_cut;   /* budgets of the scan that ended before the text did: "bytes,depth" */
    uint64_t dlp_us; /* time the scan took */
    /* a finding */
    struct gw_span view; /* in which form of the text it was seen; empty: as it stands */
    struct gw_span rule, rule_title, class_name, severity_name, pointer, value_hmac;
    struct gw_span masked; /* what stands there, masked */
    unsigned confidence, offset, length, count;
    enum gw_action finding_action;
    struct gw_span field;     /* whose words it stands in */
    struct gw_span allowlist; /* the entry that took it away: action is allow */
    /* how it ended */
    bool ends_decided; /* its decided record was emitted: memory waits for this one */
    enum audit_end end;
    int http_status;
    uint64_t duration_us, ttfb_us; /* since accept; first answer byte */
    uint64_t response_bytes, upstream_bytes;
    uint64_t prompt_tokens, completion_tokens;
    uint64_t cached_tokens, cache_write_tokens; /* of prompt_tokens */
    uint64_t reasoning_tokens;                  /* of completion_tokens */
    bool usage_estimated;                       /* some of these numbers are not the provider's */
    struct gw_span cache;                       /* "hit", "miss", "bypass"; empty: it is off */
    bool has_saved;                             /* a hit: what the answer had cost is known */
    uint64_t saved_nano;
    bool has_cost, has_compare;       /* the amounts are known: */
    uint64_t cost_nano, compare_nano; /* nano-units of currency: the cost; and elsewhere */
    bool has_lost;      /* what attempts cost that gave no answer is known in part or whole: */
    uint64_t lost_nano; /* not in cost_nano */
    struct gw_span currency, compare_model;
    int64_t price_from_ms; /* since when the price holds */
    struct gw_span finish_reason, response_model, error_text;
    struct gw_span budget; /* that refused the request, or ended its answer */
    unsigned n_restored;   /* placeholders put back */
    struct audit_guard_run guards[AUDIT_GUARDS];
    const struct audit_attempt
        *attempts; /* in their order; at most AUDIT_MAX_ATTEMPTS are written */
    unsigned n_attempts;
    struct gw_span config_digest,
        rules_digest; /* in force for this request; empty: those of audit_open() */
    struct gw_span
        model_digest, /* of the model in the process that answers; empty: another one does */
        model_manifest, model_signer; /* of its signed manifest, and who signed; or empty */
    struct gw_span trace_id;          /* W3C trace id, 32 hex digits, when the client sent one */
    /* traffic seen but not governed (splice, deny) */
    struct gw_span sni;
    uint64_t bytes_out, bytes_in;
    /* a change by a person: user is who, request_id the change's own id, on which consumers de-duplicate */
    struct gw_span change; /* "create", "update", "rotate", "revoke", "reload" */
    struct gw_span entity_type, entity_uid, entity_name; /* of what: "key", ... */
    struct gw_span change_via;                           /* "cli", "api", "signal" */
    struct gw_span before_json, after_json; /* its fields as JSON objects, without secrets */
};

/* ---- channels: one per event-loop thread --------------------------------------------------- */

struct audit_chan;

/* Called on the channel's thread, exactly once per audit_emit that returned GW_OK. st is GW_OK when the
 * record is durable, else the record may be lost (GW_EIO) and the caller must fail closed. */
typedef void (*audit_done_fn)(void *ctx, enum gw_status st);

enum gw_status audit_chan_open(struct audit *a, struct audit_chan **out, struct gw_err *err);
void audit_chan_close(struct audit_chan *ch); /* no callback comes afterwards */

/* Announces a decided record that will follow within some tens of microseconds, so that the thread that has to write it wakes
 * meanwhile: it looks out for the record for 50 us at most, and when none comes sleeps again. disk; else nothing. A call costs less than
 * a microsecond, or where that thread sleeps what waking it costs. Never blocks. Thread: the channel's. */
void audit_expect(struct audit_chan *ch);

/* Hands one event over, never blocks. done may be NULL (COMPLETED and FINDING need not wait: order is
 * kept, so whatever is durable later makes them durable too). done may run before this returns (process
 * durability). GW_EAGAIN: queue full; GW_ELIMIT: spool at its cap (on_full: reject); GW_EIO: the spool
 * cannot be written: answer 503 audit_unavailable. On failure done is not called. */
enum gw_status audit_emit(struct audit_chan *ch, const struct audit_event *ev, audit_done_fn done,
                          void *ctx);

/* The descriptor to watch for reading, and what to call when it is readable. */
int audit_chan_fd(const struct audit_chan *ch);
void audit_chan_dispatch(struct audit_chan *ch);

/* ---- watching --------------------------------------------------------------------------- */

struct audit_stats {
    uint64_t records, bytes, syncs; /* since open */
    uint64_t spool_bytes, spool_max_bytes;
    uint64_t delivered, undelivered; /* Kafka */
    uint64_t oldest_undelivered_ms;  /* age */
    uint64_t producer_restarts, rejected;
    uint64_t dead_letters; /* refused by Kafka for good, kept in dead-letter.jsonl */
    bool writable, kafka_configured, kafka_up;
    uint64_t checkpoints;           /* signed since open */
    int64_t last_checkpoint_ms;     /* wall clock; 0: none */
    bool seal_failing;              /* the last try to sign could not be written */
    uint64_t checkpoints_delivered; /* to their topic, since open */
    bool witness_configured, witness_failing;
    uint64_t cosigned;        /* checkpoints, since open */
    int64_t last_cosigned_ms; /* wall clock; 0: none */
};
void audit_stats(struct audit *a, struct audit_stats *out);

/* One sink, Kafka ("kafka") among them. */
enum { AUDIT_SINK_NAME_BYTES = 33, AUDIT_SINK_KIND_BYTES = 16, AUDIT_MAX_SINKS = 15 };
struct audit_sink_stats {
    char name[AUDIT_SINK_NAME_BYTES], kind[AUDIT_SINK_KIND_BYTES];
    bool up;                        /* the last delivery succeeded */
    uint64_t delivered, left_out;   /* records since open; left_out: not of its classes */
    uint64_t undelivered;           /* records */
    uint64_t oldest_undelivered_ms; /* age */
    uint64_t dead_letters, skipped; /* refused for good; deleted before it had them */
    uint64_t failures[12];          /* deliveries that failed, by enum sink_end */
};
/* Returns how many there are; fills in up to max. Thread: any. */
unsigned audit_sink_stats(struct audit *a, struct audit_sink_stats *out, unsigned max);

/* Sinks that write to files open them anew before their next batch. Thread: any. */
void audit_reopen_sinks(struct audit *a);

/* What the brokers say of the topic. */
struct audit_kafka_view {
    unsigned n_brokers, n_partitions,
        n_replicas;    /* partitions 0: there is no such topic; replicas: the least */
    bool can_make;     /* there is none, and the brokers would let the gateway make it */
    char why_not[160]; /* there is none, it is to be made, and they would not: their reason */
    bool old_scram;    /* SCRAM with a librdkafka that Kafka 3.9 takes and Kafka 4 does not */
};
/* Asks the brokers as the sender would (of cfg only what is about Kafka is read). Blocks: for commands. GW_EINVAL: a
 * property is refused; GW_EDENIED: the log-in is, and old_scram says more; GW_ETIMEDOUT: no answer, with the last reason. */
enum gw_status audit_probe_kafka(const struct audit_config *cfg, int timeout_ms,
                                 struct audit_kafka_view *out, struct gw_err *err);

/* Which records: all of what is given holds. Texts are patterns (* and ?, both cases); NULL: any. */
struct audit_filter {
    int64_t from_ms, until_ms; /* of the record's time: from <= time < until; 0: open */
    const char
        *record; /* decided, completed, finding, shadow, lifecycle, or a pattern of event_code */
    const char *request, *user, *team, *rule, *class_name, *action, *target, *model, *zone, *end;
};

struct audit_tail {
    const char *spool_dir;
    unsigned last;     /* records from the end, 0: all */
    bool follow, json; /* json: the records as they are; else a line for people */
    bool color;
    struct audit_filter filter; /* which records */
    const volatile int *stop;   /* set by a signal handler, ends follow; may be NULL */
};
/* Prints records of a spool, also of a live one, to out. */
enum gw_status audit_tail(const struct audit_tail *t, FILE *out, struct gw_err *err);

/* Topics as a source, instead of a spool. */
struct audit_kafka {
    const char *brokers;           /* host:port, several with commas */
    const char *topic;             /* of the records */
    const char *checkpoints;       /* topic of the checkpoints */
    const char *const *properties; /* librdkafka "name=value", NULL-terminated, or NULL */
};

/* ---- asking: needs no gateway, changes nothing ----------------------------------------------- */

enum audit_format { AUDIT_FORMAT_LINES, AUDIT_FORMAT_JSON, AUDIT_FORMAT_CSV };

struct audit_query {
    const char *spool_dir;
    const struct audit_kafka
        *kafka; /* instead: then each chain's records come in its order, with duplicates */
    struct audit_filter filter;
    bool
        whole_requests; /* all records of the requests whose records, together, fulfil all conditions */
    enum audit_format format;
    bool color;   /* of lines */
    uint64_t max; /* 0: all */
};

struct audit_query_result {
    uint64_t matched; /* records printed */
    uint64_t requests, process, private_, approved,
        blocked;          /* decided requests among them, by zone */
    uint64_t read, bytes; /* looked at */
};

/* Prints the records in the order of their times. GW_ENOENT, GW_EIO, GW_ENOMEM, GW_EUNSUPPORTED. */
enum gw_status audit_query(const struct audit_query *q, FILE *out,
                           struct audit_query_result *result, struct gw_err *err);

enum audit_report_form { AUDIT_REPORT_MARKDOWN, AUDIT_REPORT_HTML, AUDIT_REPORT_JSON };

struct audit_report {
    const char *spool_dir;
    const struct audit_kafka *kafka; /* instead */
    int64_t from_ms, until_ms;       /* of a request's end; 0: open */
    enum audit_report_form form;
};

/* Prints what was asked, found, kept inside, and paid: per day, team and user. Errors as audit_query(). */
enum gw_status audit_report(const struct audit_report *r, FILE *out, struct gw_err *err);

/* ---- proving: needs no gateway, changes nothing --------------------------------------------- */

/* The numbers are exit codes. */
enum audit_verdict {
    AUDIT_INTACT = 0,
    AUDIT_ALTERED = 2,   /* a record is not what was sealed, or a signature does not hold */
    AUDIT_TRUNCATED = 3, /* records at the end, a chain, or what a checkpoint names are not there */
    AUDIT_GAP = 4,       /* the gateway itself has recorded that something is missing */
};

struct audit_verify {
    const char *spool_dir;
    const struct audit_kafka *kafka; /* instead: keys must be given */
    struct gw_span
        keys; /* public keys, one a line; empty: those beside the spool, which prove less */
    struct gw_span last_known; /* checkpoints kept elsewhere; may be empty */
    struct gw_span
        witnesses; /* public keys of witnesses, one a line: then the newest cosigned checkpoints must hold; may be empty */
};
/* Reads the whole spool, also a live one, and writes what holds and what does not to out. GW_ENOENT, GW_EIO, GW_ENOMEM,
 * GW_EPARSE (keys, last_known): nothing was judged. */
enum gw_status audit_verify(const struct audit_verify *what, FILE *out, enum audit_verdict *verdict,
                            struct gw_err *err);

/* Writes the newest checkpoint of each tree, as signed. */
enum gw_status audit_head(const char *spool_dir, FILE *out, struct gw_err *err);

/* Writes a proof (JSON, docs/audit.md) that the record with that uid, or every record of that request, is under a signed
 * checkpoint. GW_ENOENT: no such record, or none that is covered yet. */
enum gw_status audit_prove_inclusion(const char *spool_dir, const char *uid, FILE *out,
                                     struct gw_err *err);

/* Writes the proof that the older checkpoint's tree is a prefix of the newest one's. older: the text of the checkpoint. */
enum gw_status audit_prove_consistency(const char *spool_dir, struct gw_span older, FILE *out,
                                       struct gw_err *err);

/* Checks proofs, one JSON object a line, with nothing but the public keys; says what each proves. */
enum gw_status audit_check_proof(struct gw_span proofs, struct gw_span keys, FILE *out,
                                 enum audit_verdict *verdict, struct gw_err *err);

#endif
