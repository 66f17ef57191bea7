/* proxy/config/config_private.h - what the files config*.c share: the table of keys and the state of one load. */
#ifndef PROXY_CONFIG_PRIVATE_H
#define PROXY_CONFIG_PRIVATE_H

#include "base/arena.h"
#include "base/yaml.h"
#include "proxy/config/config.h"

/* What a key takes, and what its offset points to. */
enum config_type {
    CONFIG_SECTION,  /* a mapping of keys of the table; no value of its own */
    CONFIG_NAMED,    /* a mapping NAME: {keys}; "targets" */
    CONFIG_ITEMS,    /* a list of mappings; "routes", "policy" */
    CONFIG_BOOL,     /* bool */
    CONFIG_UINT,     /* unsigned, min to max */
    CONFIG_BYTES,    /* uint64_t, min to max */
    CONFIG_DURATION, /* int64_t milliseconds, min to max */
    CONFIG_STRING,   /* const char * */
    CONFIG_PATH,     /* const char *, relative to the configuration's folder */
    CONFIG_ENUM,     /* unsigned: index into choices */
    CONFIG_ACTION,   /* unsigned: enum gw_action; where the path is also a section: or a mapping */
    CONFIG_SEVERITY, /* unsigned: enum gw_severity, "high" or ">=high" */
    CONFIG_AT_LEAST, /* unsigned: 60 or ">=60" */
    CONFIG_ZONE,     /* enum gw_zone */
    CONFIG_ZONES,    /* unsigned: one or a list */
    CONFIG_CLASSES,  /* unsigned: one or a list, a bit each */
    CONFIG_WORDS,    /* unsigned: one or a list, a bit for each of choices */
    CONFIG_LIST,     /* struct proxy_config_list: one or a list */
    CONFIG_PATHS,    /* the same, each a path or the word `builtin` */
    CONFIG_HOSTS,    /* the same, host suffixes or the word `ai-hosts` */
    CONFIG_ADDR,     /* struct proxy_config_addr: host:port or off */
    CONFIG_URL,      /* struct proxy_config_url */
    CONFIG_URLS,     /* struct proxy_config_urls: one or a list */
    CONFIG_SECRET,   /* struct proxy_config_secret */
    CONFIG_SECRETS,  /* struct proxy_config_secrets: one or a list */
    CONFIG_DOCUMENT, /* the same, but any text: a JSON key of many lines */
    CONFIG_RESOLVES, /* struct proxy_config_resolves */
    CONFIG_NETS,     /* struct proxy_config_nets */
    CONFIG_PORTS,    /* struct proxy_config_ports */
    CONFIG_PAIRS,    /* struct proxy_config_pairs */
    CONFIG_MONEY,    /* uint64_t nano-units: "2.50"; UINT64_MAX: not given */
    CONFIG_DATE,     /* int64_t ms since 1970: "2026-01-31", its begin in UTC */
    CONFIG_PROPERTIES, /* const char *const *: "name=value", NULL-terminated */
};

/* One key. path: "targets.*.zone", "routes[].model", "policy[].when.class"; the offset counts from the
 * innermost struct that has its own: proxy_config_target, _route, _line, or proxy_config. */
struct config_key {
    const char *path;
    enum config_type type;
    size_t offset;
    const char *def; /* as it would be written; NULL: nothing; config_required: there is none */
    int64_t min, max;
    const char *const *choices; /* CONFIG_ENUM, CONFIG_WORDS: NULL-terminated */
    const char *help;
};

extern const char config_required[];
extern const struct config_key config_keys[];
extern const unsigned n_config_keys;

/* The entry of the table with exactly that path, or NULL. */
const struct config_key *config_key_find(const char *path);

/* Copies into out the key below prefix ("" for the top) that looks most like name, without the prefix.
 * False when nothing is near. */
bool config_key_suggest(const char *prefix, struct gw_span name, char *out, size_t size);

/* What owns a configuration's memory. */
struct proxy_config_store {
    struct gw_arena *arena;
    struct router_policy *policy, *simulated;
    struct router_prices *prices;
};

/* The state of one load. */
struct config_load {
    struct proxy_config *cfg;
    struct gw_arena *arena; /* cfg's */
    struct gw_yaml *yaml;   /* the document being read */
    const char *dir; /* folder that relative paths start from; "" for the working directory */
    unsigned flags;  /* PROXY_CONFIG_* */
    proxy_config_report_fn report;
    void *report_ctx;
    unsigned n_errors;
    struct gw_err first; /* the first error */
    bool no_memory;
    const struct proxy_config_budget *budgets; /* as read; config_build_budgets() checks them */
    unsigned n_budgets;
};

/* Reports one error or warning at node ("name:line: path: what"); node may be NULL. */
void config_error(struct config_load *l, const struct gw_yaml_node *node, const char *fmt, ...)
    GW_PRINTF(3, 4);
void config_warn(struct config_load *l, const struct gw_yaml_node *node, const char *fmt, ...)
    GW_PRINTF(3, 4);
/* The same for what was found behind the tree: line 0 for none. */
void config_report_line(struct config_load *l, bool warning, unsigned line, const char *text);
/* The same with the place in text: "other.yaml:3: ...". */
void config_report_text(struct config_load *l, bool warning, const char *text);

/* Allocation of a load: NULL is remembered in l->no_memory. */
void *config_alloc(struct config_load *l, size_t n, size_t size);
/* A copy of text that lives as long as the configuration; "" when memory is exhausted. */
struct gw_span config_copy(struct config_load *l, struct gw_span text);

/* A path as the configuration means it: a relative one starts at l->dir. */
struct gw_span config_path(struct config_load *l, struct gw_span text);

/* Reads node as the value of key into field (base + offset). Errors are reported. path values are made
 * absolute or relative to the working directory. */
void config_value_read(struct config_load *l, const struct config_key *key,
                       const struct gw_yaml_node *node, void *field);

/* Readers that need a file of their own (config_net.c). Each reports its errors. */
void config_read_addr(struct config_load *l, const struct gw_yaml_node *node,
                      struct proxy_config_addr *out);
void config_read_url(struct config_load *l, const struct gw_yaml_node *node,
                     struct proxy_config_url *out);
void config_read_resolves(struct config_load *l, const struct gw_yaml_node *node,
                          struct proxy_config_resolves *out);
void config_read_nets(struct config_load *l, const struct gw_yaml_node *node,
                      struct proxy_config_nets *out);
void config_read_hosts(struct config_load *l, const struct gw_yaml_node *node,
                       struct proxy_config_list *out);

/* Lists of them (config_pool.c). */
void config_read_urls(struct config_load *l, const struct gw_yaml_node *node,
                      struct proxy_config_urls *out);
void config_read_secrets(struct config_load *l, const struct gw_yaml_node *node,
                         struct proxy_config_secrets *out);

/* Reads a key from its file or the environment (config_secret.c). document: it may be any text. */
void config_read_secret(struct config_load *l, const struct gw_yaml_node *node, bool document,
                        struct proxy_config_secret *out);

/* The text of a scalar that has one, without control bytes; else reports and returns false. */
bool config_scalar_text(struct config_load *l, const struct gw_yaml_node *node,
                        struct gw_span *out);

/* Fills what depends on more than one key and checks it: state paths, default routes, the router's policy
 * (config_check.c). */
void config_finish(struct config_load *l);

/* What is wrong with a proxy on the way out, or NULL (config_targets.c). */
const char *config_egress_fault(const struct proxy_config_egress *e);

/* Checks one target and fills in what follows from its kind: base URL, zone (config_targets.c). */
void config_check_target(struct config_load *l, struct proxy_config_target *t);

void config_walk_budgets(struct config_load *l, const struct gw_yaml_node *node);
/* The budgets out of what was read, checked; `redis.url` in its parts (config_budgets.c). */
void config_build_budgets(struct config_load *l);

/* `auth.jwt:` and `auth.mtls:` (config_auth.c). */
void config_walk_jwt(struct config_load *l, const struct gw_yaml_node *node);
void config_walk_mtls(struct config_load *l, const struct gw_yaml_node *node);

/* `audit.sinks:`, and the checks of it (config_sinks.c). */
void config_walk_sinks(struct config_load *l, const struct gw_yaml_node *node);
void config_check_sinks(struct config_load *l);

/* Checks `auth` and `admin`, fills in their defaults (config_auth.c). */
void config_check_auth(struct config_load *l);

/* Several endpoints and keys of a target (config_pool.c): what the first of each is, before its kind is looked at; then
 * that there is one endpoint at least, what is probed, and that all is within its limits. */
void config_begin_pool(struct config_load *l, struct proxy_config_target *t);
void config_end_pool(struct config_load *l, struct proxy_config_target *t);
/* Reports a problem of a target, at its line. */
void config_complain(struct config_load *l, bool warning, const struct proxy_config_target *t,
                     const char *what);

/* "DIR/NAME", as long as the configuration lives; "" when memory is exhausted. */
const char *config_join(struct config_load *l, const char *dir, const char *name);

/* Reads a time zone by its name or as an offset. NULL, or what is wrong with it and *out as it was (config_zone.c). */
const char *config_zone_read(struct config_load *l, const char *name, struct router_zone *out);
/* The same of the bytes of a TZif file; the tables are arena's. */
bool config_zone_parse(struct gw_arena *arena, struct gw_span file, struct router_zone *out);

/* `days`, `hours` and `zone` of a line. NULL, or what is wrong (config_policy_time.c). */
const char *config_hours_read(struct config_load *l, const struct proxy_config_line *line,
                              struct router_hours *out);

/* Reads a list of policy lines (config.c). */
void config_walk_lines(struct config_load *l, const struct gw_yaml_node *node,
                       const struct proxy_config_line **out, unsigned *n_out);
/* The lines of `simulate:` (config_policy_build.c). */
void config_read_simulated(struct config_load *l);

/* `allowlist:`: appends its entries. Then the file's, and checks all of them (config_allow.c). */
void config_walk_allow(struct config_load *l, const struct gw_yaml_node *node);
void config_read_allow_file(struct config_load *l);
void config_check_allow(struct config_load *l);
void config_free_allow(struct proxy_config *cfg);

/* Checks routes and policy lines, fills in the default routes, and has the policies built
 * (config_policy.c). */
void config_build_policy(struct config_load *l);
/* cfg->policy and cfg->simulated, of lines that were checked (config_policy_build.c). */
void config_make_policies(struct config_load *l);
/* Reports a problem of an item: "policy[3]: what". */
void config_complain_item(struct config_load *l, unsigned line, const char *path, unsigned index,
                          const char *what);

/* Reads another YAML file that a key names, and has its root walked; nothing when path is "". Problems name that file
 * (config_prices.c). */
void config_walk_file(struct config_load *l, const char *path, const char *key,
                      void (*walk)(struct config_load *l, const struct gw_yaml_node *root));

/* Reads a mapping's keys: those of the table below prefix ("" for the top), into the fields of base; and the defaults
 * of the keys right below prefix, which ends with '.' or is "" (config.c). */
void config_walk(struct config_load *l, const struct gw_yaml_node *node, const char *prefix,
                 void *base);
void config_set_defaults(struct config_load *l, const char *prefix, void *base);

/* `audit.payload:`, and whether what it says can be done (config_payload.c). */
void config_walk_payload(struct config_load *l, const struct gw_yaml_node *node);
void config_check_payload(struct config_load *l);
/* What is wrong with the file of an auditor's key, or NULL; "" is no file. Reads it. */
const char *config_auditor_fault(const char *path, char *room, size_t size);

/* `prices.table:`: appends its lines. Then the file's lines, and the table that is made of both (config_prices.c). */
void config_walk_prices(struct config_load *l, const struct gw_yaml_node *node);
void config_read_prices_file(struct config_load *l);
void config_build_prices(struct config_load *l);
/* Readers of CONFIG_MONEY and CONFIG_DATE. */
void config_read_money(struct config_load *l, const struct gw_yaml_node *node, uint64_t *out);
void config_read_date(struct config_load *l, const struct gw_yaml_node *node, int64_t *out);

/* A target that the built-in default has when the environment variable is set, or the model's folder is there: its YAML
 * (config_default.c). The list ends with a text of NULL. */
struct config_extra {
    const char *env, *model, *text;
};
extern const struct config_extra config_extras[];

/* The hosts behind the word `ai-hosts` (config_hosts.c). */
extern const char *const config_ai_hosts[];
extern const unsigned n_config_ai_hosts;

#endif
