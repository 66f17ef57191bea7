/* A view that is made with the places that one pass found beforehand is the one that is made by looking at every byte. */
#include <string.h>

#include "dlp/view.h"
#include "dlp/view_find.h"
#include "tests/test.h"

static const struct {
    const struct view_walk *walk;
    unsigned may;
} walks[] = {
    {&view_walk_fold, VIEW_MAY_FOLD},     {&view_walk_tags, VIEW_MAY_TAG},
    {&view_walk_escape, VIEW_MAY_ESCAPE}, {&view_walk_quoted, VIEW_MAY_QUOTE},
    {&view_walk_digits, VIEW_MAY_DIGIT},  {&view_walk_spelled, VIEW_MAY_SPELL},
};

static const char *const parts[] = {
    "1",
    "42",
    "2024",
    " ",
    "-",
    ". ",
    ", ",
    "_",
    "a",
    "un",
    "the ",
    "one ",
    "two-",
    "sieben ",
    "f\xc3\xbcnf ",
    "\xc2\xa0",
    "\xe2\x80\x8b",
    "\xd0\x90",
    "%41",
    "%",
    "&#65;",
    "&amp;",
    "\\u0041",
    "\\\\u0042",
    "\\x",
    "\\n",
    "=41",
    "=3D",
    "=\n",
    "= ",
    "=",
    "QUJDREVG",
    "R0hJSktM",
    "/usr/x",
    "----",
    "0123456",
    "deadbe",
    "\n",
    "\r\n",
    "  ",
    "\xf3\xa0\x81\x81",
    "\xff",
    "\xef\xbb\xbf",
    "four five ",
    "nine ",
    "s\xc3\xa9pt ",
    "UNO.",
    "6",
    "7/",
    "3 ",
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

static bool is_same(const struct view_text *a, const struct view_text *b)
{
    return gw_span_eq(gw_buf_span(&a->out), gw_buf_span(&b->out)) &&
           gw_span_eq(gw_buf_span(&a->places), gw_buf_span(&b->places)) &&
           gw_span_eq(gw_buf_span(&a->units), gw_buf_span(&b->units));
}

/* How many views are not empty. */
static unsigned check_text(struct gw_span text)
{
    struct view_marks marks = {.list = {{.at = NULL}}};
    struct view_text plain = {.cut = false}, marked = {.cut = false};
    unsigned may = view_test(text, &marks, true), made = 0;

    for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
        CHECK(view_make_walked(&plain, walks[i].walk, text, NULL, SIZE_MAX));
        CHECK(view_make_walked(&marked, walks[i].walk, text, &marks, SIZE_MAX));
        CHECK(is_same(&plain, &marked));
        CHECK(plain.out.len == 0 || (may & walks[i].may) != 0);
        made += plain.out.len != 0;
    }
    CHECK(view_make_blobs(&plain, text, NULL, SIZE_MAX));
    CHECK(view_make_blobs(&marked, text, &marks, SIZE_MAX));
    CHECK(is_same(&plain, &marked));
    CHECK(plain.out.len == 0 || (may & VIEW_MAY_BLOB) != 0);
    made += plain.out.len != 0;
    view_fini(&plain);
    view_fini(&marked);
    view_marks_fini(&marks);
    return made;
}

/* Texts of all parts, of few, and of some among letters, so that things stand alone and at the borders of blocks. */
static void test_random(void)
{
    struct gw_buf text = {0};
    unsigned r = 1, made = 0;

    for (unsigned round = 0; round < 6000; round++) {
        size_t most = round % 20 == 0 ? 9000 : round % 700;
        unsigned first = round % PARTS, n = round % 4 == 0 ? PARTS : 2 + round % 7;

        gw_buf_clear(&text);
        while (text.len < most) {
            r = r * 1103515245 + 12345;
            if (round % 3 == 0 && (r >> 8) % 8 != 0)
                gw_buf_adds(&text, "qq y" + (r >> 20) % 4);
            else
                gw_buf_adds(&text, parts[(first + (r >> 16) % n) % PARTS]);
        }
        made += check_text(gw_buf_span(&text));
    }
    CHECK(made > 1000);
    gw_buf_fini(&text);
}

/* More places than a list keeps: behind the last one every byte is looked at. */
static void test_full(void)
{
    static const char *const all[] = {"%41",
                                      "=41",
                                      "ab\xd0\x90 ",
                                      "1-2-3-4-5-6-7-8-9 x ",
                                      "one two one two one two one two x ",
                                      "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo= "};
    struct gw_buf text = {0};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        gw_buf_clear(&text);
        while (text.len < 200000)
            gw_buf_adds(&text, all[i]);
        CHECK(check_text(gw_buf_span(&text)) > 0);
    }
    gw_buf_fini(&text);
}

/* What equals signs of quoted-printable look like, and those that are something else. */
static void test_quoted(void)
{
    static const struct {
        const char *text;
        bool is_quoted;
    } all[] = {
        {"p=41ss w=6Frd", true},
        {"4111=\n1111=\n1111", true},
        {"4111=\r\n1111=41", true},
        {"=C3=A9t=C3=A9", true},
        {"caf=C3=\n=A9, th=C3=A9", true},
        {"a=DEq b=F3q c=99q", false},
        {"API_KEY=\nSECRET_TOKEN=\nDB_URL=\nX_Y=1\n", false},
        {"====\n====\n====\n", false},
        {"YWI==\nYWI==\nYWI==\n", false},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct view_marks marks = {.list = {{.at = NULL}}};

        CHECK(((view_test(gw_span_str(all[i].text), &marks, true) & VIEW_MAY_QUOTE) != 0) ==
              all[i].is_quoted);
        view_marks_fini(&marks);
    }
}

int main(void)
{
    test_random();
    test_full();
    test_quoted();
    return test_done();
}
