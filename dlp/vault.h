/* dlp/vault.h - remembers what tokenize hid; private to dlp/ (the public part is in dlp.h).
 *
 * A placeholder is "DLP_<TYPE>_<id>": only [A-Z0-9_], so that it is valid as it stands in JSON at any
 * depth, in URLs, Markdown, SQL and source code. The id is the start of HMAC-SHA-256(key, type, value)
 * in base32 (RFC 4648, section 6): 8 characters, more only where two values would share them. The value
 * goes in as its exact bytes, since exactly these must come back.
 *
 * Or it is a stand-in of the value's own shape (shape.h). Then it must be told from text that was there already: it is put
 * back only between bytes that are no letters or digits, and none is taken that has all its words in the texts that
 * dlp_vault_avoid() was given. No stand-in is the beginning of another one.
 *
 * Entries are kept sorted by key, what a text is compared with: the placeholder with capitals, and '_' for blank and hyphen,
 * as models may write it. Readers (restore) walk that order and need no copy. Filled by one thread, then read-only: no put
 * while a restorer is in the middle of a text. */
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
    struct gw_span key;                /* as long as the placeholder */
    bool shaped;
};

/* Finds or adds the value. *placeholder lives as long as the vault. GW_EINVAL: empty value; GW_ELIMIT:
 * full (the caller must not send the value); GW_ENOMEM. */
enum gw_status dlp_vault_put(struct dlp_vault *v, const char *type, struct gw_span value,
                             struct gw_span *placeholder);

/* The same with a stand-in of the value's shape. GW_ENOENT: it has none, or none is free; GW_EINVAL: nothing was given to
 * dlp_vault_avoid(). */
enum gw_status dlp_vault_put_shape(struct dlp_vault *v, const char *type, struct gw_span value,
                                   struct gw_span *placeholder);

/* As it is compared: a letter's capital, '_' for a blank or a hyphen. */
unsigned dlp_vault_fold(unsigned char c);

/* Can a placeholder begin with this byte? */
bool dlp_vault_begins(const struct dlp_vault *v, unsigned char c);

/* Is there a stand-in that may be written as a JSON number? */
bool dlp_vault_has_numbers(const struct dlp_vault *v);
/* Nothing but digits, as a JSON number has them. */
bool dlp_vault_is_number(struct gw_span s);

/* The i-th entry in the order of keys. */
const struct dlp_vault_entry *dlp_vault_at(const struct dlp_vault *v, unsigned i);

/* Appends "DLP_<TYPE>_", the type in capitals and anything but [A-Z0-9_] replaced by '_'. */
void dlp_placeholder_prefix(struct gw_buf *out, const char *type);

#endif
