/* What the dialects share: data URLs, texts of messages, paths, the model's replacement, answers that are kept. */
#include "proxy/api/api_private.h"
#include "tests/unit/proxy/api_dump.h"

static void test_data_urls(void)
{
    static const struct {
        const char *url, *media_type, *data;
    } cases[] = {{"data:image/png;base64,AAAA", "image/png", "AAAA"},
                 {"DATA:a/b;charset=x;Base64,", "a/b", ""},
                 {"data:;base64,QQ==", "", "QQ=="},
                 {"data:image/png,AAAA", NULL, NULL},
                 {"data:image/png;base64", NULL, NULL},
                 {"data:", NULL, NULL},
                 {"", NULL, NULL},
                 {"https://x/;base64,AA", NULL, NULL}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_span type = GW_SPAN("untouched"), data = GW_SPAN("untouched");
        bool is = api_split_data_url(gw_span_str(cases[i].url), &type, &data);

        CHECK(is == (cases[i].data != NULL));
        CHECK(gw_span_is(type, is ? cases[i].media_type : "untouched"));
        CHECK(gw_span_is(data, is ? cases[i].data : "untouched"));
    }
}

static void test_message_text(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 16);
    struct api_part inner[] = {{.kind = API_PART_TEXT, .text = GW_SPAN("c")},
                               {.kind = API_PART_IMAGE}};
    struct api_part parts[] = {{.kind = API_PART_REASONING, .text = GW_SPAN("x")},
                               {.kind = API_PART_TEXT, .text = GW_SPAN("a")},
                               {.kind = API_PART_TEXT, .text = GW_SPAN("")},
                               {.kind = API_PART_REFUSAL, .text = GW_SPAN("b")},
                               {.kind = API_PART_TOOL_RESULT, .parts = inner, .n_parts = 2}};
    struct api_message m = {.parts = parts, .n_parts = 5};

    CHECK(gw_span_is(api_message_text(&m, arena), "a\nb\nc"));
    m.n_parts = 2;
    CHECK(api_message_text(&m, arena).ptr == parts[1].text.ptr); /* in place */
    m.n_parts = 1;
    CHECK(api_message_text(&m, arena).len == 0 && api_message_text(&m, arena).ptr != NULL);
    gw_arena_free(arena);
    arena = gw_arena_new(1);
    m.n_parts = 5;
    CHECK(api_message_text(&m, arena).ptr == NULL);
    gw_arena_free(arena);
}

static void test_is_object(void)
{
    CHECK(api_is_object(GW_SPAN("{}")) && api_is_object(GW_SPAN(" {\"a\":[{}]}\n")));
    CHECK(!api_is_object(GW_SPAN("")) && !api_is_object((struct gw_span){NULL, 0}));
    CHECK(!api_is_object(GW_SPAN("[]")) && !api_is_object(GW_SPAN("{}{}")));
    CHECK(!api_is_object(GW_SPAN("{\"a\":1")) && !api_is_object(GW_SPAN("{\"a\":1,\"a\":2}")));
    CHECK(!api_is_object(GW_SPAN("{\"a\":\"\xFF\"}")));
}

static void test_replace_model(void)
{
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{'a':{'model':'no'},'model' : 'old','z':1.0}",
         "{'a':{'model':'no'},'model' : 'n\\'w','z':1.0}"},
        {"{'m\\u006fdel':'old'}", "{'m\\u006fdel':'n\\'w'}"},
        {"{'model':5}", NULL},
        {"{'b':'model'}", NULL},
        {"['model','x']", NULL},
        {"{'model':", NULL},
    };
    struct gw_json *json = gw_json_new();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_buf out = {0};
        enum gw_status st =
            api_replace_model(json, gw_span_str(q(cases[i].body)), GW_SPAN("n\"w"), &out);

        CHECK(st == (cases[i].want == NULL ? GW_EPARSE : GW_OK));
        CHECK(cases[i].want == NULL || gw_span_is(gw_buf_span(&out), q(cases[i].want)));
        gw_buf_fini(&out);
    }
    gw_json_free(json);
}

/* Names in paths are the client's: they go into messages and header fields. */
static void test_paths_are_clean(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 16);
    struct api_request req = {0};
    struct api_reading r = {.arena = arena, .req = &req};
    char longest[400];

    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    CHECK(api_add_extra(&r, true, "a%sb", "\r\nX: y,\xC3\xA9\""));
    CHECK(gw_span_is(req.extras[0].path, "a??X:?y???\"b"));
    CHECK(api_add_extra(&r, true, "%s", longest) && req.extras[1].path.len == 159);
    CHECK(api_note_bad(&r, "must be x", "%s[%d]", "first", 1));
    CHECK(api_note_bad(&r, "must be y", "second"));
    CHECK(strcmp(req.bad, "first[1] must be x") == 0 && strcmp(req.bad_param, "first[1]") == 0);
    gw_arena_free(arena);
}

/* Lists keep what they hold while they grow, and say so when memory ends. */
static void test_lists_grow(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 16);
    struct api_request req = {0};
    struct api_reading r = {.arena = arena, .req = &req};
    unsigned n = 0;

    while (n < 100000 && api_add_stop(&r, (struct gw_span){"abc", n % 4}))
        n++;
    CHECK(n > 100 && n < 100000 && req.n_stop == n);
    for (unsigned i = 0; i < n; i++)
        CHECK(req.stop[i].len == i % 4);
    gw_arena_free(arena);
}

static enum gw_status keep(struct api_kept *kept, struct gw_arena *arena, enum api_event_type type,
                           unsigned choice, const char *text)
{
    const struct api_event ev = {.type = type, .choice = choice, .text = gw_span_str(text)};

    return api_keep(kept, arena, &ev);
}

static void test_keep(void)
{
    struct gw_arena *arena = gw_arena_new(256 << 20);
    struct api_kept kept = {0};
    struct gw_buf big = {0};
    const struct api_kept_choice *c;

    CHECK(keep(&kept, arena, API_EVENT_DELTA, 2, "lost: no block") == GW_OK);
    CHECK(keep(&kept, arena, API_EVENT_BLOCK, 2, "") == GW_OK);
    for (unsigned i = 0; i < 1000; i++)
        CHECK(keep(&kept, arena, API_EVENT_DELTA, 2, "ab") == GW_OK);
    CHECK(keep(&kept, arena, API_EVENT_SIGNATURE, 2, "sig") == GW_OK);
    CHECK(api_kept_open(&kept, 2) != NULL && api_kept_open(&kept, 0) == NULL);
    CHECK(keep(&kept, arena, API_EVENT_BLOCK_END, 2, "") == GW_OK);
    CHECK(api_kept_open(&kept, 2) == NULL && api_kept_open(&kept, 500) == NULL);
    CHECK(keep(&kept, arena, API_EVENT_FINISH, 2, "STOP") == GW_OK);
    CHECK(kept.n_choices == 3 && kept.choices[0] == NULL);
    c = kept.choices[2];
    CHECK(c->blocks->text.span.len == 2000 && c->blocks->text.span.ptr[1999] == 'b');
    CHECK(gw_span_is(c->blocks->signature.span, "sig") && gw_span_is(c->stop, "STOP"));
    CHECK(keep(&kept, arena, API_EVENT_BLOCK, API_MAX_CHOICES, "") == GW_ELIMIT);
    gw_buf_reserve(&big, 16 << 20);
    memset(big.ptr, 'x', 16 << 20);
    big.ptr[16 << 20] = '\0';
    CHECK(keep(&kept, arena, API_EVENT_BLOCK, 0, "") == GW_OK);
    for (unsigned i = 0; i < 3; i++)
        CHECK(keep(&kept, arena, API_EVENT_DELTA, 0, big.ptr) == GW_OK);
    CHECK(keep(&kept, arena, API_EVENT_DELTA, 0, big.ptr) == GW_ELIMIT);
    gw_buf_fini(&big);
    gw_arena_free(arena);
}

/* What governs an answer is left out of what is only counted, even where it would be refused. */
static void test_counting(void)
{
    static const char *const everything =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"be\"},"
        "{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":5,\"temperature\":1.9,"
        "\"top_p\":0.1,\"top_k\":3,\"min_p\":0.2,\"presence_penalty\":1,\"frequency_penalty\":1,"
        "\"seed\":4,\"n\":3,\"logprobs\":true,\"top_logprobs\":2,\"stop\":[\" \"],\"stream\":true,"
        "\"reasoning_effort\":\"low\",\"parallel_tool_calls\":false,"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],"
        "\"tool_choice\":\"required\"}";
    static const struct {
        enum api_dialect to;
        const char *want;
    } cases[] = {
        {API_ANTHROPIC,
         "{\"model\":\"m2\",\"system\":[{\"type\":\"text\",\"text\":\"be\"}],\"messages\":[{"
         "\"role\":"
         "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}],\"tools\":[{\"name\":\"f\","
         "\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":{\"type\":"
         "\"any\","
         "\"disable_parallel_tool_use\":true},\"output_config\":{\"effort\":\"low\"}}"},
        {API_RESPONSES,
         "{\"model\":\"m2\",\"instructions\":\"be\",\"input\":[{\"type\":\"message\",\"role\":"
         "\"user\",\"content\":"
         "\"hi\"}],"
         "\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\"type\":\"object\","
         "\"properties\":{}},\"strict\":false}],\"tool_choice\":\"required\",\"parallel_tool_"
         "calls\":"
         "false,\"reasoning\":{\"effort\":\"low\"}}"},
        {API_GEMINI, "{\"generateContentRequest\":{\"model\":\"models/"
                     "m2\",\"systemInstruction\":{\"parts\":[{\"text\":"
                     "\"be\"}]},\"contents\":[{\"parts\":[{\"text\":\"hi\"}],\"role\":\"user\"}],"
                     "\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\"}]}]}}"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct lab_request r;

        lab_translate_for(API_CHAT, cases[i].to, everything, true, &r);
        if (!CHECK(r.st == GW_OK && gw_span_is(gw_buf_span(&r.body), cases[i].want)))
            fprintf(stderr, "  got: %s %s\n", r.body.ptr == NULL ? "" : r.body.ptr, r.err.text);
        lab_forget(&r);
    }
}

int main(void)
{
    test_data_urls();
    test_message_text();
    test_is_object();
    test_replace_model();
    test_paths_are_clean();
    test_lists_grow();
    test_keep();
    test_counting();
    return test_done();
}
