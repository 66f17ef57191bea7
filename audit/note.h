/* audit/note.h - checkpoints: the head of a tree, signed (C2SP tlog-checkpoint and signed-note, Ed25519).
 *
 *   sluice/01J...-s001+1              origin: which tree
 *   4711                              size: records under the root
 *   CsUYapGGPo4dkMgIAUqom/Xajj7h...   root, base64
 *   time 2026-11-21T08:15:30Z         extension lines
 *   sequence 4720                     metadata.sequence of the last record under the root
 *   edge CsUYapGGPo4dkMgIAUqom...     now and then: the right edge of the tree (audit/merkle.h), a base64 a hash, from which a reader
 *                                     goes on who has not the records before
 *                                     (empty)
 *   — gw-1 Az3grlgtzPICa5OS8npVm...   signature: key name, base64 of key id and signature
 *
 * Keys are written as other tools of that family do: NAME+ID+BASE64, secret ones with PRIVATE+KEY+ in front. Pure; any
 * thread. */
#ifndef AUDIT_NOTE_H
#define AUDIT_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/merkle.h"
#include "base/buf.h"
#include "base/ed25519.h"
#include "base/err.h"
#include "base/span.h"

enum {
    NOTE_NAME_BYTES = 128, /* key name with its NUL: no spaces, no '+' */
    NOTE_ORIGIN_BYTES = 192,
    NOTE_MAX_SIGS = 8,
    NOTE_MAX_BYTES = 8192, /* of one note */
};

struct note_key {
    char name[NOTE_NAME_BYTES];
    uint32_t id; /* the first bytes of SHA-256(name "\n" 01 key), big endian */
    unsigned char pub[GW_ED25519_KEY_BYTES];
    bool cosigns; /* a witness's (C2SP tlog-cosignature), else a log's */
};

struct note_signer {
    struct note_key key;
    unsigned char secret[GW_ED25519_KEY_BYTES]; /* the holder wipes it */
};

/* Makes a new key. What a name may not hold becomes '_'. GW_EIO. */
enum gw_status note_signer_new(const char *name, struct note_signer *out);

/* Appends the text of a key, without a newline. */
void note_key_write(const struct note_key *k, struct gw_buf *out);
void note_signer_write(const struct note_signer *s, struct gw_buf *out);

/* Reads such a text; blanks around it are allowed. GW_EPARSE: not one, or its id does not fit. */
enum gw_status note_key_read(struct gw_span text, struct note_key *out);
enum gw_status note_signer_read(struct gw_span text, struct note_signer *out);

/* Reads public keys, one a line; empty lines and those that begin with # are passed over. GW_EPARSE: none, too many, or a
 * line that is no key. */
enum gw_status note_keys_read(struct gw_span text, struct note_key *out, unsigned max, unsigned *n,
                              struct gw_err *err);

struct note_sig {
    struct gw_span name;
    uint32_t id;
    unsigned char bytes[GW_ED25519_SIG_BYTES];
    bool cosigned;
    uint64_t time_s; /* of a cosignature */
};

struct note {
    struct gw_span text; /* the whole note, as it stands */
    struct gw_span body; /* what is signed, with its last newline */
    struct gw_span origin;
    uint64_t size;
    struct merkle_hash root;
    int64_t time_ms;     /* of the line "time"; 0: none */
    uint64_t last_seq;   /* of the line "sequence"; 0: none */
    struct gw_span edge; /* what the line "edge" says; note_edge() reads it */
    struct note_sig sigs[NOTE_MAX_SIGS];
    unsigned n_sigs;
};

/* What a note says of a tree. */
struct note_head {
    struct gw_span origin;
    const struct merkle *tree; /* with it, its edge is written */
    uint64_t size;
    struct merkle_hash root;
    int64_t time_ms;
    uint64_t last_seq;
};

/* Appends a note that each of the n keys signs; tree NULL: without the edge. GW_EIO, GW_ENOMEM. */
enum gw_status note_write(const struct note_signer *signers, unsigned n,
                          const struct note_head *head, struct gw_buf *out);

/* Reads the note at the start of *text and moves *text behind it. GW_ENOENT: only blank lines are left; GW_EPARSE: no note,
 * *text is unchanged. Spans point into the text. */
enum gw_status note_read(struct gw_span *text, struct note *out);

/* The tree as its edge says, when that makes the root; else false. */
bool note_edge(const struct note *n, struct merkle *out);

/* True when one of the signatures is the key's and holds. */
bool note_verify(const struct note *n, const struct note_key *key);

/* The same; *time_s is when a witness has signed, 0 for a log's key. */
bool note_verify_when(const struct note *n, const struct note_key *key, uint64_t *time_s);

#endif
