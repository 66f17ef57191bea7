/* engine/provenance.c - what a model's file says of where it comes from, and a hash of its vocabulary. See engine.h. */
#include <sys/stat.h>

#include <stdio.h>

#include "base/digest.h"
#include "engine/engine.h"
#include "engine/folder.h"
#include "engine/gguf.h"

enum { MAX_TOKENIZER_BYTES = 64 << 20 };

/* Text out of the file for people: what is not printable ASCII becomes '?'. */
static void copy(const struct gguf *g, const char *key, char *out, size_t size)
{
    struct gw_span s = {NULL, 0};
    size_t n;

    if (out[0] != '\0' || gguf_str(g, key, &s, NULL) != GW_OK)
        return;
    n = s.len < size - 1 ? s.len : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(s.ptr[i] >= 0x20 && s.ptr[i] < 0x7F ? s.ptr[i] : '?');
    out[n] = '\0';
}

/* SHA-256 of the tokens and the merges, each with a line's end behind it. */
static enum gw_status hash_vocabulary(const struct gguf *g, char out[GW_SHA256_HEX_BYTES],
                                      struct gw_err *err)
{
    static const char *const keys[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.merges"};
    unsigned char sum[GW_SHA256_BYTES];
    struct gw_hash *h;

    if (!gguf_has(g, keys[0]))
        return GW_OK;
    h = gw_hash_new();
    if (h == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct gguf_array a = {.n = 0};
        size_t at = 0;

        if (!gguf_has(g, keys[i]) || gguf_array(g, keys[i], GGUF_STRING, &a, NULL) != GW_OK)
            continue;
        for (size_t k = 0; k < a.n; k++) {
            gw_hash_add(h, gguf_array_next_str(&a, &at));
            gw_hash_add(h, GW_SPAN("\n"));
        }
    }
    gw_hash_final(h, sum);
    gw_hex(sum, sizeof(sum), out);
    return GW_OK;
}

static enum gw_status of_file(const char *path, struct engine_provenance *out, struct gw_err *err)
{
    struct gguf *g = NULL;
    enum gw_status st;

    GW_TRY(gguf_open(path, &g, err));
    copy(g, "general.license", out->licence, sizeof(out->licence));
    copy(g, "general.source.url", out->source, sizeof(out->source));
    copy(g, "general.source.repo_url", out->source, sizeof(out->source));
    copy(g, "general.url", out->source, sizeof(out->source));
    st = hash_vocabulary(g, out->tokenizer, err);
    gguf_close(g);
    return st;
}

/* The tokenizer's file is hashed as it is. An adapter has none. */
static enum gw_status of_folder(const char *path, struct engine_provenance *out, struct gw_err *err)
{
    unsigned char sum[GW_SHA256_BYTES];
    struct gw_buf text = {0};
    enum gw_status st = folder_read(path, "tokenizer.json", MAX_TOKENIZER_BYTES, &text, err);

    if (st == GW_OK) {
        gw_sha256(gw_buf_span(&text), sum);
        gw_hex(sum, sizeof(sum), out->tokenizer);
    }
    gw_buf_fini(&text);
    return st == GW_ENOENT ? GW_OK : st;
}

enum gw_status engine_provenance(const char *path, struct engine_provenance *out,
                                 struct gw_err *err)
{
    struct engine_provenance p = {.licence = ""};
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        GW_TRY(of_folder(path, &p, err));
    else
        GW_TRY(of_file(path, &p, err));
    *out = p;
    return GW_OK;
}
