/* dlp/vault.h - remembers what tokenize hid; private to dlp/ (the public part is in dlp.h).
 *
 * A placeholder is "DLP_<TYPE>_<id>": only [A-Z0-9_], so that it is valid as it stands in JSON at any
 * depth, in URLs, Markdown, SQL and source code. The id is the start of HMAC-SHA-256(key, type, value)
 * in base32 (RFC 4648, section 6): 8 characters, more only where two values would share them. The value
 * goes in as its exact bytes, since exactly these must come back.
 *
 * Entries are kept sorted by placeholder; readers (restore) walk that order and need no copy. Filled by
 * one thread, then read-only: no put while a restorer is in the middle of a text. */
#ifndef DLP_VAULT_H
#define DLP_VAULT_H

#include "dlp/dlp.h"

enum {
    DLP_VAULT_VALUES = 10000,
    DLP_VAULT_BYTES = 16 << 20,
    DLP_TYPE_BYTES = 40,       /* longer type names are cut */
    DLP_PLACEHOLDER_MAX = 104, /* "DLP_", type, "_", at most 52 characters of id */
};

struct dlp_vault_entry {
    struct gw_span placeholder, value; /* in the vault's memory */
};

/* Finds or adds the value. *placeholder lives as long as the vault. GW_EINVAL: empty value; GW_ELIMIT:
 * full (the caller must not send the value); GW_ENOMEM. */
enum gw_status dlp_vault_put(struct dlp_vault *v, const char *type, struct gw_span value,
                             struct gw_span *placeholder);

/* The i-th entry in the order of placeholders. */
const struct dlp_vault_entry *dlp_vault_at(const struct dlp_vault *v, unsigned i);

/* Appends "DLP_<TYPE>_", the type in capitals and anything but [A-Z0-9_] replaced by '_'. */
void dlp_placeholder_prefix(struct gw_buf *out, const char *type);

#endif
