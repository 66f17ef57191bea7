/* engine/tokenizer_encode.c - cuts a text at its special tokens and encodes what lies between.
 *
 * The stretch between two special tokens is one text, however many parts it came in: it is gathered in a
 * buffer and encoded as a whole. Thread: any; all state is on the stack of one call. */
#include "base/buf.h"
#include "engine/tokenizer_private.h"

struct encoder {
    const struct tok *t;
    struct gw_buf run; /* text since the last special token; score merge: spaces already marked */
    bool at_start;     /* the run is empty and a prefix space is due */
    struct tok_scratch scratch;
    struct gw_buf word; /* for the look-up of whole words */
    struct tok_ids *out;
};

static enum gw_status encode_word(void *ctx, struct gw_span word)
{
    struct encoder *e = ctx;
    const struct tok *t = e->t;

    if (t->whole_words && word.len <= TOK_MAX_MERGED_BYTES / 2) {
        gw_buf_clear(&e->word);
        if (!gw_buf_reserve(&e->word, word.len * 2))
            return GW_ENOMEM;
        int32_t id =
            tok_vocab_find(t, (struct gw_span){e->word.ptr, tok_bytes_encode(word, e->word.ptr)});
        if (id != TOK_NONE)
            return tok_ids_add(e->out, id);
    }
    return tok_merge_text(t, word, &e->scratch, e->out);
}

static enum gw_status flush(struct encoder *e)
{
    enum gw_status st;

    if (!gw_buf_ok(&e->run))
        return GW_ENOMEM;
    if (e->run.len > TOK_MAX_TEXT_BYTES)
        return GW_ELIMIT;
    if (e->t->score_merge)
        st = tok_merge_text(e->t, gw_buf_span(&e->run), &e->scratch, e->out);
    else
        st = tok_pre_split(e->t->pre, gw_buf_span(&e->run), encode_word, e);
    gw_buf_clear(&e->run);
    e->at_start = true;
    return st;
}

/* Appends ordinary text to the run. */
static void add_text(struct encoder *e, struct gw_span text)
{
    if (text.len == 0)
        return;
    if (!e->t->score_merge) {
        gw_buf_add(&e->run, text);
        return;
    }
    if (e->at_start && e->t->space_prefix)
        gw_buf_adds(&e->run, "\xE2\x96\x81");
    e->at_start = false;
    while (text.len > 0) {
        const char *space = memchr(text.ptr, ' ', text.len);
        size_t n = space == NULL ? text.len : (size_t)(space - text.ptr);

        gw_buf_add(&e->run, (struct gw_span){text.ptr, n});
        if (space == NULL)
            return;
        gw_buf_adds(&e->run, "\xE2\x96\x81");
        text = gw_span_from(text, n + 1);
    }
}

static enum gw_status encode_part(struct encoder *e, const struct tok_part *part)
{
    const struct tok *t = e->t;
    struct gw_span text = part->text;
    size_t begin = 0, at = 0;

    while (at < text.len) {
        int32_t id = t->special_count[(unsigned char)text.ptr[at]] == 0
                         ? TOK_NONE
                         : tok_vocab_special(t, gw_span_from(text, at), !part->special);

        if (id == TOK_NONE) {
            at++;
            continue;
        }
        add_text(e, (struct gw_span){text.ptr + begin, at - begin});
        GW_TRY(flush(e));
        GW_TRY(tok_ids_add(e->out, id));
        at += t->entries[id].text_len;
        begin = at;
    }
    add_text(e, gw_span_from(text, begin));
    return GW_OK;
}

enum gw_status tok_encode_parts(const struct tok *t, const struct tok_part *parts, size_t n_parts,
                                struct tok_ids *out)
{
    struct encoder e = {.t = t, .at_start = true, .out = out};
    size_t before = out->n, total = 0;
    enum gw_status st = GW_OK;

    for (size_t i = 0; i < n_parts; i++) {
        if (parts[i].text.len > TOK_MAX_TEXT_BYTES - total)
            return GW_ELIMIT;
        total += parts[i].text.len;
    }
    for (size_t i = 0; i < n_parts && st == GW_OK; i++)
        st = encode_part(&e, &parts[i]);
    if (st == GW_OK)
        st = flush(&e);
    if (st != GW_OK)
        out->n = before;
    tok_scratch_fini(&e.scratch);
    gw_buf_fini(&e.run);
    gw_buf_fini(&e.word);
    return st;
}

enum gw_status tok_encode(const struct tok *t, struct gw_span text, bool special,
                          struct tok_ids *out)
{
    struct tok_part part = {text, special};

    return tok_encode_parts(t, &part, 1, out);
}
