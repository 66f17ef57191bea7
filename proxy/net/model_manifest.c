/* proxy/net/model_manifest.c - see model_manifest.h. */
#include "proxy/net/model_manifest.h"

#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/json_tree.h"
#include "engine/engine.h"

enum { MAX_BYTES = 64 << 10 };

#define PREFIX "sluice model manifest 1\n"

bool model_manifest_unhex(struct gw_span hex, unsigned char *out, size_t n)
{
    if (hex.len != 2 * n)
        return false;
    for (size_t i = 0; i < hex.len; i++) {
        const char c = gw_ascii_lower(hex.ptr[i]);
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (digit < 0)
            return false;
        out[i / 2] = (unsigned char)(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
    }
    return true;
}

static enum gw_status path_of(const char *model, char out[PATH_MAX], struct gw_err *err)
{
    size_t n = strlen(model);

    while (n > 1 && model[n - 1] == '/')
        n--;
    if (snprintf(out, PATH_MAX, "%.*s.manifest.jsonl", (int)n, model) >= PATH_MAX)
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", model);
    return GW_OK;
}

/* What is signed. */
static void add_signed(struct gw_buf *out, struct gw_span line)
{
    gw_buf_adds(out, PREFIX);
    gw_buf_add(out, line);
}

static void describe(struct gw_span line, const unsigned char pub[GW_ED25519_KEY_BYTES],
                     struct model_manifest *out)
{
    unsigned char sum[GW_SHA256_BYTES];

    gw_sha256(line, sum);
    gw_hex(sum, sizeof(sum), out->digest);
    gw_hex(pub, GW_ED25519_KEY_BYTES, out->signer);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* *found: there is one. */
static enum gw_status read_file(const char *path, struct gw_buf *out, bool *found,
                                struct gw_err *err)
{
    FILE *f = fopen(path, "re");
    char chunk[4096];
    size_t n;
    bool failed;

    *found = f != NULL;
    if (f == NULL)
        return errno == ENOENT
                   ? GW_OK
                   : gw_fail(err, GW_EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
    while (out->len <= MAX_BYTES && (n = fread(chunk, 1, sizeof(chunk), f)) != 0)
        gw_buf_add(out, (struct gw_span){chunk, n});
    failed = ferror(f) != 0;
    (void)fclose(f);
    if (failed)
        return gw_fail(err, GW_EIO, "cannot read %s", path);
    if (out->len > MAX_BYTES)
        return gw_fail(err, GW_ELIMIT, "%s is larger than %d bytes", path, MAX_BYTES);
    return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

struct parts {
    unsigned char pub[GW_ED25519_KEY_BYTES], sig[GW_ED25519_SIG_BYTES];
    char sha256[GW_SHA256_HEX_BYTES];
};

/* The members of the two lines. */
static enum gw_status parse(struct gw_json *json, struct gw_arena *arena, struct gw_span first,
                            struct gw_span second, struct parts *out, struct gw_err *err)
{
    unsigned char sum[GW_SHA256_BYTES];
    struct gw_json_node *root = NULL;

    GW_TRY(gw_json_tree(json, arena, first, NULL, &root, err));
    if (!model_manifest_unhex(gw_json_text(gw_json_get(root, "sha256"), arena), sum, sizeof(sum)))
        return gw_fail(err, GW_EPARSE, "its first line has no sha256");
    gw_hex(sum, sizeof(sum), out->sha256);
    GW_TRY(gw_json_tree(json, arena, second, NULL, &root, err));
    if (!model_manifest_unhex(gw_json_text(gw_json_get(root, "public_key"), arena), out->pub,
                              sizeof(out->pub)) ||
        !model_manifest_unhex(gw_json_text(gw_json_get(root, "signature"), arena), out->sig,
                              sizeof(out->sig)))
        return gw_fail(err, GW_EPARSE, "its second line has no public_key and signature");
    return GW_OK;
}

static enum gw_status check(struct gw_span text, const char *model_digest,
                            struct model_manifest *out, struct gw_err *err)
{
    const char *end = text.len == 0 ? NULL : memchr(text.ptr, '\n', text.len);
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct gw_json *json = gw_json_new();
    struct gw_buf message = {0};
    struct gw_span first = {NULL, 0};
    struct parts p;
    enum gw_status st = GW_OK;

    if (end == NULL)
        st = gw_fail(err, GW_EPARSE, "it has not two lines");
    else if (arena == NULL || json == NULL)
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    if (st == GW_OK) {
        first = (struct gw_span){text.ptr, (size_t)(end - text.ptr)};
        st = parse(json, arena, first, gw_span_from(text, first.len + 1), &p, err);
    }
    if (st == GW_OK) {
        add_signed(&message, first);
        if (!gw_buf_ok(&message) || !gw_ed25519_verify(p.pub, gw_buf_span(&message), p.sig))
            st = gw_fail(err, GW_ECORRUPT, "its signature is wrong");
        else if (strcmp(p.sha256, model_digest) != 0)
            st = gw_fail(err, GW_ECORRUPT, "it is of a model with the digest %s, this one has %s",
                         p.sha256, model_digest);
        else
            describe(first, p.pub, out);
    }
    gw_buf_fini(&message);
    gw_json_free(json);
    gw_arena_free(arena);
    return st;
}

enum gw_status model_manifest_read(const char *path, const char *model_digest,
                                   struct model_manifest *out, struct gw_err *err)
{
    struct gw_err local = {0};
    struct gw_buf text = {0};
    char manifest[PATH_MAX];
    enum gw_status st;
    bool found = false;

    err = err != NULL ? err : &local;
    GW_TRY(path_of(path, manifest, err));
    st = read_file(manifest, &text, &found, err);
    if (st == GW_OK && !found)
        *out = (struct model_manifest){.digest = ""};
    else if (st == GW_OK)
        st = check(gw_buf_span(&text), model_digest, out, err);
    gw_buf_fini(&text);
    return st == GW_OK ? GW_OK : gw_fail_prefix(err, "%s", manifest);
}

/* ---- writing -------------------------------------------------------------------------------- */

static void add_member(struct gw_buf *out, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    gw_buf_printf(out, ",\"%s\":", name);
    gw_buf_add_json_str(out, gw_span_str(value));
}

/* What inspecting says; adapters and heads have less. */
static enum gw_status inspect(const char *path, struct engine_info *out, struct gw_err *err)
{
    struct engine_adapter_info a;
    struct engine_medusa_info h;
    struct engine_embed_info e;

    switch (engine_kind(path)) {
    case ENGINE_KIND_EMBED:
    case ENGINE_KIND_RERANK:
        GW_TRY(engine_embed_inspect(path, &e, err));
        *out = (struct engine_info){.file_bytes = e.file_bytes};
        memcpy(out->arch, e.arch, sizeof(out->arch));
        memcpy(out->quant, e.quant, sizeof(out->quant));
        return GW_OK;
    case ENGINE_KIND_ADAPTER:
        GW_TRY(engine_adapter_inspect(path, &a, err));
        *out = (struct engine_info){.file_bytes = a.file_bytes};
        memcpy(out->arch, a.arch, sizeof(out->arch));
        return GW_OK;
    case ENGINE_KIND_MEDUSA:
        GW_TRY(engine_medusa_inspect(path, &h, err));
        *out = (struct engine_info){.file_bytes = h.file_bytes, .arch = "medusa"};
        return GW_OK;
    case ENGINE_KIND_CHAT:
    default:
        return engine_inspect(path, out, err);
    }
}

static enum gw_status write_line(const char *path, const char *model_digest, const char *source,
                                 struct gw_buf *out, struct gw_err *err)
{
    struct engine_provenance p;
    struct engine_info info;
    const char *slash = strrchr(path, '/');

    GW_TRY(inspect(path, &info, err));
    GW_TRY(engine_provenance(path, &p, err));
    gw_buf_adds(out, "{\"version\":1");
    add_member(out, "file", slash == NULL || slash[1] == '\0' ? path : slash + 1);
    add_member(out, "sha256", model_digest);
    gw_buf_printf(out, ",\"bytes\":%llu", (unsigned long long)info.file_bytes);
    add_member(out, "source", source != NULL ? source : p.source);
    add_member(out, "licence", p.licence);
    add_member(out, "arch", info.arch);
    add_member(out, "quantization", info.quant);
    add_member(out, "tokenizer_sha256", p.tokenizer);
    gw_buf_addc(out, '}');
    return GW_OK;
}

/* The file appears when it is whole. */
static enum gw_status put_file(const char *path, struct gw_span bytes, struct gw_err *err)
{
    char fresh[PATH_MAX];
    bool ok = snprintf(fresh, sizeof(fresh), "%s.new", path) < (int)sizeof(fresh);
    FILE *f = ok ? fopen(fresh, "we") : NULL;

    ok = f != NULL && fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len;
    if (f != NULL)
        ok = fclose(f) == 0 && ok;
    if (ok && rename(fresh, path) == 0)
        return GW_OK;
    if (f != NULL)
        (void)remove(fresh);
    return gw_fail(err, GW_EIO, "cannot write %s", path);
}

static enum gw_status sign(struct gw_span line, const unsigned char secret[GW_ED25519_KEY_BYTES],
                           struct gw_buf *out, struct model_manifest *m, struct gw_err *err)
{
    unsigned char pub[GW_ED25519_KEY_BYTES], sig[GW_ED25519_SIG_BYTES];
    char pub_hex[MODEL_MANIFEST_KEY_HEX], sig_hex[2 * GW_ED25519_SIG_BYTES + 1];
    struct gw_buf message = {0};
    bool ok;

    add_signed(&message, line);
    ok = gw_buf_ok(&message) && gw_ed25519_public(secret, pub) == GW_OK &&
         gw_ed25519_sign(secret, gw_buf_span(&message), sig) == GW_OK;
    gw_buf_fini(&message);
    if (!ok)
        return gw_fail(err, GW_EIO, "the manifest could not be signed");
    gw_hex(pub, sizeof(pub), pub_hex);
    gw_hex(sig, sizeof(sig), sig_hex);
    gw_buf_add(out, line);
    gw_buf_printf(out, "\n{\"public_key\":\"%s\",\"signature\":\"%s\"}\n", pub_hex, sig_hex);
    describe(line, pub, m);
    return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

enum gw_status model_manifest_write(const char *path, const char *model_digest, const char *source,
                                    const unsigned char secret[GW_ED25519_KEY_BYTES],
                                    struct model_manifest *out, struct gw_err *err)
{
    struct gw_buf line = {0}, text = {0};
    struct model_manifest m;
    char manifest[PATH_MAX];
    enum gw_status st = path_of(path, manifest, err);

    if (st == GW_OK)
        st = write_line(path, model_digest, source, &line, err);
    if (st == GW_OK && !gw_buf_ok(&line))
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    if (st == GW_OK)
        st = sign(gw_buf_span(&line), secret, &text, &m, err);
    if (st == GW_OK)
        st = put_file(manifest, gw_buf_span(&text), err);
    if (st == GW_OK)
        *out = m;
    gw_buf_fini(&line);
    gw_buf_fini(&text);
    return st;
}
