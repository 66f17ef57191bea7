/* proxy/store/store_snapshot.h - all keys of the database at one moment, to be searched without a lock. For this folder. */
#ifndef PROXY_STORE_SNAPSHOT_H
#define PROXY_STORE_SNAPSHOT_H

#include <stdatomic.h>

#include "proxy/store/store_private.h"

struct store_entry {
    unsigned char sha256[GW_SHA256_BYTES], old_sha256[GW_SHA256_BYTES];
    struct proxy_principal who;
    enum proxy_role role;
    int64_t revoked_ms;
    int64_t grace_ms;      /* until when old_sha256 works; 0: there is none */
    atomic_llong used_ms;  /* start of the last day of use */
    atomic_bool used_news; /* used_ms is not in the database yet */
};

/* Immutable but for the marks of use. */
struct store_snapshot {
    atomic_uint refs;
    struct gw_arena *arena; /* what the entries point to */
    struct store_entry *entries;
    uint32_t *
        table; /* two for an entry: its number << 1 | (by the old digest), + 1; 0: free; open addressing */
    uint32_t mask;
    unsigned n, cap;
    atomic_bool used_news; /* some entry has news */
};

/* Reads all keys. The caller has one reference. */
enum gw_status store_snapshot_load(struct store_db *db, struct store_snapshot **out,
                                   struct gw_err *err);
void store_snapshot_unref(struct store_snapshot *snap); /* snap may be NULL */

/* The key with that digest, or NULL. *old: the digest is that of before its rotation. */
struct store_entry *store_snapshot_find(const struct store_snapshot *snap,
                                        const unsigned char *sha256, bool *old);
/* Marks the day of its use, for the store thread to write. */
void store_snapshot_mark(struct store_snapshot *snap, struct store_entry *e, int64_t now_ms);

#endif
