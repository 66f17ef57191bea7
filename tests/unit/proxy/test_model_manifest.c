/* tests/unit/proxy/test_model_manifest.c - manifests of models: written, read, and every byte of one changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "proxy/net/model_digest.h"
#include "proxy/net/model_manifest.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/engine/lora_make.h"

static char dir[] = "/tmp/sluice-manifest-XXXXXX";
static char model[64], manifest[96], digest[GW_SHA256_HEX_BYTES];
static const unsigned char secret[GW_ED25519_KEY_BYTES] = {1, 2, 3};

static size_t read_all(char *out, size_t size)
{
    FILE *f = fopen(manifest, "re");
    size_t n = f == NULL ? 0 : fread(out, 1, size - 1, f);

    if (f != NULL)
        (void)fclose(f);
    out[n] = '\0';
    return n;
}

static enum gw_status read_it(const char *of)
{
    struct model_manifest m = {.digest = "as it was"};
    struct gw_err err = {GW_OK, ""};
    const enum gw_status st = model_manifest_read(model, of, &m, &err);

    CHECK(st == GW_OK || (st == err.code && strcmp(m.digest, "as it was") == 0));
    return st;
}

static void test_signed(void)
{
    struct model_manifest written, found = {.digest = ""};
    unsigned char pub[GW_ED25519_KEY_BYTES], read_pub[GW_ED25519_KEY_BYTES];
    static char text[8192];

    CHECK(model_manifest_read(model, digest, &found, NULL) == GW_OK && found.digest[0] == '\0');
    CHECK(model_manifest_write(model, digest, "https://example.test/m", secret, &written, NULL) ==
          GW_OK);
    CHECK(model_manifest_read(model, digest, &found, NULL) == GW_OK);
    CHECK(strcmp(found.digest, written.digest) == 0 && strcmp(found.signer, written.signer) == 0);
    CHECK(gw_ed25519_public(secret, pub) == GW_OK &&
          model_manifest_unhex(gw_span_str(found.signer), read_pub, sizeof(read_pub)) &&
          memcmp(pub, read_pub, sizeof(pub)) == 0);
    CHECK(read_all(text, sizeof(text)) != 0);
    CHECK(strstr(text, digest) != NULL && strstr(text, "\"arch\":\"llama\"") != NULL &&
          strstr(text, "\"quantization\":\"F32\"") != NULL &&
          strstr(text, "\"source\":\"https://example.test/m\"") != NULL &&
          strstr(text, "\"file\":\"model.gguf\"") != NULL &&
          strstr(text, "\"tokenizer_sha256\":\"") != NULL);
    CHECK(read_it("0000000000000000000000000000000000000000000000000000000000000000") ==
          GW_ECORRUPT);
}

/* Any byte of it changed, or it cut off anywhere: nobody signed that. */
static void test_changed(void)
{
    static char text[8192];
    const size_t n = read_all(text, sizeof(text));
    const size_t end = strchr(text, '}') == NULL ? 0 : (size_t)(strchr(text, '\n') - text);
    size_t taken = 0;

    for (size_t i = 0; i < n; i++) {
        const char was = text[i];

        text[i] = (char)(was ^ 1);
        CHECK(lm_write_file(manifest, (struct gw_span){text, n}));
        /* digits of the second line may change their case, and the last line's end its kind */
        taken += read_it(digest) == GW_OK;
        CHECK(i > end || taken == 0);
        text[i] = was;
        CHECK(lm_write_file(manifest, (struct gw_span){text, i}));
        CHECK(i >= n - 1 || read_it(digest) != GW_OK);
    }
    CHECK(taken <= 1);
    for (size_t i = 0; i < 20; i++) {
        FILE *f = fopen(manifest, "ae");

        for (size_t k = 0; f != NULL && k < sizeof(text); k++)
            (void)fputc('x', f);
        if (f != NULL)
            (void)fclose(f);
    }
    CHECK(read_it(digest) == GW_ELIMIT);
}

int main(void)
{
    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    (void)snprintf(model, sizeof(model), "%s/model.gguf", dir);
    (void)snprintf(manifest, sizeof(manifest), "%s.manifest.jsonl", model);
    CHECK(lm_model(model, NULL) && model_digest(model, dir, digest, NULL) == GW_OK);
    test_signed();
    test_changed();
    CHECK(test_remove_tree(dir));
    return test_done();
}
