/* Tokenizers against published vectors: ../shared/models/vocab and the default model. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "engine/gguf.h"
#include "engine/tokenizer.h"
#include "engine/wordpiece.h"
#include "tests/test.h"

static const char *const vocabularies[] = {
    "llama-spm", "phi-3",        "gpt-2", "falcon",         "mpt",     "refact",
    "starcoder", "deepseek-llm", "qwen2", "deepseek-coder", "bert-bge"};
static const char model_path[] = "models/smollm2-135m-instruct-q4_1.gguf";
static const char rows_path[] = "../shared/models/smollm2.jsonl";

static bool read_file(const char *path, struct gw_buf *out)
{
    char chunk[65536];
    FILE *f = fopen(path, "rb");

    if (f == NULL)
        return false;
    for (size_t n = sizeof(chunk); n == sizeof(chunk);) {
        n = fread(chunk, 1, sizeof(chunk), f);
        gw_buf_add(out, (struct gw_span){chunk, n});
    }
    (void)fclose(f);
    return gw_buf_ok(out);
}

static struct tok *open_tok(const char *path)
{
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct gw_err err = {0};

    if (!CHECK(gguf_open(path, &g, &err) == GW_OK))
        fprintf(stderr, "%s: %s\n", path, err.text);
    else if (!CHECK(tok_open(g, &t, &err) == GW_OK))
        fprintf(stderr, "%s: %s\n", path, err.text);
    gguf_close(g);
    return t;
}

static void print_ids(const char *what, const struct tok *t, const int32_t *ids, size_t n)
{
    fprintf(stderr, "  %s:", what);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, " %d[%.*s]", ids[i], (int)tok_text(t, ids[i]).len, tok_text(t, ids[i]).ptr);
    fputc('\n', stderr);
}

/* The bytes of all pieces together are the text again (score merge: after its space). */
static void check_decodes(const struct tok *t, const struct tok_ids *ids, struct gw_span text)
{
    struct gw_buf b = {0};

    for (size_t i = 0; i < ids->n; i++)
        gw_buf_add(&b, tok_piece(t, ids->ids[i]));
    struct gw_span got = gw_buf_span(&b);
    if (tok_space_prefix(t) && text.len > 0)
        got = gw_span_from(got, 1);
    CHECK(gw_span_eq(got, text));
    gw_buf_fini(&b);
}

static void check_text(const struct tok *t, const char *name, struct gw_span text,
                       const int32_t *want, size_t n)
{
    struct tok_ids got = {0};

    CHECK(tok_encode(t, text, false, &got) == GW_OK);
    bool same = got.n == n && (n == 0 || memcmp(got.ids, want, n * sizeof(*want)) == 0);
    if (!CHECK(same)) {
        fprintf(stderr, "%s: \"%.*s\"\n", name, (int)text.len, text.ptr);
        print_ids("want", t, want, n);
        print_ids("got ", t, got.ids, got.n);
    }
    check_decodes(t, &got, text);
    tok_ids_fini(&got);
}

static size_t parse_ids(char **line, int32_t *ids, size_t max)
{
    size_t n = 0;
    char *p = *line;

    while (*p != '\0' && *p != '\n' && n < max) {
        char *end;
        long id = strtol(p, &end, 10);

        if (end == p) {
            p++;
            continue;
        }
        ids[n++] = (int32_t)id;
        p = end;
    }
    *line = *p == '\n' ? p + 1 : p;
    return n;
}

/* A vocabulary under test: one of the two. */
struct vocabulary {
    const char *name;
    struct tok *t;
    struct wordpiece *wp;
};

static void check_pieces(const struct vocabulary *v, struct gw_span text, const int32_t *want,
                         size_t n)
{
    int32_t ids[4096];
    unsigned got = 0;

    if (!CHECK(wordpiece_encode(v->wp, text, ids, 4096, &got)))
        return;
    /* the two special ones stand around what the vectors hold */
    if (!CHECK(got == n + 2 && memcmp(ids + 1, want, n * sizeof(*want)) == 0))
        fprintf(stderr, "%s: \"%.*s\"\n", v->name, (int)text.len, text.ptr);
}

static bool open_vocabulary(struct vocabulary *v, const char *name, const char *path)
{
    struct gguf *g = NULL;
    struct gw_err err = {0};

    *v = (struct vocabulary){.name = name};
    if (strncmp(name, "bert-", 5) != 0) {
        v->t = open_tok(path);
        if (v->t != NULL)
            CHECK(tok_warning(v->t)[0] == '\0');
        return v->t != NULL;
    }
    if (!CHECK(gguf_open(path, &g, &err) == GW_OK && wordpiece_open_gguf(g, &v->wp, &err) == GW_OK))
        fprintf(stderr, "%s: %s\n", path, err.text);
    gguf_close(g);
    return v->wp != NULL;
}

static void check_vocabulary(const char *name)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    char path[3][128];
    struct gw_buf in = {0}, out = {0};
    int32_t ids[4096];
    unsigned n_texts = 0;

    (void)snprintf(path[0], sizeof(path[0]), "../shared/models/vocab/ggml-vocab-%s.gguf", name);
    (void)snprintf(path[1], sizeof(path[1]), "%.120s.inp", path[0]);
    (void)snprintf(path[2], sizeof(path[2]), "%.120s.out", path[0]);
    if (!read_file(path[1], &in) || !read_file(path[2], &out)) {
        test_skip(path[0]);
        goto out;
    }
    struct vocabulary v;
    if (!open_vocabulary(&v, name, path[0]))
        goto out;
    char *line = out.ptr;
    for (char *p = in.ptr; p != NULL && *line != '\0';) {
        char *end = strstr(p, separator);
        struct gw_span text = {p, end == NULL ? strlen(p) : (size_t)(end - p)};
        size_t n = parse_ids(&line, ids, sizeof(ids) / sizeof(ids[0]));

        if (v.wp != NULL)
            check_pieces(&v, text, ids, n);
        else
            check_text(v.t, name, text, ids, n);
        n_texts++;
        p = end == NULL ? NULL : end + sizeof(separator) - 1;
    }
    CHECK(n_texts >= 40);
    tok_free(v.t);
    wordpiece_free(v.wp);
out:
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

/* One line of smollm2.jsonl; rows of other kinds are for other tests. */
static void check_row(const struct tok *t, struct gw_json *j, struct gw_span line)
{
    struct gw_json_tok token;
    struct gw_span key = {0}, kind = {0};
    struct gw_buf text = {0};
    int32_t want[4096];
    size_t n = 0;

    gw_json_start(j, line, NULL);
    while (gw_json_next(j, &token) != GW_JSON_END && CHECK(token.type != GW_JSON_ERROR)) {
        if (token.type == GW_JSON_KEY)
            key = token.raw;
        else if (token.type == GW_JSON_STRING && gw_span_is(key, "kind"))
            kind = token.raw;
        else if (token.type == GW_JSON_STRING && gw_span_is(key, "text") &&
                 CHECK(gw_buf_reserve(&text, token.raw.len)))
            text.len = gw_json_decode(token.raw, text.ptr);
        else if (token.type == GW_JSON_NUMBER && gw_span_is(key, "ids") && n < 4096)
            want[n++] = (int32_t)strtol(token.raw.ptr, NULL, 10);
    }
    if (gw_span_is(kind, "tokenize"))
        check_text(t, "smollm2", gw_buf_span(&text), want, n);
    gw_buf_fini(&text);
}

static void test_default_model(void)
{
    struct gw_buf rows = {0};
    FILE *f = fopen(model_path, "rb");

    if (f == NULL || !read_file(rows_path, &rows)) {
        test_skip(
            "models/smollm2-135m-instruct-q4_1.gguf (make models) or smollm2.jsonl is absent");
        goto out;
    }
    struct tok *t = open_tok(model_path);
    struct gw_json *j = gw_json_new();
    if (t == NULL || !CHECK(j != NULL))
        goto out;
    CHECK(tok_n_vocab(t) == 49152 && tok_bos(t) == 1 && tok_eos(t) == 2 && !tok_add_bos(t));
    CHECK(tok_is_end(t, 2) && tok_is_end(t, 0) && !tok_is_end(t, 1));
    CHECK(tok_find(t, GW_SPAN("<|im_start|>")) == 1);
    for (char *line = rows.ptr; *line != '\0';) {
        char *end = strchr(line, '\n');

        if (end == NULL)
            break;
        check_row(t, j, (struct gw_span){line, (size_t)(end - line)});
        line = end + 1;
    }
    gw_json_free(j);
    tok_free(t);
out:
    if (f != NULL)
        (void)fclose(f);
    gw_buf_fini(&rows);
}

int main(void)
{
    for (size_t i = 0; i < sizeof(vocabularies) / sizeof(vocabularies[0]); i++)
        check_vocabulary(vocabularies[i]);
    test_default_model();
    return test_done();
}
