/* router/router.h - the pure decision: where a request may go, what happens to each finding, and why.
 *
 * No I/O, no clock, no randomness: the same input gives the same answer. Policy comes first: what it
 * says of sensitivity is a hard constraint on zones; only inside it do complexity and order choose.
 * A policy is built once, is immutable afterwards and may be read by any number of threads. */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/span.h"
#include "base/types.h"

/* ---- building a policy ------------------------------------------------------------------ */

struct router_policy;

enum { ROUTER_MAX_TARGETS = 64, ROUTER_MAX_CHOICES = 8, ROUTER_MAX_FINDINGS = 10000 };

struct router_policy *router_policy_new(void); /* NULL when out of memory */
void router_policy_free(struct router_policy *p);

/* A place that can answer. Returns its index through *index. models: glob patterns ("gpt-*"); none
 * means every model. GW_EEXIST, GW_ELIMIT, GW_ENOMEM. */
enum gw_status router_policy_add_target(struct router_policy *p, struct gw_span name,
                                        enum gw_zone zone, const struct gw_span *models,
                                        unsigned n_models, unsigned *index, struct gw_err *err);

/* What a policy line is about. */
enum router_direction {
    ROUTER_ON_REQUEST,  /* findings in requests, and requests as a whole */
    ROUTER_ON_RESPONSE, /* findings in answers */
    ROUTER_ON_BOTH,
    ROUTER_DIRECTION_COUNT
};

/* What a policy, or one of its lines, does. */
enum router_mode {
    ROUTER_MODE_ENFORCE,
    ROUTER_MODE_MONITOR, /* nothing; what it would do is told: router_decision.would */
    ROUTER_MODE_OFF,     /* a line only: as if it was not there */
    ROUTER_MODE_COUNT
};

/* Where in a request a finding stands. */
enum router_field {
    ROUTER_FIELD_OTHER,     /* none of these: settings, metadata, what no dialect knows */
    ROUTER_FIELD_SYSTEM,    /* instructions of the application */
    ROUTER_FIELD_USER,      /* what the user said */
    ROUTER_FIELD_ASSISTANT, /* what a model said; in answers: all of it */
    ROUTER_FIELD_TOOL,      /* definitions, calls and results of tools */
    ROUTER_FIELD_KEY,       /* the name of a member, wherever it stands */
    ROUTER_FIELD_PATH,
    ROUTER_FIELD_QUERY,
    ROUTER_FIELD_FILE, /* a file in the request */
    ROUTER_FIELD_COUNT
};
const char *router_field_name(enum router_field f); /* "other", "system", ... */

/* What a request may hold beside texts. */
enum router_medium { ROUTER_MEDIUM_IMAGE, ROUTER_MEDIUM_FILE, ROUTER_MEDIUM_AUDIO };

/* A time zone: what it adds to UTC, and from when on. */
struct router_zone {
    int32_t first_s;         /* before from_s[0] */
    const int64_t *from_s;   /* seconds since 1970 UTC, ascending */
    const int32_t *offset_s; /* from there on */
    unsigned n;
};
/* Hours of the week. */
struct router_hours {
    bool set;
    unsigned days; /* bit 0 is Monday; 0: every day */
    unsigned from,
        to; /* minutes of the day, below 1,440; the same: all day. Past midnight when from is later: then
                          the day is the one that it began on */
    struct router_zone zone;
};
/* Is it that time? Pure. */
bool router_hours_hold(const struct router_hours *h, int64_t now_ms);

/* One line of `policy:`; a field that is not set matches everything. A line about answers needs a condition on
 * findings, no count (an answer is judged as it comes) and, unless it is about both, no zones. */
struct router_line {
    struct gw_span name;
    unsigned classes;            /* bit per enum gw_class; 0: any */
    const struct gw_span *rules; /* rule id globs; none: any */
    unsigned n_rules;
    const struct gw_span *groups; /* the principal is in one of them; none: any */
    unsigned n_groups;
    const struct gw_span *users; /* principal name globs */
    unsigned n_users;
    const struct gw_span *models; /* requested model globs */
    unsigned n_models;
    const struct gw_span *keys; /* globs of the name, or of the id, of the caller's key */
    unsigned n_keys;
    const struct gw_span *teams; /* globs */
    unsigned n_teams;
    const struct gw_span
        *targets; /* globs: the line is about what would go there, see router_decide() */
    unsigned n_targets;
    unsigned fields; /* bit per enum router_field; 0: any */
    unsigned views;  /* bit per router_finding.view; 0: any */
    unsigned media;  /* bit per enum router_medium: the request holds one of them; 0: any request */
    struct router_hours hours;
    unsigned min_confidence; /* 0 to 100 */
    enum gw_severity min_severity;
    unsigned min_count; /* findings of this line's classes and rules in the request */
    enum router_direction on;
    bool request_line; /* says nothing of findings: matches the request as a whole */
    enum gw_action action;
    unsigned zones; /* zone limit, OR of enum gw_zone; 0: none */
    bool has_else;  /* `else:` when no target in the limit exists */
    enum gw_action else_action;
    bool scope_always; /* edits hold for the process zone too */
    enum router_mode mode;
    bool justify; /* action BLOCK only: COACH for a request that was justified */
    bool
        shape; /* what is tokenized keeps its shape: nothing to the router, and a part of the digest */
    bool pin; /* zones: they hold for what follows, too: router_decision.pin */
};
enum gw_status router_policy_add_line(struct router_policy *p, const struct router_line *line,
                                      struct gw_err *err);

/* One line of `routes:`: model globs, then tiers (each an ordered list of target names) or `to`. */
struct router_route {
    const struct gw_span *models;
    unsigned n_models;
    bool tiered;
    const struct gw_span *targets[GW_TIER_COUNT]; /* to: targets[0] */
    unsigned n_targets[GW_TIER_COUNT];
    bool refuse_on_conflict; /* on_conflict: refuse; else reroute */
};
enum gw_status router_policy_add_route(struct router_policy *p, const struct router_route *r,
                                       struct gw_err *err);

/* A requested model that means another one. */
enum gw_status router_policy_add_alias(struct router_policy *p, struct gw_span from,
                                       struct gw_span to, struct gw_err *err);

/* Weights are points added to a score of 0 to 100; the two thresholds part it in three tiers. */
struct router_complexity {
    unsigned moderate_from, complex_from;
};
enum gw_status router_policy_set_complexity(struct router_policy *p,
                                            const struct router_complexity *c, struct gw_err *err);

/* What happens to findings that no line matches. */
void router_policy_set_default(struct router_policy *p, enum gw_action action);

/* MONITOR: no line is enforced, and nothing is what no line says. */
void router_policy_set_mode(struct router_policy *p, enum router_mode mode);

/* Checks the whole (targets named in routes exist, a zone limit leaves some target, ...). Every error is
 * found, not just the first: calls report for each. Returns how many. */
unsigned router_policy_check(const struct router_policy *p,
                             void (*report)(void *ctx, const char *message), void *ctx);

/* Hex SHA-256 of the policy's canonical form; lives as long as p. */
const char *router_policy_digest(struct router_policy *p);

const char *router_target_name(const struct router_policy *p, unsigned index);
enum gw_zone router_target_zone(const struct router_policy *p, unsigned index);
unsigned router_target_count(const struct router_policy *p);
/* True when the target's `models:` take that name (none: every name). A name that a tiered route spells out,
 * such as "auto", is taken by no target: it must be replaced before a server sees it. */
bool router_target_takes(const struct router_policy *p, unsigned index, struct gw_span model);

/* True when one of the patterns (`*`, `?`, letters in both cases) matches the name; also when there is none. Pure. */
bool router_name_matches(const struct gw_span *patterns, unsigned n, struct gw_span name);

/* ---- features --------------------------------------------------------------------------- */

/* What is measured of a prompt, cheaply and printably. */
struct router_features {
    uint32_t chars; /* of all message text */
    uint32_t last_user_chars;
    uint16_t messages, user_turns;
    uint16_t questions;    /* sentences that end in ? */
    uint16_t steps;        /* numbered or "then/first/finally" steps */
    uint16_t code_lines;   /* fenced or code-like lines */
    uint16_t math_marks;   /* formulas, operators, "prove", "integral" */
    uint16_t reason_words; /* why, explain, compare, analyse, design, ... */
    uint16_t tools;        /* tool definitions */
    bool schema;           /* structured output asked for */
};

/* Adds one message to f. role: "system", "user", "assistant", "tool". Linear; no allocation. */
void router_features_add(struct router_features *f, struct gw_span role, struct gw_span text);

/* 0 to 100 with the share of each feature. reason gets e.g. "chars 400 (+8), code 12 (+20)". */
unsigned router_complexity_score(const struct router_features *f, struct gw_buf *reason);

/* ---- deciding --------------------------------------------------------------------------- */

struct router_finding {
    struct gw_span rule; /* rule id */
    enum gw_class class_;
    enum gw_severity severity;
    unsigned confidence;
    enum router_field field;
    uint8_t view;   /* how the scan saw it: a bit of router_line.views */
    bool monitored; /* its rule is on trial: no line acts on it, `would` says what would */
    bool allowed;   /* an allowlist has it: no line is about it, and it is not sensitive */
};

struct router_input {
    struct gw_span model; /* as requested */
    struct gw_span user;  /* principal name */
    struct gw_span key, key_id, team;
    int64_t now_ms; /* wall clock: of lines with hours */
    unsigned media; /* bit per enum router_medium */
    bool justified; /* the caller gave a reason: lines with `justify` do not block */
    bool pinned;    /* an earlier request of the conversation was limited to these zones: */
    unsigned pinned_zones;
    const struct gw_span *groups;
    unsigned n_groups;
    const struct router_finding *findings;
    unsigned n_findings;
    struct router_features features;
    uint64_t targets_down; /* bit per target: known to be unavailable */
    uint64_t
        targets_unfit; /* bit per target: cannot serve this kind of request, so it is as if not there */
    bool
        unrouted; /* the request is not for a model that routes know (a file, an unknown path): every fit target in the
                      order of the configuration, those that take the model first, without rerouting */
    /* Intercepted traffic has one possible target, the host the client chose: then fixed_zone is set
     * and routes are not consulted; a zone conflict refuses. */
    bool fixed;
    enum gw_zone fixed_zone;
    struct gw_span target; /* fixed: the host; router_decide_response(): the name of what answers */
};

enum router_reason {
    ROUTER_REASON_ROUTE,        /* the route's order */
    ROUTER_REASON_TIER,         /* the route's tier */
    ROUTER_REASON_SENSITIVE,    /* a zone limit chose, or moved it (x-sluice-route: rerouted) */
    ROUTER_REASON_FIXED,        /* intercepted: the client's own host */
    ROUTER_REASON_POLICY_BLOCK, /* blocked by a line */
    ROUTER_REASON_ZONE_CONFLICT, /* no target in the allowed zones and on_conflict: refuse or no else */
    ROUTER_REASON_NO_ROUTE,      /* no route takes that model */
    ROUTER_REASON_UNAVAILABLE, /* targets in the allowed zones exist, all are down */
    ROUTER_REASON_PINNED, /* the conversation stays in the zones that an earlier finding left */
};
const char *router_reason_name(enum router_reason r);

/* What another policy, or this one with all its lines in force, would have decided. */
struct router_would {
    bool differs; /* from what was decided; else nothing of the rest matters */
    bool blocked;
    enum gw_action action;
    enum router_reason reason;
    const char *line; /* as in the decision */
    unsigned zones;
    int target; /* first choice; -1: none, or fixed */
};

enum { ROUTER_MAX_LINES = 1000, ROUTER_NO_LINE = 0xFFFF };

struct router_decision {
    bool blocked; /* nothing may go anywhere */
    enum router_reason reason;
    enum gw_action action; /* the strictest over findings and request */
    unsigned zones;        /* allowed zones after intersection */
    bool pinned; /* the conversation's pin held: some place was not allowed because of it */
    unsigned
        pin; /* zones that the conversation is to stay in from now on; 0: nothing is said of it */
    unsigned
        choices[ROUTER_MAX_CHOICES]; /* targets in the order to try; none when fixed or blocked */
    unsigned n_choices;
    bool rerouted;        /* policy moved it off the route's first choice */
    struct gw_span model; /* after aliases; belongs to the policy or the input */
    enum gw_tier tier;
    unsigned complexity;          /* 0 to 100 */
    enum gw_severity sensitivity; /* the highest severity found, INFO for none */
    const char *line;             /* name of the policy line that decided, or "" */
    uint16_t line_index;          /* counted from 0; or ROUTER_NO_LINE */
    uint16_t
        justified;    /* the first line that did not block because of a reason, or ROUTER_NO_LINE */
    int finding;      /* index of the finding whose line decided; -1: none */
    uint8_t *actions; /* caller's array of n_findings: enum gw_action per finding */
    uint8_t *always;  /* caller's array of n_findings: 1 when scope: always */
    uint16_t
        *lines; /* caller's array of n_findings, or NULL: the policy line of each finding, counted
                        from 0, or ROUTER_NO_LINE; for explanations */
    uint8_t *
        would_actions; /* caller's array of n_findings, or NULL: what would happen to each, see would */
    struct router_would would;
    uint64_t dropped[(ROUTER_MAX_LINES + 63) /
                     64];  /* private: a bit per line whose zone limit gave way */
    char reason_text[200]; /* one printable sentence: header, record and CLI show it */
};

/* The name of a policy line, counted from 0; "" for ROUTER_NO_LINE. */
const char *router_line_name(const struct router_policy *p, unsigned index);

/* Decides. actions and always of *d must point to n_findings bytes each (or be NULL when there are
 * none); lines to as many numbers, or be NULL. Never fails: whatever cannot be decided is blocked with its reason. Thread: any.
 *
 * A line with `targets` holds for what would go there, so each candidate is judged by the lines that hold for it: it is no
 * choice where they block or limit zones, and actions, always, lines and action of *d are those of the first choice
 * (without one: of the route's first). router_decide_at() has those of another.
 *
 * Lines in mode MONITOR do not exist for the decision. would says what it would have been with them in force, with
 * findings of rules on trial acted on, and with a policy in mode MONITOR enforced; a finding for which it would have been
 * stricter is at least ALERT. */
void router_decide(const struct router_policy *p, const struct router_input *in,
                   struct router_decision *d);

/* True when a line is about some targets only. */
bool router_policy_by_target(const struct router_policy *p);
/* After router_decide() with the same input: actions, always, lines and action of *d for the choice `target`. */
void router_decide_at(const struct router_policy *p, const struct router_input *in, unsigned target,
                      struct router_decision *d);

/* Compares the decision that holds with another policy's for the same input. actions: the other's, n_findings. */
void router_compare(const struct router_decision *d, const struct router_decision *other,
                    unsigned n_findings, struct router_would *out);

/* ---- prices ------------------------------------------------------------------------------ */

/* Tokens of one request, as its provider counted them. */
struct router_usage {
    uint64_t prompt;              /* all input tokens */
    uint64_t cached, cache_write; /* of prompt: read from the provider's cache, written to it */
    uint64_t completion;          /* all output tokens */
    uint64_t reasoning;           /* of completion */
};

/* Money is counted in nano-units (10^-9) of one currency, in integers. */
#define ROUTER_NO_PRICE  UINT64_MAX          /* of an entry: not given */
#define ROUTER_MAX_PRICE 1000000000000000ull /* a million of the currency per million tokens */
enum { ROUTER_MAX_PRICES = 10000 };

/* One entry of a price table: amounts in nano-units per million tokens. */
struct router_price {
    struct gw_span target;              /* glob of target names; empty: every target */
    struct gw_span model;               /* glob of model names */
    int64_t from_ms;                    /* since 1970 UTC: holds from then on */
    uint64_t input;                     /* required */
    uint64_t output;                    /* not given: tokens of output have no known price */
    uint64_t cached_input, cache_write; /* not given: as input */
    uint64_t reasoning;                 /* not given: as output */
};

struct router_prices;

/* Builds a table; everything is copied. currency: "EUR". GW_EINVAL (no model, no input price), GW_ELIMIT (too many
 * entries, a price above the maximum), GW_ENOMEM; *out is the caller's (router_prices_free). Immutable afterwards; any
 * thread may read it. */
enum gw_status router_prices_new(const char *currency, const struct router_price *items, unsigned n,
                                 struct router_prices **out, struct gw_err *err);
void router_prices_free(struct router_prices *p); /* p may be NULL */
const char *router_prices_currency(const struct router_prices *p);

/* The entry that holds for that target and model at that time, or NULL. Of those that match: one that names targets
 * before one for all, then the one whose model pattern has more letters that are no wildcard, then the latest `from`
 * that has come; the first in the table where these are the same. */
const struct router_price *router_prices_find(const struct router_prices *p, struct gw_span target,
                                              struct gw_span model, int64_t now_ms);

/* What u costs at that entry: each kind of token once, at its own price; the sum is exact and rounded once, to the
 * nearest nano-unit, a half upwards; above INT64_MAX it stays there. Parts that are larger than what they are part of
 * count as the whole of it. False, and *nano as it was, when output has no price and there is some. */
bool router_price_cost(const struct router_price *price, const struct router_usage *u,
                       uint64_t *nano);

/* Both: false when no price is known. p may be NULL. */
bool router_prices_cost(const struct router_prices *p, struct gw_span target, struct gw_span model,
                        int64_t now_ms, const struct router_usage *u, uint64_t *nano);

/* Reads "2.50": digits with at most nine behind the point, nothing else. False for anything else and above
 * ROUTER_MAX_PRICE units. */
bool router_money_parse(struct gw_span text, uint64_t *nano);
/* Writes nano as a decimal without needless zeros, "0.00125", and its NUL. */
enum { ROUTER_MONEY_BYTES = 24 };
void router_money_print(uint64_t nano, char out[ROUTER_MONEY_BYTES]);

/* ---- the exact cache ------------------------------------------------------------------------ */

/* The key of an answer: SHA-256 over parts (each with its length) and the tokens of body, a JSON text, as they are
 * written: two requests share an answer only when they differ in nothing but white space between tokens. GW_EPARSE,
 * GW_ELIMIT: no JSON within the tokenizer's limits; GW_ENOMEM; out is as it was. */
enum gw_status router_cache_key(const struct gw_span *parts, unsigned n, struct gw_json *json,
                                struct gw_span body, unsigned char out[GW_SHA256_BYTES]);

/* ---- answers ---------------------------------------------------------------------------- */

/* True when some line is about answers and does something: without one they need not be scanned. With in (user,
 * groups and model of the request), only the lines count that apply to it; NULL: all. */
bool router_watches_responses(const struct router_policy *p, const struct router_input *in);

/* What happens to one finding in the answer to that request (in: user, groups, model): the action of the first line
 * about answers that matches, else ALLOW; `default:` is about requests. Nobody restores a text on its way to the
 * client, so TOKENIZE becomes REDACT, and COACH, whose header is gone, ALERT. *line, when not NULL, gets the line's
 * index or ROUTER_NO_LINE. *would, when not NULL, gets what would happen with lines and rules on trial in force. Pure; any
 * thread. */
enum gw_action router_decide_response(const struct router_policy *p, const struct router_input *in,
                                      const struct router_finding *f, uint16_t *line,
                                      enum gw_action *would);

/* ---- budgets ---------------------------------------------------------------------------- */

/* What a budget counts. Money is in nano-units of the price table's currency. */
enum router_budget_kind {
    ROUTER_BUDGET_REQUESTS,
    ROUTER_BUDGET_TOKENS,
    ROUTER_BUDGET_COST,
    ROUTER_BUDGET_CONCURRENCY, /* requests that run: only held, never used, no window */
    ROUTER_BUDGET_KINDS
};
const char *router_budget_kind_name(enum router_budget_kind k); /* "requests", ... */

/* Whose counter it is: each key, user, ... has its own. In the order of the words that `per` takes. */
enum router_budget_per {
    ROUTER_PER_ALL,
    ROUTER_PER_KEY,
    ROUTER_PER_USER,
    ROUTER_PER_TEAM,
    ROUTER_PER_MODEL,
    ROUTER_PER_TARGET,
    ROUTER_PER_COUNT
};

enum { ROUTER_MAX_BUDGETS = 32 };

/* Amounts stay below 2^53: Redis' Lua counts in doubles. */
#define ROUTER_BUDGET_MAX ((uint64_t)9000000000000000)

/* Windows lie end to end on the UTC calendar, so that all gateways agree on them without talking: weeks begin on
 * Monday, months on their first day, spans at multiples of their length since 1970. */
enum router_window_unit { ROUTER_WINDOW_SPAN, ROUTER_WINDOW_WEEK, ROUTER_WINDOW_MONTH };
struct router_window {
    enum router_window_unit unit;
    int64_t ms; /* SPAN: its length, at least 1,000 */
};

/* Reads second, minute, hour, day, week, month, or a span such as 30s, 15m, 5h, 2d (1 s to 366 d). False: neither. */
bool router_window_parse(struct gw_span text, struct router_window *out);
/* The window that holds now_ms (wall clock), and the end of one that starts at start_ms. */
int64_t router_window_start(const struct router_window *w, int64_t now_ms);
int64_t router_window_end(const struct router_window *w, int64_t start_ms);

struct router_budget_limit {
    bool set;
    uint64_t amount;
    struct router_window window; /* not of CONCURRENCY */
};

struct router_globs {
    const struct gw_span *items; /* none: matches everything */
    unsigned n;
};

struct router_budget {
    const char *name; /* unique; letters, digits, '.', '_', '-' */
    enum router_budget_per per;
    struct router_globs keys, users, teams, models, targets;
    struct router_budget_limit limits[ROUTER_BUDGET_KINDS];
};

/* What a request is to a budget. An empty span matches only `*`. */
struct router_subject {
    struct gw_span key, user, team, model, target;
};
bool router_budget_matches(const struct router_budget *b, const struct router_subject *s);
/* The part of s that the budget's counters are kept by; empty for ALL. */
struct gw_span router_budget_owner(const struct router_budget *b, const struct router_subject *s);
/* True when another target can make a difference to the budget. */
bool router_budget_by_target(const struct router_budget *b);

/* One counter: used is spent for good, held is promised to requests that run. Invariant (B1): used + held grows only by
 * router_budget_apply(), which lets it pass no limit. */
struct router_counter {
    int64_t start_ms; /* of the window; 0: none, CONCURRENCY */
    uint64_t used, held;
};

/* What one step of a request does to one counter: gives back what it holds, holds more, and spends. */
struct router_claim {
    struct router_counter *counter;
    int64_t
        start_ms; /* the window that is meant; in a first reservation it may become the counter's, which is later
                         when another thread's clock was read later */
    uint64_t limit;
    uint64_t give, take;
    int64_t use; /* below 0: what was spent in advance comes back */
    bool forced; /* what happened happened: no limit is asked (settling) */
};

/* Does all claims or none. False: *refused is the first claim without room, and nothing changed but that counters of
 * past windows began anew. A claim on a window that is over does nothing: its money went with its window. All claims
 * are on different counters. The caller serialises. */
bool router_budget_apply(struct router_claim *claims, unsigned n, unsigned *refused);

/* What is left of a limit. */
uint64_t router_budget_left(const struct router_counter *c, uint64_t limit);

/* ---- health: when a place is left alone, which of several is asked, when it is asked again -------------- */

/* Shared between threads without locks: each is one or a few atomic words, zeroed at birth. Clock and randomness are the
 * caller's. now_ms: of a clock that never goes back. */

enum router_breaker_state {
    ROUTER_BREAKER_CLOSED,    /* requests pass */
    ROUTER_BREAKER_OPEN,      /* none passes until the time is over; then one may try */
    ROUTER_BREAKER_HALF_OPEN, /* one tries; the others wait for what becomes of it */
};
const char *router_breaker_state_name(enum router_breaker_state s);

struct router_breaker_limits {
    unsigned failures; /* so many in a row open it, at most 255; 0: not looked at */
    unsigned
        error_percent; /* so large a share of the last one to two windows opens it; 0: not looked at */
    unsigned min_requests; /* outcomes in them below which the share says nothing */
    int64_t window_ms;     /* above 0 */
    int64_t
        open_ms; /* how long it stays open at first; each trial that fails doubles it, up to eight times */
};

/*   CLOSED --failure, a limit is reached--> OPEN --open_ms over, router_breaker_enter()--> HALF_OPEN
 *     ^                                      ^                                             |  |
 *     +------------- success ----------------+---- failure, or forgotten -----------------+  |
 *     +--------------------------------------------------------------------------------------+  */
struct router_breaker {
    _Atomic uint64_t word;         /* state, failures in a row, openings in a row, time in ms */
    _Atomic uint64_t now_, before; /* windows: number, good, bad */
};

enum router_pass { ROUTER_PASS_NO, ROUTER_PASS_YES, ROUTER_PASS_TRIAL };

/* Would a request be let through? Changes nothing. */
bool router_breaker_allows(const struct router_breaker *b, int64_t now_ms);
/* A request wants to go. TRIAL: it is the one that tries, and what becomes of it must be told: success, failure or
 * forget; a trial of which nothing is heard for open_ms is taken for forgotten. */
enum router_pass router_breaker_enter(struct router_breaker *b,
                                      const struct router_breaker_limits *l, int64_t now_ms);
void router_breaker_success(struct router_breaker *b, const struct router_breaker_limits *l,
                            int64_t now_ms);
/* True when this failure opened it. */
bool router_breaker_failure(struct router_breaker *b, const struct router_breaker_limits *l,
                            int64_t now_ms);
/* The trial ended without an outcome (its client left): another one may try at once. */
void router_breaker_forget(struct router_breaker *b, int64_t now_ms);
enum router_breaker_state router_breaker_state(const struct router_breaker *b);

/* Peak-EWMA: an average of waiting times that rises at once and falls with time. */
struct router_latency {
    _Atomic uint64_t word; /* microseconds, and when: ms */
};
void router_latency_add(struct router_latency *l, uint64_t us, int64_t now_ms);
/* Decayed to now; 0: nothing is known. */
uint64_t router_latency_us(const struct router_latency *l, int64_t now_ms);

/* One of the places that may answer: an endpoint with a key. */
struct router_slot {
    uint64_t latency_us;  /* 0: unknown */
    unsigned outstanding; /* attempts that run */
    bool usable;          /* not ejected */
    bool cooling;         /* asked for rest: only when no other is left */
};
enum { ROUTER_MAX_SLOTS = 64 };

/* The better one of two drawn at random ("power of two choices") among the usable slots that are not in avoid (a bit
 * each), those that do not rest first. -1: none. n: at most ROUTER_MAX_SLOTS. */
int router_pick_slot(const struct router_slot *slots, unsigned n, uint64_t avoid, uint64_t random);

/* Keeps retries below a share of requests: a bucket that each request fills by percent of a retry and each second by a
 * tenth of one, and that holds ten. */
struct router_retries {
    _Atomic uint64_t word; /* thousandths spent, and when: seconds */
};
void router_retries_add(struct router_retries *b, unsigned percent, int64_t now_ms);
/* Takes one retry; false: there is none. */
bool router_retries_take(struct router_retries *b, int64_t now_ms);

/* When to try again. */
struct router_retry {
    unsigned tries;   /* retries that were made already */
    int64_t base_ms;  /* first wait; doubles with each try, and half of it is left to chance */
    int64_t max_ms;   /* longest wait that is worth it */
    int64_t asked_ms; /* what the server asked for; -1: nothing */
    int64_t left_ms;  /* time that the request still has */
    uint64_t random;
};
/* How long to wait, or -1: not worth it. What a server asked for is kept to, never shortened. */
int64_t router_retry_wait_ms(const struct router_retry *r);

#endif
