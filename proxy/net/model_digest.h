/* proxy/net/model_digest.h - which model this is, for records: the SHA-256 of its bytes.
 *
 *   a file     what `sha256sum FILE` prints
 *   a folder   what `LC_ALL=C sha256sum -- $(ls | grep -v '\.sha256$') | sha256sum` prints in it: of its files, without notes of digests
 *
 * A file of gigabytes takes seconds, so that what was computed is kept in `model.digests` in the state directory, beside the file's
 * device, inode, size and times: while they are the same it is not read again. The note may be lost at any time. Thread: that which
 * opens models. */
#ifndef PROXY_MODEL_DIGEST_H
#define PROXY_MODEL_DIGEST_H

#include "base/digest.h"
#include "base/err.h"

/* GW_ENOENT, GW_EIO, GW_ENOMEM, GW_ELIMIT (a path that is too long). On failure out is unchanged. */
enum gw_status model_digest(const char *path, const char *state_dir, char out[GW_SHA256_HEX_BYTES],
                            struct gw_err *err);

#endif
