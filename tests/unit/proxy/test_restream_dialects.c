/* Unit tests of proxy/answer/restream*.c over all dialects: one text with a placeholder and a secret, cut at every place. */
#include "dlp/bundle.h"
#include "tests/unit/proxy/restream_help.h"

/* Every cut in two, and one byte an event. */
static void test_cuts(const struct shape *s)
{
    char text[512], want[512];
    size_t all[512], n;
    bool ok = true;

    action = GW_ACTION_REDACT;
    make_texts(s, text, want, sizeof(text));
    n = strlen(text);
    for (size_t i = 0; i < n; i++)
        all[i] = i;
    for (size_t cut = 0; cut <= n + 1; cut++) {
        struct gw_buf in = {0};
        struct run run = {0};

        if (cut <= n)
            make_stream(s, (struct gw_span){text, n}, &cut, 1, &in);
        else
            make_stream(s, (struct gw_span){text, n}, all, (unsigned)n, &in);
        n_decided = 0;
        ok &= pass(gw_buf_span(&in), s->dialect, true, &run) == GW_OK &&
              reads_as(s, gw_buf_span(&run.out), gw_span_str(want));
        ok &= n_decided == 1; /* texts that come again are not counted again */
        if (cut % 16 == 0) {  /* the stream's bytes in any pieces */
            struct run other = {.step = 1 + cut / 16};

            ok &= pass(gw_buf_span(&in), s->dialect, true, &other) == GW_OK &&
                  gw_span_eq(gw_buf_span(&other.out), gw_buf_span(&run.out));
            gw_buf_fini(&other.out);
        }
        gw_buf_fini(&in);
        gw_buf_fini(&run.out);
    }
    if (!CHECK(ok))
        fprintf(stderr, "  shape %s, decided %u\n", s->name, n_decided);
}

/* Only restored; it ends in half a placeholder, which is text. */
static void test_half(const struct shape *s)
{
    char text[256], want[256];
    bool ok = true;

    (void)snprintf(text, sizeof(text), "to %s and %.6s", placeholder, placeholder);
    (void)snprintf(want, sizeof(want), "to %s and %.6s", mail, placeholder);
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct gw_buf in = {0};
        struct run run = {0};

        make_stream(s, gw_span_str(text), &cut, 1, &in);
        ok &= pass(gw_buf_span(&in), s->dialect, false, &run) == GW_OK &&
              reads_as(s, gw_buf_span(&run.out), gw_span_str(want));
        gw_buf_fini(&in);
        gw_buf_fini(&run.out);
    }
    CHECK(ok);
}

/* Without findings and placeholders every stream comes out as it went in. */
static void test_untouched(const struct shape *s)
{
    static const char text[] = "Just words.\nA few \"quoted\" ones, caf\xC3\xA9; 12 of 15.\n";
    const size_t n = sizeof(text) - 1;
    struct gw_buf in = {0};
    struct run run = {0};

    make_stream(s, (struct gw_span){text, n}, NULL, 0, &in);
    CHECK(pass(gw_buf_span(&in), s->dialect, false, &run) == GW_OK);
    CHECK(gw_span_eq(gw_buf_span(&in), gw_buf_span(&run.out)));
    gw_buf_clear(&run.out);
    CHECK(pass(gw_buf_span(&in), s->dialect, true, &run) == GW_OK);
    CHECK(reads_as(s, gw_buf_span(&run.out), (struct gw_span){text, n}));
    gw_buf_fini(&in);
    gw_buf_fini(&run.out);
}

static enum gw_action redact(void *ctx, const struct dlp_guard_finding *f)
{
    (void)ctx;
    (void)f;
    return GW_ACTION_REDACT;
}

/* Values of every rule (their examples), in pieces drawn at random, in every dialect: what the client joins is what a
 * filter makes of the whole text. */
static void test_every_rule(void)
{
    const struct bundle *b = rules->b;
    uint32_t seed = 3;
    bool ok = true;
    unsigned n = 0;

    for (unsigned i = 0; i < b->n_rules && ok; i++) {
        const struct shape *s = &shapes[i % N_SHAPES];
        const struct bundle_text *e = &b->rules[i].examples[0].text;
        const struct filter_config cfg = {
            .vault = vault, .scanner = scanner, .rules = rules, .decide = redact};
        struct gw_buf plain = {0}, text = {0}, want = {0}, in = {0};
        struct run run = {.decide = redact};
        size_t cuts[64];
        unsigned n_cuts = 0;
        struct filter *f = filter_new(&cfg, s->nested ? 1 : 0);

        if (e->len > 600) {
            filter_free(f);
            continue;
        }
        gw_buf_printf(&plain, "Here: ");
        gw_buf_add(&plain, (struct gw_span){e->ptr, e->len});
        gw_buf_printf(&plain, "\nfor %s.", placeholder);
        if (s->nested)
            gw_buf_add_json_str(&text, gw_buf_span(&plain));
        else
            gw_buf_add(&text, gw_buf_span(&plain));
        ok = filter_last(f, gw_buf_span(&text), &want) == GW_OK;
        filter_free(f);
        for (size_t at = 0; at < text.len && n_cuts < 64;) {
            seed = seed * 1664525 + 1013904223;
            cuts[n_cuts++] = at;
            at += 1 + (seed >> 8) % 24;
            while (at < text.len && ((unsigned char)text.ptr[at] & 0xC0) == 0x80)
                at++; /* JSON holds whole characters */
        }
        make_stream(s, gw_buf_span(&text), cuts, n_cuts, &in);
        ok = ok && pass(gw_buf_span(&in), s->dialect, true, &run) == GW_OK &&
             reads_as(s, gw_buf_span(&run.out), gw_buf_span(&want));
        n++;
        gw_buf_fini(&plain);
        gw_buf_fini(&text);
        gw_buf_fini(&want);
        gw_buf_fini(&in);
        gw_buf_fini(&run.out);
    }
    CHECK(ok);
    CHECK(n > 300);
}

/* A block ends it, and nothing of the value has gone out. */
static void test_block(const struct shape *s)
{
    char text[512], want[512];
    bool ok = true;

    action = GW_ACTION_BLOCK;
    make_texts(s, text, want, sizeof(text));
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct gw_buf in = {0};
        struct run run = {0};

        make_stream(s, gw_span_str(text), &cut, 1, &in);
        ok &= pass(gw_buf_span(&in), s->dialect, true, &run) == GW_EDENIED &&
              (run.out.len == 0 || memmem(run.out.ptr, run.out.len, key, 4) == NULL);
        gw_buf_fini(&in);
        gw_buf_fini(&run.out);
    }
    CHECK(ok);
}

/* Let go after each event, everything still comes once; what was out before it was known is out. */
static void test_release(const struct shape *s)
{
    static const char text[] = "Some words that follow each other, and no more than that.";
    size_t all[sizeof(text)];
    struct gw_buf in = {0};
    struct run run = {.release = true};

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        all[i] = i;
    make_stream(s, gw_span_str(text), all, sizeof(text) - 1, &in);
    CHECK(pass(gw_buf_span(&in), s->dialect, true, &run) == GW_OK);
    CHECK(reads_as(s, gw_buf_span(&run.out), gw_span_str(text)));
    gw_buf_fini(&in);
    gw_buf_fini(&run.out);
}

/* Anthropic's thinking is signed: nothing in it changes, and what would have to ends the stream. */
static void test_signed(void)
{
    static const struct shape s = {
        "thinking",
        API_ANTHROPIC,
        false,
        "",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"thinking_delta\",\"thinking\":\"%s\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"signature_delta\",\"signature\":\"c2ln\"}}\n\n"
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "thinking"};
    char text[256];
    size_t all[256];
    struct gw_buf in = {0};
    struct run run = {0};

    (void)snprintf(text, sizeof(text), "They want %s, I think", placeholder);
    for (size_t i = 0; i < sizeof(text); i++)
        all[i] = i;
    make_stream(&s, gw_span_str(text), all, (unsigned)strlen(text), &in);
    action = GW_ACTION_MASK;
    CHECK(pass(gw_buf_span(&in), API_ANTHROPIC, true, &run) == GW_OK);
    CHECK(reads_as(&s, gw_buf_span(&run.out), gw_span_str(text)));
    gw_buf_clear(&in);
    gw_buf_clear(&run.out);
    (void)snprintf(text, sizeof(text), "They gave %s, I think", key);
    make_stream(&s, gw_span_str(text), all, (unsigned)strlen(text), &in);
    CHECK(pass(gw_buf_span(&in), API_ANTHROPIC, true, &run) == GW_EDENIED);
    CHECK(memmem(run.out.ptr, run.out.len, "\"A\"", 3) == NULL);
    gw_buf_fini(&in);
    gw_buf_fini(&run.out);
}

/* One event, in and out. */
static void check_event(enum api_dialect d, const char *in, const char *want)
{
    struct run run = {0};
    struct gw_buf out = {0};

    action = GW_ACTION_MASK;
    CHECK(pass(gw_span_str(in), d, true, &run) == GW_OK);
    gw_buf_add(&out, gw_buf_span(&run.out));
    if (!CHECK(gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  got  %.*s\n  want %s\n", (int)out.len, out.ptr, want);
    gw_buf_fini(&out);
    gw_buf_fini(&run.out);
}

/* Texts that come whole, names and opaque bytes. */
static void test_whole(void)
{
    char in[1024], want[1024];

    (void)snprintf(in, sizeof(in),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":"
                   "\"f\",\"args\":{\"id\":\"%s\",\"type\":[\"%s\"]}},\"thoughtSignature\":\"%s\"}"
                   "]}}]}\n\n",
                   key, placeholder, key);
    (void)snprintf(want, sizeof(want),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":"
                   "\"f\",\"args\":{\"id\":\"********************\",\"type\":[\"%s\"]}},"
                   "\"thoughtSignature\":\"%s\"}]}}]}\n\n",
                   mail, key);
    check_event(API_GEMINI, in, want);
    /* Names and numbers are judged, too. */
    (void)snprintf(in, sizeof(in),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{"
                   "\"%s\":{\"args\":[1.50,{}]},\"to\":\"a\\n%s\"}}}]}}]}\n\n",
                   key, placeholder);
    (void)snprintf(want, sizeof(want),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{"
                   "\"********************\":{\"args\":[1.50,{}]},\"to\":\"a\\n%s\"}}}]}}]}\n\n",
                   mail);
    check_event(API_GEMINI, in, want);
    (void)snprintf(
        in, sizeof(in),
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"tool_use\",\"input\":{\"id\":\"%s\"}}}\n\n",
        placeholder);
    (void)snprintf(
        want, sizeof(want),
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"tool_use\",\"input\":{\"id\":\"%s\"}}}\n\n",
        mail);
    check_event(API_ANTHROPIC, in, want);
    /* What repeats the request is restored and not judged. */
    (void)snprintf(in, sizeof(in),
                   "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{"
                   "\"instructions\":\"%s %s\",\"output\":[]}}\n\n",
                   key, placeholder);
    (void)snprintf(want, sizeof(want),
                   "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{"
                   "\"instructions\":\"%s %s\",\"output\":[]}}\n\n",
                   key, mail);
    check_event(API_RESPONSES, in, want);
    /* Token by token it would be there once more. */
    (void)snprintf(in, sizeof(in),
                   "data: {\"choices\":[{\"index\":0,\"logprobs\":{\"content\":[{\"token\":\"%s\","
                   "\"bytes\":[65]}]},\"delta\":{\"content\":\"%s\"},\"finish_reason\":\"stop\"}]}"
                   "\n\n",
                   key, key);
    check_event(API_CHAT, in,
                "data: {\"choices\":[{\"index\":0,\"logprobs\":null,\"delta\":{\"content\":"
                "\"********************\"},\"finish_reason\":\"stop\"}]}\n\n");
}

/* The pieces of a caller that does the framing. */
static enum gw_status on_piece(void *ctx, const struct restream_piece *p)
{
    struct gw_buf *out = ctx;

    gw_buf_printf(out, "%s%s", p->own ? "+" : "", p->same ? "=" : "");
    gw_buf_add(out, p->data);
    gw_buf_addc(out, '\n');
    return GW_OK;
}

static void test_frames(void)
{
    const struct filter_config cfg = {.vault = vault};
    struct restream *r = restream_new(&cfg, API_GEMINI, json);
    struct gw_buf in = {0}, out = {0}, want = {0};

    gw_buf_printf(&in,
                  "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a %.6s\"}]},\"index\":2}],"
                  "\"modelVersion\":\"g\"}",
                  placeholder);
    CHECK(restream_data(r, GW_SPAN(""), GW_SPAN("{\"a\":1}"), on_piece, &out) == GW_OK);
    CHECK(restream_data(r, GW_SPAN(""), gw_buf_span(&in), on_piece, &out) == GW_OK);
    CHECK(restream_held(r) == 0); /* what may begin a placeholder is not let go */
    CHECK(restream_let_go(r, on_piece, &out) == GW_OK);
    CHECK(restream_end(r, on_piece, &out) == GW_OK);
    gw_buf_printf(
        &want,
        "={\"a\":1}\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a \"}]},"
        "\"index\":2}],\"modelVersion\":\"g\"}\n+{\"candidates\":[{\"content\":{\"parts\":"
        "[{\"text\":\"%.6s\"}],\"role\":\"model\"},\"index\":2}],\"modelVersion\":\"g\"}\n",
        placeholder);
    CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&want)));
    gw_buf_fini(&in);
    gw_buf_fini(&out);
    gw_buf_fini(&want);
    restream_free(r);
}

/* The last letters of a text may begin a placeholder: they go out before its end, although nothing is scanned. */
static void test_last_letters(void)
{
    static const char in[] =
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"the end\"}}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
        "data: [DONE]\n\n";
    struct run run = {0};

    CHECK(pass(GW_SPAN(in), API_CHAT, false, &run) == GW_OK);
    CHECK(memmem(run.out.ptr, run.out.len, "the en", 6) != NULL);
    CHECK(memmem(run.out.ptr, run.out.len, "\"content\":\"d\"", 13) != NULL);
    gw_buf_fini(&run.out);
}

/* text with the key in place of %. */
static void with_key(const char *text, char *out, size_t size)
{
    const char *at = strchr(text, '%');

    if (at == NULL)
        (void)snprintf(out, size, "%s", text);
    else
        (void)snprintf(out, size, "%.*s%s%s", (int)(at - text), text, key, at + 1);
}

static void with_data(const char *lines, const char *content, char *out, size_t size)
{
    (void)snprintf(out, size,
                   "%sdata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},"
                   "\"finish_reason\":\"stop\"}]}\n\n",
                   lines, content);
}

/* Comments, ids and the like are guarded, each line for itself; a name cannot change. */
static void test_lines(void)
{
    static const struct {
        const char *line, *want; /* % is the key; NULL: ends the stream */
    } cases[] = {
        {": from %\n", ": from ********************\n"},
        {"id: %\r\n", "id: ********************\r\n"},
        {"x%\nretry: 5\n", "x%\nretry: 5\n"}, /* a part of a longer word is no key */
        {"event: %\n", NULL},
        {"event: delta\n: none\n", "event: delta\n: none\n"},
    };
    char in[512], want[512], line[256];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct run run = {0};
        enum gw_status st = cases[i].want == NULL ? GW_EDENIED : GW_OK;

        for (unsigned changed = 0; changed < 2; changed++) { /* with data that change, too */
            action = GW_ACTION_MASK;
            with_key(cases[i].line, line, sizeof(line));
            with_data(line, changed ? key : "hi", in, sizeof(in));
            gw_buf_clear(&run.out);
            CHECK(pass(gw_span_str(in), API_CHAT, true, &run) == st);
            if (st != GW_OK)
                continue;
            with_key(cases[i].want, line, sizeof(line));
            with_data(line, changed ? "********************" : "hi", want, sizeof(want));
            if (!CHECK(gw_span_is(gw_buf_span(&run.out), want)))
                fprintf(stderr, "  got  %.*s\n  want %s\n", (int)run.out.len, run.out.ptr, want);
        }
        gw_buf_fini(&run.out);
    }
}

/* An event that is no JSON cannot be changed: it goes as it is, or ends the stream. */
static void test_odd(void)
{
    struct run run = {0};
    char in[256];

    action = GW_ACTION_MASK;
    check_event(API_CHAT, "data: {\"broken\":\n\n: ping\n\n", "data: {\"broken\":\n\n: ping\n\n");
    (void)snprintf(in, sizeof(in), "data: {\"broken\": \"\\n%s\n\n", key);
    CHECK(pass(gw_span_str(in), API_CHAT, true, &run) == GW_EDENIED && run.out.len == 0);
    CHECK(pass(gw_span_str(in), API_CHAT, false, &run) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&run.out), in));
    gw_buf_fini(&run.out);
}

/* What is held back comes before an error, behind which nobody reads. */
static void test_error(void)
{
    static const struct {
        enum api_dialect d;
        const char *text, *error;
    } cases[] = {
        {API_CHAT, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"the end\"}}]}\n\n",
         "data: {\"error\":{\"message\":\"gone\"}}\n\n"},
        {API_GEMINI,
         "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"the end\"}]}}]}\n\n",
         "data: {\"error\":{\"code\":500,\"message\":\"gone\"}}\n\n"},
    };

    for (size_t i = 0; i < 2; i++) {
        struct gw_buf in = {0};
        struct run run = {0};

        gw_buf_adds(&in, cases[i].text);
        gw_buf_adds(&in, cases[i].error);
        CHECK(pass(gw_buf_span(&in), cases[i].d, true, &run) == GW_OK);
        if (!CHECK(gw_span_ends(gw_buf_span(&run.out), gw_span_str(cases[i].error)) &&
                   memmem(run.out.ptr, run.out.len, "\"end\"", 5) != NULL))
            fprintf(stderr, "  got %.*s\n", (int)run.out.len, run.out.ptr);
        gw_buf_fini(&in);
        gw_buf_fini(&run.out);
    }
}

/* The last word before a tool call is not kept until the end; a value over the call is still known. */
static void test_switch(void)
{
    static const char *const events[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"So: walk\"}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
        "\"name\":\"f\",\"arguments\":\"{\"}}]}}]}",
    };
    const struct filter_config cfg = {.scanner = scanner, .rules = rules, .decide = decide};
    struct restream *r = restream_new(&cfg, API_CHAT, json);
    struct gw_buf out = {0};

    CHECK(restream_data(r, GW_SPAN(""), gw_span_str(events[0]), on_piece, &out) == GW_OK);
    CHECK(memmem(out.ptr, out.len, "walk", 4) == NULL);
    CHECK(restream_data(r, GW_SPAN(""), gw_span_str(events[1]), on_piece, &out) == GW_OK);
    gw_buf_adds(&out, ""); /* ends in NUL */
    if (!CHECK(strstr(out.ptr, "+{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"walk\"}}]}") !=
               NULL))
        fprintf(stderr, "  got %s\n", out.ptr);
    gw_buf_fini(&out);
    restream_free(r);
}

int main(void)
{
    json = gw_json_new();
    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    if (!CHECK(make_vault()))
        return test_done();
    for (unsigned i = 0; i < N_SHAPES; i++) {
        test_cuts(&shapes[i]);
        test_half(&shapes[i]);
        test_untouched(&shapes[i]);
        test_block(&shapes[i]);
        test_release(&shapes[i]);
    }
    test_every_rule();
    test_signed();
    test_whole();
    test_frames();
    test_last_letters();
    test_lines();
    test_odd();
    test_switch();
    test_error();
    dlp_vault_free(vault);
    dlp_scanner_free(scanner);
    gw_json_free(json);
    return test_done();
}
