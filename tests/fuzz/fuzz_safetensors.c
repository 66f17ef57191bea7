/* tests/fuzz/fuzz_safetensors.c - any bytes as a safetensors file: parsed, every offered byte read, every tensor
 * found again by its name. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void check(const struct safetensors *s, const struct safetensors_tensor *t, uint64_t *total)
{
    char name[256];

    for (uint64_t i = 0; i < t->end - t->begin; i++)
        sink += (unsigned char)t->data[i];
    *total += t->end - t->begin;
    if (t->name.len >= sizeof(name) || memchr(t->name.ptr, '\0', t->name.len) != NULL)
        return;
    memcpy(name, t->name.ptr, t->name.len);
    name[t->name.len] = '\0';
    if (safetensors_get(s, name) != t)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct gw_span bytes = {(const char *)data, size};
    struct safetensors *s = NULL;
    uint64_t total = 0;

    if (safetensors_open_memory(bytes, &s, NULL) != GW_OK)
        return 0;
    for (size_t i = 0; i < safetensors_n_tensors(s); i++)
        check(s, safetensors_tensor_at(s, i), &total);
    if (total > size) /* no byte belongs to two */
        abort();
    safetensors_close(s);
    return 0;
}
