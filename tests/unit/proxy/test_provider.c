/* Unit tests of proxy/provider/provider*.c: request lines and fields, exactly; names and paths that mean harm; bodies. */
#include "tests/unit/proxy/provider_calls.h"

/* ---- openai ------------------------------------------------------------------------------- */

static void test_openai(void)
{
    struct proxy_config *cfg =
        config("targets:\n"
               "  o: { kind: openai, base_url: https://api.openai.com/v1, " KEYS " }\n"
               "  p: { kind: openai, base_url: http://10.0.0.1:8000/tenant/v1, zone: private,\n"
               "       apis: [chat, embeddings] }\n"
               "  r: { kind: openai, base_url: http://10.0.0.1:8000/v1, zone: private, apis: "
               "responses }\n");
    const struct proxy_config_target *o = &cfg->targets[0], *p = &cfg->targets[1];
    const struct gw_span m = GW_SPAN("m");
    enum api_dialect d = API_GEMINI;
    struct provider_call c = call(o, PROVIDER_CHAT, API_CHAT, "gpt-x");

    line_is(&c, "POST /v1/chat/completions");
    fields_are(&c, "Authorization: Bearer test-provider-key\r\n");
    c.stream = true;
    line_is(&c, "POST /v1/chat/completions");
    c.dialect = API_COMPLETIONS;
    line_is(&c, "POST /v1/completions");
    c.dialect = API_RESPONSES;
    line_is(&c, "POST /v1/responses");
    c.query = GW_SPAN("?trace=1&key=AIza&api-version=2");
    line_is(&c, "POST /v1/responses?trace=1&api-version=2");
    c = call(o, PROVIDER_EMBEDDINGS, API_CHAT, "e");
    line_is(&c, "POST /v1/embeddings");
    c = call(o, PROVIDER_OTHER, API_CHAT, "");
    c.method = GW_SPAN("DELETE");
    c.path = GW_SPAN("/v1/files/file-1");
    c.query = GW_SPAN("?after=x&limit=3");
    line_is(&c, "DELETE /v1/files/file-1?after=x&limit=3");
    c.target = p;
    line_fails(&c, GW_EUNSUPPORTED);
    c = call(o, PROVIDER_COUNT_TOKENS, API_ANTHROPIC, "m");
    line_fails(&c, GW_EUNSUPPORTED);
    c.dialect = API_RESPONSES;
    line_is(&c, "POST /v1/responses/input_tokens");
    c.target = p; /* only chats */
    line_fails(&c, GW_EUNSUPPORTED);

    c = call(p, PROVIDER_CHAT, API_CHAT, "m");
    line_is(&c, "POST /tenant/v1/chat/completions");
    fields_are(&c, "");
    body_becomes(&c, "{\"model\":\"m\"}", NULL);

    CHECK(provider_speaks(o, PROVIDER_CHAT, API_RESPONSES, m));
    CHECK(!provider_speaks(o, PROVIDER_CHAT, API_ANTHROPIC, m));
    CHECK(!provider_speaks(o, PROVIDER_OTHER, API_GEMINI, m));
    CHECK(provider_speaks(p, PROVIDER_CHAT, API_CHAT, m));
    CHECK(!provider_speaks(p, PROVIDER_CHAT, API_RESPONSES, m));
    CHECK(provider_dialect(p, PROVIDER_CHAT, m, &d) && d == API_CHAT);
    CHECK(provider_dialect(&cfg->targets[2], PROVIDER_CHAT, m, &d) && d == API_RESPONSES);
    CHECK(provider_dialect(o, PROVIDER_COUNT_TOKENS, m, &d) && d == API_RESPONSES);
    d = API_GEMINI;
    CHECK(!provider_dialect(p, PROVIDER_COUNT_TOKENS, m, &d) && d == API_GEMINI);
    proxy_config_free(cfg);
}

static void test_engine_is_no_provider(void)
{
    struct proxy_config *cfg = config("targets: { e: { kind: engine, model: m.gguf } }");
    struct provider_call c = call(&cfg->targets[0], PROVIDER_CHAT, API_CHAT, "m");
    enum api_dialect d = API_GEMINI;
    struct gw_buf out = {0};

    CHECK(!provider_speaks(c.target, PROVIDER_CHAT, API_CHAT, c.model));
    CHECK(!provider_dialect(c.target, PROVIDER_CHAT, c.model, &d) && d == API_GEMINI);
    line_fails(&c, GW_EUNSUPPORTED);
    CHECK(provider_write_fields(&c, c.model, &out, NULL) == GW_EUNSUPPORTED && out.len == 0);
    proxy_config_free(cfg);
}

/* ---- anthropic ---------------------------------------------------------------------------- */

static void test_anthropic(void)
{
    struct proxy_config *cfg = config("targets:\n  a: { kind: anthropic, " KEYS " }\n"
                                      "  b: { kind: anthropic, zone: private, base_url: "
                                      "'http://10.0.0.1/claude/' }\n");
    const struct proxy_config_target *t = &cfg->targets[0];
    enum api_dialect d = API_CHAT;
    struct provider_call c = call(t, PROVIDER_CHAT, API_ANTHROPIC, "claude-x");

    CHECK(strcmp(t->base_url.host, "api.anthropic.com") == 0 && t->base_url.tls);
    line_is(&c, "POST /v1/messages");
    fields_are(&c, "x-api-key: test-provider-key\r\nanthropic-version: 2023-06-01\r\n");
    c.versioned = true;
    c.stream = true;
    c.query = GW_SPAN("?beta=true");
    line_is(&c, "POST /v1/messages?beta=true");
    fields_are(&c, "x-api-key: test-provider-key\r\n");
    c.op = PROVIDER_COUNT_TOKENS;
    c.query = GW_SPAN("");
    line_is(&c, "POST /v1/messages/count_tokens");
    c.op = PROVIDER_OTHER;
    c.method = GW_SPAN("GET");
    c.path = GW_SPAN("/v1/messages/batches/b1/results");
    line_is(&c, "GET /v1/messages/batches/b1/results");
    c.target = &cfg->targets[1];
    line_is(&c, "GET /claude/v1/messages/batches/b1/results");
    c.op = PROVIDER_EMBEDDINGS;
    line_fails(&c, GW_EUNSUPPORTED);
    CHECK(provider_dialect(t, PROVIDER_CHAT, c.model, &d) && d == API_ANTHROPIC);
    CHECK(!provider_speaks(t, PROVIDER_OTHER, API_CHAT, c.model));
    proxy_config_free(cfg);
}

/* ---- gemini ------------------------------------------------------------------------------- */

static void test_gemini(void)
{
    struct proxy_config *cfg = config("targets: { g: { kind: gemini, " KEYS " } }");
    const struct proxy_config_target *t = &cfg->targets[0];
    enum api_dialect d = API_CHAT;
    struct provider_call c = call(t, PROVIDER_CHAT, API_GEMINI, "gemini-2.5-flash");

    CHECK(strcmp(t->base_url.host, "generativelanguage.googleapis.com") == 0);
    line_is(&c, "POST /v1beta/models/gemini-2.5-flash:generateContent");
    fields_are(&c, "x-goog-api-key: test-provider-key\r\n");
    c.stream = true;
    line_is(&c, "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
    c.path = GW_SPAN("/v1/models/gemini-2.5-flash:streamGenerateContent");
    c.query = GW_SPAN("?alt=sse&key=AIza&x=1");
    line_is(&c, "POST /v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse&x=1");
    c.json_array = true;
    c.query = GW_SPAN("?%6Bey=AIza");
    line_is(&c, "POST /v1/models/gemini-2.5-flash:streamGenerateContent");
    c.json_array = false;
    c.op = PROVIDER_COUNT_TOKENS;
    c.query = GW_SPAN("");
    line_is(&c, "POST /v1/models/gemini-2.5-flash:countTokens");
    c.path = GW_SPAN("/v1alpha/models/x:countTokens");
    c.model = GW_SPAN("models/gemini-2.5-flash");
    line_is(&c, "POST /v1alpha/models/gemini-2.5-flash:countTokens");
    c.model = GW_SPAN("tunedModels/mine");
    line_is(&c, "POST /v1alpha/tunedModels/mine:countTokens");
    c.op = PROVIDER_OTHER;
    c.method = GW_SPAN("GET");
    c.path = GW_SPAN("/v1beta/files/f:download");
    c.query = GW_SPAN("?alt=media&access_token=t&pageToken=p");
    line_is(&c, "GET /v1beta/files/f:download?alt=media&pageToken=p");
    CHECK(provider_dialect(t, PROVIDER_CHAT, c.model, &d) && d == API_GEMINI);
    proxy_config_free(cfg);
}

/* ---- azure -------------------------------------------------------------------------------- */

static void test_azure(void)
{
    struct proxy_config *cfg =
        config("targets:\n"
               "  d: { kind: azure, base_url: 'https://n.openai.azure.com', " KEYS ",\n"
               "       deployments: { gpt-4o: 'my dep', m2: d2 } }\n"
               "  v: { kind: azure, base_url: https://n.openai.azure.com, " KEYS ",\n"
               "       api_version: v1, deployments: { gpt-4o: dep } }\n"
               "  p: { kind: azure, base_url: https://n.openai.azure.com, " KEYS ",\n"
               "       api_version: 2025-04-01-preview }\n");
    struct provider_call c = call(&cfg->targets[0], PROVIDER_CHAT, API_CHAT, "gpt-4o");

    line_is(&c, "POST /openai/deployments/my%20dep/chat/completions?api-version=2024-10-21");
    fields_are(&c, "api-key: test-provider-key\r\n");
    body_becomes(&c, "{\"model\":\"gpt-4o\"}", NULL);
    c.model = GW_SPAN("own");
    c.query = GW_SPAN("?api-version=2020-01-01&x=1");
    line_is(&c, "POST /openai/deployments/own/chat/completions?api-version=2024-10-21&x=1");
    c.query = GW_SPAN("");
    c.dialect = API_RESPONSES; /* no dated version but previews has it */
    c.model = GW_SPAN("m2");
    line_is(&c, "POST /openai/v1/responses");
    body_becomes(&c, "{\"model\":\"m2\", \"n\":1.0}", "{\"model\":\"d2\", \"n\":1.0}");
    c = call(&cfg->targets[0], PROVIDER_EMBEDDINGS, API_CHAT, "e");
    line_is(&c, "POST /openai/deployments/e/embeddings?api-version=2024-10-21");
    c.op = PROVIDER_OTHER;
    c.path = GW_SPAN("/v1/files");
    c.method = GW_SPAN("GET");
    line_is(&c, "GET /openai/files?api-version=2024-10-21");
    c.path = GW_SPAN("/v1/audio/speech");
    c.method = GW_SPAN("POST");
    c.model = GW_SPAN("tts");
    line_is(&c, "POST /openai/deployments/tts/audio/speech?api-version=2024-10-21");
    c.model = GW_SPAN(""); /* a multipart form names it where nobody looks */
    line_fails(&c, GW_EINVAL);

    c = call(&cfg->targets[1], PROVIDER_CHAT, API_CHAT, "gpt-4o");
    line_is(&c, "POST /openai/v1/chat/completions");
    body_becomes(&c, "{\"model\":\"gpt-4o\"}", "{\"model\":\"dep\"}");
    c.model = GW_SPAN("x");
    body_becomes(&c, "{\"model\":\"x\"}", NULL);
    c.op = PROVIDER_OTHER;
    c.path = GW_SPAN("/v1/audio/speech");
    line_is(&c, "POST /openai/v1/audio/speech");

    c = call(&cfg->targets[2], PROVIDER_CHAT, API_RESPONSES, "r");
    line_is(&c, "POST /openai/responses?api-version=2025-04-01-preview");
    c.dialect = API_COMPLETIONS;
    line_is(&c, "POST /openai/deployments/r/completions?api-version=2025-04-01-preview");
    proxy_config_free(cfg);
}

/* ---- harm --------------------------------------------------------------------------------- */

static void test_hostile_models(void)
{
    struct proxy_config *cfg =
        config("targets:\n  g: { kind: gemini, " KEYS " }\n"
               "  z: { kind: azure, base_url: https://n.openai.azure.com, " KEYS " }\n");
    static const char *const bad[] = {
        "",       ".",      "..",       "../x", "a/../../b",    "a/..", "%2e%2e",
        "..%2fx", ".%2E/x", "a\\..\\b", "a\nb", "a\r\nHost: x", "\x7f", "x%5c..%5cy",
    };
    char longest[258];
    struct provider_call c = call(&cfg->targets[0], PROVIDER_CHAT, API_GEMINI, "");

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        c = call(&cfg->targets[0], PROVIDER_CHAT, API_GEMINI, bad[i]);
        line_fails(&c, GW_EINVAL);
        c = call(&cfg->targets[1], PROVIDER_CHAT, API_CHAT, bad[i]);
        line_fails(&c, GW_EINVAL);
    }
    memset(longest, 'm', sizeof(longest));
    c.model = (struct gw_span){longest, 257};
    line_fails(&c, GW_EINVAL);
    c.model = (struct gw_span){"a\0b", 3};
    line_fails(&c, GW_EINVAL);
    c = call(&cfg->targets[0], PROVIDER_CHAT, API_GEMINI, "a b/c?d=1#e:f%41@\xC3\xA9...");
    line_is(&c, "POST /v1beta/models/a%20b%2Fc%3Fd%3D1%23e%3Af%2541%40%C3%A9...:generateContent");
    c.model = GW_SPAN("tunedModels/..");
    line_fails(&c, GW_EINVAL);
    c.model = GW_SPAN("models/models/../x");
    line_fails(&c, GW_EINVAL);
    proxy_config_free(cfg);
}

static void test_hostile_paths(void)
{
    struct proxy_config *cfg =
        config("targets: { o: { kind: openai, base_url: https://x.test/tenant/v1, " KEYS " }, "
               "p: { kind: openai, base_url: https://x.test, " KEYS " } }");
    static const char *const bad[] = {
        "",           "v1/x",      "//evil/x",     "/v1/../admin",
        "/v1/./x",    "/v1/..",    "/v1/%2e%2e/x", "/v1/a/.%2E",
        "/v1/..%2fx", "/v1/..\\x", "/v1/x y",      "/v1/x?y",
        "/v1/x\r\ny", "/v1/\x80",  "/v1/x#y",      "/v1/a%5c..%5cb",
    };
    static const struct {
        const char *query, *want;
    } queries[] = {
        {"?", "/tenant/v1/models"},
        {"?a=1&b", "/tenant/v1/models?a=1&b"},
        {"?key=k", "/tenant/v1/models"},
        {"?KEY=k&a=key", "/tenant/v1/models?a=key"},
        {"?a=1&%61pi%2dkey=k&&b=2", "/tenant/v1/models?a=1&b=2"},
        {"?monkey=1&keyx=2&key", "/tenant/v1/models?monkey=1&keyx=2"},
        {"?api_key=1&apikey=2&x-api-key=3&access_token=4&X-Amz-Signature=5&Subscription-Key=6&z=%"
         "zz%4",
         "/tenant/v1/models?z=%zz%4"},
    };
    struct provider_call c = call(&cfg->targets[0], PROVIDER_OTHER, API_CHAT, "");

    c.method = GW_SPAN("GET");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        c.path = gw_span_str(bad[i]);
        line_fails(&c, GW_EINVAL);
    }
    for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
        char want[200];

        c.path = GW_SPAN("/v1/models");
        c.query = gw_span_str(queries[i].query);
        (void)snprintf(want, sizeof(want), "GET %s", queries[i].want);
        line_is(&c, want);
    }
    c.target = &cfg->targets[1]; /* nothing stands before the client's path */
    c.path = GW_SPAN("/v1");
    c.query = GW_SPAN("");
    line_fails(&c, GW_EINVAL);
    c.query = GW_SPAN("?a=1");
    line_fails(&c, GW_EINVAL);
    c.path = GW_SPAN("/v1//evil.test/x");
    line_fails(&c, GW_EINVAL);
    c.target = &cfg->targets[0];
    c.path = GW_SPAN("/v1/models");
    c.query = GW_SPAN("?a=\r\nx");
    line_fails(&c, GW_EINVAL);
    c.query = GW_SPAN("");
    c.path = GW_SPAN("/v1/a..b/...x/.y");
    line_is(&c, "GET /tenant/v1/a..b/...x/.y");
    c.path = GW_SPAN("/other/x");
    line_is(&c, "GET /tenant/v1/other/x");
    proxy_config_free(cfg);
}

static void test_dropped_fields(void)
{
    struct proxy_config *cfg =
        config("targets:\n  o: { kind: openai, base_url: https://x.test/v1, " KEYS " }\n"
               "  a: { kind: anthropic, " KEYS " }\n  g: { kind: gemini, " KEYS " }\n"
               "  z: { kind: azure, base_url: https://x.test, " KEYS " }\n");
    static const struct {
        const char *name, *dropped; /* a digit for each target in order */
    } cases[] = {
        {"Authorization", "1111"},
        {"x-api-key", "1111"},
        {"API-Key", "1111"},
        {"X-Goog-Api-Key", "1111"},
        {"cookie", "1111"},
        {"X-Amz-Date", "1111"},
        {"anthropic-version", "1011"},
        {"Anthropic-Beta", "1011"},
        {"OpenAI-Organization", "0110"},
        {"x-goog-api-client", "1101"},
        {"X-Goog-User-Project", "1111"},
        {"content-type", "0000"},
        {"user-agent", "0000"},
        {"x-stainless-lang", "0000"},
        {"ocp-apim-subscription-key", "1111"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (unsigned t = 0; t < cfg->n_targets; t++)
            if (!CHECK(provider_drops_field(&cfg->targets[t], gw_span_str(cases[i].name)) ==
                       (cases[i].dropped[t] == '1')))
                fprintf(stderr, "  %s to %s\n", cases[i].name, cfg->targets[t].name);
    CHECK(provider_framing_of(&cfg->targets[0], GW_SPAN("application/vnd.amazon.eventstream")) ==
          PROVIDER_FRAMING_PLAIN);
    proxy_config_free(cfg);
}

int main(void)
{
    set_key();
    test_openai();
    test_engine_is_no_provider();
    test_anthropic();
    test_gemini();
    test_azure();
    test_hostile_models();
    test_hostile_paths();
    test_dropped_fields();
    return test_done();
}
