/* audit/payload_keys.h - the file with the keys of subjects: what has to be destroyed so that texts are erased from a ledger
 * that must not change.
 *
 *   header, 192 bytes                        row, 192 bytes
 *     0  "SLUICE subject keys 1\n"             0  "SKEY"
 *    32  salt, 32 random bytes                 4  u32 CRC-32C of bytes 8 to 191
 *   160  SHA-256 of bytes 0 to 159             8  u32 state (enum payload_key_state)
 *                                             16  key id, 16 random bytes
 *                                             32  i64 made, i64 erased, ms
 *                                             48  the auditor's key: first 16 bytes of its SHA-256
 *                                             64  subject: SHA-256(salt, name)
 *                                             96  enc, 128 sealed: the first chain key, HPKE to the auditor
 *
 * A subject's texts are sealed one after the other under a chain: text key = HMAC(chain key, 1), next chain key =
 * HMAC(chain key, 2), and each is forgotten when it was used. So the gateway, which can only go forward, cannot read what it
 * sealed; the auditor begins with the first chain key, which only the auditor can take out of the row. A start begins a new
 * chain for each subject that comes, so a subject has several rows.
 *
 * One gateway appends (it holds a lock on the file); whoever erases writes into rows, also while a gateway runs, which looks
 * at the row each time before it uses the chain. A row of zeroes is free: its key has grown too old (audit/payload_old.c), and another
 * row takes its place. Numbers are little endian. */
#ifndef AUDIT_PAYLOAD_KEYS_H
#define AUDIT_PAYLOAD_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/hpke.h"
#include "base/span.h"

enum {
    PAYLOAD_ROW_BYTES = 192,
    PAYLOAD_SALT_BYTES = 32,
    PAYLOAD_KEY_ID_BYTES = 16,
    PAYLOAD_CHAIN_BYTES = GW_SHA256_BYTES, /* a chain key */
    PAYLOAD_SEALED_BYTES = PAYLOAD_CHAIN_BYTES + GW_AEAD_TAG_BYTES,
    PAYLOAD_MAX_TEXTS =
        1 << 16, /* under one chain: what finding the last of them costs the auditor */
};

enum payload_key_state { PAYLOAD_KEY_LIVE = 1, PAYLOAD_KEY_ERASED = 2 };

struct payload_row {
    enum payload_key_state state;
    unsigned char key_id[PAYLOAD_KEY_ID_BYTES], auditor[16], subject[GW_SHA256_BYTES];
    int64_t made_ms, erased_ms;
    unsigned char enc[GW_X25519_BYTES], sealed[PAYLOAD_SEALED_BYTES];
};

void payload_row_write(const struct payload_row *r, unsigned char out[PAYLOAD_ROW_BYTES]);
/* False: damaged. */
bool payload_row_read(const unsigned char in[PAYLOAD_ROW_BYTES], struct payload_row *out);

/* Makes the file with its header when it is not there (durably, mode 0600), opens it for reading and writing, and gives its
 * salt. GW_ENOENT when it is not there and make is false; GW_EIO; GW_ECORRUPT: it is another kind of file. */
enum gw_status payload_file_open(const char *path, bool make, int *fd,
                                 unsigned char salt[PAYLOAD_SALT_BYTES], struct gw_err *err);

/* How a subject is called in rows. */
void payload_subject(const unsigned char salt[PAYLOAD_SALT_BYTES], struct gw_span name,
                     unsigned char out[GW_SHA256_BYTES]);

/* Seals the row's first chain key (key_id and subject are set) to the auditor, or takes it out with the auditor's secret key:
 * GW_ECORRUPT when it is another auditor's, or altered. */
enum gw_status payload_chain_seal(const unsigned char to[GW_X25519_BYTES],
                                  const unsigned char chain[PAYLOAD_CHAIN_BYTES],
                                  struct payload_row *r);
enum gw_status payload_chain_open(const unsigned char secret[GW_X25519_BYTES],
                                  const struct payload_row *r,
                                  unsigned char chain[PAYLOAD_CHAIN_BYTES]);

/* One step: the key of the next text, and the chain goes on. */
void payload_chain_step(unsigned char chain[PAYLOAD_CHAIN_BYTES],
                        unsigned char key[GW_AEAD_KEY_BYTES]);

/* What a sealed text is bound to, so that it cannot be shown as another one. */
struct payload_about {
    struct gw_span request;
    bool answer;
    uint64_t bytes; /* of the whole text */
    const unsigned char *key_id;
    uint64_t n; /* which of its chain, from 0 */
};
enum { PAYLOAD_ABOUT_BYTES = 256 };
struct gw_span payload_about(const struct payload_about *a, char out[PAYLOAD_ABOUT_BYTES]);

#endif
