/* tests/fuzz/fuzz_lora.c - an adapter of arbitrary bytes, as a file and as a folder.
 *
 * Input: a GGUF file; or, when there is a line "----" in it, adapter_config.json before and
 * adapter_model.safetensors behind it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/lora_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char separator[] = "\n----\n";
static char folder[] = "/tmp/fuzz_lora_XXXXXX";
static const char *const names[] = {"adapter.gguf", "adapter_config.json",
                                    "adapter_model.safetensors"};

static void make_path(char path[64], size_t i)
{
    (void)snprintf(path, 64, "%s/%s", folder, names[i]);
}

static void write_part(struct gw_span in, size_t name)
{
    char path[64];
    FILE *f;

    make_path(path, name);
    f = fopen(path, "we");
    if (f == NULL)
        abort();
    if (in.len != 0)
        (void)fwrite(in.ptr, 1, in.len, f);
    (void)fclose(f);
}

static void clean(void)
{
    char path[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        make_path(path, i);
        (void)unlink(path);
    }
    (void)rmdir(folder);
}

/* The sizes of the model that the seeds are for. */
static void open_one(const char *path)
{
    const struct model m = {.arch = "llama",
                            .n_layers = 2,
                            .n_embd = 40,
                            .n_ff = 56,
                            .n_heads = 4,
                            .n_kv_heads = 2,
                            .head_dim = 10,
                            .rope = KERN_ROPE_NORM,
                            .ops = kern_ops(NULL)};
    struct engine_adapter_info info;
    struct lora *l = NULL;

    (void)engine_adapter_inspect(path, &info, NULL);
    if (lora_open(path, &m, &l, NULL) == GW_OK)
        lora_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    const struct gw_span in = {(const char *)data, size};
    const char *end = size == 0 ? NULL : memmem(in.ptr, in.len, separator, sizeof(separator) - 1);
    char path[64];

    if (!ready) {
        ready = mkdtemp(folder) != NULL && atexit(clean) == 0;
        if (!ready)
            abort();
    }
    if (end == NULL) {
        write_part(in, 0);
        make_path(path, 0);
        open_one(path);
    } else {
        write_part((struct gw_span){in.ptr, (size_t)(end - in.ptr)}, 1);
        write_part(gw_span_from(in, (size_t)(end - in.ptr) + sizeof(separator) - 1), 2);
        open_one(folder);
    }
    return 0;
}
