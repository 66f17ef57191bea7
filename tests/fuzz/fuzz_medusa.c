/* tests/fuzz/fuzz_medusa.c - a folder of Medusa heads of arbitrary bytes: config.json, a line "----", medusa_lm_head.safetensors. Heads that are
 * taken must guess ids of the vocabulary. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/medusa.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WIDTH = 32, IDS = 40 };

static const char separator[] = "\n----\n";
static char folder[] = "/tmp/fuzz_medusa_XXXXXX";
static const char *const names[] = {"config.json", "medusa_lm_head.safetensors"};
static float output[IDS * WIDTH];
static struct pool *pool;

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
    pool_free(pool);
}

static void open_one(void)
{
    const struct kern_ops *ops = kern_ops("scalar");
    struct model m = {.n_embd = WIDTH, .n_vocab = IDS, .ops = ops};
    const struct medusa_config cfg = {.path = folder, .m = &m, .p = pool, .n_ids = IDS - 1};
    struct engine_medusa_info info;
    struct medusa *md = NULL;
    int32_t out[MEDUSA_MAX_USED];
    float hidden[WIDTH];

    if (kern_matrix_init(ops, KERN_TYPE_F32, IDS, WIDTH, output, NULL, &m.output, NULL) != GW_OK)
        abort();
    (void)engine_medusa_inspect(folder, &info, NULL);
    if (medusa_open(&cfg, &md, NULL) != GW_OK)
        return;
    for (unsigned i = 0; i < WIDTH; i++)
        hidden[i] = (float)i - 15.5f;
    medusa_guess(md, hidden, medusa_n_heads(md), out);
    for (unsigned i = 0; i < medusa_n_heads(md); i++)
        if (out[i] < 0 || out[i] >= IDS - 1)
            abort();
    medusa_close(md);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    const struct gw_span in = {(const char *)data, size};
    const char *end = size == 0 ? NULL : memmem(in.ptr, in.len, separator, sizeof(separator) - 1);
    char path[64];

    if (!ready) {
        ready = mkdtemp(folder) != NULL && pool_new(1, &pool, NULL) == GW_OK && atexit(clean) == 0;
        if (!ready)
            abort();
        for (unsigned i = 0; i < IDS * WIDTH; i++)
            output[i] = (float)(i % 7) - 3;
    }
    make_path(path, 0);
    (void)unlink(path);
    if (end != NULL)
        write_part((struct gw_span){in.ptr, (size_t)(end - in.ptr)}, 0);
    write_part(end == NULL ? in : gw_span_from(in, (size_t)(end - in.ptr) + sizeof(separator) - 1),
               1);
    open_one();
    return 0;
}
