/* dlp/doc_join.c - JOINED leaves (doc.h), while a cursor goes along the tape.
 *
 * String leaves of one class of paths are a chain, in the order of the document, and so are those of a class that one speaker says.
 * The surroundings of each cut between two of a chain are joined. A chain's text is told as soon as it ends, and when it gets long:
 * then its end stays, for what goes over that place. The first leaf of a chain is looked up again when a second one comes, unless
 * it is long, since many classes have but one. When chains take more than a part of the body all are told and given up: of each the last
 * leaf is known, which is looked up again when another one comes. Work is linear in the document. */
#include <stdlib.h>
#include <string.h>

#include "dlp/doc.h"

enum {
    WINDOW_BYTES = 16 << 10, /* a text that is joined is told at this length */
    WINDOW_PARTS = 1024,     /* or when it has so many parts */
    OVERLAP_BYTES = 4 << 10, /* of its end stay: what patterns reach */
    OVERLAP_PARTS = 512,
    CHAIN_BYTES = 256,      /* what a short chain takes, roughly */
    LEAST_CHAINS = 1 << 10, /* are kept, however short the body is */
    TAG_BITS = 35,
    AT_MOST = (1 << 28) - 1,
};

/* The slices of one chain, until they are told. */
struct chain {
    struct dlp_part *parts;
    uint32_t n_parts, cap_parts;
    uint32_t known; /* bytes in front that were told with others */
    uint32_t last;  /* leaf */
    uint64_t tag;   /* of its entry */
    struct gw_buf text;
    struct gw_span key; /* in the body or in the arena */
};

/* A class of paths, or one and a speaker. A body may have one for each ten of its bytes, so of its number there are 35 bits: two of
 * 20,000 are the same in one of 170 such bodies, in none that somebody can choose, and then are joined as one. */
struct entry {
    uint64_t tag : 35; /* 0: free */
    uint64_t is_chain : 1;
    uint64_t
        at : 28; /* index of the chain; or the leaf: the only one so far, or the last one of a chain that was given up */
};

struct dlp_joiner {
    const struct dlp_doc *doc;
    dlp_join_fn fn;
    void *ctx;
    struct entry *entries; /* ascending by tag, none in front of its home */
    size_t n_entries, n_homes, room;
    struct chain *chains;
    uint32_t n_chains, cap_chains, most_chains;
    struct dlp_cursor *back; /* for the first leaves of chains; NULL: not needed yet */
    bool speakers;           /* there are at least two */
};

struct dlp_joiner *dlp_joiner_new(const struct dlp_doc *doc, dlp_join_fn fn, void *ctx)
{
    struct dlp_joiner *j = malloc(sizeof(*j));
    unsigned n = 0;

    if (j == NULL)
        return NULL;
    *j = (struct dlp_joiner){.doc = doc, .fn = fn, .ctx = ctx};
    for (unsigned k = 1; k < DLP_ROLES; k++)
        n += doc->n_role[k] > 0;
    j->speakers = n >= 2;
    j->most_chains = (uint32_t)(doc->body.len / CHAIN_BYTES / 4);
    if (j->most_chains < LEAST_CHAINS)
        j->most_chains = LEAST_CHAINS;
    return j;
}

static void drop_chains(struct dlp_joiner *j)
{
    for (uint32_t i = 0; i < j->n_chains; i++) {
        free(j->chains[i].parts); /* offsets only */
        gw_buf_fini(&j->chains[i].text);
    }
    j->n_chains = 0;
}

void dlp_joiner_free(struct dlp_joiner *j)
{
    if (j == NULL)
        return;
    drop_chains(j);
    free(j->chains); /* spans only */
    free(j->entries);
    if (j->back != NULL)
        dlp_cursor_fini(j->back);
    free(j->back);
    free(j); /* what held text is wiped */
}

/* ---- chains ------------------------------------------------------------------------------ */

/* The home of a tag ascends with it. */
static size_t home_of(const struct dlp_joiner *j, uint64_t tag)
{
    return (size_t)(tag * j->n_homes >> TAG_BITS);
}

/* Where the tag's entry is, or belongs; room: behind all. */
static size_t slot_of(const struct dlp_joiner *j, uint64_t tag)
{
    size_t i = home_of(j, tag);

    while (i < j->room && j->entries[i].tag != 0 && j->entries[i].tag < tag)
        i++;
    return i;
}

/* Puts all entries at the end, and then as near to their homes as they can be. False: not all have a place. */
static bool spread(struct dlp_joiner *j, size_t n_old)
{
    size_t packed = j->room, next = 0;

    for (size_t i = n_old; i-- > 0;)
        if (j->entries[i].tag != 0) {
            struct entry e = j->entries[i];

            j->entries[i] = (struct entry){.tag = 0};
            j->entries[--packed] = e;
        }
    for (; packed < j->room; packed++) {
        struct entry e = j->entries[packed];
        size_t home = home_of(j, e.tag);

        next = next > home ? next : home;
        if (next > packed)
            return false;
        j->entries[packed] = (struct entry){.tag = 0};
        j->entries[next++] = e;
    }
    return true;
}

/* Makes the table larger where it stands. False: out of memory. */
static bool grow_entries(struct dlp_joiner *j)
{
    enum { FIRST = 16, LARGE = 4096, SLACK = 64 };

    do {
        size_t n = j->n_homes == 0      ? FIRST
                   : j->n_homes < LARGE ? j->n_homes * 2
                                        : j->n_homes + j->n_homes / 4,
               room = n + n / 16 + (n < LARGE ? FIRST : SLACK), n_old = j->room;
        struct entry *more = realloc(j->entries, room * sizeof(*more));

        if (more == NULL)
            return false;
        memset(more + n_old, 0, (room - n_old) * sizeof(*more));
        j->entries = more;
        j->n_homes = n;
        j->room = room;
        if (spread(j, n_old))
            return true;
    } while (true);
}

/* The entry of the tag; *made: it is new. NULL: out of memory. */
static struct entry *take_entry(struct dlp_joiner *j, uint64_t tag, bool *made)
{
    size_t i, end;

    if (j->n_entries + 1 > j->n_homes - j->n_homes / 8 && !grow_entries(j))
        return NULL;
    for (;;) {
        i = end = slot_of(j, tag);
        *made = i == j->room || j->entries[i].tag != tag;
        if (!*made)
            return &j->entries[i];
        while (end < j->room && j->entries[end].tag != 0)
            end++;
        if (end < j->room)
            break;
        if (!grow_entries(j))
            return NULL;
    }
    memmove(j->entries + i + 1, j->entries + i, (end - i) * sizeof(*j->entries));
    j->entries[i] = (struct entry){.tag = tag & UINT64_MAX >> (64 - TAG_BITS)};
    j->n_entries++;
    return &j->entries[i];
}

static struct chain *add_chain(struct dlp_joiner *j, struct entry *e)
{
    enum { FIRST = 4 };

    if (j->n_chains == j->cap_chains) {
        uint32_t cap = j->cap_chains == 0 ? FIRST : j->cap_chains + j->cap_chains / 2;
        struct chain *more = realloc(j->chains, cap * sizeof(*more));

        if (more == NULL)
            return NULL;
        j->chains = more;
        j->cap_chains = cap;
    }
    j->chains[j->n_chains] = (struct chain){.last = DLP_NONE, .tag = e->tag};
    e->is_chain = true;
    e->at = j->n_chains & AT_MOST;
    return &j->chains[j->n_chains++];
}

static bool is_tail_byte(char c)
{
    return ((unsigned char)c & 0xC0) == 0x80;
}

static bool add_part(struct chain *ch, uint32_t leaf, struct gw_span text, size_t start, size_t end)
{
    enum { SHORT = 15 };

    if (ch->n_parts == ch->cap_parts) {
        uint32_t cap = ch->cap_parts == 0 ? 2 : ch->cap_parts + ch->cap_parts / 2;
        struct dlp_part *more = realloc(ch->parts, cap * sizeof(*more));

        if (more == NULL)
            return false;
        ch->parts = more;
        ch->cap_parts = cap;
    }
    ch->parts[ch->n_parts++] = (struct dlp_part){.leaf = leaf,
                                                 .start = (uint32_t)start,
                                                 .at = (uint32_t)ch->text.len,
                                                 .len = (uint32_t)(end - start)};
    /* Many have but two short ones. */
    if (ch->text.cap == 0)
        (void)gw_buf_reserve_exact(&ch->text, end - start < SHORT ? SHORT : 2 * (end - start));
    gw_buf_add(&ch->text, (struct gw_span){text.ptr + start, end - start});
    return gw_buf_ok(&ch->text);
}

/* Tells what there is of the chain. */
static enum gw_status tell(struct dlp_joiner *j, const struct chain *ch)
{
    const struct dlp_joined joined = {.text = gw_buf_span(&ch->text),
                                      .key = ch->key,
                                      .parts = ch->parts,
                                      .n_parts = ch->n_parts,
                                      .known = ch->known};

    if (ch->n_parts < 2 || ch->text.len < DLP_JOIN_MIN || ch->known == ch->text.len)
        return GW_OK;
    return j->fn(j->ctx, &joined);
}

/* Tells it, and begins anew. */
static enum gw_status flush(struct dlp_joiner *j, struct chain *ch)
{
    enum gw_status st = tell(j, ch);

    ch->n_parts = 0;
    ch->known = 0;
    gw_buf_clear(&ch->text);
    return st;
}

/* Tells a chain that has become long, and keeps its end. */
static enum gw_status flush_window(struct dlp_joiner *j, struct chain *ch)
{
    uint32_t first = ch->n_parts, at;

    if (ch->n_parts < WINDOW_PARTS && ch->text.len < WINDOW_BYTES)
        return GW_OK;
    GW_TRY(tell(j, ch));
    while (first > 1 && ch->n_parts - first < OVERLAP_PARTS &&
           ch->text.len - ch->parts[first - 1].at < OVERLAP_BYTES)
        first--;
    at = ch->parts[first].at;
    ch->n_parts -= first;
    memmove(ch->parts, ch->parts + first, ch->n_parts * sizeof(*ch->parts));
    for (uint32_t i = 0; i < ch->n_parts; i++)
        ch->parts[i].at -= at;
    gw_buf_drop(&ch->text, at);
    ch->known = (uint32_t)ch->text.len;
    return GW_OK;
}

/* Puts a leaf behind the others of the chain. */
static enum gw_status add_to(struct dlp_joiner *j, struct chain *ch, uint32_t leaf,
                             struct gw_span t, size_t reach)
{
    size_t head = reach, tail;

    ch->last = leaf;
    if (t.len <= 2 * reach)
        return add_part(ch, leaf, t, 0, t.len) ? flush_window(j, ch) : GW_ENOMEM;
    /* Only the two ends of a long text, cut between characters. */
    tail = t.len - reach;
    while (is_tail_byte(t.ptr[head]))
        head--;
    while (is_tail_byte(t.ptr[tail]))
        tail++;
    if (ch->n_parts != 0 && !add_part(ch, leaf, t, 0, head))
        return GW_ENOMEM;
    GW_TRY(flush(j, ch));
    return add_part(ch, leaf, t, tail, t.len) ? GW_OK : GW_ENOMEM;
}

/* The text of the first leaf of a chain again. */
static enum gw_status add_first(struct dlp_joiner *j, struct chain *ch, uint32_t leaf, size_t reach)
{
    struct dlp_leaf l;

    if (j->back == NULL) {
        struct dlp_cursor *back = malloc(sizeof(*back));

        if (back == NULL || !dlp_cursor_init(back, j->doc, false)) {
            free(back); /* it has read nothing */
            return GW_ENOMEM;
        }
        j->back = back;
    }
    dlp_cursor_seek(j->back, leaf);
    return dlp_cursor_leaf(j->back, &l) ? add_to(j, ch, leaf, l.text, reach) : GW_ENOMEM;
}

/* Tells all chains and gives them up. */
static enum gw_status give_up(struct dlp_joiner *j)
{
    GW_TRY(dlp_joiner_end(j));
    for (uint32_t i = 0; i < j->n_chains; i++) {
        struct entry *e = &j->entries[slot_of(j, j->chains[i].tag)];

        e->is_chain = false;
        e->at = j->chains[i].last & AT_MOST;
    }
    drop_chains(j);
    return GW_OK;
}

/* Begins the chain, to which a leaf of that key comes: with the leaf before it; DLP_NONE: there is none. */
static enum gw_status begin_chain(struct dlp_joiner *j, struct chain *ch,
                                  const struct dlp_cursor *c, struct gw_span key, uint32_t before,
                                  size_t reach)
{
    ch->key = key;
    if (key.ptr == c->name.ptr && key.len != 0)
        ch->key = gw_arena_copy(j->doc->arena, key);
    if (ch->key.ptr == NULL && key.len != 0)
        return GW_ENOMEM;
    return before == DLP_NONE ? GW_OK : add_first(j, ch, before, reach);
}

/* Takes the leaf into the chain of that name. *before: the one before it in there. known: the one before it in a chain that is told
 * already, with which it is no neighbour here; DLP_NONE. */
static enum gw_status take(struct dlp_joiner *j, uint64_t id, const struct dlp_cursor *c,
                           const struct dlp_leaf *leaf, size_t reach, uint32_t known,
                           uint32_t *before)
{
    struct entry *e;
    struct chain *ch;
    uint64_t tag = id >> (64 - TAG_BITS);
    uint32_t first;
    bool made;

    if (c->leaf > AT_MOST)
        return GW_ELIMIT;
    if (j->n_chains >= j->most_chains)
        GW_TRY(give_up(j));
    e = take_entry(j, tag == 0 ? 1 : tag, &made);
    if (e == NULL)
        return GW_ENOMEM;
    *before = DLP_NONE;
    if (made) {
        e->at = c->leaf & AT_MOST;
        if (leaf->text.len <= 2 * reach)
            return GW_OK;
    }
    first = made ? DLP_NONE : e->at;
    ch = e->is_chain ? &j->chains[e->at] : add_chain(j, e);
    if (ch == NULL)
        return GW_ENOMEM;
    if (ch->last == DLP_NONE)
        GW_TRY(begin_chain(j, ch, c, leaf->key, first, reach));
    *before = ch->last;
    if (known != DLP_NONE && known == ch->last)
        GW_TRY(flush(j, ch));
    return add_to(j, ch, c->leaf, leaf->text, reach);
}

enum gw_status dlp_joiner_add(struct dlp_joiner *j, struct dlp_cursor *c,
                              const struct dlp_leaf *leaf)
{
    uint64_t class_;
    unsigned role;
    uint32_t before;

    if (leaf->kind != DLP_LEAF_STRING || leaf->text.len == 0)
        return GW_OK;
    class_ = dlp_cursor_class(c);
    if (class_ == 0)
        return GW_OK;
    GW_TRY(take(j, class_, c, leaf, DLP_JOIN_REACH, DLP_NONE, &before));
    role = j->speakers ? dlp_cursor_role(c) : 0;
    if (role == 0 || j->doc->n_role[role] < 2)
        return GW_OK;
    class_ += role * UINT64_C(0x9E3779B97F4A7C15);
    return take(j, class_, c, leaf, DLP_JOIN_TURNS, before, &before);
}

enum gw_status dlp_joiner_end(struct dlp_joiner *j)
{
    for (uint32_t i = 0; i < j->n_chains; i++)
        GW_TRY(flush(j, &j->chains[i]));
    return GW_OK;
}
