/* audit/seal_key.h - the key file of the sealer. Thread: the opener's. */
#ifndef AUDIT_SEAL_KEY_H
#define AUDIT_SEAL_KEY_H

#include "audit/note.h"

/* Reads the secret keys in the file, or makes it (mode 0600) with one. The caller wipes out. */
enum gw_status seal_key_load(const char *path, const char *instance, struct note_signer *out,
                             unsigned max, unsigned *n, struct gw_err *err);

/* Makes the file in dirfd hold the public keys, those that were there before included. */
enum gw_status seal_key_publish(int dirfd, const char *name, const struct note_signer *signers,
                                unsigned n, struct gw_err *err);

/* Reads a file below dirfd whole; at most max bytes. GW_ENOENT, GW_EIO, GW_ELIMIT, GW_ENOMEM. */
enum gw_status seal_read_file(int dirfd, const char *name, size_t max, struct gw_buf *out);

#endif
