/* Unit tests of proxy/provider/provider_bedrock.c and provider_vertex.c: request lines, fields and bodies, exactly. The
 * signatures were computed with botocore 1.44.5 (SigV4Auth, service bedrock) and, independently, with Python's hmac. */
#include "tests/unit/proxy/provider_calls.h"

#define PAIR "access_key: env:TEST_ACCESS_KEY, secret_key: env:TEST_SECRET_KEY, zone: approved"
#define BODY "{\"anthropic_version\":\"bedrock-2023-05-31\",\"max_tokens\":5}"

static void bedrock_fields_are(struct provider_call *c, const char *want)
{
    struct gw_buf out = {0};
    struct gw_err err = {0};
    struct gw_span host = gw_span_str(c->target->base_url.host);

    c->body = GW_SPAN(BODY);
    c->now_s = 1795284000; /* 2026-11-21 18:00:00 */
    if (!CHECK(provider_write_fields(c, host, &out, &err) == GW_OK &&
               gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  want: %s\n  got: %s (%s)\n", want, out.ptr, err.text);
    gw_buf_fini(&out);
}

#define CREDENTIAL                                                                                 \
    "Authorization: AWS4-HMAC-SHA256 "                                                             \
    "Credential=AKIDTEST/20261121/eu-central-1/bedrock/aws4_request, SignedHeaders="

static void test_bedrock_calls(void)
{
    struct proxy_config *cfg = config(
        "targets:\n"
        "  b: { kind: bedrock, region: eu-central-1, " PAIR " }\n"
        "  s: { kind: bedrock, region: eu-central-1, " PAIR ", session_token: env:TEST_SESSION }\n"
        "  k: { kind: bedrock, region: cn-north-1, " KEYS " }\n"
        "  e: { kind: bedrock, region: us-east-1, base_url: 'https://vpce.test/x', " PAIR " }\n");
    const struct proxy_config_target *b = &cfg->targets[0];
    struct provider_call c =
        call(b, PROVIDER_CHAT, API_ANTHROPIC, "anthropic.claude-sonnet-4-20250514-v1:0");
    enum api_dialect d = API_CHAT;

    CHECK(strcmp(b->base_url.host, "bedrock-runtime.eu-central-1.amazonaws.com") == 0);
    CHECK(strcmp(cfg->targets[2].base_url.host, "bedrock-runtime.cn-north-1.amazonaws.com.cn") ==
          0);
    c.query = GW_SPAN("?beta=true"); /* an Anthropic client's */
    line_is(&c, "POST /model/anthropic.claude-sonnet-4-20250514-v1%3A0/invoke");
    bedrock_fields_are(&c,
                       "X-Amz-Date: 20261121T180000Z\r\n" CREDENTIAL "host;x-amz-date, Signature="
                       "9df8fabe8efe51012d60f8fd9efc2cd8a2ddb9a1bc82b973b1849cd1dd7fb1f1\r\n");
    c.target = &cfg->targets[1];
    bedrock_fields_are(&c, "X-Amz-Date: 20261121T180000Z\r\n"
                           "X-Amz-Security-Token: session-token-of-the-test\r\n" CREDENTIAL
                           "host;x-amz-date;x-amz-security-token, Signature="
                           "cc988033c47af70d9de83381a1c6bb5fcfaebd9b3d29da2712fdfb784917b52d\r\n");
    c.model = GW_SPAN("arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/"
                      "abc123");
    c.stream = true;
    line_is(&c, "POST /model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Aapplication-"
                "inference-profile%2Fabc123/invoke-with-response-stream");
    bedrock_fields_are(&c, "X-Amz-Date: 20261121T180000Z\r\n"
                           "X-Amz-Security-Token: session-token-of-the-test\r\n" CREDENTIAL
                           "host;x-amz-date;x-amz-security-token, Signature="
                           "656cfcf7cc5c5a15770f1263cbdac730abf0be869621b36e3cf622f372ebf5ad\r\n");
    c.target = &cfg->targets[2];
    bedrock_fields_are(&c, "Authorization: Bearer test-provider-key\r\n");
    c = call(&cfg->targets[3], PROVIDER_CHAT, API_ANTHROPIC, "us.anthropic.claude-x");
    line_is(&c, "POST /x/model/us.anthropic.claude-x/invoke");
    c.model = GW_SPAN("meta.llama3-70b-instruct-v1:0"); /* speaks another dialect */
    line_fails(&c, GW_EUNSUPPORTED);
    c.model = GW_SPAN("anthropic./../../x");
    line_fails(&c, GW_EINVAL);
    c.op = PROVIDER_OTHER;
    line_fails(&c, GW_EUNSUPPORTED);
    c = call(b, PROVIDER_COUNT_TOKENS, API_ANTHROPIC, "eu.anthropic.claude-x-v1:0");
    line_is(&c, "POST /model/eu.anthropic.claude-x-v1%3A0/count-tokens");
    CHECK(provider_counts_differ(b));
    CHECK(provider_dialect(b, PROVIDER_CHAT, c.model, &d) && d == API_ANTHROPIC);
    CHECK(!provider_speaks(b, PROVIDER_CHAT, API_CHAT, c.model));
    CHECK(provider_framing_of(b, GW_SPAN("application/vnd.amazon.eventstream")) ==
          PROVIDER_FRAMING_AWS);
    CHECK(provider_framing_of(b, GW_SPAN("application/json")) == PROVIDER_FRAMING_PLAIN);
    CHECK(provider_drops_field(b, GW_SPAN("anthropic-version")));
    CHECK(provider_drops_field(b, GW_SPAN("x-amz-security-token")));
    CHECK(provider_drops_field(b, GW_SPAN("Accept")));
    CHECK(!provider_drops_field(b, GW_SPAN("content-type")));
    proxy_config_free(cfg);
}

static void test_bedrock_bodies(void)
{
    struct proxy_config *cfg =
        config("targets: { b: { kind: bedrock, region: us-east-1, " PAIR " } }");
    struct provider_call c =
        call(&cfg->targets[0], PROVIDER_CHAT, API_ANTHROPIC, "anthropic.claude-x");
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{}", "{\"anthropic_version\":\"bedrock-2023-05-31\"}"},
        {"{\"model\":\"m\",\"stream\":true}", "{\"anthropic_version\":\"bedrock-2023-05-31\"}"},
        {"{ \"model\" : \"m\" , \"max_tokens\" : 1e1 , \"stream\":true }",
         "{\"anthropic_version\":\"bedrock-2023-05-31\", \"max_tokens\" : 1e1 }"},
        {"{\"a\":{\"model\":1,\"x\":[{\"stream\":2}]},\"model\":\"m\",\n \"b\": \"},{\"\n}\n",
         "{\"anthropic_version\":\"bedrock-2023-05-31\","
         "\"a\":{\"model\":1,\"x\":[{\"stream\":2}]},\n \"b\": \"},{\"\n}"},
        {"{\"mod\\u0065l\":\"m\",\"a\":12345678901234567890.10}",
         "{\"anthropic_version\":\"bedrock-2023-05-31\",\"a\":12345678901234567890.10}"},
        {"{\"\\u0073\\u0074\\u0072\\u0065\\u0061\\u006d\":[1,{}],\"modell\":1}",
         "{\"anthropic_version\":\"bedrock-2023-05-31\",\"modell\":1}"},
        {"{\"model\":\"m\",\"anthropic_version\":\"own\"}", "{\"anthropic_version\":\"own\"}"},
    };
    static const char *const bad[] = {
        "", "[]", "1", "{\"a\":1", "{\"a\":1}x", "{\"a\":1,}", "{\"a\":1,\"a\":2}", "{\"a\":[}"};
    struct gw_json *json = gw_json_new();

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        body_becomes(&c, cases[i].body, cases[i].want);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct gw_buf out = {0};
        struct gw_err err = {0};
        bool changed = false;

        CHECK(provider_adapt_body(&c, json, gw_span_str(bad[i]), &out, &changed, &err) ==
                  GW_EPARSE &&
              !changed && out.len == 0 && err.text[0] != '\0');
        gw_buf_fini(&out);
    }
    c.beta = GW_SPAN("one-2025, two\"x ,,");
    body_becomes(&c, "{\"max_tokens\":1}",
                 "{\"anthropic_version\":\"bedrock-2023-05-31\","
                 "\"anthropic_beta\":[\"one-2025\",\"two\\\"x\"],\"max_tokens\":1}");
    body_becomes(&c, "{\"anthropic_beta\":[]}",
                 "{\"anthropic_version\":\"bedrock-2023-05-31\",\"anthropic_beta\":[]}");
    gw_json_free(json);
    proxy_config_free(cfg);
}

/* ---- vertex ------------------------------------------------------------------------------- */

static void test_vertex(void)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    struct provider_call c;
    enum api_dialect d = API_CHAT;
    /* Without secrets: the account is test_provider_token.c's matter. */
    const char *text = "targets:\n"
                       "  v: { kind: vertex, project: p-1, location: europe-west4, credentials: "
                       "env:X, zone: approved }\n"
                       "  g: { kind: vertex, project: p-1, location: global, credentials: env:X, "
                       "zone: approved }\n"
                       "  m: { kind: vertex, project: 'x.y:p', location: eu, credentials: env:X, "
                       "zone: approved }\n";

    if (!CHECK(proxy_config_parse(gw_span_str(text), "t.yaml", PROXY_CONFIG_NO_SECRETS, &cfg, NULL,
                                  NULL, &err) == GW_OK))
        return;
    CHECK(strcmp(cfg->targets[0].base_url.host, "europe-west4-aiplatform.googleapis.com") == 0);
    CHECK(strcmp(cfg->targets[1].base_url.host, "aiplatform.googleapis.com") == 0);
    CHECK(strcmp(cfg->targets[2].base_url.host, "aiplatform.eu.rep.googleapis.com") == 0);
#define GOOGLE "POST /v1/projects/p-1/locations/europe-west4/publishers/google/models/"
#define CLAUDE "POST /v1/projects/p-1/locations/europe-west4/publishers/anthropic/models/"
    c = call(&cfg->targets[0], PROVIDER_CHAT, API_GEMINI, "gemini-2.5-pro");
    line_is(&c, GOOGLE "gemini-2.5-pro:generateContent");
    body_becomes(&c, "{\"contents\":[]}", NULL);
    c.stream = true;
    c.query = GW_SPAN("?alt=sse&key=AIza&x=1");
    line_is(&c, GOOGLE "gemini-2.5-pro:streamGenerateContent?alt=sse&x=1");
    c.json_array = true;
    c.query = GW_SPAN("");
    line_is(&c, GOOGLE "gemini-2.5-pro:streamGenerateContent");
    c = call(&cfg->targets[0], PROVIDER_COUNT_TOKENS, API_GEMINI, "models/gemini-2.5-pro");
    line_is(&c, GOOGLE "gemini-2.5-pro:countTokens");
    CHECK(!provider_counts_differ(c.target));
    body_becomes(&c, "{\"contents\":[]}", NULL);
    body_becomes(
        &c,
        "{ \"generateContentRequest\" : {\"model\":\"models/g\",\"contents\":[{}],\"tools\":[]} }",
        "{\"contents\":[{}],\"tools\":[]}");
    c.model = GW_SPAN("models/../../../x");
    line_fails(&c, GW_EINVAL);
    c = call(&cfg->targets[2], PROVIDER_CHAT, API_GEMINI, "g");
    line_is(&c, "POST /v1/projects/x.y:p/locations/eu/publishers/google/models/g:generateContent");

    c = call(&cfg->targets[0], PROVIDER_CHAT, API_ANTHROPIC, "claude-sonnet-4@20250514");
    c.query = GW_SPAN("?beta=true");
    line_is(&c, CLAUDE "claude-sonnet-4@20250514:rawPredict");
    c.stream = true;
    line_is(&c, CLAUDE "claude-sonnet-4@20250514:streamRawPredict");
    body_becomes(&c, "{\"model\":\"claude-sonnet-4@20250514\",\"stream\":true}",
                 "{\"anthropic_version\":\"vertex-2023-10-16\",\"stream\":true}");
    c.op = PROVIDER_COUNT_TOKENS;
    line_is(&c, CLAUDE "count-tokens:rawPredict");
    body_becomes(&c, "{\"model\":\"claude-x\"}",
                 "{\"anthropic_version\":\"vertex-2023-10-16\",\"model\":\"claude-x\"}");
    c.op = PROVIDER_OTHER; /* no path of a client's, with the account's rights */
    c.path = GW_SPAN("/v1/projects/other/locations/x/endpoints");
    line_fails(&c, GW_EUNSUPPORTED);
    CHECK(!provider_drops_field(c.target, GW_SPAN("anthropic-beta")));
    CHECK(provider_drops_field(c.target, GW_SPAN("authorization")));
    CHECK(provider_dialect(c.target, PROVIDER_CHAT, GW_SPAN("claude-x"), &d) && d == API_ANTHROPIC);
    CHECK(provider_dialect(c.target, PROVIDER_CHAT, GW_SPAN("gemini-x"), &d) && d == API_GEMINI);
    CHECK(!provider_speaks(c.target, PROVIDER_CHAT, API_GEMINI, GW_SPAN("claude-x")));
    CHECK(!provider_speaks(c.target, PROVIDER_CHAT, API_ANTHROPIC, GW_SPAN("gemini-x")));
    proxy_config_free(cfg);
}

/* What CountTokens takes is a call as InvokeModel does, in base64. */
static void test_bedrock_counts(void)
{
    struct proxy_config *cfg =
        config("targets: { b: { kind: bedrock, region: us-east-1, " PAIR " } }");
    struct provider_call c =
        call(&cfg->targets[0], PROVIDER_COUNT_TOKENS, API_ANTHROPIC, "anthropic.claude-x");

    body_becomes(
        &c, "{\"model\":\"m\"}",
        "{\"input\":{\"invokeModel\":{\"body\":"
        "\"eyJhbnRocm9waWNfdmVyc2lvbiI6ImJlZHJvY2stMjAyMy0wNS0zMSIsIm1heF90b2tlbnMiOjF9\"}}}");
    body_becomes(
        &c, "{\"thinking\":{\"type\":\"enabled\",\"x\":[{}],\"budget_tokens\":2048}}",
        "{\"input\":{\"invokeModel\":{\"body\":"
        "\"eyJhbnRocm9waWNfdmVyc2lvbiI6ImJlZHJvY2stMjAyMy0wNS0zMSIsIm1heF90b2tlbnMiOjIwNDksInRoaW5r"
        "aW5nIjp7InR5cGUiOiJlbmFibGVkIiwieCI6W3t9XSwiYnVkZ2V0X3Rva2VucyI6MjA0OH19\"}}}");
    body_becomes(
        &c, "{\"max_tokens\":7}",
        "{\"input\":{\"invokeModel\":{\"body\":"
        "\"eyJhbnRocm9waWNfdmVyc2lvbiI6ImJlZHJvY2stMjAyMy0wNS0zMSIsIm1heF90b2tlbnMiOjd9\"}}}");
    proxy_config_free(cfg);
}

int main(void)
{
    set_key();
    (void)setenv("TEST_ACCESS_KEY", "AKIDTEST", 1);               // NOLINT(concurrency-mt-unsafe)
    (void)setenv("TEST_SECRET_KEY", "not-a-secret/of+anyone", 1); // NOLINT(concurrency-mt-unsafe)
    (void)setenv("TEST_SESSION", "session-token-of-the-test", 1); // NOLINT(concurrency-mt-unsafe)
    test_bedrock_calls();
    test_bedrock_bodies();
    test_bedrock_counts();
    test_vertex();
    return test_done();
}
