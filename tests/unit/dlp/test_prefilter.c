/* The filter: every variant agrees with the scalar one, and reads nothing behind the text. Uses the rules of tests/golden/rules and the
 * built-in ones. */
#include "dlp/prefilter_head.h"
#include "dlp/rulec.h"
#include "dlp/rulec_regex.h"
#include "tests/unit/dlp/rules_help.h"

static const char mixed[] = "tpx_AKIAghsk-@:/0123456789 etaoin.=";

/* Every place of want is in got. */
static void check_bits(const uint64_t *want, const uint64_t *got, size_t len)
{
    for (size_t i = 0; i * 64 < len; i++) {
        if (!CHECK((want[i] & ~got[i]) == 0))
            return;
        if (len - i * 64 < 64)
            CHECK(got[i] >> (len - i * 64) == 0);
    }
}

/* Some literal window is at text[at], where it can be; a hash may say so of other places as well. */
static bool has_literal(const struct prefilter *f, const unsigned char *text, size_t at, size_t len)
{
    unsigned char eight[8] = {0};
    uint64_t key;

    for (size_t i = 0; i < sizeof(eight); i++)
        if (at + i >= PREFILTER_LIT_BEFORE && at + i - PREFILTER_LIT_BEFORE < len)
            eight[i] = text[at + i - PREFILTER_LIT_BEFORE];
    memcpy(&key, eight, sizeof(key));
    for (unsigned length = 0; length < PREFILTER_LENGTHS; length++) {
        const struct prefilter_index *literals = &f->literals[length];
        uint32_t cell = prefilter_hash(length, eight + PREFILTER_LIT_BEFORE) >> 3;

        if (literals->common[cell].at_word != 0 && at > 0 &&
            (prefilter_flags[text[at - 1]] & 1) != 0)
            continue;
        for (unsigned i = 0; i < literals->n; i++)
            if ((key & literals->lits[i].mask) == literals->lits[i].value)
                return true;
    }
    return false;
}

static size_t n_rows; /* by check_blocks() */

/* Blocks with places are busy; those are in rows in which as many bytes of runs begin, or go on, as the shortest run has; behind the last
 * one stands what is behind `to`. */
static void check_blocks(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, const struct prefilter_places *got)
{
    size_t row = 0; /* bytes of runs from `at` on */
    uint64_t rows = 0, behind = 0;

    for (size_t at = to + 64 < len ? to + 64 : len; at-- > from;) {
        bool in_run = (f->flags[text[at]] & PREFILTER_IN_RUN) != 0;

        row = in_run ? row + 1 : 0;
        if (at >= to)
            behind |= (uint64_t)in_run << (at - to);
        else if (f->least_row > 0 && row >= f->least_row)
            rows |= UINT64_C(1) << (at - from) / 64;
    }
    CHECK(got->rows == rows);
    CHECK(f->n_runs == 0 || prefilter_run_bytes(f, got)[(to - from + 63) / 64] == behind);
    n_rows += (size_t)__builtin_popcountll(rows);
    for (size_t i = 0; i < PREFILTER_BLOCKS; i++)
        CHECK(i * 64 < to - from ? got->start[i] == 0 || (got->busy >> i & 1) != 0
                                 : (got->busy >> i & 1) == 0);
}

static size_t n_listed; /* by check_starts() */

/* Where a word begins, and rows that are a word leave something, is listed with what they leave. */
static void check_starts(const struct prefilter *f, const unsigned char *text, size_t from,
                         size_t to, size_t len, const struct prefilter_places *got)
{
    unsigned n = 0;

    for (size_t at = from; f->start_words == 1 && at < to; at++) {
        unsigned char head[BUNDLE_HEAD_BYTES] = {0};
        uint64_t left;

        memcpy(head, text + at, len - at < sizeof(head) ? len - at : sizeof(head));
        left = prefilter_starts_one(f, head, prefilter_near_at(got, (unsigned)(at - from)));
        if (left == 0 || (at > 0 && (prefilter_flags[text[at - 1]] & 1) != 0))
            continue;
        if (!CHECK(n < got->n_start && got->start_at[n] == at - from && got->start_left[n] == left))
            return;
        n++;
    }
    CHECK(f->start_words != 1 || n == got->n_start);
    n_listed += n;
}

static size_t n_wide; /* by check_wide() */

/* Where the bytes around a place leave some target of a wide window, it is listed; where rows are a word, with what they leave, and nothing else is. */
static void check_wide(const struct prefilter *f, const unsigned char *text, size_t from, size_t to,
                       size_t len, const struct prefilter_places *got)
{
    unsigned n = 0;

    for (size_t at = from; at < to; at++) {
        unsigned char copy[BUNDLE_AROUND_BYTES];
        const unsigned char *around = prefilter_around(text, at, len, copy);
        uint64_t left = 0;

        for (unsigned word = 0; word < f->wide_words && left == 0; word++)
            left = prefilter_wide_left(f, f->wide_words, word, around);
        if (left == 0)
            continue;
        while (f->wide_words > 1 && n < got->n_wide && got->wide_at[n] < at - from)
            n++;
        if (!CHECK(n < got->n_wide && got->wide_at[n] == at - from &&
                   (f->wide_words > 1 || got->wide_left[n] == left)))
            return;
        n++;
        n_wide++;
    }
    CHECK(f->wide_words > 1 || n == got->n_wide);
}

static void check_find(const struct prefilter *f, prefilter_find_fn *find,
                       const unsigned char *text, size_t len)
{
    static struct prefilter_places want, got;
    size_t from = len > 100 ? random_below(100) : 0, to = from + (len - from) / 64 / 2 * 64;
    unsigned k = 0;

    prefilter_find_scalar(f, text, from, to, len, &want);
    find(f, text, from, to, len, &got);
    check_blocks(f, text, from, to, len, &want);
    check_blocks(f, text, from, to, len, &got);
    check_starts(f, text, from, to, len, &want);
    check_starts(f, text, from, to, len, &got);
    check_wide(f, text, from, to, len, &want);
    check_wide(f, text, from, to, len, &got);
    check_bits(want.start, got.start, to - from);
    prefilter_find_scalar(f, text, from, len, len, &want);
    find(f, text, from, len, len, &got);
    check_blocks(f, text, from, len, len, &want);
    check_blocks(f, text, from, len, len, &got);
    check_starts(f, text, from, len, len, &want);
    check_starts(f, text, from, len, len, &got);
    check_wide(f, text, from, len, len, &want);
    check_wide(f, text, from, len, len, &got);
    for (unsigned i = 0; i < want.n_literal; i++) {
        unsigned place = want.literal[i] & PREFILTER_PLACE;

        if (!has_literal(f, text, from + place, len))
            continue;
        while (k < got.n_literal && (got.literal[k] & PREFILTER_PLACE) < place)
            k++;
        if (!CHECK(k < got.n_literal && (got.literal[k] & want.literal[i]) == want.literal[i]))
            return;
    }
    for (unsigned i = 0, next = 0; i < got.n_literal; i++) {
        unsigned place = got.literal[i] & PREFILTER_PLACE;

        if (!CHECK(place >= next && place < len - from && got.literal[i] != place))
            return;
        next = place + 1;
    }
    CHECK(memcmp(want.token, got.token, (len - from + 63) / 64 * 8) == 0);
    for (size_t i = 0; i < len - from; i++)
        CHECK((got.begin[i / 64] >> (i % 64) & 1) ==
              (from + i == 0 || (prefilter_flags[text[from + i - 1]] & 1) == 0));
    for (unsigned class = 1; class < 256; class *= 2) {
        size_t at = random_below((unsigned)len + 1),
               n = len - at < 64 ? len - at : random_below(64) + 1;

        if (find == prefilter_find_avx512)
            CHECK(prefilter_near_avx512(text + at, n, class) ==
                  prefilter_near_scalar(text + at, n, class));
    }
    check_bits(want.start, got.start, len - from);
}

/* Every variant says of each byte whether it is of the set, and reads none behind them. */
static void check_members(void)
{
    prefilter_members_fn *const all[] = {prefilter_members_scalar,
                                         prefilter_has_avx2() ? prefilter_members_avx2 : NULL,
                                         prefilter_has_avx512() ? prefilter_members_avx512 : NULL};

    for (unsigned round = 0; round < 20000; round++) {
        size_t n = random_below(65);
        unsigned char *p = malloc(n + 1), *text = p + 1; /* exact but for one byte in front */
        struct bundle_set set = {{0}};
        uint64_t want = 0;

        for (unsigned i = 0; i < 8; i++)
            set.w[i] = random_below(1u << 16) | random_below(1u << 16) << 16;
        for (size_t i = 0; i < n; i++) {
            text[i] = (unsigned char)random_below(256);
            want |= (uint64_t)((set.w[text[i] / 32] >> (text[i] % 32) & 1) != 0) << i;
        }
        for (unsigned k = 0; k < sizeof(all) / sizeof(all[0]); k++)
            CHECK(all[k] == NULL || all[k](&set, text, n) == want);
        free(p);
    }
}

/* The first of PREFILTER_AROUNDS targets of a window, or fewer, and how many. */
static uint32_t draw_targets(const struct prefilter *f, unsigned n_windows, unsigned *n)
{
    for (;;) {
        uint32_t window = random_below(n_windows), end = f->first_target[window + 1],
                 first = f->first_target[window];

        if (first == end)
            continue;
        first += random_below((end - first - 1) / PREFILTER_AROUNDS + 1) * PREFILTER_AROUNDS;
        *n = end - first < PREFILTER_AROUNDS ? end - first : PREFILTER_AROUNDS;
        return first;
    }
}

/* Every variant says of what is around a window what its targets do. */
static void check_fitting(const struct prefilter *f, uint32_t first, unsigned n)
{
    const uint64_t *a = f->arounds + (size_t)PREFILTER_AROUND_WORDS * first;
    uint8_t bytes[BUNDLE_AROUND_BYTES];
    uint64_t around[2], want = 0;

    memcpy(bytes, f->targets[first + random_below(n)].value, sizeof(bytes));
    for (unsigned k = random_below(3); k > 0; k--)
        bytes[random_below(BUNDLE_AROUND_BYTES)] ^= (uint8_t)(1u << random_below(8));
    memcpy(around, bytes, sizeof(around));
    for (unsigned i = 0; i < n; i++) {
        const struct bundle_target *t = &f->targets[first + i];
        bool fits = true;

        for (unsigned k = 0; k < BUNDLE_AROUND_BYTES; k++)
            fits = fits && (bytes[k] & t->mask[k]) == t->value[k];
        want |= (uint64_t)fits << i;
        CHECK(prefilter_around_fits(a, n, i, around) == fits);
    }
    CHECK(prefilter_fitting_scalar(a, n, around) == want);
    CHECK(!prefilter_has_avx512() || prefilter_fitting_avx512(a, n, around) == want);
}

/* Every variant says the same of what is around a window and of the name that it stands in, for each target of a filter. */
static void check_targets(const struct prefilter *f, unsigned n_windows)
{
    const unsigned n_targets = f->first_target[n_windows];
    unsigned n_named = 0;

    for (unsigned round = 0; round < 20000; round++) {
        unsigned n;
        uint32_t first = draw_targets(f, n_windows, &n);

        check_fitting(f, first, n);
    }
    for (unsigned round = 0; round < 20000 && prefilter_has_avx512(); round++) {
        uint32_t first = random_below(n_targets);
        unsigned n = n_targets - first < PREFILTER_AROUNDS ? n_targets - first : PREFILTER_AROUNDS;
        uint64_t want, bits = (uint64_t)random_below(1u << 31) << 32, alive;
        size_t left = random_below(300);

        n = random_below(n) + 1;
        alive = bits = bits | random_below(1u << 31);
        bits = n < 64 ? bits & ((UINT64_C(1) << n) - 1) : bits;
        want = prefilter_named_scalar(f, first, bits, alive, left);
        n_named += want != bits;
        CHECK(prefilter_named_avx512(f, first, bits, alive, left) == want);
    }
    CHECK(n_named > 100 || !prefilter_has_avx512());
}

/* Texts of these bytes, and some of any. */
static void test_filter(const struct dlp_rules *r, const char *alphabet)
{
    const unsigned n = (unsigned)strlen(alphabet);

    for (unsigned round = 0; round < 400; round++) {
        size_t len = round < 150 ? round : random_below(PREFILTER_CHUNK);
        unsigned char *text = malloc(len + 1); /* exact but for one byte in front */

        for (size_t i = 0; i < len; i++)
            text[i + 1] = (unsigned char)(round % 4 == 0 ? random_below(256)
                                                         : (unsigned)alphabet[random_below(n)]);
        if (prefilter_has_avx2())
            check_find(&r->filter, prefilter_find_avx2, text + 1, len);
        if (prefilter_has_avx512())
            check_find(&r->filter, prefilter_find_avx512, text + 1, len);
        free(text);
    }
    if (!prefilter_has_avx2())
        test_skip("no AVX2 on this machine");
    if (!prefilter_has_avx512())
        test_skip("no AVX-512 VBMI on this machine");
}

/* Rules whose starts are told by a word, and which the texts have. */
static void test_starts(void)
{
    const char *yaml = work_path("starts.yaml");
    struct dlp_rules *r;

    write_text(
        yaml,
        "- id: number-pair\n  title: A pair\n  severity: low\n  confidence: 60\n  class: pii\n  "
        "pattern: '[0-9]{1,2}-[0-9]{1,2}'\n"
        "  boundary: word\n  match: ['a 12-34 b']\n"
        "- id: number-word\n  title: A word\n  severity: low\n  confidence: 60\n  class: pii\n  "
        "pattern: '[0-9][a-z]{1,3}[:.]'\n"
        "  boundary: word\n  match: ['a 1to: b']\n");
    r = build_rules(yaml, work_path("starts.so"));
    if (r == NULL)
        return;
    n_listed = 0;
    test_filter(r, mixed);
    CHECK(n_listed > 1000);
    dlp_rules_unref(r);
    (void)unlink(work_path("starts.yaml"));
    (void)unlink(work_path("starts.so"));
}

/* Rules that n windows which are no literals lead to: an address, and numbers that go on in many ways. */
static void write_wide(const char *path, unsigned n)
{
    struct gw_buf b = {0};

    gw_buf_adds(
        &b, "- id: address\n  title: An address\n  severity: low\n  confidence: 60\n  class: pii\n"
            "  pattern: '[a-c]{1,8}@[a-c]{2}'\n  boundary: none\n  match: ['a ab@ab b']\n");
    for (unsigned i = 1; i < n; i++)
        gw_buf_printf(&b,
                      "- id: number-%u\n  title: A number\n  severity: low\n  confidence: 60\n"
                      "  class: pii\n  pattern: '[0-3]{2}[ .-][0-3][-a][0-3]{%u}'\n"
                      "  boundary: none\n  match: ['a 01-2-%0*u b']\n",
                      i, i, (int)i, 0u);
    gw_buf_addc(&b, '\0');
    write_text(path, gw_buf_ok(&b) ? b.ptr : "");
    gw_buf_fini(&b);
}

/* Wide windows whose targets are told by a word, and by two. */
static void test_wide(void)
{
    static const unsigned targets[] = {9, 70};
    const char *yaml = work_path("wide.yaml");

    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct dlp_rules *r;

        write_wide(yaml, targets[i]);
        r = build_rules(yaml, work_path("wide.so"));
        if (r == NULL)
            return;
        CHECK(r->filter.n_wide > 0 && r->filter.wide_words == i + 1);
        n_wide = 0;
        test_filter(r, "0123-@ab. ");
        CHECK(n_wide > 1000);
        dlp_rules_unref(r);
    }
    (void)unlink(work_path("wide.yaml"));
    (void)unlink(work_path("wide.so"));
}

/* Starts that nearly every word is one of keep a bucket, however cheap few wide windows would be without. */
static void test_shares(void)
{
    struct bundle_set any[1][BUNDLE_WINDOW_BYTES], rare[1][BUNDLE_WINDOW_BYTES];
    struct prefilter_quads others = {any, 1}, wide = {rare, 1};

    memset(any, 0xff, sizeof(any));
    memset(rare, 0, sizeof(rare));
    for (unsigned k = 0; k < BUNDLE_WINDOW_BYTES; k++)
        rare[0][k].w[1] = 1;
    for (wide.n = 0; wide.n < 2; wide.n++) {
        struct prefilter_shares shares = prefilter_share(&wide, &others);

        CHECK(shares.others > 0 && shares.wide <= 4);
    }
}

/* Runs of some of the bytes that tokens are made of; and every byte of a run's set is known as such. */
static void test_runs(void)
{
    const char *yaml = work_path("runs.yaml");
    struct dlp_rules *r;

    write_text(yaml,
               "- id: hex-run\n  title: A run\n  severity: low\n  confidence: 60\n  class: pii\n  "
               "pattern: '[0-9a-f]{17}'\n"
               "  boundary: word\n  match: ['a 0123456789abcdef0 b']\n"
               "- id: any-run\n  title: A run\n  severity: low\n  confidence: 60\n  class: pii\n  "
               "pattern: '[xyz]{3}[0-9A]{20,30}'\n"
               "  boundary: none\n  match: ['a xyz0123456789012345678A b']\n");
    r = build_rules(yaml, work_path("runs.so"));
    if (r == NULL)
        return;
    CHECK(r->filter.n_runs > 0 && !r->filter.run_is_token);
    for (unsigned i = 0; i < r->filter.n_runs; i++)
        for (unsigned byte = 0; byte < 256; byte++)
            CHECK(!rx_set_has(&r->b->sets[r->b->runs[r->filter.runs[i].index].set], byte) ||
                  (r->filter.flags[byte] & PREFILTER_IN_RUN) != 0);
    n_rows = 0;
    test_filter(r, "00112233445566778899aabbccddeeffg_ ");
    CHECK(n_rows > 1000);
    dlp_rules_unref(r);
    (void)unlink(work_path("runs.yaml"));
    (void)unlink(work_path("runs.so"));
}

/* Bytes that a match can begin with fit its head, and every variant says the same of others; it reads no more of them. */
static void check_heads(const struct dlp_rules *r)
{
    const struct bundle *b = r->b;
    unsigned n_fit = 0, n_others = 0;

    for (unsigned round = 0; round < 50000; round++) {
        const uint32_t pattern = random_below(b->n_patterns),
                       k = random_below(b->patterns[pattern].n_heads);
        const struct prefilter_head *h = &r->filter.heads[r->filter.first_head[pattern] + k];
        unsigned char *p = malloc(BUNDLE_HEAD_BYTES);
        uint64_t head[2];
        bool is_match = true, fits;

        for (unsigned i = 0; i < BUNDLE_HEAD_BYTES; i++) {
            const struct bundle_set *s = &b->sets[b->patterns[pattern].head[k][i]];

            p[i] = (unsigned char)random_below(256);
            for (unsigned n = random_below(200); n > 0 && !rx_set_has(s, p[i]); n--)
                p[i] = (unsigned char)(p[i] * 5 + 1); /* goes through all bytes */
            is_match = is_match && rx_set_has(s, p[i]);
        }
        memcpy(head, p, sizeof(head));
        fits = prefilter_unsaid_scalar(h, b->sets, p);
        CHECK(!is_match || (fits && prefilter_head_fits(h, head)));
        CHECK(!prefilter_has_avx512() || prefilter_unsaid_avx512(h, b->sets, p) == fits);
        n_fit += is_match;
        n_others += !fits;
        free(p);
    }
    CHECK(n_fit > 1000 && n_others > 1000);
}

int main(void)
{
    check_members();
    check_heads(dlp_rules_builtin());
    check_targets(&dlp_rules_builtin()->filter, dlp_rules_builtin()->b->n_windows);
    test_filter(dlp_rules_builtin(), mixed);
    if (have_tools()) {
        struct dlp_rules *golden = build_rules("tests/golden/rules", work_path("golden.so"));

        test_starts();
        test_wide();
        test_shares();
        test_runs();
        if (golden != NULL) {
            test_filter(golden, mixed);
            dlp_rules_unref(golden);
            (void)unlink(work_path("golden.so"));
            (void)rmdir(work_dir);
        }
    } else {
        test_skip("re2c and cc are needed to compile tests/golden/rules");
    }
    return test_done();
}
