/* tests/unit/proxy/test_tokens.c - tokens with their probabilities: which piece of an answer they are told with, in each dialect,
 * and that none is told of a text that policy has changed. */
#include <math.h>
#include <string.h>

#include "proxy/answer/translate.h"
#include "proxy/local/local_tokens.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

#define KEY                                                                                        \
    "AKIA"                                                                                         \
    "QXJ7TPL4MZ3NWVYB"

static struct dlp_scanner *scanner;
static struct dlp_rules *rules;
static enum gw_action action;

static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    (void)ctx;
    (void)f;
    return action;
}

/* ---- lists --------------------------------------------------------------------------------- */

static struct api_token token(const char *text, float logprob)
{
    return (struct api_token){.drawn = {.bytes = gw_span_str(text), .id = 7, .logprob = logprob},
                              .text_bytes = strlen(text)};
}

static void test_list(void)
{
    const struct api_chance top[2] = {{.id = 1, .logprob = -1}, {.id = 2, .logprob = -2}};
    struct api_tokens l = {0};
    const struct api_token *all;
    unsigned n;

    for (unsigned i = 0; i < 40; i++) {
        struct api_token t = token("x", -(float)i);

        t.top = top;
        t.n_top = i % 3;
        CHECK(api_tokens_add(&l, &t));
    }
    api_tokens_drop(&l, 5);
    all = api_tokens_all(&l, &n);
    CHECK(n == 35 && all[0].n_top == 2 && all[0].top[1].id == 2 && all[1].n_top == 0);
    CHECK(all[34].n_top == 0 && all[33].n_top == 2 && all[33].top[0].id == 1);
    api_tokens_drop(&l, 35);
    (void)api_tokens_all(&l, &n);
    CHECK(n == 0 && l.tops.len == 0);
    api_tokens_fini(&l);
}

/* ---- the engine's tokens and the pieces of an answer ------------------------------------------ */

/* Four tokens of 3, 4, 0 and 5 bytes; pieces of the text. */
static void test_pieces(const struct engine *e)
{
    static const unsigned bytes[4] = {3, 4, 0, 5};
    static const struct {
        size_t at[3], len[3]; /* pieces */
        unsigned n[3];        /* tokens with each */
    } cases[] = {
        {{0, 12}, {12, 0}, {4, 0}},        /* all at once */
        {{0, 3, 7}, {3, 4, 5}, {1, 2, 1}}, /* one by one; the empty one with what is before it */
        {{0, 2, 9}, {2, 7, 3}, {0, 3, 1}}, /* in pieces that are no tokens */
        {{0, 8}, {3, 4}, {1, 0}}, /* a gap: those in it, and across its edges, are not told */
        {{3, 7}, {4, 5}, {2, 1}},
    };

    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct local_tokens t = {.engine = e};

        for (unsigned i = 0; i < 4; i++) {
            struct engine_token r = {.drawn = {-1, -1}, .text_bytes = bytes[i]};

            gw_buf_add(&t.raw, (struct gw_span){(const char *)&r, sizeof(r)});
        }
        for (unsigned i = 0; i < 3; i++) {
            struct api_event ev = {.text = {"123456789012", cases[c].len[i]}};

            if (cases[c].len[i] == 0)
                continue;
            CHECK(local_tokens_tell(&t, cases[c].at[i], &ev));
            if (!CHECK(ev.n_tokens == cases[c].n[i]))
                printf("  case %zu, piece %u: %u\n", c, i, ev.n_tokens);
        }
        local_tokens_fini(&t);
    }
}

/* ---- dialects --------------------------------------------------------------------------------- */

struct piece {
    const char *text;
    unsigned n_tokens; /* of the tokens below */
};

/* "Hé" in three tokens, the second and third of which are halves of a character; then " you". */
static void give(struct translate *t, const struct piece *pieces, struct gw_buf *out)
{
    static const struct api_chance top[2] = {
        {.bytes = {"H", 1}, .id = 5, .logprob = -0.5f},
        {.bytes = {"<|end|>", 7}, .id = 6, .logprob = -INFINITY}};
    struct api_token tokens[4] = {token("H", -0.5f), token("\xC3", -1), token("\xA9", 0),
                                  token(" you", -2.25f)};
    struct api_event ev = {.type = API_EVENT_START};
    unsigned n = 0;

    tokens[0].top = top;
    tokens[0].n_top = 2;
    tokens[1].text_bytes = 2;
    tokens[2].text_bytes = 0;
    CHECK(translate_put(t, &ev, out) == GW_OK);
    ev.type = API_EVENT_BLOCK;
    CHECK(translate_put(t, &ev, out) == GW_OK);
    for (; pieces->text != NULL; pieces++) {
        ev = (struct api_event){.type = API_EVENT_DELTA,
                                .text = gw_span_str(pieces->text),
                                .tokens = tokens + n,
                                .n_tokens = pieces->n_tokens};
        n += pieces->n_tokens;
        CHECK(translate_put(t, &ev, out) == GW_OK);
    }
    ev = (struct api_event){.type = API_EVENT_BLOCK_END};
    CHECK(translate_put(t, &ev, out) == GW_OK);
    ev = (struct api_event){.type = API_EVENT_FINISH, .finish = API_FINISH_STOP};
    CHECK(translate_put(t, &ev, out) == GW_OK);
    ev.type = API_EVENT_END;
    CHECK(translate_put(t, &ev, out) == GW_OK);
}

static struct gw_buf answer(enum api_dialect d, bool stream, const struct filter_config *filter,
                            const struct piece *pieces)
{
    const struct api_writer_config cfg = {
        .dialect = d, .stream = stream, .id = "1", .model = GW_SPAN("m")};
    struct translate *t = translate_new(&cfg, filter);
    struct gw_buf out = {0};

    give(t, pieces, &out);
    translate_free(t);
    return out;
}

static bool has(const struct gw_buf *b, const char *what)
{
    bool found = b->len != 0 && memmem(b->ptr, b->len, what, strlen(what)) != NULL;

    if (!found)
        printf("  no %s in\n%.*s\n", what, (int)b->len, b->ptr);
    return found;
}

static const struct piece plain[] = {{"H\xC3\xA9", 3}, {" you", 1}, {NULL, 0}};

#define FIRST                                                                                      \
    "{\"token\":\"H\",\"logprob\":-0.5,\"bytes\":[72],\"top_logprobs\":[{\"token\":\"H\","         \
    "\"logprob\":-0.5,\"bytes\":[72]},{\"token\":\"<|end|>\",\"logprob\":-9999.0,\"bytes\":[60,"   \
    "124,101,110,100,124,62]}]}"
#define HALVES                                                                                     \
    "{\"token\":\"\\\\xc3\",\"logprob\":-1,\"bytes\":[195],\"top_logprobs\":[]},"                  \
    "{\"token\":\"\\\\xa9\",\"logprob\":0,\"bytes\":[169],\"top_logprobs\":[]}"
#define LAST "{\"token\":\" you\",\"logprob\":-2.25,\"bytes\":[32,121,111,117],\"top_logprobs\":[]}"

static void test_dialects(void)
{
    static const struct {
        enum api_dialect d;
        bool stream;
        const char *want[2];
    } cases[] = {
        {API_CHAT,
         false,
         {"\"logprobs\":{\"content\":[" FIRST "," HALVES "," LAST "],\"refusal\":null}",
          "\"content\":\"H\xC3\xA9 you\""}},
        {API_CHAT,
         true,
         {"\"content\":\"H\xC3\xA9\"},\"logprobs\":{\"content\":[" FIRST "," HALVES "],",
          "\"content\":\" you\"},\"logprobs\":{\"content\":[" LAST "],\"refusal\":null}"}},
        {API_COMPLETIONS,
         false,
         {"\"logprobs\":{\"tokens\":[\"H\",\"\\\\xc3\",\"\\\\xa9\",\" you\"],\"token_logprobs\":["
          "-0.5,-1,0,-2.25],\"top_logprobs\":[{\"H\":-0.5,\"<|end|>\":-9999.0,",
          "\"text_offset\":[0,1,2,2]}"}},
        {API_COMPLETIONS,
         true,
         {"\"text\":\" you\",\"index\":0,\"logprobs\":{\"tokens\":[\" you\"],\"token_logprobs\":[-"
          "2.25],\"top_logprobs\":[{\" you\":-2.25}],\"text_offset\":[2]},\"finish_reason\":null",
          "\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\""}},
        {API_RESPONSES,
         false,
         {"\"annotations\":[],\"logprobs\":[" FIRST "," HALVES "," LAST "],\"text\":",
          "\"status\":\"completed\""}},
        {API_RESPONSES,
         true,
         {"\"delta\":\" you\",\"logprobs\":[" LAST "]",
          "\"text\":\"H\xC3\xA9 you\",\"logprobs\":[" FIRST "," HALVES "," LAST "]"}},
        {API_GEMINI,
         false,
         {"\"logprobsResult\":{\"topCandidates\":[{\"candidates\":[{\"token\":\"H\",\"tokenId\":5,"
          "\"logProbability\":-0.5},",
          "\"chosenCandidates\":[{\"token\":\"H\",\"tokenId\":7,\"logProbability\":-0.5},"}},
        {API_GEMINI,
         true,
         {"\"parts\":[{\"text\":\" you\"}],\"role\":\"model\"},\"logprobsResult\":{"
          "\"topCandidates\":[{\"candidates\":[]}],\"chosenCandidates\":[{\"token\":\" you\",",
          "\"finishReason\":\"STOP\""}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_buf out = answer(cases[i].d, cases[i].stream, NULL, plain);

        CHECK(has(&out, cases[i].want[0]));
        CHECK(has(&out, cases[i].want[1]));
        gw_buf_fini(&out);
    }
}

/* ---- policy ----------------------------------------------------------------------------------- */

static bool any_token(const struct gw_buf *b)
{
    return memmem(b->ptr, b->len, "\"bytes\"", 7) != NULL;
}

static void test_policy(void)
{
    static const struct piece secret[] = {
        {"H\xC3\xA9", 3}, {" key " KEY " is it", 1}, {" and more", 0}, {NULL, 0}};
    const struct filter_config cfg = {.scanner = scanner, .rules = rules, .decide = decide};
    struct gw_buf out;

    /* Nothing found: told with the text, however long the filter held it. */
    action = GW_ACTION_REDACT;
    out = answer(API_CHAT, true, &cfg, plain);
    CHECK(has(&out, FIRST "," HALVES) && has(&out, LAST));
    gw_buf_fini(&out);
    out = answer(API_CHAT, false, &cfg, plain);
    CHECK(has(&out, "[" FIRST "," HALVES "," LAST "]"));
    gw_buf_fini(&out);
    /* A text that was changed: a whole answer tells no token, a stream none of what is hidden or behind it. */
    out = answer(API_CHAT, false, &cfg, secret);
    CHECK(has(&out, "DLP_AWS_ACCESS_KEY_REDACTED") && has(&out, "\"logprobs\":null"));
    CHECK(!any_token(&out) && memmem(out.ptr, out.len, " you", 4) == NULL);
    gw_buf_fini(&out);
    out = answer(API_CHAT, true, &cfg, secret);
    CHECK(has(&out, "DLP_AWS_ACCESS_KEY_REDACTED"));
    CHECK(memmem(out.ptr, out.len, " you", 4) == NULL);
    gw_buf_fini(&out);
    out = answer(API_RESPONSES, true, &cfg, secret);
    CHECK(has(&out, "DLP_AWS_ACCESS_KEY_REDACTED"));
    CHECK(memmem(out.ptr, out.len, " you", 4) == NULL);
    gw_buf_fini(&out);
    /* Only watched. */
    action = GW_ACTION_ALERT;
    out = answer(API_CHAT, false, &cfg, secret);
    CHECK(has(&out, KEY) && any_token(&out));
    gw_buf_fini(&out);
}

int main(void)
{
    char why[256] = "the model generator failed", path[PATH_MAX + 64];
    const char *models = rig_models(why);
    const struct engine_config cfg = {.model_path = path, .threads = 1, .max_context = 64};
    struct engine *e = NULL;

    test_list();
    if (models == NULL) {
        test_skip(why);
    } else {
        (void)snprintf(path, sizeof(path), "%s/tiny-qwen2-Q8_0.gguf", models);
        if (CHECK(engine_open(&cfg, &e, NULL) == GW_OK))
            test_pieces(e);
        engine_close(e);
    }
    test_dialects();
    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    if (CHECK(scanner != NULL && rules != NULL))
        test_policy();
    dlp_scanner_free(scanner);
    return test_done();
}
