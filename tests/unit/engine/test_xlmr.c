/* tests/unit/engine/test_xlmr.c - a small random XLM-RoBERTa beside what transformers computes with it (tests/golden/xlmr): scores, as
 * a folder and as a GGUF file, and vectors; text to numbers, so the tokenizer's part is in it. */
#include <sys/stat.h>

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "engine/folder.h"
#include "kernels/kernels.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/engine/hex.h"

#define GOLDEN    "tests/golden/xlmr"
#define TOKENIZER "tests/golden/unigram/tokenizer.json"

enum { N_DIMS = 24, MAX_TEXT = 256, MAX_TOKENS = 64 };

/* Folders as a reranker's and an embedder's users have them. */
static char dir[] = "/tmp/sluice-xlmr-XXXXXX";
static char reranker[64], embedder[64];

static bool copy_file(const char *folder, const char *from, const char *name, const char *cut)
{
    struct gw_buf b = {0};
    char path[256];
    FILE *f;
    bool ok;

    if (!CHECK(folder_read(".", from, 1 << 20, &b, NULL) == GW_OK))
        return false;
    if (cut != NULL) { /* the same word with another letter */
        char *at = memmem(b.ptr, b.len, cut, strlen(cut));

        if (CHECK(at != NULL))
            at[0] = 'x';
    }
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "w");
    ok = f != NULL && fwrite(b.ptr, 1, b.len, f) == b.len;
    ok = f != NULL && fclose(f) == 0 && ok;
    gw_buf_fini(&b);
    return ok;
}

static bool make_folder(char path[64], const char *name, bool head)
{
    static const char pooling[] = "{\"pooling_mode_cls_token\":true}";
    char file[128];
    FILE *f;
    bool ok;

    (void)snprintf(path, 64, "%s/%s", dir, name);
    (void)snprintf(file, sizeof(file), "%s/1_Pooling", path);
    if (mkdir(path, 0700) != 0 || mkdir(file, 0700) != 0)
        return false;
    (void)snprintf(file, sizeof(file), "%s/1_Pooling/config.json", path);
    f = fopen(file, "w");
    ok = f != NULL && fputs(pooling, f) >= 0;
    ok = f != NULL && fclose(f) == 0 && ok;
    return ok && copy_file(path, TOKENIZER, "tokenizer.json", NULL) &&
           copy_file(path, GOLDEN "/model.safetensors", "model.safetensors", NULL) &&
           copy_file(path, GOLDEN "/config.json", "config.json",
                     head ? NULL : "XLMRobertaForSequenceClassification");
}

static struct engine_embedder *open_model(const char *path, const char *kernels)
{
    const struct engine_embed_config cfg = {.model_path = path, .threads = 2, .kernels = kernels};
    struct engine_embedder *e = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(engine_embedder_open(&cfg, &e, &err) == GW_OK))
        fprintf(stderr, "%s: %s\n", path, err.text);
    return e;
}

static bool next(struct engine_embed_chan *ch, struct engine_embed_event *ev)
{
    struct pollfd p = {.fd = engine_embed_chan_fd(ch), .events = POLLIN};

    while (!engine_embed_chan_next(ch, ev))
        if (poll(&p, 1, 60000) <= 0)
            return false;
    return true;
}

/* Asks for a line's texts and compares the numbers that stand behind them. */
static void check_line(struct engine_embed_chan *ch, char *line, bool reranks, const char *what)
{
    char room[2][MAX_TEXT];
    struct gw_span texts[2];
    struct engine_embed_event ev = {0};
    uint64_t id = 0;
    double largest = 0;

    texts[0] = (struct gw_span){room[0], take_hex(&line, room[0], MAX_TEXT)};
    if (reranks)
        texts[1] = (struct gw_span){room[1], take_hex(&line, room[1], MAX_TEXT)};
    CHECK((reranks ? engine_rerank_submit(ch, texts, 2, 0, NULL, &id, NULL)
                   : engine_embed_submit(ch, texts, 1, 0, NULL, &id, NULL)) == GW_OK);
    if (!CHECK(next(ch, &ev) && ev.status == GW_OK && ev.n_dims == (reranks ? 1 : N_DIMS)))
        return;
    for (unsigned i = 0; i < ev.n_dims; i++) {
        const double off = fabs((double)ev.vectors[i] - strtod(line, &line));

        largest = off > largest ? off : largest;
    }
    if (!CHECK(largest < 2e-5))
        fprintf(stderr, "%s: \"%.*s\" is %g off\n", what, (int)texts[0].len, texts[0].ptr, largest);
    free(ev.vectors);
}

static void check_file(const char *model, const char *kernels, const char *name, bool reranks)
{
    struct engine_embedder *e = open_model(model, kernels);
    struct engine_embed_chan *ch = e == NULL ? NULL : engine_embed_chan_new(e);
    struct gw_buf file = {0};
    unsigned n = 0;

    if (!CHECK(ch != NULL) || !CHECK(folder_read(GOLDEN, name, 1 << 20, &file, NULL) == GW_OK))
        return;
    gw_buf_addc(&file, '\0');
    for (char *line = file.ptr, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, n++) {
        *end = '\0';
        check_line(ch, line, reranks, model);
    }
    CHECK(n >= 6);
    gw_buf_fini(&file);
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
}

/* All positions of the model are a text's: 66 less the two that none has. */
static void test_length(const char *model)
{
    struct engine_embedder *e = open_model(model, NULL);
    struct engine_embed_chan *ch = e == NULL ? NULL : engine_embed_chan_new(e);
    struct engine_embed_info info;
    char text[2 * MAX_TOKENS];
    uint64_t id = 0;

    if (!CHECK(ch != NULL))
        return;
    engine_embedder_info(e, &info);
    CHECK(info.max_tokens == MAX_TOKENS && strcmp(info.pooling, "cls") == 0);
    for (unsigned i = 0; i < MAX_TOKENS; i++)
        text[(size_t)2 * i] = 'a', text[(size_t)2 * i + 1] = ' ';
    for (unsigned n = MAX_TOKENS - 2; n <= MAX_TOKENS - 1; n++) {
        const struct gw_span one = {text, 2 * (size_t)n};
        struct engine_embed_event ev = {0};

        CHECK(engine_embed_submit(ch, &one, 1, 0, NULL, &id, NULL) == GW_OK && next(ch, &ev));
        CHECK(ev.status == (n == MAX_TOKENS - 2 ? GW_OK : GW_ELIMIT));
        free(ev.vectors);
    }
    engine_embed_chan_free(ch);
    engine_embedder_close(e);
}

int main(void)
{
    static const char *const levels[] = {"scalar", "avx2", "avx512"};

    if (!CHECK(mkdtemp(dir) != NULL) || !CHECK(make_folder(reranker, "reranker", true)) ||
        !CHECK(make_folder(embedder, "embedder", false)))
        return test_done();
    CHECK(engine_kind(reranker) == ENGINE_KIND_RERANK &&
          engine_kind(embedder) == ENGINE_KIND_EMBED);
    CHECK(engine_kind(GOLDEN "/model.gguf") == ENGINE_KIND_RERANK);
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (kern_ops_exact(levels[i]) == NULL)
            continue;
        check_file(reranker, levels[i], "scores.txt", true);
        check_file(GOLDEN "/model.gguf", levels[i], "scores.txt", true);
        check_file(embedder, levels[i], "vectors.txt", false);
    }
    test_length(embedder);
    CHECK(test_remove_tree(dir));
    return test_done();
}
