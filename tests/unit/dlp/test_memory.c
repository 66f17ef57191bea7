/* Unit tests of what memory a scan takes: bodies that are made to take much. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "dlp/bundle.h"
#include "tests/test.h"

enum {
    BODY = 2300 << 10,
    ARENA = 1 << 30
}; /* no power of two: what grows by doubling is to show it */

static struct dlp_rules *rules;

/* ---- bodies ------------------------------------------------------------------------------ */

static void repeat(struct gw_buf *b, const char *s, size_t bytes)
{
    for (size_t end = b->len + bytes; b->len < end;)
        gw_buf_adds(b, s);
}

static void chat(struct gw_buf *b, const char *content)
{
    gw_buf_adds(b, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    repeat(b, content, BODY);
    gw_buf_adds(b, "\"}]}");
}

static void make_prose(struct gw_buf *b)
{
    chat(b, "The quick brown fox jumps over the lazy dog, and nobody asked it to. ");
}

static void make_lines(struct gw_buf *b)
{
    chat(b, "for (i = 0; i < n; i++)\\n\\tsum += a[i];\\n");
}

static void make_escapes(struct gw_buf *b)
{
    chat(b, "\\n");
}

static void make_unicode(struct gw_buf *b)
{
    chat(b, "\\u00e4");
}

static void make_ascii_unicode(struct gw_buf *b)
{
    chat(b, "\\u0041\\u0062");
}

static void make_doubled(struct gw_buf *b)
{
    chat(b, "\\\\u0041\\\\u0020");
}

static void make_percent(struct gw_buf *b)
{
    chat(b, "%41%20");
}

static void make_look_alikes(struct gw_buf *b)
{
    chat(b, "\xd0\xb0"
            "bc "); /* a Cyrillic letter in a word */
}

static void make_parts(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"messages\":[{\"role\":\"user\",\"content\":[");
    repeat(
        b,
        "{\"type\":\"text\",\"text\":\"some words of a part that is one of many, each as long as a "
        "line that people write, which is about so long; and another one behind it that is not "
        "shorter at all, for a part is seldom less than a sentence or two of them. And one more, "
        "and so on, until there are four hundred bytes in each of the parts of this body, where "
        "nothing is to be found.\"},",
        BODY / 3);
    gw_buf_adds(b, "{}]}]}");
}

static void make_tiny(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"input\":[");
    repeat(b, "\"a\",", 4 * 190000);
    gw_buf_adds(b, "0]}");
}

static void make_numbers(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"input\":[");
    repeat(b, "1,", 2 * 190000);
    gw_buf_adds(b, "0]}");
}

static void make_embedding(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"input\":[");
    repeat(b, "0.012345678901,", 15 * 190000);
    gw_buf_adds(b, "0]}");
}

/* Encodes what b holds from `from` on. */
static void encode(struct gw_buf *b, size_t from)
{
    struct gw_buf plain = {0};

    gw_buf_add(&plain, gw_span_from(gw_buf_span(b), from));
    b->len = from;
    gw_base64(b, gw_buf_span(&plain));
    gw_buf_fini(&plain);
}

static void make_base64(struct gw_buf *b)
{
    size_t from;

    gw_buf_adds(b, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    from = b->len;
    repeat(b, "a text of some words, encoded three times over; ", BODY * 27 / 64);
    for (unsigned i = 0; i < 3; i++)
        encode(b, from);
    gw_buf_adds(b, "\"}]}");
}

/* Each says that it inflates to four gigabytes. */
static void make_lying_gzip(struct gw_buf *b)
{
    static const char gzip[] =
        "\x1f\x8b\x08\0\0\0\0\0\0\3\x4b\x4c\x4a\x4e\x49\x4d\4\0\xff\xff\xff\xff";
    struct gw_buf one = {0};

    gw_base64(&one, (struct gw_span){gzip, sizeof(gzip) - 1});
    gw_buf_addc(&one, ' ');
    chat(b, one.ptr);
    gw_buf_fini(&one);
}

/* A string with JSON in it, n deep. */
static void make_nested(struct gw_buf *b)
{
    struct gw_buf text = {0};

    gw_buf_adds(&text, "{\"a\":\"");
    repeat(&text, "some words that are said deep inside. ", BODY / 2);
    gw_buf_adds(&text, "\"}");
    for (unsigned i = 0; i < 3; i++) {
        struct gw_buf outer = {0};

        gw_buf_adds(&outer, "{\"a\":");
        gw_buf_add_json_str(&outer, gw_buf_span(&text));
        gw_buf_adds(&outer, "}");
        gw_buf_fini(&text);
        text = outer;
    }
    gw_buf_add(b, gw_buf_span(&text));
    gw_buf_fini(&text);
}

static void make_findings(struct gw_buf *b)
{
    chat(b, "write to jane.miller@example-corp.com about it, then wait; "
            "for what comes behind it is nothing that anybody would look for in such a text, is "
            "it? No, it is some words that make a line long enough that there are not too many of "
            "them, since a scan ends at ten thousand, and then the request is refused at once. ... "
            "and so on it goes, for four hundred and some more of bytes, and behind each comes "
            "another one that looks just like it, and then one more, as people do it in tables. ");
}

/* ---- structure --------------------------------------------------------------------------- */

/* An array of these. */
static void array_of(struct gw_buf *b, const char *element, size_t bytes)
{
    gw_buf_adds(b, "{\"input\":[");
    repeat(b, element, bytes);
    gw_buf_adds(b, "0]}");
}

static void make_empty(struct gw_buf *b)
{
    array_of(b, "\"\",", 3 * 190000);
}

static void make_tiny_escapes(struct gw_buf *b)
{
    array_of(b, "\"\\n\",", 5 * 190000);
}

static void make_arrays(struct gw_buf *b)
{
    array_of(b, "[\"a\"],", 6 * 190000);
}

static void make_deep_arrays(struct gw_buf *b)
{
    array_of(
        b,
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"a\"]]]]]]]]]]]]]]]]]]]]]]]"
        "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]],",
        BODY / 2);
}

/* As many keys as a request may have, each in an object of its own. */
static void make_deep_objects(struct gw_buf *b)
{
    array_of(b,
             "{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
             "\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
             "\"a\":\"b\"}}}}}}}}}}}}}}}}}}}}}}}}},",
             152 * 390);
}

static void make_keys(struct gw_buf *b)
{
    gw_buf_adds(b, "{");
    for (unsigned i = 0; i < 9900; i++)
        gw_buf_printf(b, "\"k%u\":\"v\",", i);
    gw_buf_adds(b, "\"end\":0}");
}

static void make_small_objects(struct gw_buf *b)
{
    array_of(b, "{\"a\":\"b\"},", 10 * 9900);
}

static void make_messages(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"messages\":[");
    repeat(b, "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},",
           65 * 2400);
    gw_buf_adds(b, "{}]}");
}

static void make_tool_calls(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"messages\":[");
    repeat(b,
           "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\","
           "\"function\":{"
           "\"name\":\"find\",\"arguments\":\"{\\\"query\\\":\\\"some words that somebody looks "
           "for\\\",\\\"places\\\":[\\\"here\\\",\\\"there\\\"],\\\"first\\\":10}\"}}]},{\"role\":"
           "\"tool\",\"content\":\"{\\\"found\\\":[{\\\"title\\\":\\\"one\\\",\\\"text\\\":"
           "\\\"what it says\\\\nin two lines\\\"}]}\"},",
           300000);
    gw_buf_adds(b, "{}]}");
}

static void make_json_strings(struct gw_buf *b)
{
    array_of(b, "\"[\\\"a\\\"]\",", 10 * 90000);
}

/* JSON in a string is not held to a number of keys. Each is in company of one other. */
static void make_classes(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"input\":\"[");
    for (unsigned twice = 0; twice < 2; twice++) {
        gw_buf_adds(b, "{");
        for (unsigned i = 0; i < 20000; i++)
            gw_buf_printf(b, "\\\"k%u\\\":\\\"v\\\",", i);
        gw_buf_adds(b, "\\\"end\\\":0},");
    }
    gw_buf_adds(b, "0]\"}");
}

/* As many as a request may have in a string: objects of objects, whose keys have a letter. A path for each eleven bytes, and each is there
 * so often. */
static void add_short_paths(struct gw_buf *b, unsigned times, unsigned outer)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

    for (unsigned t = 0; t < times; t++)
        for (const char *x = letters; x < letters + outer; x++) {
            gw_buf_printf(b, "{\\\"%c\\\":{", *x);
            for (const char *y = letters; *y != '\0'; y++) {
                gw_buf_printf(b, "\\\"%c\\\":{", *y);
                for (const char *z = letters; *z != '\0'; z++)
                    gw_buf_printf(b, "\\\"%c\\\":\\\"v\\\"%s", *z, z[1] == '\0' ? "}" : ",");
                gw_buf_adds(b, y[1] == '\0' ? "}}," : ",");
            }
        }
}

static void make_short_paths(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"input\":\"[");
    add_short_paths(b, 1, 24);
    gw_buf_adds(b, "0]\"}");
}

static void make_short_paths_twice(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"input\":\"[");
    add_short_paths(b, 2, 12);
    gw_buf_adds(b, "0]\"}");
}

/* The same, said by two speakers. */
static void make_said_paths(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"messages\":[{\"role\":\"user\",\"content\":\"[");
    add_short_paths(b, 1, 12);
    gw_buf_adds(b, "0]\"},{\"role\":\"assistant\",\"content\":\"[");
    add_short_paths(b, 1, 12);
    gw_buf_adds(b, "0]\"}]}");
}

/* Two long texts with escapes in one chain. */
static void make_two(struct gw_buf *b)
{
    gw_buf_adds(b, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    repeat(b, "\\u00e4 and some words\\n", BODY);
    gw_buf_adds(b, "\"},{\"role\":\"user\",\"content\":\"");
    repeat(b, "\\u00e4 and some words\\n", BODY);
    gw_buf_adds(b, "\"}]}");
}

/* ---- measuring --------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define IS_COUNTED false /* a sanitizer's memory is not a scan's */
static ptrdiff_t now, peak;
#else
#    define IS_COUNTED true

/* Bytes of the heap, as the allocator gave them, now and at most. */
static ptrdiff_t now, peak;

void *__libc_malloc(size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_calloc(size_t n, size_t size);
void __libc_free(void *p);

static void *counted(void *p)
{
    now += p == NULL ? 0 : (ptrdiff_t)malloc_usable_size(p);
    peak = now > peak ? now : peak;
    return p;
}

void *malloc(size_t n)
{
    return counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return counted(__libc_calloc(n, size));
}

void free(void *p)
{
    now -= p == NULL ? 0 : (ptrdiff_t)malloc_usable_size(p);
    __libc_free(p);
}

void *realloc(void *p, size_t n)
{
    size_t old = p == NULL ? 0 : malloc_usable_size(p);
    void *grown = __libc_realloc(p, n);

    if (grown == NULL)
        return NULL;
    now -= (ptrdiff_t)old;
    return counted(grown);
}
#endif

/* Scans as the gateway does. How many bytes that took beyond what there was. */
static size_t measure(struct gw_span body, enum gw_status *st)
{
    struct gw_arena *arena = gw_arena_new(ARENA);
    struct dlp_scanner *scanner = dlp_scanner_new();
    const struct dlp_doc_limits limits = {.min_number = DLP_NUMBER_MIN};
    struct dlp_report report = {.findings = NULL};
    struct dlp_doc *doc = NULL;
    struct gw_err err;
    ptrdiff_t before;

    /* What is made once is no request's. */
    CHECK(dlp_doc_parse_text(arena, gw_span_str("warm"), &doc) == GW_OK &&
          dlp_scan(scanner, rules, doc, arena, NULL, &report) == GW_OK);
    gw_arena_reset(arena);
    peak = before = now;
    *st = dlp_doc_parse_json(arena, body, &limits, &doc, &err);
    if (*st == GW_OK)
        *st = dlp_scan(scanner, rules, doc, arena, NULL, &report);
    before = peak - before;
    dlp_scanner_free(scanner);
    gw_arena_free(arena);
    return (size_t)before;
}

static const struct {
    const char *name;
    void (*make)(struct gw_buf *b);
    double most; /* bytes for each of the body */
} bodies[] = {
    /* Text: at most twice the body. */
    {"prose", make_prose, 2},
    {"lines of code", make_lines, 2},
    {"nothing but \\n", make_escapes, 2},
    {"nothing but \\u00e4", make_unicode, 2},
    {"nothing but \\u0041", make_ascii_unicode, 2},
    {"nothing but \\\\u0041", make_doubled, 2},
    {"nothing but %41", make_percent, 2},
    {"letters of two scripts", make_look_alikes, 2},

    {"small numbers", make_numbers, 2},

    {"base64 three times", make_base64, 2},

    {"gzip with wrong lengths", make_lying_gzip, 2},
    {"many findings", make_findings, 2},
    {"JSON in JSON in JSON", make_nested, 2},
    {"many parts", make_parts, 2},
    {"an embedding", make_embedding, 2},

    {"tiny strings", make_tiny, 2},
    {"empty strings", make_empty, 2},
    {"tiny strings with escapes", make_tiny_escapes, 2},
    {"arrays of one string", make_arrays, 2},
    {"deep arrays", make_deep_arrays, 2},
    {"tiny JSON in strings", make_json_strings, 2},
    {"two long texts", make_two, 2},
    {"deep objects", make_deep_objects, 2},
    {"many keys", make_keys, 2},
    {"small objects", make_small_objects, 2},
    {"tiny messages", make_messages, 2},
    {"tool calls", make_tool_calls, 2},
    /* Each would be a chain of its own; they are numbers in a table that grows. */
    {"many classes of paths", make_classes, 2},
    {"short paths", make_short_paths, 2},
    {"short paths twice", make_short_paths_twice, 2},
    {"short paths of two speakers", make_said_paths, 2},
};

static void test_peak(void)
{
    for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct gw_buf body = {0};
        enum gw_status st;
        double share;

        bodies[i].make(&body);
        share = (double)measure(gw_buf_span(&body), &st) / (double)body.len;
        if (getenv("ALL") != NULL || (IS_COUNTED && share > bodies[i].most))
            fprintf(stderr, "  %-24s %8zu bytes, status %d: %6.2f times as much\n", bodies[i].name,
                    body.len, (int)st, share);
        CHECK(st == GW_OK);
        CHECK(!IS_COUNTED || share <= bodies[i].most);
        gw_buf_fini(&body);
    }
}

int main(void)
{
    rules = dlp_rules_builtin();
    test_peak();
    return test_done();
}
