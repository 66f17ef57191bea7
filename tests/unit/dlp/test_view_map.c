/* A range of a view goes back to what wrote it, in whatever order ranges are asked. */
#include <stdlib.h>
#include <string.h>

#include "dlp/view.h"
#include "tests/test.h"

/* Ranges of a view come from ascending, whole ranges of its source. */
static void check_map(struct view_text *v)
{
    uint32_t last_start = 0, last_end = 0;

    for (uint32_t at = 0; at + 4 <= v->out.len; at++) {
        uint32_t start = 0, end = 0;
        enum dlp_view view = DLP_VIEW_COUNT;

        (void)view_map(v, at, at + 4, &start, &end, &view);
        if (!CHECK(start <= end && end <= v->src.len && start >= last_start && end >= last_end &&
                   view < DLP_VIEW_COUNT))
            return;
        last_start = start;
        last_end = end;
    }
}

/* What wrote each byte of a view, step by step from its marks: the unit's range. A byte between two stretches has an empty one. */
struct written {
    uint32_t begin, end;
};

static struct written *steps_of(const struct view_text *v)
{
    const struct view_mark *marks = (const void *)v->places.ptr;
    size_t n_marks = v->places.len / sizeof(*marks);
    struct written *w = calloc(v->out.len + 1, sizeof(*w));

    if (w == NULL)
        abort();
    for (size_t i = 0; i < n_marks; i++) {
        size_t src = marks[i].src, out = marks[i].out;
        size_t most = i + 1 < n_marks ? marks[i + 1].out : v->out.len,
               last = i + 1 < n_marks ? marks[i + 1].src : v->src.len;

        while (src < last && out < most) {
            char unit[VIEW_UNIT_MAX];
            unsigned n = 0, len = v->walk->step(v->src, src, unit, &n);

            if (memcmp(v->out.ptr + out, unit, n) != 0)
                break; /* the byte between two stretches */
            for (unsigned k = 0; k < n && out + k < most; k++)
                w[out + k] = (struct written){(uint32_t)src, (uint32_t)(src + len)};
            src += len;
            out += n;
        }
    }
    return w;
}

/* The way back says what the steps say, in whatever order it is asked. */
static void check_steps(struct view_text *v)
{
    struct written *w = steps_of(v);
    uint32_t r = 1, n = (uint32_t)v->out.len;

    for (unsigned i = 0; i < 3000 && n > 0; i++) {
        uint32_t at, to, start = 0, end = 0;
        enum dlp_view view = DLP_VIEW_COUNT;

        r = r * 1103515245 + 12345;
        at = i < 1000 ? i * (n / 1000) : i < 2000 ? n - 1 - (i - 1000) * (n / 1000) : (r >> 8) % n;
        to = n - at > 40 ? at + 1 + (r >> 20) % 40 : n;
        if (w[at].end == 0 || w[to - 1].end == 0)
            continue;
        (void)view_map(v, at, to, &start, &end, &view);
        if (!CHECK(start == w[at].begin &&
                   (v->walk == &view_walk_fold ? end >= w[to - 1].end : end == w[to - 1].end)))
            break;
    }
    free(w);
}

static void test_maps(void)
{
    static const struct view_walk *const walks[] = {&view_walk_fold,   &view_walk_tags,
                                                    &view_walk_escape, &view_walk_quoted,
                                                    &view_walk_digits, &view_walk_spelled};
    static const char *const bits[] = {"plain text ",
                                       "%41%42",
                                       "&#65;",
                                       "a\xD0\x90"
                                       "bc ",
                                       "\\u0041",
                                       "=41=42",
                                       "1-2-3-4-5-6-7-8-9 ",
                                       "one two one two one two one two ",
                                       "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo= ",
                                       "\xF3\xA0\x81\x81",
                                       "\n",
                                       "a\xE2\x80\x8B"
                                       "b\xE2\x80\x8B"
                                       "c",
                                       "\xFF\xC3"};
    struct gw_buf text = {0};
    struct view_text v = {.cut = false};
    unsigned r = 1;

    for (unsigned round = 0; round < 20; round++) {
        gw_buf_clear(&text);
        while (text.len < 6000) {
            r = r * 1103515245 + 12345;
            for (unsigned n = (r >> 8) % 97 == 0 ? 400 : 1; n > 0; n--)
                gw_buf_adds(&text, bits[(r >> 16) % (sizeof(bits) / sizeof(bits[0]))]);
        }
        for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
            CHECK(view_make_walked(&v, walks[i], gw_buf_span(&text), NULL, SIZE_MAX));
            check_map(&v);
            check_steps(&v);
        }
        CHECK(view_make_blobs(&v, gw_buf_span(&text), NULL, SIZE_MAX));
        check_map(&v);
    }
    view_fini(&v);
    gw_buf_fini(&text);
}

int main(void)
{
    test_maps();
    return test_done();
}
