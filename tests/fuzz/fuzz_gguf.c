/* tests/fuzz/fuzz_gguf.c - any bytes as a model file: parsed, every offered byte read, hyper-parameters
 * checked against the tensors. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "engine/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;

static void read_all(const void *p, size_t n)
{
    const unsigned char *c = p;

    for (size_t i = 0; i < n; i++)
        sink += c[i];
}

static void read_strings(const struct gguf *g, const char *key)
{
    struct gguf_array a;
    struct gw_span s;
    size_t at = 0;

    if (gguf_str(g, key, &s, NULL) == GW_OK)
        read_all(s.ptr, s.len);
    if (gguf_array(g, key, GGUF_STRING, &a, NULL) != GW_OK)
        return;
    for (size_t i = 0; i < a.n; i++) {
        s = gguf_array_next_str(&a, &at);
        read_all(s.ptr, s.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct model m = {0};

    if (gguf_open_memory(data, size, &g, NULL) != GW_OK)
        return 0;
    read_strings(g, "general.architecture");
    read_strings(g, "tokenizer.ggml.tokens");
    read_strings(g, "a.strs");
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        read_all(gguf_tensor_at(g, i)->data, gguf_tensor_at(g, i)->bytes);
    (void)model_inspect(&m, g, kern_ops("scalar"), NULL);
    model_fini(&m);
    gguf_close(g);
    return 0;
}
