/* tests/unit/proxy/test_endpoint.c - every provider's paths, under their own names. */
#include <stdio.h>
#include <string.h>

#include "proxy/request/endpoint.h"
#include "tests/test.h"

static struct endpoint ep;

/* A request line, and one field or NULL. */
static void find(const char *method, const char *path, const char *name, bool intercepted)
{
    static struct http1_field field;
    static struct http1_head head;

    field = (struct http1_field){gw_span_str(name == NULL ? "accept" : name), GW_SPAN("x")};
    head = (struct http1_head){
        .method = gw_span_str(method), .path = gw_span_str(path), .fields = &field, .n_fields = 1};
    endpoint_find(&head, intercepted, &ep);
}

static bool is(const char *method, const char *path, const char *name, enum endpoint_kind kind,
               enum api_dialect d)
{
    find(method, path, name, false);
    if (ep.kind == kind && ep.dialect == d)
        return true;
    fprintf(stderr, "  %s %s: kind %d, dialect %d\n", method, path, (int)ep.kind, (int)ep.dialect);
    return false;
}

static void test_paths(void)
{
    CHECK(is("POST", "/v1/chat/completions", NULL, ENDPOINT_CHAT, API_CHAT));
    CHECK(is("POST", "/v1/chat/completions?x=1", NULL, ENDPOINT_CHAT, API_CHAT));
    CHECK(is("GET", "/v1/chat/completions", NULL, ENDPOINT_CHAT, API_CHAT));
    CHECK(!endpoint_allows(&ep, GW_SPAN("GET")) && endpoint_allows(&ep, GW_SPAN("POST")));
    CHECK(is("POST", "/v1/completions", NULL, ENDPOINT_CHAT, API_COMPLETIONS));
    CHECK(is("POST", "/v1/responses", NULL, ENDPOINT_CHAT, API_RESPONSES));
    CHECK(is("GET", "/v1/responses/resp_1", NULL, ENDPOINT_PASS, API_CHAT));
    CHECK(is("POST", "/v1/responses/input_tokens", NULL, ENDPOINT_COUNT_TOKENS, API_RESPONSES));
    CHECK(is("POST", "/v1/embeddings", NULL, ENDPOINT_EMBEDDINGS, API_CHAT));
    CHECK(is("POST", "/v1/rerank", NULL, ENDPOINT_RERANK, API_CHAT));
    CHECK(is("POST", "/v1/messages", NULL, ENDPOINT_CHAT, API_ANTHROPIC));
    CHECK(is("POST", "/v1/messages/count_tokens", NULL, ENDPOINT_COUNT_TOKENS, API_ANTHROPIC));
    CHECK(is("POST", "/v1/messages/batches", NULL, ENDPOINT_PASS, API_ANTHROPIC));
    CHECK(is("POST", "/v1/files", "anthropic-version", ENDPOINT_PASS, API_ANTHROPIC));
    CHECK(is("POST", "/v1/files", NULL, ENDPOINT_PASS, API_CHAT));
    CHECK(is("DELETE", "/v1/models/ft:x", NULL, ENDPOINT_PASS, API_CHAT));
    CHECK(is("POST", "/chat/completions", NULL, ENDPOINT_NONE, API_CHAT));
    CHECK(is("GET", "/", NULL, ENDPOINT_NONE, API_CHAT));
}

static void test_models(void)
{
    CHECK(is("GET", "/v1/models", NULL, ENDPOINT_MODELS, API_CHAT) && ep.id.len == 0);
    CHECK(is("HEAD", "/v1/models", "anthropic-version", ENDPOINT_MODELS, API_ANTHROPIC));
    CHECK(is("GET", "/v1/models/gpt-4o", NULL, ENDPOINT_MODELS, API_CHAT));
    CHECK(gw_span_is(ep.id, "gpt-4o") && endpoint_allows(&ep, GW_SPAN("HEAD")));
    CHECK(is("GET", "/v1beta/models", NULL, ENDPOINT_MODELS, API_GEMINI));
    CHECK(is("GET", "/v1/models?key=k", NULL, ENDPOINT_MODELS, API_GEMINI));
    CHECK(is("GET", "/v1beta/models/gemini-x", NULL, ENDPOINT_MODELS, API_GEMINI));
    CHECK(gw_span_is(ep.id, "gemini-x"));
}

static void test_gemini(void)
{
    CHECK(is("POST", "/v1beta/models/gemini-x:generateContent", NULL, ENDPOINT_CHAT, API_GEMINI));
    CHECK(gw_span_is(ep.model, "gemini-x") && !ep.stream && !ep.json_array);
    CHECK(is("POST", "/v1/models/gemini-x:streamGenerateContent?alt=sse&key=1", NULL, ENDPOINT_CHAT,
             API_GEMINI));
    CHECK(ep.stream && !ep.json_array);
    CHECK(is("POST", "/v1/models/a%2Fb:streamGenerateContent?alt=json", NULL, ENDPOINT_CHAT,
             API_GEMINI));
    CHECK(ep.stream && ep.json_array && gw_span_is(ep.model, "a%2Fb"));
    CHECK(is("POST", "/v1beta/models/m:countTokens", NULL, ENDPOINT_COUNT_TOKENS, API_GEMINI));
    CHECK(is("POST", "/v1beta/models/m:embedContent", NULL, ENDPOINT_PASS, API_GEMINI));
    CHECK(is("POST", "/v1beta/tunedModels/m:generateContent", NULL, ENDPOINT_CHAT, API_GEMINI));
    CHECK(is("GET", "/v1beta/files", NULL, ENDPOINT_PASS, API_GEMINI));
    CHECK(is("POST", "/upload/v1beta/files?upload_id=x", NULL, ENDPOINT_PASS, API_GEMINI));
    CHECK(is("POST", "/upload", NULL, ENDPOINT_NONE, API_CHAT));
    CHECK(is("POST", "/v1/models/:", NULL, ENDPOINT_PASS, API_GEMINI) && ep.model.len == 0);
    CHECK(is("POST", "/:generateContent", NULL, ENDPOINT_NONE, API_CHAT));
}

/* On a provider's own host: whatever stands before the path that tells the API. */
static void test_intercepted(void)
{
    find("POST", "/backend/v9/chat/completions", NULL, true);
    CHECK(ep.kind == ENDPOINT_CHAT && ep.dialect == API_CHAT);
    find("POST", "/v1/completions", NULL, true);
    CHECK(ep.kind == ENDPOINT_CHAT && ep.dialect == API_COMPLETIONS);
    find("POST", "/v1/messages", NULL, true);
    CHECK(ep.kind == ENDPOINT_CHAT && ep.dialect == API_ANTHROPIC);
    find("POST", "/v1/projects/p/locations/l/publishers/google/models/m:generateContent", NULL,
         true);
    CHECK(ep.kind == ENDPOINT_CHAT && ep.dialect == API_GEMINI);
    find("GET", "/v1/models", NULL, true);
    CHECK(ep.kind == ENDPOINT_PASS && ep.allow == NULL);
    find("POST", "/anything", NULL, true);
    CHECK(ep.kind == ENDPOINT_PASS);
}

static void test_query(void)
{
    struct gw_span q = endpoint_query(GW_SPAN("/p?a=1&key=secret&b"));

    CHECK(gw_span_is(endpoint_path(GW_SPAN("/p?a=1")), "/p") && gw_span_is(q, "?a=1&key=secret&b"));
    CHECK(gw_span_is(endpoint_query_get(q, "key"), "secret") &&
          gw_span_is(endpoint_query_get(q, "a"), "1"));
    CHECK(endpoint_query_get(q, "ey").ptr == NULL && endpoint_query_get(q, "b").ptr == NULL);
    CHECK(endpoint_query_get(endpoint_query(GW_SPAN("/p")), "a").ptr == NULL);
}

static void test_decode(void)
{
    struct gw_arena *arena = gw_arena_new(1u << 16);
    struct gw_arena *full = gw_arena_new(4);

    CHECK(gw_span_is(endpoint_decode(arena, GW_SPAN("a%2Fb%c3%A9+c"), false), "a/b\xC3\xA9+c"));
    CHECK(gw_span_is(endpoint_decode(arena, GW_SPAN("q=a+b%20c%2B"), true), "q=a b c+"));
    CHECK(gw_span_is(endpoint_decode(arena, GW_SPAN("%%41%4%g0%"), false), "%A%4%g0%"));
    CHECK(endpoint_decode(arena, GW_SPAN("%00"), false).len == 1);
    CHECK(endpoint_decode(arena, GW_SPAN(""), false).ptr != NULL);
    CHECK(endpoint_decode(full, GW_SPAN("abcdefghijklmnopqrstuvwxyz"), false).ptr == NULL);
    gw_arena_free(arena);
    gw_arena_free(full);
}

int main(void)
{
    test_decode();
    test_paths();
    test_models();
    test_gemini();
    test_intercepted();
    test_query();
    return test_done();
}
