/* engine/tokenizer_pre.c - the families of pre-tokenizers as lists of stages.
 *
 * The rules are those that the models were published with, as facts: their names, their order and their
 * character classes. Pure functions: any thread. */
#include "engine/tokenizer_pre.h"

#include "engine/tokenizer_chars.h"

enum { MAX_STAGES = 7 };

/* ---- stages that are a run of one class ------------------------------------------------------- */

typedef bool class_fn(uint32_t cp);

static bool is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= '\t' && cp <= '\r');
    return unicode_class(cp) == UNICODE_SPACE;
}

static bool is_number(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= '0' && cp <= '9';
    return unicode_class(cp) == UNICODE_N;
}

static bool is_ascii_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

static bool is_letter(uint32_t cp)
{
    enum unicode_class c = unicode_class(cp);

    return c >= UNICODE_LU && c <= UNICODE_LO;
}

static bool is_punctuation(uint32_t cp)
{
    return unicode_class(cp) == UNICODE_P;
}

/* [\p{P}$+<=>^~|] */
static bool is_mark(uint32_t cp)
{
    switch (cp) {
    case '$':
    case '+':
    case '<':
    case '=':
    case '>':
    case '^':
    case '~':
    case '|':
        return true;
    default:
        return unicode_class(cp) == UNICODE_P;
    }
}

static bool is_falcon_mark(uint32_t cp)
{
    return cp == '`' || is_mark(cp);
}

static bool is_line_end(uint32_t cp)
{
    return cp == '\r' || cp == '\n';
}

/* DeepSeek's CJK: U+0800 to U+9FA5 and U+AC00 to U+D7FF. */
static bool is_deepseek_cjk(uint32_t cp)
{
    return (cp >= 0x0800 && cp <= 0x9FA5) || (cp >= 0xAC00 && cp <= 0xD7FF);
}

/* DeepSeek-V3's: ideographs and kana. */
static bool is_deepseek3_cjk(uint32_t cp)
{
    return (cp >= 0x4E00 && cp <= 0x9FA5) || (cp >= 0x3040 && cp <= 0x30FF);
}

/* DeepSeek-LLM's punctuation: ASCII, its full-width forms, U+2018 to U+201F, U+3000 to U+3002. */
static bool is_deepseek_mark(uint32_t cp)
{
    if (cp >= 0xFF01 && cp <= 0xFF5E)
        cp -= 0xFEE0;
    return (cp >= '!' && cp <= '/') ||
           (cp >= ':' && cp <= '~' && !(cp >= 'A' && cp <= 'Z') && !(cp >= 'a' && cp <= 'z')) ||
           (cp >= 0x2018 && cp <= 0x201F) || (cp >= 0x3000 && cp <= 0x3002);
}

/* DeepSeek-LLM's letters: most of the cased ones, spelled out by its authors. */
static bool is_deepseek_letter(uint32_t cp)
{
    static const uint32_t cased[][2] = {
        {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},
        {0xD8, 0xF6},       {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},
        {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
        {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},
        {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
        {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
        {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},
        {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},
        {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
        {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
        {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
        {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
        {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},
        {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},   {0x2128, 0x2128},
        {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
        {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},
        {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},
        {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
        {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},
        {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
        {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
    };
    size_t low = 0, high = sizeof(cased) / sizeof(cased[0]);

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (cp > cased[mid][1])
            low = mid + 1;
        else if (cp < cased[mid][0])
            high = mid;
        else
            return true;
    }
    return false;
}

/* At most max characters of the class (0: any number), with one white-space character before them when
 * after_space. */
static size_t run_of(const unsigned char *p, const unsigned char *end, class_fn *in, unsigned max,
                     bool after_space, bool *hit)
{
    const unsigned char *q = p;
    uint32_t cp;
    unsigned n = 0, first = tok_char(p, end, &cp);

    if (after_space && is_space(cp) && p + first < end) {
        q += first;
        (void)tok_char(q, end, &cp);
        if (!in(cp))
            q = p;
    }
    while (q < end && (max == 0 || n < max)) {
        unsigned len = tok_char(q, end, &cp);

        if (!in(cp))
            break;
        q += len;
        n++;
    }
    *hit = n > 0;
    return n > 0 ? (size_t)(q - p) : first;
}

static size_t one_number(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_number, 1, false, hit);
}

static size_t three_numbers(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_number, 3, false, hit);
}

static size_t numbers(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_number, 0, false, hit);
}

/* [0-9][0-9][0-9]: exactly three; fewer are left to the gap. */
static size_t three_digits(const unsigned char *p, const unsigned char *end, bool *hit)
{
    size_t n = run_of(p, end, is_ascii_digit, 3, false, hit);

    *hit = *hit && n == 3;
    return n;
}

static size_t marks(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_mark, 0, false, hit);
}

static size_t falcon_marks(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_falcon_mark, 0, false, hit);
}

static size_t line_end(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_line_end, 1, false, hit);
}

static size_t letters(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_letter, 0, true, hit);
}

static size_t punctuation(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_punctuation, 0, true, hit);
}

static size_t deepseek_letters(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_deepseek_letter, 0, true, hit);
}

static size_t deepseek_marks(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_deepseek_mark, 0, true, hit);
}

static size_t deepseek_cjk(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_deepseek_cjk, 0, false, hit);
}

static size_t deepseek3_cjk(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return run_of(p, end, is_deepseek3_cjk, 0, false, hit);
}

/* \s+$: white space at the very end; another run is passed over as a whole, for linear time. */
static size_t last_space(const unsigned char *p, const unsigned char *end, bool *hit)
{
    size_t n = run_of(p, end, is_space, 0, false, hit);

    *hit = *hit && p + n == end;
    return n;
}

/* ---- families ----------------------------------------------------------------------------------- */

struct tok_pre {
    tok_stage_fn *stages[MAX_STAGES + 1]; /* NULL ends the list */
    bool whole_words, add_bos;
    const char *names; /* of tokenizer.ggml.pre, each between spaces */
};

static const struct tok_pre families[] = {
    /* The default comes first. It is what files without a name have meant. */
    {{marks, tok_scan_gpt2, numbers, three_digits}, false, false, " default "},
    {{tok_scan_llama3},
     true,
     true,
     " llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano "},
    {{tok_scan_llama3}, false, false, " dbrx smaug-bpe chatglm-bpe glm4 "},
    {{tok_scan_qwen2},
     false,
     false,
     " qwen2 deepseek-r1-qwen stablelm2 hunyuan kormo f2llmv2 solar-open megrez "},
    {{tok_scan_qwen35}, false, false, " qwen35 "},
    {{tok_scan_gpt2},
     false,
     false,
     " gpt-2 phi-2 olmo mpt jais trillion granite-docling jina-es jina-de jina-v2-es jina-v2-de "
     "gigachat roberta-bpe a.x-4.0 mellum modern-bert "},
    {{one_number, tok_scan_gpt2},
     false,
     false,
     " starcoder refact smollm command-r codeshell exaone minerva-7b "},
    {{falcon_marks, tok_scan_gpt2, three_digits}, false, false, " falcon "},
    {{line_end, deepseek_letters, deepseek_marks, last_space, deepseek_cjk, numbers},
     false,
     false,
     " deepseek-llm "},
    {{line_end, letters, punctuation, deepseek_cjk, one_number}, false, false, " deepseek-coder "},
    {{three_numbers, deepseek3_cjk, tok_scan_deepseek3}, false, false, " deepseek-v3 "},
    {{tok_scan_gpt4o}, false, false, " gpt-4o "},
    {{tok_scan_gpt4o}, true, false, " llama4 kanana2 "},
    {{tok_scan_tekken}, true, true, " tekken "},
};

const struct tok_pre *tok_pre_find(struct gw_span name, bool *known)
{
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        struct gw_span names = gw_span_str(families[i].names);

        for (size_t at = 1; at < names.len;) {
            const char *space = memchr(names.ptr + at, ' ', names.len - at);
            size_t len = (size_t)(space - (names.ptr + at));

            if (gw_span_eq((struct gw_span){names.ptr + at, len}, name)) {
                *known = true;
                return &families[i];
            }
            at += len + 1;
        }
    }
    *known = false;
    return &families[0];
}

bool tok_pre_whole_words(const struct tok_pre *pre)
{
    return pre->whole_words;
}

bool tok_pre_add_bos(const struct tok_pre *pre)
{
    return pre->add_bos;
}

/* ---- the driver --------------------------------------------------------------------------------- */

struct split {
    const struct tok_pre *pre;
    tok_word_fn *word;
    void *ctx;
};

/* Cuts [p, end) by this stage and hands each piece to the next one; depth is MAX_STAGES at most. */
static enum gw_status split_stage(const struct split *s, unsigned stage, const unsigned char *p,
                                  const unsigned char *end)
{
    tok_stage_fn *match = s->pre->stages[stage];
    const unsigned char *gap = p;

    if (p == end)
        return GW_OK;
    if (match == NULL)
        return s->word(s->ctx, (struct gw_span){(const char *)p, (size_t)(end - p)});
    while (p < end) {
        bool hit;
        size_t n = match(p, end, &hit);

        if (hit) {
            GW_TRY(split_stage(s, stage + 1, gap, p));
            GW_TRY(split_stage(s, stage + 1, p, p + n));
            gap = p + n;
        }
        p += n;
    }
    return split_stage(s, stage + 1, gap, end);
}

enum gw_status tok_pre_split(const struct tok_pre *pre, struct gw_span text, tok_word_fn *word,
                             void *ctx)
{
    struct split s = {pre, word, ctx};
    const unsigned char *p = (const unsigned char *)text.ptr;

    if (text.len == 0)
        return GW_OK;
    return split_stage(&s, 0, p, p + text.len);
}
