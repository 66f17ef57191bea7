/* tests/fuzz/fuzz_hf.c - a model's folder of arbitrary bytes: config.json, tokenizer.json, model.safetensors.
 *
 * Input: the three files one after the other, separated by a line "----". Opened as the engine opens it, and
 * what comes out is inspected. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/hf.h"
#include "engine/model.h"
#include "engine/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char separator[] = "\n----\n";
static char folder[] = "/tmp/fuzz_hf_XXXXXX";

/* Writes the part up to the separator; what is left behind it. */
static struct gw_span write_part(struct gw_span in, const char *name)
{
    const char *end = in.len == 0 ? NULL : memmem(in.ptr, in.len, separator, sizeof(separator) - 1);
    const size_t n = end == NULL ? in.len : (size_t)(end - in.ptr);
    char path[64];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "we");
    if (f == NULL)
        abort();
    if (n != 0)
        (void)fwrite(in.ptr, 1, n, f);
    (void)fclose(f);
    return gw_span_from(in, end == NULL ? n : n + sizeof(separator) - 1);
}

static void clean(void)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors"};
    char path[64];

    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct gw_span in = {(const char *)data, size};
    struct gguf *g = NULL;

    if (!ready) {
        ready = mkdtemp(folder) != NULL && atexit(clean) == 0;
        if (!ready)
            abort();
    }
    in = write_part(in, "config.json");
    in = write_part(in, "tokenizer.json");
    (void)write_part(in, "model.safetensors");
    if (hf_open(folder, true, &g, NULL) == GW_OK) {
        struct model m = {0};
        struct tok *t = NULL;

        (void)model_inspect(&m, g, kern_ops(NULL), NULL);
        (void)tok_open(g, &t, NULL);
        tok_free(t);
        model_fini(&m);
        gguf_close(g);
    }
    return 0;
}
