/* dlp/doc.c - turns a body into the tape of a document (dlp.h, doc.h, doc_tape.h).
 *
 * The body is tokenized once. A string that looks like JSON is decoded and tokenized as soon as it is met, and so are strings in
 * there: a list of texts, no recursion. All of them are in one buffer, since what is in a string is decoded onto it. A string that
 * only looks like JSON, or exceeds a limit inside, stays the plain string leaf that it is anyway. */
#include "dlp/doc.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dlp/doc_tape.h"

enum { DEFAULT_LEAVES = 200000, DEFAULT_DEPTH = 64 };

/* A text that is being tokenized. */
struct text {
    struct gw_json *json;
    struct gw_span span;
    uint32_t read, body; /* the same place in the span and in the body */
    unsigned box;        /* its own */
    uint16_t used;       /* of the page, behind its string */
    uint64_t text_bytes; /* of the document, before */
};

struct builder {
    struct text texts[DLP_MAX_NESTING + 1];
    unsigned level;   /* of the text that is being tokenized */
    uint32_t n_outer; /* leaves of the body itself */
    unsigned max_leaves, min_number;
    struct gw_json_limits inner;
    struct gw_buf decoded; /* of the string in the body that is being tokenized */
    struct dlp_writer w;
};

/* Makes it ready, but for the boxes: they are most of it, and few are ever used. */
static void start_builder(struct builder *b, struct dlp_doc *doc, unsigned max_leaves)
{
    memset(b, 0, offsetof(struct builder, w.few));
    b->w.doc = doc;
    b->max_leaves = max_leaves;
    b->w.boxes = b->w.few;
    b->w.cap_boxes = DLP_FEW_BOXES;
}

/* ---- places in the body ------------------------------------------------------------------ */

/* The place in the body of the place in the text, which is not before the last one that was asked for. *escaped is set when there is
 * a backslash in between. */
static uint32_t to_body(struct builder *b, size_t off, bool *escaped)
{
    struct text *t = &b->texts[b->level];
    const char *body = b->w.doc->body.ptr;

    if (b->level == 0)
        return (uint32_t)off;
    while (t->read < off) {
        size_t n = dlp_map_plain(body + t->body, off - t->read);
        const char *p = body + t->body + n;
        char out[4];

        t->read += (uint32_t)n;
        if (t->read < off) {
            *escaped = true;
            t->read += dlp_map_step(&p, b->level, out);
        }
        t->body = (uint32_t)(p - body);
    }
    return t->body;
}

/* ---- leaves ------------------------------------------------------------------------------ */

/* A token and its place. */
struct place {
    const struct gw_json_tok *tok;
    uint32_t start, end;
    bool escaped;
};

static struct place place_of(struct builder *b, const struct gw_json_tok *tok)
{
    size_t at = (size_t)(tok->raw.ptr - b->texts[b->level].span.ptr);
    bool escaped = false;
    uint32_t start = to_body(b, at, &escaped), end;

    escaped = b->level == 0 && tok->escaped;
    end = to_body(b, at + tok->raw.len, &escaped);
    return (struct place){.tok = tok, .start = start, .end = end, .escaped = escaped};
}

static unsigned put_number(uint8_t *out, uint32_t n)
{
    unsigned len = 0;

    for (; n >= 0x80; n >>= 7)
        out[len++] = (uint8_t)(n | 0x80);
    out[len++] = (uint8_t)n;
    return len;
}

static enum gw_status no_memory(const struct builder *b, struct gw_err *err)
{
    return gw_fail(err, GW_ENOMEM, "out of memory for a body of %zu bytes", b->w.doc->body.len);
}

static enum gw_status add_leaf(struct builder *b, enum dlp_op kind, const struct place *p,
                               struct gw_err *err)
{
    uint32_t gap = p->start - b->w.at, len = p->end - p->start;
    uint32_t least = gap < DLP_OP_GAP_MOST ? gap : DLP_OP_GAP_MOST;
    uint8_t op[DLP_OP_BYTES];
    unsigned n = 1;

    if ((b->level == 0 ? b->n_outer : b->w.n_leaves) >= b->max_leaves)
        return gw_fail(err, GW_ELIMIT, "JSON: more than %u strings, keys and numbers",
                       b->max_leaves);
    op[0] =
        (uint8_t)((unsigned)kind | (p->escaped ? DLP_OP_ESCAPED : 0) | least << DLP_OP_GAP_SHIFT);
    if (least == DLP_OP_GAP_MOST)
        n += put_number(op + n, gap);
    n += put_number(op + n, len);
    if (!dlp_write(&b->w, op, n))
        return no_memory(b, err);
    b->w.at = p->end;
    b->w.n_leaves++;
    b->n_outer += b->level == 0;
    if (kind != DLP_OP_NUMBER || len >= DLP_NUMBER_MIN)
        b->w.doc->text_bytes += len;
    return GW_OK;
}

/* Whether a token says the word. */
static bool says(const struct gw_json_tok *tok, const char *word)
{
    enum { LONGEST = 9 * 6 };
    char out[LONGEST] = {0};
    struct gw_span said = {out, 0};

    if (!tok->escaped)
        return gw_span_is(tok->raw, word);
    if (tok->raw.len > LONGEST)
        return false;
    said.len = dlp_map_unescape(tok->raw, out);
    return gw_span_is(said, word);
}

static enum gw_status add_key(struct builder *b, const struct gw_json_tok *tok, struct gw_err *err)
{
    struct dlp_open_box *box = &b->w.boxes[b->w.depth];
    struct place p = place_of(b, tok);

    GW_TRY(add_leaf(b, DLP_OP_KEY, &p, err));
    box->at = p.start;
    box->len = p.end - p.start;
    box->escaped = p.escaped;
    box->is_role = says(tok, "role");
    return GW_OK;
}

/* Notes who speaks in the innermost object. */
static void note_role(struct builder *b, const struct gw_json_tok *tok)
{
    static const char *const names[DLP_ROLES] = {[1] = "user",   [2] = "assistant", [3] = "model",
                                                 [4] = "system", [5] = "developer", [6] = "tool"};
    struct dlp_open_box *box = &b->w.boxes[b->w.depth];

    if (box->kind != DLP_BOX_OBJECT || !box->is_role)
        return;
    for (unsigned k = 1; k < DLP_ROLES; k++)
        if (says(tok, names[k])) {
            *box->op = (uint8_t)(DLP_OP_OBJECT | k << DLP_OP_SHIFT);
            b->w.doc->n_role[k]++;
        }
}

/* ---- JSON inside strings ----------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool looks_like_json(struct gw_span s)
{
    while (s.len != 0 && is_space(s.ptr[0]))
        s = gw_span_from(s, 1);
    while (s.len != 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s.len > 2 && ((s.ptr[0] == '{' && s.ptr[s.len - 1] == '}') ||
                         (s.ptr[0] == '[' && s.ptr[s.len - 1] == ']'));
}

/* Whether the first character that says something opens a container: without it there is no need to decode. */
static bool may_be_json(const struct gw_json_tok *tok)
{
    const char *p = tok->raw.ptr, *end = p + tok->raw.len;

    while (p < end) {
        char c[4] = {*p};

        if (*p == '\\')
            (void)gw_json_unescape(&p, c);
        else
            p++;
        if (!is_space(c[0]))
            return c[0] == '{' || c[0] == '[';
    }
    return false;
}

/* What the string says, in the buffer when it is escaped. {NULL, 0} with a non-empty string: out of memory. */
static struct gw_span decode(struct builder *b, const struct gw_json_tok *tok)
{
    struct gw_span raw = tok->raw;
    char *to;

    if (!tok->escaped)
        return raw;
    if (b->level == 0) {
        gw_buf_clear(&b->decoded);
        if (!gw_buf_reserve_exact(&b->decoded, raw.len))
            return (struct gw_span){NULL, 0};
        b->decoded.len = raw.len; /* all of it is wiped */
        to = b->decoded.ptr;
    } else { /* a text in which something is escaped is in the buffer, and what was tokenized is of no use there */
        to = b->decoded.ptr + (raw.ptr - b->decoded.ptr);
    }
    return (struct gw_span){to, dlp_map_unescape(raw, to)};
}

/* Opens a string that is JSON, whose leaf was just appended. Duplicate keys are no reason to look away here: nobody says that the
 * reader at the other end refuses them. *opened: it is one, its tokens come next. */
static enum gw_status open_text(struct builder *b, const struct place *p, bool *opened,
                                struct gw_err *err)
{
    struct gw_span span;
    struct text *t;
    struct dlp_open_box box = {.kind = DLP_BOX_TEXT,
                               .at = b->w.n_leaves - 1,
                               .len = p->end,
                               .state = DLP_NO_STATE,
                               .op = b->w.last,
                               .page = b->w.doc->n_pages - 1,
                               .first_leaf = b->w.n_leaves};

    *opened = false;
    if (b->level == DLP_MAX_NESTING || !may_be_json(p->tok))
        return GW_OK;
    span = decode(b, p->tok);
    if (span.ptr == NULL)
        return no_memory(b, err);
    if (!looks_like_json(span))
        return GW_OK;
    t = &b->texts[++b->level];
    if (t->json == NULL)
        t->json = gw_json_new();
    if (t->json == NULL || !dlp_write_box(&b->w, &box))
        return no_memory(b, err);
    t->span = span;
    t->read = 0;
    t->body = b->w.at = p->start;
    t->box = b->w.depth;
    t->used = b->w.doc->pages[box.page]->used;
    t->text_bytes = b->w.doc->text_bytes;
    b->w.last = NULL;
    gw_json_start(t->json, span, &b->inner);
    *opened = true;
    return GW_OK;
}

/* The innermost text has ended, or turns out to be none of JSON: then nothing of it stays. */
static bool close_text(struct builder *b, bool is_json)
{
    const struct text *t = &b->texts[b->level--];
    const struct dlp_open_box *box = &b->w.boxes[t->box];

    b->w.at = box->len;
    if (is_json && b->w.n_leaves != box->first_leaf) {
        if (!dlp_write_count(&b->w, DLP_OP_CLOSE))
            return false;
        *box->op |= DLP_OP_OPENED;
    } else {
        b->w.depth = t->box;
        dlp_write_rewind(&b->w, box->page, t->used);
        b->w.n_leaves = box->first_leaf;
        b->w.doc->text_bytes = t->text_bytes;
        b->w.last = NULL;
    }
    b->w.depth = t->box - 1;
    b->w.boxes[b->w.depth].state = DLP_NO_STATE;
    return dlp_write_value_done(&b->w, false);
}

/* ---- tokens ------------------------------------------------------------------------------ */

static enum gw_status add_string(struct builder *b, const struct gw_json_tok *tok,
                                 struct gw_err *err)
{
    struct place p = place_of(b, tok);
    bool opened;

    GW_TRY(add_leaf(b, DLP_OP_STRING, &p, err));
    note_role(b, tok);
    GW_TRY(open_text(b, &p, &opened, err));
    return opened || dlp_write_value_done(&b->w, false) ? GW_OK : no_memory(b, err);
}

static enum gw_status add_number(struct builder *b, const struct gw_json_tok *tok,
                                 struct gw_err *err)
{
    bool skipped = tok->raw.len < b->min_number;
    struct place p;

    if (!skipped) {
        p = place_of(b, tok);
        GW_TRY(add_leaf(b, DLP_OP_NUMBER, &p, err));
    }
    return dlp_write_value_done(&b->w, skipped) ? GW_OK : no_memory(b, err);
}

static enum gw_status take_token(struct builder *b, const struct gw_json_tok *tok,
                                 struct gw_err *err)
{
    bool ok = true;

    switch (tok->type) {
    case GW_JSON_OBJECT_BEGIN:
    case GW_JSON_ARRAY_BEGIN:
        ok = dlp_write_open(&b->w,
                            tok->type == GW_JSON_OBJECT_BEGIN ? DLP_BOX_OBJECT : DLP_BOX_ARRAY);
        break;
    case GW_JSON_OBJECT_END:
    case GW_JSON_ARRAY_END:
        ok = dlp_write_close(&b->w);
        break;
    case GW_JSON_KEY:
        return add_key(b, tok, err);
    case GW_JSON_NUMBER:
        return add_number(b, tok, err);
    case GW_JSON_STRING:
        return add_string(b, tok, err);
    case GW_JSON_TRUE:
    case GW_JSON_FALSE:
    case GW_JSON_NULL:
    case GW_JSON_END:
    case GW_JSON_ERROR:
        ok = dlp_write_value_done(&b->w, true);
        break;
    }
    return ok ? GW_OK : no_memory(b, err);
}

/* Tokenizes the body and all strings in it. All attempts of one level together read at most the body's length, so the work is
 * bounded by DLP_MAX_NESTING times that. */
static enum gw_status take_all(struct builder *b, struct gw_err *err)
{
    for (;;) {
        struct text *t = &b->texts[b->level];
        struct gw_json_tok tok;
        enum gw_status st = GW_OK;

        gw_json_next(t->json, &tok);
        if (tok.type == GW_JSON_END && b->level == 0)
            return GW_OK;
        if (tok.type == GW_JSON_ERROR)
            st = gw_json_error(t->json, b->level == 0 ? err : NULL);
        else if (tok.type != GW_JSON_END)
            st = take_token(b, &tok, err);
        if (st == GW_OK && tok.type != GW_JSON_END)
            continue;
        if (st == GW_ENOMEM || b->level == 0)
            return st;
        if (!close_text(b, st == GW_OK))
            return no_memory(b, err);
    }
}

/* ---- the public calls -------------------------------------------------------------------- */

static struct dlp_doc *new_doc(struct gw_arena *arena, struct gw_span body)
{
    struct dlp_doc *doc = gw_arena_alloc(arena, sizeof(*doc));

    if (doc == NULL)
        return NULL;
    doc->arena = arena;
    doc->body = body.ptr == NULL ? GW_SPAN("") : body;
    doc->kept = dlp_kept_new(arena);
    return doc->kept == NULL ? NULL : doc;
}

static enum gw_status build(struct builder *b, struct gw_err *err)
{
    struct gw_json_limits outer = b->inner;
    enum gw_status st;

    b->inner.max_keys = b->max_leaves;
    b->inner.allow_duplicate_keys = true;
    b->w.few[0] = (struct dlp_open_box){.kind = DLP_BOX_TEXT,
                                        .at = DLP_NONE,
                                        .len = (uint32_t)b->w.doc->body.len,
                                        .state = DLP_NO_STATE};
    b->texts[0] = (struct text){.json = gw_json_new(), .span = b->w.doc->body};
    if (b->texts[0].json == NULL || !dlp_write_page(&b->w)) {
        st = no_memory(b, err);
    } else {
        gw_json_start(b->texts[0].json, b->w.doc->body, &outer);
        st = take_all(b, err);
    }
    b->w.doc->first_joined = b->w.n_leaves;
    for (unsigned i = 0; i <= DLP_MAX_NESTING; i++)
        gw_json_free(b->texts[i].json);
    if (b->w.boxes != b->w.few)
        free(b->w.boxes); /* offsets only */
    gw_buf_fini(&b->decoded);
    return st;
}

enum gw_status dlp_doc_parse(struct gw_arena *arena, struct gw_span body,
                             const struct dlp_parse *how, struct dlp_doc **out, struct gw_err *err)
{
    const struct dlp_doc_limits *limits = how->limits;
    struct builder b;

    start_builder(&b, new_doc(arena, body), DEFAULT_LEAVES);
    if (body.len >= UINT32_MAX)
        return gw_fail(err, GW_ELIMIT, "a body of %zu bytes is too long to scan (4 GiB)", body.len);
    if (b.w.doc == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a body of %zu bytes", body.len);
    b.inner.allow_duplicate_keys = how->allow_duplicate_keys;
    if (limits != NULL) {
        b.inner.max_depth = limits->max_depth;
        b.inner.max_keys = limits->max_keys;
        b.min_number = limits->min_number;
        if (limits->max_leaves != 0)
            b.max_leaves = limits->max_leaves;
    }
    if (b.inner.max_depth == 0)
        b.inner.max_depth = DEFAULT_DEPTH;
    GW_TRY(build(&b, err));
    *out = b.w.doc;
    return GW_OK;
}

enum gw_status dlp_doc_parse_json(struct gw_arena *arena, struct gw_span body,
                                  const struct dlp_doc_limits *limits, struct dlp_doc **out,
                                  struct gw_err *err)
{
    return dlp_doc_parse(arena, body, &(struct dlp_parse){.limits = limits}, out, err);
}

enum gw_status dlp_doc_parse_answer(struct gw_arena *arena, struct gw_span body,
                                    struct dlp_doc **out)
{
    const struct dlp_doc_limits limits = {.max_keys = 1000000, .max_leaves = 1000000};

    return dlp_doc_parse(arena, body,
                         &(struct dlp_parse){.limits = &limits, .allow_duplicate_keys = true}, out,
                         NULL);
}

enum gw_status dlp_doc_parse_text(struct gw_arena *arena, struct gw_span text, struct dlp_doc **out)
{
    const struct gw_json_tok tok = {.raw = text};
    struct builder b;
    struct place p = {.tok = &tok, .end = (uint32_t)text.len};

    start_builder(&b, new_doc(arena, text), 1);
    if (b.w.doc == NULL || text.len >= UINT32_MAX)
        return GW_ENOMEM;
    b.w.few[0] = (struct dlp_open_box){
        .kind = DLP_BOX_TEXT, .at = DLP_NONE, .len = (uint32_t)text.len, .state = DLP_NO_STATE};
    if (!dlp_write_page(&b.w))
        return GW_ENOMEM;
    GW_TRY(add_leaf(&b, DLP_OP_STRING, &p, NULL));
    b.w.doc->is_text = true;
    b.w.doc->first_joined = 1;
    *out = b.w.doc;
    return GW_OK;
}
