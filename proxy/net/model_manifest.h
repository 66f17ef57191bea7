/* proxy/net/model_manifest.h - who vouches for a model: PATH.manifest.jsonl beside its file or folder.
 *
 * Two lines of JSON. The first says what the model is: "file", "sha256" (model_digest.h), "bytes", "source", "licence",
 * "arch", "quantization", "tokenizer_sha256". The second signs it: "public_key" and "signature", in hex: Ed25519 over
 * "sluice model manifest 1", a line's end, and the first line without its own. Who may sign, the configuration says.
 * Blocks. Thread: that which opens models, and commands. */
#ifndef PROXY_MODEL_MANIFEST_H
#define PROXY_MODEL_MANIFEST_H

#include <stdbool.h>

#include "base/digest.h"
#include "base/ed25519.h"
#include "base/err.h"
#include "base/span.h"

enum { MODEL_MANIFEST_KEY_HEX = 2 * GW_ED25519_KEY_BYTES + 1 };

struct model_manifest {
    char digest[GW_SHA256_HEX_BYTES];    /* of the first line; "": there is no manifest */
    char signer[MODEL_MANIFEST_KEY_HEX]; /* the public key */
};

/* Reads the manifest of the model at path, whose digest is known. No manifest: GW_OK, and *out is empty. GW_ECORRUPT: the
 * signature is wrong, or it is of another model; GW_EPARSE, GW_ELIMIT, GW_EIO, GW_ENOMEM. On failure *out is unchanged. */
enum gw_status model_manifest_read(const char *path, const char *model_digest,
                                   struct model_manifest *out, struct gw_err *err);

/* Writes the manifest anew. source: where the model comes from, or NULL: as its file says. GW_EIO, GW_ELIMIT, GW_ENOMEM,
 * and errors of engine_inspect. */
enum gw_status model_manifest_write(const char *path, const char *model_digest, const char *source,
                                    const unsigned char secret[GW_ED25519_KEY_BYTES],
                                    struct model_manifest *out, struct gw_err *err);

/* n bytes out of 2n hex digits and nothing else. */
bool model_manifest_unhex(struct gw_span hex, unsigned char *out, size_t n);

#endif
