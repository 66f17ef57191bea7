/* tests/unit/engine/test_grammar.c - which texts a format allows, which formats are refused and with what words. */
#include <stdio.h>
#include <string.h>

#include "engine/matcher.h"
#include "tests/test.h"

static struct engine_grammar *make(enum engine_format_kind kind, const char *text, bool ordered,
                                   struct gw_err *err)
{
    const struct engine_format f = {.kind = kind, .text = gw_span_str(text), .ordered = ordered};
    struct engine_grammar *g = NULL;

    *err = (struct gw_err){0};
    return engine_grammar_new(&f, &g, err) == GW_OK ? g : NULL;
}

enum verdict { NO, PREFIX, WHOLE };

static enum verdict judge(struct engine_grammar *g, const char *text)
{
    struct matcher *m = matcher_new(g, false);
    enum verdict v = NO;

    /* byte by byte, and at once: the same */
    if (matcher_accept(m, gw_span_str(text)))
        v = matcher_done(m) ? WHOLE : PREFIX;
    CHECK(!m->failed);
    matcher_free(m);
    return v;
}

/* Each row: a verdict ('+' whole, '-' not even a beginning, '.' a beginning) and a text. */
static void check_texts(const char *what, struct engine_grammar *g, const char *const *rows)
{
    for (; *rows != NULL; rows++) {
        enum verdict want = (*rows)[0] == '+' ? WHOLE : (*rows)[0] == '.' ? PREFIX : NO;
        enum verdict got = judge(g, *rows + 1);

        if (!CHECK(got == want))
            fprintf(stderr, "  %s: %s gives %d\n", what, *rows, (int)got);
    }
}

static void check_schema(const char *schema, const char *const *rows)
{
    struct gw_err err;
    struct engine_grammar *g = make(ENGINE_FORMAT_SCHEMA, schema, false, &err);

    if (!CHECK(g != NULL)) {
        fprintf(stderr, "  %s: %s\n", schema, err.text);
        return;
    }
    check_texts(schema, g, rows);
    engine_grammar_unref(g);
}

#define ROWS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_json(void)
{
    struct gw_err err;
    struct engine_grammar *g = make(ENGINE_FORMAT_JSON, "", false, &err);

    if (!CHECK(g != NULL)) {
        fprintf(stderr, "  %s\n", err.text);
        return;
    }
    check_texts("json", g,
                ROWS("+{}", "+ {}", "+\n{\n}", ".{\"a\"", "+{\"a\":1}", "+{\"a\": [1, 2.5e-3, -0]}",
                     "-[1]", "-1", "-{\"a\" 1", "-{a", "-{\"a\":01", "-{\"a\":1,}", "-{\"a\":tru}",
                     "+{\"a\":{\"b\":[[],{},null,true,false,\"x\\n\\u00e9\\ud83d\\ude00\"]}}",
                     "-{\"a\":\"\\ud83d\"", "-{\"a\":\"\\x", "-{\"a\":\"\n", "-{}}", "-{} ",
                     "+{\n  \"a\" : 1 ,\n  \"b\" : 2\n}", "-{  ", "-{\"a\":\"\xff",
                     "+{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\"}", "-{\"a\":\"\xed\xa0"));
    engine_grammar_unref(g);
}

static void test_objects(void)
{
    const char *schema =
        "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},"
        "\"age\":{\"type\":\"integer\"},\"tag\":{\"enum\":[\"a\",\"b c\",1,null]}},"
        "\"required\":[\"name\",\"age\"],\"additionalProperties\":false}";
    struct gw_err err;
    struct engine_grammar *g;

    check_schema(schema,
                 ROWS("+{\"name\":\"x\",\"age\":3}", "+{\"age\":-3,\"name\":\"\"}",
                      "+{\"age\":3,\"tag\":\"b c\",\"name\":\"x\"}", "-{}", "-{\"age\":3}",
                      "-{\"age\":3,\"age\"", "-{\"age\":3.5", "-{\"x\"", "-{\"age\":\"",
                      "-{\"age\":3,\"tag\":\"b\"", "+{\"age\":3,\"tag\":null,\"name\":\"x\"}",
                      "-{\"age\":3,\"name\":\"x\",\"tag\":1,", "-{\"\\u0061ge\""));
    g = make(ENGINE_FORMAT_SCHEMA, schema, true, &err);
    CHECK(g != NULL);
    check_texts("ordered", g,
                ROWS("+{\"name\":\"x\",\"age\":3}", "-{\"age\"", "-{\"name\":\"x\",\"t",
                     "+{\"name\":\"x\",\"age\":3,\"tag\":1}"));
    engine_grammar_unref(g);
    check_schema("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},\"ab\":{\"type\":"
                 "\"null\"}},\"additionalProperties\":{\"type\":\"boolean\"}}",
                 ROWS("+{}", "+{\"a\":null}", "-{\"a\":t", "+{\"ab\":null,\"abc\":true,\"\":false}",
                      "-{\"b\":n", "+{\"\\\"\":true}", "-{\"\\u0061\"", "+{\"A\":true}"));
    check_schema("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},"
                 "\"minProperties\":1,\"maxProperties\":2}",
                 ROWS("-{}", "+{\"a\":1}", "+{\"a\":1,\"b\":2}", "-{\"a\":1,\"b\":2,"));
    check_schema("{\"type\":\"object\",\"required\":[\"x\"]}",
                 ROWS("-{}", "+{\"x\":[{}]}", "+{\"y\":1,\"x\":2}", "-{\"y\":1}"));
}

/* What the gateway asks for: nothing but what the schema names, in its order. */
static void test_closed(void)
{
    struct engine_format f = {
        .kind = ENGINE_FORMAT_SCHEMA,
        .text = GW_SPAN("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"null\"},"
                        "\"b\":{\"type\":\"object\",\"properties\":{\"c\":{}},"
                        "\"additionalProperties\":true}}}"),
        .closed = true};
    struct engine_grammar *g = NULL;

    CHECK(engine_grammar_new(&f, &g, NULL) == GW_OK);
    check_texts("closed", g,
                ROWS("+{}", "+{\"b\":{\"x\":1},\"a\":null}", "-{\"x\"", "-{\"a\":null,\"c"));
    engine_grammar_unref(g);
}

static void test_arrays(void)
{
    check_schema(
        "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}",
        ROWS("-[]", "-[1]", "+[1,2]", "+[ 1 , 2 , 3 ]", "-[1,2,3,", "-[1,\"", ".[1,2"));
    check_schema("{\"type\":\"array\",\"prefixItems\":[{\"type\":\"string\"},{\"type\":\"null\"}],"
                 "\"items\":{\"type\":\"integer\"}}",
                 ROWS("+[]", "+[\"a\"]", "+[\"a\",null]", "+[\"a\",null,1,2]", "-[1", "-[\"a\",1"));
    check_schema("{\"type\":\"array\",\"items\":[{\"type\":\"null\"}],\"additionalItems\":false}",
                 ROWS("+[]", "+[null]", "-[null,"));
    check_schema("{\"type\":\"array\",\"maxItems\":0}", ROWS("+[]", "-[1"));
    check_schema("{\"type\":\"array\",\"minItems\":1,\"maxItems\":1}",
                 ROWS("+[{}]", "-[]", "-[1,"));
}

static void test_scalars(void)
{
    check_schema("{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
                 ROWS("-\"\"", "-\"a\"", "+\"ab\"", "+\"\xc3\xa9\\n\\u00e9\"", "-\"abcd",
                      "+\"\\ud83d\\ude00a\"", "-\"\\ud83d\\ude00\""));
    check_schema("{\"type\":\"string\",\"pattern\":\"^[a-c]+(x|yz)?$\"}",
                 ROWS("+\"abc\"", "+\"ax\"", "+\"ayz\"", "-\"d", "-\"ayx", "-\"\"", "-\"axx"));
    check_schema("{\"type\":\"string\",\"pattern\":\"b\"}", ROWS("+\"abc\"", "-\"ac\"",
                                                                 "+\"\\n\xc3\xa9"
                                                                 "b\\\"\"",
                                                                 ".\"acccc"));
    check_schema("{\"type\":\"string\",\"pattern\":\"^a|b$\"}",
                 ROWS("+\"ac\"", "+\"cb\"", "-\"ca\"", "+\"a\""));
    check_schema("{\"type\":\"string\",\"pattern\":\"^[a-z]*$\",\"minLength\":2,\"maxLength\":4}",
                 ROWS("-\"a\"", "+\"ab\"", "+\"abcd\"", "-\"abcde"));
    check_schema("{\"type\":\"string\",\"pattern\":\"^\\\\d{3}-\\\\d{4}$\"}",
                 ROWS("+\"555-1234\"", "-\"555-12345", "-\"5551"));
    check_schema("{\"type\":\"string\",\"format\":\"date\"}",
                 ROWS("+\"2024-02-29\"", "-\"2024-13", "-\"2024-04-31", "-\"2024-02-30"));
    check_schema("{\"type\":[\"number\",\"null\"]}",
                 ROWS("+1", "+-1.5E+3", "+null", "-\"", "-01", "-+1"));
    check_schema("{\"type\":\"integer\",\"minimum\":-12,\"maximum\":345}",
                 ROWS("+0", "+-12", "--13", "+345", "-346", "+99", "--2 ", "-400", "+-9", "-1.0"));
    check_schema("{\"type\":\"integer\",\"exclusiveMinimum\":9,\"maximum\":1000}",
                 ROWS("-9 ", "+10", "+999", "+1000", "-1001", ".9", "-0", "+100"));
    check_schema("{\"type\":\"integer\",\"minimum\":0}",
                 ROWS("+0", "+123456789012345678901", "--1"));
    check_schema("{\"type\":\"integer\",\"maximum\":-5}",
                 ROWS("+-5", "+-123", "--4,", ".-4", "-0"));
    check_schema("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}",
                 ROWS("+0", "+0.5", "+1", "+1.0", "-1.01", "-2", "--0.1"));
    check_schema("{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":10}",
                 ROWS(".0", ".0.00", "+0.001", "+9.999", "-10", "+5"));
    check_schema("{\"const\":{\"a\":[1,\"x\"]}}",
                 ROWS("+{\"a\":[1,\"x\"]}", "+{ \"a\": [1, \"x\"] }", "-{\"b"));
    check_schema("true", ROWS("+[1]", "+\"\"", "+null"));
    check_schema("{\"type\":\"string\",\"enum\":[\"a\",1,\"b\"]}", ROWS("+\"a\"", "-1", "+\"b\""));
}

static void test_combined(void)
{
    check_schema("{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":1}]}",
                 ROWS("+1", "+\"a\"", "-\"ab", "-null"));
    check_schema(
        "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"x\"}},\"required\":"
        "[\"k\"],\"additionalProperties\":false},{\"type\":\"object\",\"properties\":{\"k\":"
        "{\"const\":\"y\"},\"v\":{\"type\":\"integer\"}},\"required\":[\"k\",\"v\"],"
        "\"additionalProperties\":false}]}",
        ROWS("+{\"k\":\"x\"}", "+{\"k\":\"y\",\"v\":1}", "-{\"k\":\"y\"}", "+{\"v\":1,\"k\":\"y\"}",
             "-{\"v\":1,\"k\":\"x\""));
    check_schema("{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}},"
                 "{\"required\":[\"a\"],\"properties\":{\"a\":{\"minimum\":5,\"maximum\":7}}}],"
                 "\"additionalProperties\":true}",
                 ROWS("+{\"a\":6}", "-{\"a\":8", "-{}", "-{\"a\":\""));
    check_schema(
        "{\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},"
        "\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/node\"},{\"type\":\"null\"}]}},\"required\":"
        "[\"v\",\"next\"],\"additionalProperties\":false}},\"$ref\":\"#/$defs/node\"}",
        ROWS("+{\"v\":1,\"next\":null}", "+{\"v\":1,\"next\":{\"next\":null,\"v\":2}}",
             "-{\"v\":1,\"next\":1", "-{\"v\":1}"));
}

static void refuses(const char *schema, enum gw_status want, const char *words)
{
    struct gw_err err;
    struct engine_grammar *g = make(ENGINE_FORMAT_SCHEMA, schema, false, &err);

    if (!CHECK(g == NULL && err.code == want && strstr(err.text, words) != NULL))
        fprintf(stderr, "  %s: %d %s\n", schema, (int)err.code, err.text);
    engine_grammar_unref(g);
}

static void test_refused(void)
{
    refuses("{\"type\":\"object\",\"properties\":{\"a\":{\"not\":{}}}}", GW_EUNSUPPORTED,
            "#/properties/a/not: ");
    refuses("{\"type\":\"array\",\"uniqueItems\":true}", GW_EUNSUPPORTED, "#/uniqueItems: ");
    refuses("{\"type\":\"strin\"}", GW_EINVAL, "#/type: ");
    refuses("{\"$ref\":\"http://x\"}", GW_EINVAL, "#/$ref: ");
    refuses("{\"$ref\":\"#\"}", GW_EUNSUPPORTED, "itself");
    refuses(
        "{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"allOf\":[{\"$ref\":\"#/$defs/a\"}]}},"
        "\"$ref\":\"#/$defs/a\"}",
        GW_EUNSUPPORTED, "itself");
    refuses("{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", GW_EUNSUPPORTED, "itself");
    refuses("{\"type\":\"string\",\"pattern\":\"(a\"}", GW_EPARSE, "#/pattern: ");
    refuses("{\"type\":\"string\",\"pattern\":\"(?=a)\"}", GW_EUNSUPPORTED, "#/pattern: ");
    refuses("{\"type\":\"string\",\"pattern\":\"((a{100}){100}){100}\"}", GW_ELIMIT, "#/pattern: ");
    refuses("{\"type\":\"string\",\"format\":\"iri\"}", GW_EUNSUPPORTED, "#/format: ");
    refuses("{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", GW_EINVAL, "no answer");
    refuses("{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
            GW_EINVAL, "no answer");
    refuses("{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"string\",\"maxLength\":3}]}",
            GW_EUNSUPPORTED, "#/oneOf: ");
    refuses("{\"type\":\"array\",\"items\":3}", GW_EINVAL, "#/items: ");
    refuses("[1]", GW_EINVAL, "schema");
    refuses("{", GW_EPARSE, "");
    refuses("{\"minimum\":0.5,\"type\":\"number\"}", GW_EUNSUPPORTED, "#/minimum: ");
    refuses("{\"x-y\":1}", GW_EUNSUPPORTED, "#/x-y: ");
}

static void test_regex(void)
{
    struct gw_err err;
    struct engine_grammar *g = make(ENGINE_FORMAT_REGEX, "(yes|no)!{0,2}", false, &err);

    CHECK(g != NULL);
    check_texts("regex", g, ROWS("+yes", "+no!!", "-no!!!", ".ye", "-x", "- yes"));
    engine_grammar_unref(g);
    g = make(ENGINE_FORMAT_REGEX, "[^a\\d]\\w\\S.\\u00e9[\\-x]", false, &err);
    CHECK(g != NULL);
    check_texts("classes", g, ROWS("+bb\xc3\xa9\xe2\x82\xac\xc3\xa9-", "-a", "-1", "-b-", "-bb "));
    engine_grammar_unref(g);
    CHECK(make(ENGINE_FORMAT_REGEX, "a**", false, &err) == NULL && err.code == GW_EPARSE);
    CHECK(make(ENGINE_FORMAT_REGEX, "\\bx", false, &err) == NULL && err.code == GW_EUNSUPPORTED);
    CHECK(make(ENGINE_FORMAT_REGEX, "[z-a]", false, &err) == NULL && err.code == GW_EPARSE);
}

static void test_tools(void)
{
    const struct engine_format_tool tools[] = {
        {GW_SPAN("get"),
         GW_SPAN("{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"integer\"}},"
                 "\"required\":[\"x\"],\"additionalProperties\":false}")},
        {GW_SPAN("any"), GW_SPAN("")}};
    struct engine_format f = {.kind = ENGINE_FORMAT_TOOLS,
                              .begin = GW_SPAN("<tool_call>"),
                              .end = GW_SPAN("</tool_call>"),
                              .tools = tools,
                              .n_tools = 2};
    struct engine_grammar *g = NULL;

    CHECK(engine_grammar_new(&f, &g, NULL) == GW_OK);
    check_texts("tools", g,
                ROWS("+", "+Hello <tool> <<tool_cal", "+a\xff", ".<tool_call>", "-<tool_call>x",
                     "-<tool_call>{\"name\":\"put\"",
                     "+<tool_call>\n{\"name\": \"get\", \"arguments\": {\"x\": 3}}\n</tool_call>",
                     "-<tool_call>\n{\"name\": \"get\", \"arguments\": {\"y\"",
                     "+So: <tool_call>{\"name\":\"any\",\"arguments\":{\"y\":[]}}</tool_call> and "
                     "<<tool_call>{\"name\":\"any\",\"arguments\":{}}</tool_call>"));
    engine_grammar_unref(g);
    f.must_call = f.single = true;
    CHECK(engine_grammar_new(&f, &g, NULL) == GW_OK);
    check_texts("one call", g,
                ROWS("-H", ".<tool",
                     "+<tool_call>\n{\"name\": \"get\", \"arguments\": {\"x\": 3}}\n</tool_call>",
                     "-<tool_call>{\"name\":\"any\",\"arguments\":{}}</tool_call>\n<"));
    engine_grammar_unref(g);
}

static void test_forced(void)
{
    struct gw_err err;
    struct engine_grammar *g = make(ENGINE_FORMAT_REGEX, "abc(d|e)", false, &err);
    struct matcher *m = matcher_new(g, false);
    char out[16];

    CHECK(matcher_forced(m, out, sizeof(out)) == 3 && memcmp(out, "abc", 3) == 0);
    CHECK(matcher_accept(m, GW_SPAN("abce")) && matcher_over(m));
    CHECK(matcher_forced(m, out, sizeof(out)) == 0);
    CHECK(!matcher_accept(m, GW_SPAN("x")));
    matcher_free(m);
    engine_grammar_unref(g);
}

/* Deep nesting ends at a bound where closing is always possible; tables that fill up are tidied. */
static void test_bounds(void)
{
    struct gw_err err;
    struct engine_grammar *g = make(ENGINE_FORMAT_SCHEMA, "{}", false, &err);
    struct matcher *m = matcher_new(g, false);
    unsigned depth = 0;

    while (depth < 1000 && matcher_accept(m, GW_SPAN("[")))
        depth++;
    CHECK(depth > 60 && depth < 200);
    for (unsigned i = 0; i < depth; i++)
        CHECK(matcher_accept(m, GW_SPAN("]")));
    CHECK(matcher_over(m) && !m->failed);
    matcher_free(m);
    engine_grammar_unref(g);
    g = make(ENGINE_FORMAT_SCHEMA, "{\"type\":\"string\",\"maxLength\":100000}", false, &err);
    m = matcher_new(g, false);
    CHECK(matcher_accept(m, GW_SPAN("\"")));
    for (unsigned i = 0; i < 100000; i++) {
        if (!matcher_accept(m, GW_SPAN("x"))) {
            CHECK(false);
            break;
        }
        matcher_tidy(m);
    }
    CHECK(!matcher_accept(m, GW_SPAN("x")) && matcher_accept(m, GW_SPAN("\"")) && matcher_over(m));
    matcher_free(m);
    engine_grammar_unref(g);
}

int main(void)
{
    test_json();
    test_objects();
    test_closed();
    test_arrays();
    test_scalars();
    test_combined();
    test_refused();
    test_regex();
    test_tools();
    test_forced();
    test_bounds();
    return test_done();
}
