/* proxy/config/config.h - the configuration: what sluice.yaml says, checked as a whole, defaults filled in.
 *
 * One table (config_table.c) drives parsing, defaults, messages, docs/config.md and the JSON Schema. A
 * loaded configuration is immutable and may be read by any thread. Everything that it points to lives as
 * long as it does; every string is NUL-terminated, holds no NUL inside, and is never NULL. Secrets lie in
 * the configuration's own arena, which is wiped before it is freed. */
#ifndef PROXY_CONFIG_H
#define PROXY_CONFIG_H

#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "base/span.h"
#include "base/types.h"
#include "dlp/dlp.h"
#include "router/router.h"

/* An address to listen on or to connect to, already parsed: nothing here needs a resolver. */
struct proxy_config_addr {
    bool off; /* `off` (or not set): nothing else is valid but text */
    struct sockaddr_storage sa;
    socklen_t sa_len;
    uint16_t port;    /* host order; in `resolve`: 0 keeps the port of the URL */
    const char *text; /* as written */
};

/* Strings in the order of the file. Each item is also NUL-terminated. */
struct proxy_config_list {
    const struct gw_span *items;
    unsigned n;
};

/* `resolve:`: connect here instead of asking the resolver. */
struct proxy_config_resolve {
    const char *host; /* lower case */
    struct proxy_config_addr addr;
};
struct proxy_config_resolves {
    const struct proxy_config_resolve *items;
    unsigned n;
};

/* An address range, "10.0.0.0/8" or one address. */
struct proxy_config_net {
    int family; /* AF_INET, AF_INET6 */
    unsigned char bytes[16];
    unsigned bits;
};
struct proxy_config_nets {
    const struct proxy_config_net *items;
    unsigned n;
};

struct proxy_config_ports {
    const uint16_t *items;
    unsigned n;
};

/* Pairs of an `aliases:` mapping. */
struct proxy_config_pair {
    struct gw_span from, to;
    unsigned line;
};
struct proxy_config_pairs {
    const struct proxy_config_pair *items;
    unsigned n;
};

/* A URL in its parts. */
struct proxy_config_url {
    bool set, tls;
    const char *text, *host; /* host: lower case, IPv6 without brackets */
    uint16_t port;
    const char *path; /* "/v1"; "" for none; never ends in '/' */
};

struct proxy_config_urls {
    const struct proxy_config_url *items;
    unsigned n;
};

/* A key: read from its file or the environment when the configuration was loaded. */
struct proxy_config_secret {
    struct gw_span
        value;          /* empty: none; printable ASCII without spaces, but `credentials`, which are
                             any text. Never log it */
    const char *source; /* "file:/etc/sluice/openai.key", "env:NAME", or "" */
};

struct proxy_config_secrets {
    const struct proxy_config_secret *items;
    unsigned n;
};

/* `proxy:` and `proxy_auth:`: somebody else's HTTP proxy on the way out. */
struct proxy_config_egress {
    struct proxy_config_url url;     /* http, without a path; not set: connect directly */
    struct proxy_config_secret auth; /* "user:password", or none */
};

/* `dlp.native`: whether rules from YAML are compiled. */
enum proxy_native { PROXY_NATIVE_AUTO, PROXY_NATIVE_OFF };

/* In the order of the words that `kind` takes. All but the engine are servers. */
enum proxy_target_kind {
    PROXY_TARGET_ENGINE,
    PROXY_TARGET_OPENAI,
    PROXY_TARGET_ANTHROPIC,
    PROXY_TARGET_GEMINI,
    PROXY_TARGET_AZURE,
    PROXY_TARGET_VERTEX,
    PROXY_TARGET_BEDROCK,
    PROXY_TARGET_KIND_COUNT
};

/* `apis:`: which of OpenAI's APIs a server has, in the order of the words. */
enum proxy_target_api {
    PROXY_API_CHAT = 1,
    PROXY_API_COMPLETIONS = 2,
    PROXY_API_RESPONSES = 4,
    PROXY_API_EMBEDDINGS = 8,
    PROXY_API_OTHER = 16, /* every other path below /v1 */
    PROXY_API_ALL = 31
};

/* `server:`: whose software a private server runs, for its health probe. */
enum proxy_server {
    PROXY_SERVER_ANY,
    PROXY_SERVER_VLLM,
    PROXY_SERVER_SGLANG,
    PROXY_SERVER_TGI,
    PROXY_SERVER_TRITON,
    PROXY_SERVER_LLAMA_CPP
};

enum {
    PROXY_MAX_ENDPOINTS = 16,
    PROXY_MAX_KEYS = 16
}; /* the product is at most ROUTER_MAX_SLOTS */

struct proxy_config_target {
    const char *name;
    unsigned line; /* where it stands in the file */
    enum proxy_target_kind kind;
    enum gw_zone zone;
    struct proxy_config_list models; /* globs; none: every model */
    /* engine */
    const char *model;  /* path of the GGUF file. A relative one was looked for beside the
                          configuration, then in models_dir */
    const char *draft;  /* path of the draft model, found likewise; "": none */
    const char *medusa; /* path of the folder of Medusa heads, found likewise; "": none */
    unsigned threads, max_context, max_seqs; /* 0: the engine's default */
    unsigned kv;                             /* enum engine_kv */
    unsigned prefixes;                       /* enum engine_prefixes */
    unsigned weights;                        /* enum engine_weights */
    const char *device;                      /* see engine_config */
    unsigned split;                          /* enum engine_split */
    struct proxy_config_pairs
        adapters; /* from: "TARGET:NAME", as records and answers say it; to: the path, looked for
                                           as model's */
    /* servers: every kind but engine */
    struct proxy_config_url base_url; /* always set: derived where the file does not say it */
    const char *default_model; /* sent when the target does not take the requested model: `auto`, a
                                  reroute; "": the requested one is sent */
    struct proxy_config_secret key;
    const char *ca; /* file with PEM certificates to trust instead of the system's, or "" */
    struct proxy_config_resolves resolve;
    struct proxy_config_egress egress;
    unsigned max_idle; /* idle connections kept, per worker */
    int64_t connect_ms, first_byte_ms, idle_ms;
    struct proxy_config_urls endpoints; /* servers: at least one, the first is base_url */
    struct proxy_config_secrets keys;   /* the first is key; none: no key */
    unsigned retries;                   /* further attempts on this target */
    int64_t hedge_ms;                   /* 0: off */
    struct router_breaker_limits breaker;
    unsigned server; /* enum proxy_server */
    struct {
        const char *path; /* "/health"; "": no probes */
        int64_t interval_ms, timeout_ms;
        unsigned failures, successes; /* in a row, until it is down or up */
    } health;
    unsigned apis;  /* openai, azure: OR of enum proxy_target_api, never 0 */
    unsigned usage; /* openai, azure: 0: streams are asked for their usage; 1: they are not */
    /* azure */
    struct proxy_config_pairs
        deployments;         /* model to deployment; one that is not there is its own */
    const char *api_version; /* "v1", or a date; "" for the other kinds */
    /* vertex */
    const char *project, *location;
    struct proxy_config_secret
        credentials; /* the text of a service account's JSON key; none: the machine's account */
    /* bedrock: signed with the key pair, or sent with `key` */
    const char *region;
    struct proxy_config_secret access_key, secret_key, session_token;
};

struct proxy_config_route {
    unsigned line;
    struct proxy_config_list models, to, tiers[GW_TIER_COUNT];
    unsigned on_conflict; /* 0: reroute, 1: refuse */
};

/* What records hold of the texts of requests for which all that is said holds. */
struct proxy_config_payload {
    unsigned line;                                                        /* of the file */
    struct proxy_config_list teams, users, groups, keys, models, targets; /* patterns; n 0: any */
    unsigned level; /* enum audit_payload_level */
};

struct proxy_config_line {
    unsigned line;
    const char *name;
    unsigned classes; /* bit per enum gw_class; 0: any */
    struct proxy_config_list rules, groups, users, models;
    unsigned min_confidence, min_severity, min_count;
    unsigned action;      /* enum gw_action */
    unsigned zones;       /* OR of enum gw_zone; 0: no limit */
    unsigned else_action; /* GW_ACTION_COUNT: no `else:` */
    unsigned scope;       /* 0: when the text leaves the process; 1: always */
    unsigned on;          /* enum router_direction */
    unsigned mode;        /* enum router_mode */
    unsigned unless;      /* 1: `justified`: a reason makes `block` `coach` */
    unsigned style;       /* enum dlp_style: of tokenize */
    unsigned pin;         /* 1: the conversation stays in the zones that the line limits it to */
    struct proxy_config_list keys, teams, targets;
    unsigned fields;               /* bit per enum router_field */
    unsigned views;                /* bit per enum dlp_view */
    unsigned media;                /* bit per enum router_medium */
    struct proxy_config_list days; /* as written: "mon-fri" */
    const char *hours, *zone;      /* as written: "08:00-18:00", "Europe/Berlin"; or "" */
    const char *message, *appeal;  /* for the person whose request it is; or "" */
};

struct proxy_config_stamp {
    uint64_t inode, size;
    int64_t seconds, nanoseconds; /* of its last change */
};

/* An entry of `allowlist:`: findings that are none. All that is said must hold. */
struct proxy_config_allow {
    unsigned line;
    const char *file; /* where it stands */
    const char *id;   /* in records */
    const char *value, *value_hmac, *regex;
    struct proxy_config_list rules, paths, users, groups, keys;
    const char *owner, *reason;
    int64_t expires_ms;         /* the first moment at which it does not hold */
    struct dlp_regex *compiled; /* of regex, or NULL */
};

/* Who shares an answer of the cache, in the order of the words. */
enum proxy_cache_scope { PROXY_CACHE_KEY, PROXY_CACHE_USER, PROXY_CACHE_TEAM, PROXY_CACHE_TENANT };

/* A line of `prices.table:`. */
struct proxy_config_price {
    struct proxy_config_list targets, models; /* globs; no targets: every one */
    struct router_price amounts;              /* target and model are not used */
};

/* One of `budgets:` as it is read; proxy_config.budgets has them checked. */
struct proxy_config_budget {
    unsigned line;
    const char *name;
    unsigned per; /* enum router_budget_per */
    struct proxy_config_list keys, users, teams, models, targets;
    const char *texts[ROUTER_BUDGET_KINDS]; /* "600 / minute" */
    unsigned concurrency;
};

/* What the holder of a certificate or token belongs to and may do; empty: nothing, or no limit. */
struct proxy_config_grants {
    const char *owner, *team;
    struct proxy_config_list groups, models, targets;
    struct proxy_config_nets networks;
};

/* `algorithms:` of an issuer, in the order of the words. */
enum proxy_jwt_algorithm {
    PROXY_JWT_RS256 = 1,
    PROXY_JWT_RS384 = 2,
    PROXY_JWT_RS512 = 4,
    PROXY_JWT_PS256 = 8,
    PROXY_JWT_ES256 = 16,
    PROXY_JWT_ES384 = 32,
    PROXY_JWT_EDDSA = 64,
};

/* `auth.jwt[]`: who signs tokens. */
struct proxy_config_jwt {
    unsigned line;
    const char *issuer;
    struct proxy_config_list audience; /* one of them must be in the token */
    const char *jwks;                  /* URL, or path of a file */
    unsigned algorithms;               /* OR of enum proxy_jwt_algorithm */
    const char *ca;                    /* PEM file to trust for the URL, or "" */
    int64_t leeway_ms, refresh_ms, stale_ms;
    const char *claim_user, *claim_owner, *claim_team, *claim_groups, *claim_models; /* or "" */
    struct proxy_config_grants grants;
};

/* `auth.mtls[]`: which client certificate is whom; the first line that matches. */
enum { PROXY_CERT_CN, PROXY_CERT_EMAIL, PROXY_CERT_DNS, PROXY_CERT_URI, PROXY_CERT_FIELDS };
struct proxy_config_mtls {
    unsigned line;
    struct proxy_config_list names[PROXY_CERT_FIELDS]; /* patterns; all that are given must match */
    struct proxy_config_list org, unit;                /* of the subject */
    unsigned user_from;                                /* PROXY_CERT_* */
    const char *user;                                  /* fixed, instead of user_from; or "" */
    struct proxy_config_grants grants;
};

/* `audit.sinks[]`: where records go besides Kafka. In the order of the words that `kind` takes. */
enum proxy_sink_kind {
    PROXY_SINK_STDOUT,
    PROXY_SINK_FILE,
    PROXY_SINK_SPLUNK,
    PROXY_SINK_ELASTIC,
    PROXY_SINK_WEBHOOK,
    PROXY_SINK_SYSLOG
};
enum proxy_sink_format { PROXY_SINK_JSON, PROXY_SINK_NDJSON };
enum { PROXY_MAX_SINKS = 15 };
struct proxy_config_sink {
    unsigned line;
    const char *name;
    unsigned kind;               /* enum proxy_sink_kind */
    const char *path;            /* file */
    bool sync;                   /* file */
    struct proxy_config_url url; /* splunk, elastic, webhook */
    const char *address;         /* syslog: as written */
    const char *host;            /* syslog: of address; IPv6 without brackets */
    uint16_t port;               /* syslog */
    bool tls;                    /* syslog */
    struct proxy_config_secret token;
    const char *user, *index;
    unsigned format; /* webhook: enum proxy_sink_format */
    const char *ca, *cert, *cert_key;
    unsigned facility; /* syslog: 0 to 23 */
    uint64_t max_message;
    unsigned records; /* bits, in the order of the words: enum audit_class */
    unsigned batch_records;
    uint64_t batch_bytes;
    int64_t batch_ms, timeout_ms;
    unsigned on_full; /* 0: hold, 1: skip */
};

/* `listen.tls.clients` */
enum { PROXY_CLIENTS_NONE, PROXY_CLIENTS_OPTIONAL, PROXY_CLIENTS_REQUIRED };

enum { PROXY_INTERCEPT_DENY, PROXY_INTERCEPT_SPLICE, PROXY_INTERCEPT_BUMP };
enum { PROXY_AUTH_NONE, PROXY_AUTH_KEYS };

struct proxy_config {
    const char *file; /* its name for messages; "built-in" without one */
    const char *
        digest; /* hex SHA-256 of the file (sha256sum agrees); with targets that the surroundings added also of those */
    const char *state_dir;
    struct {
        bool require_signed;
        struct proxy_config_list trusted_keys; /* 64 hex digits each */
    } models;
    const char *models_dir; /* where `sluice models pull` puts models */
    const char *instance;   /* this gateway's name in records */
    unsigned workers;       /* 1 to 16: 0 in the file has become the number of cores */
    bool core_dumps;        /* a crash may leave its memory behind */
    int64_t drain_delay_ms; /* SIGTERM: how long to be not ready before draining begins */
    int64_t drain_ms;       /* SIGTERM: how long running requests may take */

    struct {
        struct proxy_config_addr gateway, proxy, admin;
        const char *tls_cert, *tls_key;     /* PEM files for the gateway port, or both "" */
        unsigned clients;                   /* PROXY_CLIENTS_*: certificates of clients */
        const char *client_ca, *client_crl; /* PEM files, or "" */
    } listen;

    const struct proxy_config_target *targets; /* index = the router's target index */
    unsigned n_targets;
    const struct proxy_config_route *routes;
    unsigned n_routes;
    const struct proxy_config_line *lines; /* `policy:` */
    unsigned n_lines;
    struct proxy_config_pairs aliases;
    unsigned default_action;             /* enum gw_action */
    struct router_complexity complexity; /* thresholds */
    unsigned mode;                       /* enum router_mode: of the whole policy */
    struct router_policy *policy; /* built from the seven above; owned by the configuration */

    const char *simulate; /* a file with another policy that is looked at beside; or "" */
    const struct proxy_config_line *simulated_lines;
    unsigned n_simulated_lines;
    unsigned simulated_default;
    struct router_policy *simulated; /* NULL: none */

    struct {
        const char *file;                       /* its entries are in items, too; or "" */
        const struct proxy_config_allow *items; /* n_hmac by value_hmac, n_value by value, others */
        unsigned n, n_hmac, n_value;
        struct proxy_config_stamp stamp; /* of the file, before it was read */
    } allow;

    struct {
        struct proxy_config_list rules; /* "builtin", files and folders */
        unsigned native;                /* enum proxy_native */
        unsigned report_from;           /* confidence, 0 to 100 */
        unsigned on_error;              /* 0: block, 1: allow */
        int64_t timeout_ms;             /* of a request's scan, and of an answer's; 0: none */
        unsigned on_cut;                /* the same */
        unsigned placeholders;          /* 0: those of one conversation, 1: of one caller */
    } dlp;

    struct {
        uint64_t max_body, max_header, max_request_line; /* bytes */
        unsigned max_connections;                        /* over all workers */
        unsigned max_connections_per_client;             /* of one address; 0: a half of these */
        uint64_t max_memory; /* bytes that requests may hold; 0: a half of the machine's */
        uint64_t max_memory_per_client; /* of one address; 0: a half of that */
        int64_t header_ms, body_ms, idle_ms, request_ms;
    } limits;

    const struct router_budget *budgets;
    unsigned n_budgets;
    struct {
        unsigned bytes_per_token, answer_tokens;
        bool cap_answers;
        unsigned unknown_price; /* 0: refuse, 1: free */
    } accounting;
    struct {
        const char *url;  /* "": none */
        const char *host; /* lower case, IPv6 without brackets */
        uint16_t port;
        unsigned db;
        const char *user;
        struct proxy_config_secret password;
        const char *prefix;
        int64_t timeout_ms;
        unsigned on_unavailable; /* 0: refuse, 1: local */
        unsigned share;
    } redis;

    struct {
        struct proxy_config_list open; /* paths of the admin port that need no admin key */
    } admin;

    struct {
        unsigned retry_percent; /* of requests, that retries may add */
        int64_t backoff_ms;     /* first wait before a retry of the same place */
        int64_t max_wait_ms;    /* longest wait for a retry, whoever asks for it */
        int64_t
            first_event_ms; /* how long a stream's head waits for its first event; 0: not at all */
    } reliability;

    struct {
        bool required;    /* the gateway port wants a key */
        const char *keys; /* path of the keys database */
        const struct proxy_config_jwt *jwt;
        unsigned n_jwt;
        const struct proxy_config_mtls *mtls;
        unsigned n_mtls;
    } auth;

    struct {
        const char *spool;
        unsigned durability; /* enum audit_durability */
        unsigned on_full;    /* enum audit_on_full */
        uint64_t max_spool, segment;
        int64_t retain_ms, checkpoint_ms;
        const char *kafka_brokers, *kafka_topic; /* brokers "": no Kafka */
        const char *kafka_checkpoints;           /* topic; "": none */
        const char *witness_url, *witness_ca;    /* "": none; the system's certificates */
        const char *const *kafka_properties;     /* "name=value", NULL-terminated */
        unsigned kafka_partitions,
            kafka_replication; /* of a topic that has to be made; 0 partitions: it is not */
        const struct proxy_config_payload *payload; /* the first that fits counts */
        unsigned n_payload;
        uint64_t max_payload;     /* bytes of a text that are sealed */
        const char *auditor_key;  /* PEM; "": nothing can be sealed */
        const char *subject_keys; /* path of their store */
        int64_t payload_keep_ms;  /* sealed texts can be opened so long; 0: for good */
        const struct proxy_config_sink *sinks;
        unsigned n_sinks;
    } audit;

    struct {
        const char *ca_dir;
        struct proxy_config_list bump, splice,
            deny;              /* host suffixes, lower case; ai-hosts expanded */
        unsigned default_mode; /* PROXY_INTERCEPT_DENY or _SPLICE */
        unsigned auth;         /* PROXY_AUTH_* */
        struct proxy_config_ports connect_ports;
        struct proxy_config_nets allow_private;
        struct proxy_config_resolves resolve;
        struct proxy_config_egress egress;
        const char *upstream_ca; /* or "" */
    } intercept;

    struct {
        enum gw_log_level level;
        unsigned format; /* enum gw_log_format */
        bool access;
    } log;

    struct {
        const char *currency, *file, *compare; /* as written */
        const struct proxy_config_price *lines;
        unsigned n_lines;
        struct router_prices
            *table; /* never NULL; empty without prices. Owned by the configuration */
        const char *compare_target,
            *compare_model; /* what answers of a model of one's own are compared with; model "": nothing */
    } prices;

    struct {
        bool enabled, tools, shared;
        unsigned scope; /* enum proxy_cache_scope */
        unsigned when;  /* 0: deterministic requests only; 1: always */
        int64_t ttl_ms;
        uint64_t max_size, max_entry; /* bytes */
    } cache;

    struct {
        int64_t ttl_ms; /* how long a conversation stays in the zones that a finding left */
    } conversations;

    struct proxy_config_store *store; /* private: what owns all of the above */
};

enum {
    PROXY_CONFIG_NO_SECRETS = 1, /* do not read keys: for commands that send nothing */
};

/* What shows that a file is another one, or was written to; zeros: there is none. Reads the file system. */
void proxy_config_stamp(const char *path, struct proxy_config_stamp *out);

/* Called for each problem: "sluice.yaml:12: targets.local.zone: must be process, private ...".
 * warning: the configuration can still be used. */
typedef void (*proxy_config_report_fn)(void *ctx, bool warning, const char *message);

/* Loads and checks a configuration. path NULL: $SLUICE_CONFIG when set, else the built-in default.
 * Every problem is reported (report may be NULL), not only the first. On success *out is owned by the
 * caller (proxy_config_free). Errors: GW_ENOENT, GW_EIO, GW_EPARSE (not YAML), GW_ENOMEM, GW_EINVAL
 * (what was reported: err holds the first and how many there were). */
enum gw_status proxy_config_load(const char *path, unsigned flags, struct proxy_config **out,
                                 proxy_config_report_fn report, void *ctx, struct gw_err *err);

/* The same from text; name is for messages, relative paths start at the working directory. */
enum gw_status proxy_config_parse(struct gw_span text, const char *name, unsigned flags,
                                  struct proxy_config **out, proxy_config_report_fn report,
                                  void *ctx, struct gw_err *err);

/* Looks at what a start needs beyond the file: models, certificates, CA files and rule files can be
 * read, directories can be made. Reports each problem and returns how many errors there were. Reads
 * files: not for event loops. */
unsigned proxy_config_check_files(const struct proxy_config *cfg, proxy_config_report_fn report,
                                  void *ctx);

/* How many entries of the allowlist end within 14 days, and how many have ended. */
void proxy_config_allow_ends(const struct proxy_config *cfg, int64_t now_ms, unsigned *soon,
                             unsigned *ended);

void proxy_config_free(struct proxy_config *cfg); /* wipes; cfg may be NULL */

/* Where state lives when no configuration says otherwise: /var/lib/sluice for root, else
 * ${XDG_STATE_HOME:-~/.local/state}/sluice. False when it does not fit or there is no home. */
bool proxy_config_default_state_dir(char *out, size_t size);

/* The text of the built-in default configuration. */
struct gw_span proxy_config_default_text(void);

/* Writes docs/config.md, or the JSON Schema of sluice.yaml. */
void proxy_config_print_docs(FILE *out);
void proxy_config_print_schema(FILE *out);

#endif
