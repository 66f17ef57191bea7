/* The evasion matrix: every example of the rules that is found as it stands is hidden in each way that has a view, and must be
 * found again. Prints the matrix and checks that 95 % are. SHOW=1 names each that is missed. */
#define ZLIB_CONST /* next_in is not written through */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/base64.h"
#include "base/utf8.h"
#include "dlp/scan.h"
#include "tests/test.h"

typedef void encode_fn(struct gw_buf *out, struct gw_span text);

static struct dlp_scanner *scanner;
static struct gw_arena *arena;

/* ---- ways to hide ------------------------------------------------------------------------ */

static void base64url(struct gw_buf *out, struct gw_span t)
{
    gw_base64url(out, t);
}

/* Lines of 60 digits, with `between` between them. */
static void lines(struct gw_buf *out, struct gw_span t, const char *between, const char *last)
{
    enum { LINE = 60 };
    struct gw_buf one = {0};

    gw_base64(&one, t);
    for (size_t at = 0; at < one.len; at += LINE) {
        bool more = one.len - at > LINE;

        gw_buf_add(out, (struct gw_span){one.ptr + at, more ? LINE : one.len - at});
        gw_buf_adds(out, more ? between : last);
    }
    gw_buf_fini(&one);
}
static void base64_lines(struct gw_buf *out, struct gw_span t)
{
    lines(out, t, "\n", "\n");
}
static void base64_quoted(struct gw_buf *out, struct gw_span t)
{
    lines(out, t, "\r\n> ", " and more");
}

static void base64_thrice(struct gw_buf *out, struct gw_span t)
{
    struct gw_buf a = {0}, b = {0};

    gw_base64(&a, t);
    gw_base64(&b, gw_buf_span(&a));
    gw_base64(out, gw_buf_span(&b));
    gw_buf_fini(&a);
    gw_buf_fini(&b);
}

static void utf16(struct gw_buf *out, struct gw_span t)
{
    struct gw_buf two = {0};

    for (size_t i = 0; i < t.len; i++) {
        gw_buf_addc(&two, t.ptr[i]);
        gw_buf_addc(&two, '\0');
    }
    gw_base64(out, gw_buf_span(&two));
    gw_buf_fini(&two);
}

static void gzipped(struct gw_buf *out, struct gw_span t)
{
    enum { GZIP = 15 + 16 };
    z_stream z = {.next_in = NULL};
    struct gw_buf packed = {0};

    if (!gw_buf_reserve(&packed, t.len + 1024) ||
        deflateInit2(&z, 9, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return;
    z.next_in = (const unsigned char *)t.ptr;
    z.avail_in = (unsigned)t.len;
    z.next_out = (unsigned char *)packed.ptr;
    z.avail_out = (unsigned)(t.len + 1024);
    CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
    packed.len = t.len + 1024 - z.avail_out;
    CHECK(deflateEnd(&z) == Z_OK);
    gw_base64(out, gw_buf_span(&packed));
    gw_buf_fini(&packed);
}

static void hex(struct gw_buf *out, struct gw_span t)
{
    for (size_t i = 0; i < t.len; i++)
        gw_buf_printf(out, "%02x", (unsigned)(unsigned char)t.ptr[i]);
}
static void hex_marked(struct gw_buf *out, struct gw_span t)
{
    gw_buf_adds(out, "0x");
    hex(out, t);
}
static void percent(struct gw_buf *out, struct gw_span t)
{
    for (size_t i = 0; i < t.len; i++)
        gw_buf_printf(out, "%%%02X", (unsigned)(unsigned char)t.ptr[i]);
}
static void quoted(struct gw_buf *out, struct gw_span t)
{
    for (size_t i = 0; i < t.len; i++)
        gw_buf_printf(out, "=%02X", (unsigned)(unsigned char)t.ptr[i]);
}
static void bytes(struct gw_buf *out, struct gw_span t)
{
    for (size_t i = 0; i < t.len; i++)
        gw_buf_printf(out, "\\x%02x", (unsigned)(unsigned char)t.ptr[i]);
}

/* What a URL encoder leaves, stays. */
static void percent_some(struct gw_buf *out, struct gw_span t)
{
    for (size_t i = 0; i < t.len; i++)
        if (((t.ptr[i] | 0x20) >= 'a' && (t.ptr[i] | 0x20) <= 'z') ||
            (t.ptr[i] >= '0' && t.ptr[i] <= '9') || strchr("-_.~", t.ptr[i]) != NULL)
            gw_buf_addc(out, t.ptr[i]);
        else
            gw_buf_printf(out, "%%%02X", (unsigned)(unsigned char)t.ptr[i]);
}

/* Calls put with each character. */
static void each(struct gw_buf *out, struct gw_span t, void (*put)(struct gw_buf *out, uint32_t cp))
{
    for (size_t i = 0; i < t.len;) {
        uint32_t cp = (unsigned char)t.ptr[i];
        unsigned n = gw_utf8_decode(t.ptr + i, t.len - i, &cp);

        put(out, cp);
        i += n == 0 ? 1 : n;
    }
}

static void put(struct gw_buf *out, uint32_t cp)
{
    char c[4];

    gw_buf_add(out, (struct gw_span){c, gw_utf8_encode(cp, c)});
}

static void put_entity(struct gw_buf *out, uint32_t cp)
{
    gw_buf_printf(out, "&#%u;", cp);
}
static void entities(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_entity);
}
static void put_entity_twice(struct gw_buf *out, uint32_t cp)
{
    gw_buf_printf(out, "&amp;#%u;", cp);
}
static void entities_twice(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_entity_twice);
}
static void put_hex_entity(struct gw_buf *out, uint32_t cp)
{
    gw_buf_printf(out, "&#x%X;", cp);
}
static void hex_entities(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_hex_entity);
}
static void put_named(struct gw_buf *out, uint32_t cp)
{
    if (cp == '"')
        gw_buf_adds(out, "&quot;");
    else if (cp == '&')
        gw_buf_adds(out, "&amp;");
    else if (cp == '<')
        gw_buf_adds(out, "&lt;");
    else if (cp == '>')
        gw_buf_adds(out, "&gt;");
    else
        put(out, cp);
}
static void html(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_named);
}
static void put_escape(struct gw_buf *out, uint32_t cp)
{
    if (cp >= 0x10000)
        gw_buf_printf(out, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10),
                      0xDC00 + (cp & 0x3FF));
    else
        gw_buf_printf(out, "\\u%04x", cp);
}
static void escapes(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_escape);
}
static void put_hidden(struct gw_buf *out, uint32_t cp)
{
    put(out, cp);
    gw_buf_adds(out, "\xE2\x80\x8B");
}
static void zero_width(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_hidden);
}
static void put_wide(struct gw_buf *out, uint32_t cp)
{
    put(out, cp > ' ' && cp < 0x7F ? cp + 0xFEE0 : cp);
}
static void full_width(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_wide);
}
/* Letters and digits in bold sans-serif, as generators of "fonts" make them. */
static void put_bold(struct gw_buf *out, uint32_t cp)
{
    if (cp >= 'A' && cp <= 'Z')
        put(out, 0x1D5D4 + cp - 'A');
    else if (cp >= 'a' && cp <= 'z')
        put(out, 0x1D5EE + cp - 'a');
    else if (cp >= '0' && cp <= '9')
        put(out, 0x1D7EC + cp - '0');
    else
        put(out, cp);
}
static void bold(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_bold);
}
/* Every letter that has a look-alike in Cyrillic. */
static void put_cyrillic(struct gw_buf *out, uint32_t cp)
{
    static const char ascii[] = "ABEKMHOPCTXaeopcyxijs";
    static const uint16_t other[] = {0x410, 0x412, 0x415, 0x41A, 0x41C, 0x41D, 0x41E,
                                     0x420, 0x421, 0x422, 0x425, 0x430, 0x435, 0x43E,
                                     0x440, 0x441, 0x443, 0x445, 0x456, 0x458, 0x455};
    const char *at = cp == 0 || cp >= 0x80 ? NULL : strchr(ascii, (int)cp);

    put(out, at == NULL ? cp : other[at - ascii]);
}
static void cyrillic(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_cyrillic);
}
static void put_marked(struct gw_buf *out, uint32_t cp)
{
    put(out, cp);
    if ((cp | 0x20) >= 'a' && (cp | 0x20) <= 'z')
        put(out, 0x301);
}
static void marks(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_marked);
}
static void put_tag(struct gw_buf *out, uint32_t cp)
{
    if (cp < 0x7F)
        put(out, cp + 0xE0000);
}
static void tags(struct gw_buf *out, struct gw_span t)
{
    each(out, t, put_tag);
}
static void json_twice(struct gw_buf *out, struct gw_span t)
{
    struct gw_buf once = {0};

    gw_buf_adds(&once, "{\"q\": ");
    gw_buf_add_json_str(&once, t);
    gw_buf_adds(&once, "}");
    gw_buf_adds(out, "{\"input\": ");
    gw_buf_add_json_str(out, gw_buf_span(&once));
    gw_buf_adds(out, "}");
    gw_buf_fini(&once);
}

/* Cut in half: over two parts, over two messages, and over two of the same speaker. */
static void cut(struct gw_buf *out, struct gw_span t, const char *first, const char *between,
                const char *last)
{
    size_t half = t.len / 2;

    while (half > 0 && ((unsigned char)t.ptr[half] & 0xC0) == 0x80)
        half--;
    gw_buf_adds(out, first);
    gw_buf_add_json(out, (struct gw_span){t.ptr, half});
    gw_buf_adds(out, between);
    gw_buf_add_json(out, gw_span_from(t, half));
    gw_buf_adds(out, last);
}
static void parts(struct gw_buf *out, struct gw_span t)
{
    cut(out, t, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"",
        "\"},{\"type\":\"text\",\"text\":\"", "\"}]}]}");
}
static void messages(struct gw_buf *out, struct gw_span t)
{
    cut(out, t, "{\"messages\":[{\"role\":\"user\",\"content\":\"",
        "\"},{\"role\":\"user\",\"content\":\"", "\"}]}");
}
static void turns(struct gw_buf *out, struct gw_span t)
{
    cut(out, t, "{\"messages\":[{\"role\":\"user\",\"content\":\"",
        "\"},{\"role\":\"assistant\",\"content\":\"Please go "
        "on.\"},{\"role\":\"user\",\"content\":\"",
        "\"}]}");
}
static void base64_parts(struct gw_buf *out, struct gw_span t)
{
    struct gw_buf one = {0};

    gw_base64(&one, t);
    parts(out, gw_buf_span(&one));
    gw_buf_fini(&one);
}

static const struct {
    const char *name;
    encode_fn *encode;
    bool body;      /* gives a whole JSON body */
    unsigned least; /* per mille that must be found again */
} ways[] = {
    {"base64", gw_base64, false, 950},
    {"base64 without padding, of the other alphabet", base64url, false, 950},
    {"base64 in lines", base64_lines, false, 950},
    {"base64 in lines of quoted mail", base64_quoted, false, 950},
    {"base64 three times", base64_thrice, false, 950},
    {"base64 of UTF-16", utf16, false, 950},
    {"gzip in base64", gzipped, false, 950},
    {"hex", hex, false, 950},
    {"hex behind 0x", hex_marked, false, 950},
    {"percent, every byte", percent, false, 950},
    {"percent, as an address needs it", percent_some, false, 950},
    {"HTML entities by number", entities, false, 950},
    {"HTML entities by number, escaped once more", entities_twice, false, 950},
    {"HTML entities by number in hex", hex_entities, false, 950},
    {"HTML entities by name", html, false, 950},
    {"\\uXXXX", escapes, false, 950},
    {"\\xXX", bytes, false, 950},
    {"quoted-printable", quoted, false, 950},
    {"zero-width characters", zero_width, false, 950},
    {"full-width", full_width, false, 950},
    {"mathematical bold", bold, false, 950},
    {"look-alikes of Cyrillic", cyrillic, false, 950},
    {"combining marks", marks, false, 950},
    {"tag characters", tags, false, 900}, /* for ASCII only */
    {"JSON in JSON", json_twice, true, 950},
    {"cut over two parts", parts, true, 950},
    {"cut over two messages", messages, true, 950},
    {"cut over two turns", turns, true, 950},
    {"base64 cut over two parts", base64_parts, true, 950},
};

enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* ---- the matrix -------------------------------------------------------------------------- */

static bool is_found(struct gw_span text, uint32_t rule)
{
    struct dlp_report report = {.findings = NULL};
    struct dlp_doc *doc = NULL;
    bool found = false;

    gw_arena_reset(arena);
    if (dlp_doc_parse_text(arena, text, &doc) != GW_OK ||
        dlp_scan(scanner, dlp_rules_builtin(), doc, arena, NULL, &report) != GW_OK)
        return false;
    for (unsigned i = 0; i < report.n_findings && !found; i++)
        found = report.findings[i].rule == rule;
    return found;
}

/* Whether the rule finds it again, or what was decoded is of its class: an example of one rule may be of another, too. */
static bool is_found_again(struct gw_span text, bool body, uint32_t rule)
{
    struct dlp_report report = {.findings = NULL};
    enum gw_class class_ = dlp_rules_info(dlp_rules_builtin(), rule)->class_;
    struct dlp_doc *doc = NULL;

    gw_arena_reset(arena);
    if ((body ? dlp_doc_parse_json(arena, text, NULL, &doc, NULL)
              : dlp_doc_parse_text(arena, text, &doc)) != GW_OK ||
        dlp_scan(scanner, dlp_rules_builtin(), doc, arena, NULL, &report) != GW_OK)
        return false;
    for (unsigned i = 0; i < report.n_findings; i++) {
        const struct dlp_finding *f = &report.findings[i];

        if (f->rule == rule || ((body || f->view != DLP_VIEW_PLAIN) &&
                                dlp_rules_info(dlp_rules_builtin(), f->rule)->class_ == class_))
            return true;
    }
    return false;
}

int main(void)
{
    const struct bundle *b = dlp_rules_builtin()->b;
    unsigned n = 0, found[WAYS] = {0};
    bool show = getenv("SHOW") != NULL;

    scanner = dlp_scanner_new();
    arena = gw_arena_new((size_t)64 << 20);
    for (uint32_t rule = 0; rule < b->n_rules; rule++) {
        for (uint32_t k = 0; k < b->rules[rule].n_examples; k++) {
            const struct bundle_example *e = &b->rules[rule].examples[k];
            struct gw_buf plain = {0}, text = {0};

            /* A short value alone would be too short to look encoded; people say more. */
            gw_buf_add(&plain, (struct gw_span){e->text.ptr, e->text.len});
            gw_buf_adds(&plain, "\nThat is all there is.");
            if (e->should_match != 0 && is_found(gw_buf_span(&plain), rule)) {
                n++;
                for (unsigned w = 0; w < WAYS; w++) {
                    bool again;

                    gw_buf_clear(&text);
                    ways[w].encode(&text, gw_buf_span(&plain));
                    again = is_found_again(gw_buf_span(&text), ways[w].body, rule);
                    found[w] += again;
                    if (show && !again)
                        printf("  missed: %s: %s, example at line %u\n", ways[w].name,
                               b->rules[rule].id, e->line);
                }
            }
            gw_buf_fini(&plain);
            gw_buf_fini(&text);
        }
    }
    printf("of %u examples that are found as they stand, in %%:\n", n);
    for (unsigned w = 0; w < WAYS; w++) {
        printf("  %-48s %5.1f\n", ways[w].name, 100.0 * found[w] / n);
        CHECK((uint64_t)found[w] * 1000 >= (uint64_t)n * ways[w].least);
    }
    gw_arena_free(arena);
    dlp_scanner_free(scanner);
    return test_done();
}
