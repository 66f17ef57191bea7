/* Fuzz target: tokenizers. The input is the end of a vocabulary (its special tokens and merges) and a text;
 * every id must be in range, and what the byte-level one makes must be the text again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tokenizer_private.h"
#include "tests/unit/engine/vocab_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pres[] = {"gpt-2",       "llama-bpe", "qwen2",        "smollm",
                                   "falcon",      "default",   "deepseek-llm", "deepseek-coder",
                                   "deepseek-v3", "gpt-4o",    "tekken",       "nobody"};

/* Lines of the input become tokens (the first byte says of which kind) until an empty one. */
static size_t add_lines(struct vocab *v, char *text, size_t size)
{
    size_t at = 0;

    while (at < size) {
        char *end = memchr(text + at, '\n', size - at);

        if (end == NULL || end == text + at || v->n == VOCAB_MAX - 1)
            break;
        *end = '\0';
        unsigned kind = (unsigned char)text[at] % 8;
        if (kind == 7 && v->n_merges < VOCAB_MAX)
            v->merges[v->n_merges++] = text + at + 1;
        else
            vocab_add(v, text + at + 1, (int)kind, (float)(text[at] / 8));
        at = (size_t)(end - text) + 1;
    }
    return at;
}

static void check(const struct vocab *v, struct gw_span text, bool special)
{
    struct tok *t = vocab_tok(v, NULL);
    struct tok_ids ids = {0};
    struct gw_buf back = {0};

    if (t == NULL)
        return;
    if (tok_encode(t, text, special, &ids) == GW_OK) {
        for (size_t i = 0; i < ids.n; i++) {
            if (ids.ids[i] < 0 || (unsigned)ids.ids[i] >= tok_n_vocab(t) ||
                (!special && tok_is_control(t, ids.ids[i])))
                abort();
            gw_buf_add(&back, tok_piece(t, ids.ids[i]));
        }
        if (!special && !t->score_merge && !gw_span_eq(gw_buf_span(&back), text))
            abort();
    }
    gw_buf_fini(&back);
    tok_ids_fini(&ids);
    tok_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char chars[256][4];
    struct vocab v = {.bos = -1, .eos = -1, .add_bos = -1};
    char *text;

    if (size < 2 || (text = malloc(size)) == NULL)
        return 0;
    memcpy(text, data, size);
    v.model = (data[0] & 1) != 0 ? "llama" : "gpt2";
    v.pre = pres[data[1] % (sizeof(pres) / sizeof(pres[0]))];
    for (unsigned i = 0; i < 256; i++) {
        memset(chars[i], 0, sizeof(chars[i]));
        (void)tok_byte_char((unsigned char)i, chars[i]);
        vocab_add(&v, chars[i], TOK_NORMAL, -1);
    }
    size_t used = 2 + add_lines(&v, text + 2, size - 2);
    check(&v, (struct gw_span){text + used, size - used}, (data[0] & 2) != 0);
    free(text);
    return 0;
}
