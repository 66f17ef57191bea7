/* proxy/store/store.h - virtual keys and admin keys: who may use the gateway, in SQLite, answered from memory.
 *
 * A key is "slk_" (an admin key: "sla_") and 43 base62 digits of 32 random bytes; only its SHA-256 is stored. The server
 * asks a snapshot in memory; one store thread refreshes it when another process changed the database.
 *
 * Invariants: (K1) no file access on the caller's thread in proxy_store_lookup; (K2) a key that was
 * revoked is refused within a second; (K3) when the database cannot be read for 10 seconds, nobody is
 * let in: a revocation could have been missed; (K4) the text of a key exists only in the process that
 * created it and in the client's hands; (K5) every change of a key is a row of the database's table `changes`, written in
 * the same transaction: who, what, old and new. The running gateway's store thread makes an audit record of each. */
#ifndef PROXY_STORE_H
#define PROXY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "proxy/store/principal.h"

enum {
    PROXY_KEY_BYTES = 48,      /* "slk_" + 43 + NUL */
    PROXY_KEY_ID_BYTES = 27,   /* ULID + NUL */
    PROXY_KEY_NAME_BYTES = 65, /* letters, digits, . _ @ - ; and NUL */
    PROXY_KEY_MAX_GROUPS = PROXY_PRINCIPAL_MAX_GROUPS,
    PROXY_KEY_MAX = 100000, /* keys in one database */
};

/* What an admin key may do on the admin port. A gateway key has none. Bits of a set: see proxy_role_may(). */
enum proxy_role {
    PROXY_ROLE_NONE = 0,
    PROXY_ROLE_VIEWER = 1,   /* sees state: metrics, targets, budgets */
    PROXY_ROLE_AUDITOR = 2,  /* and who may do what: keys, changes */
    PROXY_ROLE_OPERATOR = 4, /* sees state and acts on it: reload, drain */
    PROXY_ROLE_ADMIN = 8,    /* everything, keys included */
};
const char *proxy_role_name(enum proxy_role role); /* "viewer", ...; "" for none */
bool proxy_role_parse(struct gw_span name, enum proxy_role *out);
/* May one whose role is `has` do what asks for `needs`? An auditor and an operator may do all that a viewer may; an admin
 * everything. */
bool proxy_role_may(enum proxy_role has, enum proxy_role needs);

/* ---- the server's side ------------------------------------------------------------------- */

struct proxy_store;

/* Opens (and creates, mode 0600, or migrates) the database, loads the keys and starts the store thread.
 * GW_EIO; GW_EUNSUPPORTED for a format version newer than this program; GW_ECORRUPT; GW_ENOMEM. */
enum gw_status proxy_store_open(const char *path, struct proxy_store **out, struct gw_err *err);

/* Ends the thread (writes what is pending) and frees. s may be NULL. */
void proxy_store_close(struct proxy_store *s);

/* Whose key is it? Copies the principal into arena. GW_OK; GW_ENOENT: no such key (admin keys are none here); GW_EDENIED:
 * revoked; GW_ETIMEDOUT: expired; GW_EIO: the database has not been readable for 10 seconds (answer 503);
 * GW_ENOMEM. Thread: any; never blocks on a file. */
enum gw_status proxy_store_lookup(struct proxy_store *s, struct gw_span key, struct gw_arena *arena,
                                  struct proxy_principal *out);

/* Is a principal that was looked up before still good? For connections that outlive requests. One that came by another way
 * than a key is judged by its expiry alone. GW_OK, GW_ENOENT, GW_EDENIED, GW_ETIMEDOUT, GW_EIO as above. */
enum gw_status proxy_store_check(struct proxy_store *s, const struct proxy_principal *p);

/* As proxy_store_lookup() for admin keys, with the role. */
enum gw_status proxy_store_lookup_admin(struct proxy_store *s, struct gw_span key,
                                        struct gw_arena *arena, struct proxy_principal *out,
                                        enum proxy_role *role);

/* For metrics and readiness. */
struct proxy_store_stats {
    unsigned n_keys;   /* in the snapshot, revoked ones included */
    uint64_t reloads;  /* snapshots loaded since open */
    uint64_t failures; /* times the database could not be read */
    bool usable;       /* lookups do not answer GW_EIO */
};
void proxy_store_stats(struct proxy_store *s, struct proxy_store_stats *out);

/* One change of a key. The pointers are valid during the call. */
struct proxy_change {
    const char *id; /* ULID of the change: consumers of the record de-duplicate on it */
    int64_t time_ms;
    const char *actor;         /* "os:ann", "admin:ops (01H...)" */
    const char *via, *address; /* "cli", "api", "start"; the admin client's address, or "" */
    const char *action; /* "create", "update", "rotate", "revoke"; "erase": of a subject's texts */
    const char *key_id, *key_name; /* of the key; the subject's name, without an id */
    const char *before_json,
        *after_json; /* its fields as JSON objects without secrets; "" for none */
};

/* Makes each change known, in order: called on the store thread, and must not return before it is durable. Anything but
 * GW_OK is tried again; the change stays in the database until then, over restarts too. It is called at least once for a
 * change, and a second time only when the process dies between its return and the commit that follows; never for a
 * change whose transaction failed. fn NULL: stop calling (returns when no call is under way). */
typedef enum gw_status (*proxy_store_sink_fn)(void *ctx, const struct proxy_change *change);
void proxy_store_set_sink(struct proxy_store *s, proxy_store_sink_fn fn, void *ctx);

/* Work that needs files, for a thread that may not touch them: run() is called on the store thread, then done() on the
 * thread that calls proxy_store_dispatch(). The caller owns the job until done() returns. */
struct proxy_store_job {
    void (*run)(struct proxy_store_job *job, const char *path); /* path: of the database */
    void (*done)(struct proxy_store_job *job);
    struct proxy_store_job *next; /* the store's */
};
/* GW_EAGAIN: too many wait already. Thread: any. */
enum gw_status proxy_store_submit(struct proxy_store *s, struct proxy_store_job *job);
/* Readable when done() calls are due; then call dispatch. One thread, always the same. After proxy_store_close() none
 * comes: jobs that were not run get neither call. */
int proxy_store_fd(const struct proxy_store *s);
void proxy_store_dispatch(struct proxy_store *s);

/* ---- administration: opens the database for one call. Not for event loops ------------------ */

/* Who changes a key, for the record. Texts without control characters. */
struct proxy_actor {
    const char *name, *via, *address; /* see struct proxy_change; address may be NULL */
};

/* The fields of a key that can be set. NULL: none on creation, unchanged on update. Lists are separated by commas. */
struct proxy_key_fields {
    const char *name; /* required on creation; unique among the keys that are not revoked */
    const char *user; /* whose key it is: the user in policy and limits; none: the name */
    const char *owner, *team;
    const char *groups;
    const char *models, *targets; /* patterns; "" or NULL: all */
    const char *networks;         /* address ranges; "" or NULL: anywhere */
    const char *role;             /* makes it an admin key; only on creation */
    bool has_expiry;
    int64_t expires_ms; /* with has_expiry; wall clock; 0: never */
};

/* Creates a key and writes its text to key, once. The caller wipes it. GW_EINVAL for a field of the wrong form; GW_EEXIST;
 * GW_ELIMIT; and the errors of proxy_store_open. */
enum gw_status proxy_store_key_create(const char *path, const struct proxy_actor *by,
                                      const struct proxy_key_fields *f, char key[PROXY_KEY_BYTES],
                                      char id[PROXY_KEY_ID_BYTES], struct gw_err *err);

/* Creates a key of that name when the database has no key that still works, and writes its text to key;
 * *created says whether it did. For a first start: prints nothing. */
enum gw_status proxy_store_ensure_key(const char *path, const char *name, bool *created,
                                      char key[PROXY_KEY_BYTES], struct gw_err *err);

/* Changes the fields that are not NULL of the key with that id or name. GW_ENOENT when there is none that is not revoked;
 * GW_EINVAL, GW_EEXIST as above. */
enum gw_status proxy_store_key_update(const char *path, const struct proxy_actor *by,
                                      const char *id_or_name, const struct proxy_key_fields *f,
                                      struct gw_err *err);

/* Gives the key a new text; the old one goes on working for grace_ms (0: not at all). Errors as update. */
enum gw_status proxy_store_key_rotate(const char *path, const struct proxy_actor *by,
                                      const char *id_or_name, int64_t grace_ms,
                                      char key[PROXY_KEY_BYTES], struct gw_err *err);

/* Revokes the key with that id or name. GW_ENOENT when there is none that is not revoked yet. */
enum gw_status proxy_store_key_revoke(const char *path, const struct proxy_actor *by,
                                      const char *id_or_name, struct gw_err *err);

struct proxy_key_info {
    const char *id, *name, *user, *owner, *team;
    const char *groups, *models, *targets, *networks; /* separated by commas */
    const char *role;                                 /* "" for a gateway key */
    int64_t created_ms, expires_ms, revoked_ms;       /* 0: never */
    int64_t rotated_ms, grace_ms; /* 0: never; until when the text before the rotation works */
    int64_t last_used_ms; /* the start of the last day (UTC) on which it was used; 0: never */
};

/* Calls each for every key, oldest first. The pointers are valid during the call. id_or_name: only that one (also when it
 * is revoked, by its id), GW_ENOENT when there is none; NULL: all. */
enum gw_status proxy_store_key_list(const char *path, const char *id_or_name,
                                    void (*each)(void *ctx, const struct proxy_key_info *k),
                                    void *ctx, struct gw_err *err);

/* Notes a change of something else than a key, by whom and of what (name; after_json: one JSON object): the gateway that
 * runs, or the next one, makes its record. Makes the database when it is not there. */
enum gw_status proxy_store_note(const char *path, const struct proxy_actor *by, const char *action,
                                const char *name, const char *after_json, struct gw_err *err);

/* Calls each for the last changes, the newest first, at most max. */
enum gw_status proxy_store_change_list(const char *path, unsigned max,
                                       void (*each)(void *ctx, const struct proxy_change *c),
                                       void *ctx, struct gw_err *err);

/* Reads "90d" or "12h" as milliseconds. */
bool proxy_key_span_parse(const char *text, int64_t *out);
/* Reads when a key expires: such a span from now, a date to come ("2027-01-31": its end, UTC), a moment to come
 * ("2027-01-31T12:00:00Z"), or "never". False, and *out unchanged, for anything else. */
bool proxy_key_expiry_parse(const char *text, int64_t now_ms, int64_t *out);

/* One key as JSON, as `keys show --json`, the admin API and the records write it. */
struct gw_buf;
void proxy_key_json(struct gw_buf *out, const struct proxy_key_info *k);

#endif
