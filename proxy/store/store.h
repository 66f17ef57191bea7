/* proxy/store/store.h - virtual keys: who may use the gateway, in SQLite, answered from memory.
 *
 * A key is "slk_" and 43 base62 digits of 32 random bytes; only its SHA-256 is stored. The server asks a
 * snapshot in memory; one store thread refreshes it when another process changed the database.
 *
 * Invariants: (K1) no file access on the caller's thread in proxy_store_lookup; (K2) a key that was
 * revoked is refused within a second; (K3) when the database cannot be read for 10 seconds, nobody is
 * let in: a revocation could have been missed; (K4) the text of a key exists only in the process that
 * created it and in the client's hands. */
#ifndef PROXY_STORE_H
#define PROXY_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"

enum {
    PROXY_KEY_BYTES = 48,      /* "slk_" + 43 + NUL */
    PROXY_KEY_ID_BYTES = 27,   /* ULID + NUL */
    PROXY_KEY_NAME_BYTES = 65, /* letters, digits, . _ @ - ; and NUL */
    PROXY_KEY_MAX_GROUPS = 32,
    PROXY_KEY_MAX = 100000, /* keys in one database */
};

/* ---- the server's side ------------------------------------------------------------------- */

struct proxy_store;

/* Who a key stands for. */
struct proxy_principal {
    struct gw_span id;    /* of the key, for records */
    struct gw_span name;  /* of the key: the user in policy */
    struct gw_span owner; /* tenant; may be empty */
    const struct gw_span *groups;
    unsigned n_groups;
    int64_t expires_ms; /* wall clock; 0: never */
};

/* Opens (and creates, mode 0600, or migrates) the database, loads the keys and starts the store thread.
 * GW_EIO; GW_EUNSUPPORTED for a format version newer than this program; GW_ECORRUPT; GW_ENOMEM. */
enum gw_status proxy_store_open(const char *path, struct proxy_store **out, struct gw_err *err);

/* Ends the thread (writes what is pending) and frees. s may be NULL. */
void proxy_store_close(struct proxy_store *s);

/* Whose key is it? Copies the principal into arena. GW_OK; GW_ENOENT: no such key; GW_EDENIED: revoked;
 * GW_ETIMEDOUT: expired; GW_EIO: the database has not been readable for 10 seconds (answer 503);
 * GW_ENOMEM. Thread: any; never blocks on a file. */
enum gw_status proxy_store_lookup(struct proxy_store *s, struct gw_span key, struct gw_arena *arena,
                                  struct proxy_principal *out);

/* For metrics and readiness. */
struct proxy_store_stats {
    unsigned n_keys;   /* in the snapshot, revoked ones included */
    uint64_t reloads;  /* snapshots loaded since open */
    uint64_t failures; /* times the database could not be read */
    bool usable;       /* lookups do not answer GW_EIO */
};
void proxy_store_stats(struct proxy_store *s, struct proxy_store_stats *out);

/* ---- administration: opens the database for one call. Not for event loops ------------------ */

struct proxy_key_new {
    const char *name;  /* required; unique among the keys that are not revoked */
    const char *owner; /* NULL or "": none */
    const char *const *groups;
    unsigned n_groups;
    int64_t expires_ms; /* wall clock; 0: never */
};

/* Creates a key and writes its text to key, once. The caller wipes it. GW_EINVAL for a name, owner or
 * group of the wrong form; GW_EEXIST; GW_ELIMIT; and the errors of proxy_store_open. */
enum gw_status proxy_store_key_create(const char *path, const struct proxy_key_new *k,
                                      char key[PROXY_KEY_BYTES], char id[PROXY_KEY_ID_BYTES],
                                      struct gw_err *err);

/* Creates a key of that name when the database has no key that still works, and writes its text to key;
 * *created says whether it did. For a first start: prints nothing. */
enum gw_status proxy_store_ensure_key(const char *path, const char *name, bool *created,
                                      char key[PROXY_KEY_BYTES], struct gw_err *err);

struct proxy_key_info {
    const char *id, *name, *owner;
    const char *groups;                         /* separated by commas */
    int64_t created_ms, expires_ms, revoked_ms; /* 0: never */
    int64_t last_used_ms; /* the start of the last day (UTC) on which it was used; 0: never */
};

/* Calls each for every key, oldest first. The pointers are valid during the call. */
enum gw_status proxy_store_key_list(const char *path,
                                    void (*each)(void *ctx, const struct proxy_key_info *k),
                                    void *ctx, struct gw_err *err);

/* Revokes the key with that id or name. GW_ENOENT when there is none that is not revoked yet. */
enum gw_status proxy_store_key_revoke(const char *path, const char *id_or_name, struct gw_err *err);

#endif
