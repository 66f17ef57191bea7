/* base/yaml.c - libyaml's events as a tree with lines.
 *
 * Owns: the only use of libyaml. All nodes and texts of a document lie in its arena; the parser's own
 * events are freed one by one. The tree is built with an explicit parent pointer, so hostile nesting
 * costs no stack; every limit is checked before memory is taken. One thread at a time. */
#include "base/yaml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/arena.h"

enum {
    MAX_TEXT_BYTES = 4 << 20,
    MAX_DEPTH = 64,
    MAX_NODES = 250000,
    MAX_ARENA_BYTES = 96 << 20, /* MAX_NODES nodes and twice the text */
    MAX_PATH_BYTES = 160,
};

struct gw_yaml {
    struct gw_arena *arena;
    struct gw_span name;
    struct gw_yaml_node *root;
    unsigned n_nodes;
};

/* What stands between two events. */
struct builder {
    struct gw_yaml *y;
    struct gw_yaml_node *open; /* innermost container, or NULL */
    struct gw_yaml_node *last; /* last child of `open`, or NULL */
    unsigned depth;            /* open containers */
    bool have_key;             /* inside a mapping: the key was read, its value comes next */
    struct gw_span key;
    unsigned key_line, key_column;
    unsigned n_documents;
    struct gw_err *err;
};

/* A mark counts from 0; a line beyond what unsigned holds cannot occur in MAX_TEXT_BYTES. */
static unsigned line_of(const yaml_mark_t *mark)
{
    return (unsigned)mark->line + 1;
}

static enum gw_status fail_at(const struct builder *b, const yaml_mark_t *mark, enum gw_status code,
                              const char *what)
{
    return gw_fail(b->err, code, "%s:%u:%u: %s", b->y->name.ptr, line_of(mark),
                   (unsigned)mark->column + 1, what);
}

/* ---- building ---------------------------------------------------------------------------- */

/* Appends a node to the open container, or makes it the root. */
static enum gw_status add_node(struct builder *b, enum gw_yaml_kind kind, const yaml_mark_t *mark,
                               struct gw_yaml_node **out)
{
    struct gw_yaml *y = b->y;
    struct gw_yaml_node *node;

    if (y->n_nodes == MAX_NODES)
        return fail_at(b, mark, GW_ELIMIT, "more than 250,000 values");
    node = gw_arena_alloc(y->arena, sizeof(*node));
    if (node == NULL)
        return gw_fail(b->err, GW_ENOMEM, "%s: out of memory", y->name.ptr);
    y->n_nodes++;
    node->kind = kind;
    node->line = node->key_line = line_of(mark);
    node->column = node->key_column = (unsigned)mark->column + 1;
    node->parent = b->open;
    if (b->have_key) {
        node->key = b->key;
        node->key_line = b->key_line;
        node->key_column = b->key_column;
        b->have_key = false;
    }
    if (b->open == NULL) {
        y->root = node;
    } else {
        if (b->last == NULL)
            b->open->first_child = node;
        else
            b->last->next = node;
        b->open->n_children++;
        b->last = node;
    }
    *out = node;
    return GW_OK;
}

static bool wants_key(const struct builder *b)
{
    return b->open != NULL && b->open->kind == GW_YAML_MAPPING && !b->have_key;
}

static enum gw_status on_key(struct builder *b, const yaml_event_t *ev)
{
    struct gw_span text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};

    if (text.len == 0)
        return fail_at(b, &ev->start_mark, GW_EPARSE, "a key is empty");
    if (memchr(text.ptr, '\0', text.len) != NULL)
        return fail_at(b, &ev->start_mark, GW_EPARSE, "a key holds a NUL byte");
    b->key = gw_arena_copy(b->y->arena, text);
    if (b->key.ptr == NULL)
        return gw_fail(b->err, GW_ENOMEM, "%s: out of memory", b->y->name.ptr);
    b->key_line = line_of(&ev->start_mark);
    b->key_column = (unsigned)ev->start_mark.column + 1;
    b->have_key = true;
    return GW_OK;
}

static enum gw_status on_scalar(struct builder *b, const yaml_event_t *ev)
{
    struct gw_span text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    struct gw_yaml_node *node;

    if (ev->data.scalar.anchor != NULL)
        return fail_at(b, &ev->start_mark, GW_EPARSE, "anchors are not allowed: repeat the value");
    if (ev->data.scalar.tag != NULL)
        return fail_at(b, &ev->start_mark, GW_EPARSE, "tags are not allowed: quote the text");
    if (wants_key(b))
        return on_key(b, ev);
    GW_TRY(add_node(b, GW_YAML_SCALAR, &ev->start_mark, &node));
    node->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = gw_arena_copy(b->y->arena, text);
    if (node->text.ptr == NULL)
        return gw_fail(b->err, GW_ENOMEM, "%s: out of memory", b->y->name.ptr);
    return GW_OK;
}

static enum gw_status on_container(struct builder *b, const yaml_event_t *ev)
{
    bool is_map = ev->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *anchor =
        is_map ? ev->data.mapping_start.anchor : ev->data.sequence_start.anchor;
    const yaml_char_t *tag = is_map ? ev->data.mapping_start.tag : ev->data.sequence_start.tag;
    struct gw_yaml_node *node;

    if (anchor != NULL)
        return fail_at(b, &ev->start_mark, GW_EPARSE, "anchors are not allowed: repeat the value");
    if (tag != NULL)
        return fail_at(b, &ev->start_mark, GW_EPARSE, "tags are not allowed");
    if (wants_key(b))
        return fail_at(b, &ev->start_mark, GW_EPARSE, "a key must be plain text");
    if (b->depth == MAX_DEPTH)
        return fail_at(b, &ev->start_mark, GW_ELIMIT, "nested deeper than 64 levels");
    GW_TRY(add_node(b, is_map ? GW_YAML_MAPPING : GW_YAML_SEQUENCE, &ev->start_mark, &node));
    b->depth++;
    b->open = node;
    b->last = NULL;
    return GW_OK;
}

static int compare_keys(const void *left, const void *right)
{
    const struct gw_yaml_node *a = *(const struct gw_yaml_node *const *)left;
    const struct gw_yaml_node *b = *(const struct gw_yaml_node *const *)right;
    size_t n = a->key.len < b->key.len ? a->key.len : b->key.len;
    int c = memcmp(a->key.ptr, b->key.ptr, n);

    if (c != 0)
        return c;
    if (a->key.len != b->key.len)
        return a->key.len < b->key.len ? -1 : 1;
    if (a->key_line != b->key_line)
        return a->key_line < b->key_line ? -1 : 1;
    return 0;
}

/* Sorting keeps a hostile mapping at n log n. Two keys of one meaning would let a reader of the file and
 * the program disagree about what it says. */
static enum gw_status check_duplicates(const struct builder *b, const struct gw_yaml_node *map)
{
    const struct gw_yaml_node **sorted;
    enum gw_status st = GW_OK;
    unsigned n = 0;

    if (map->n_children < 2)
        return GW_OK;
    sorted = calloc(map->n_children, sizeof(const struct gw_yaml_node *));
    if (sorted == NULL)
        return gw_fail(b->err, GW_ENOMEM, "%s: out of memory", b->y->name.ptr);
    for (const struct gw_yaml_node *c = map->first_child; c != NULL; c = c->next)
        sorted[n++] = c;
    qsort(sorted, n, sizeof(const struct gw_yaml_node *), compare_keys);
    for (unsigned i = 1; i < n && st == GW_OK; i++)
        if (gw_span_eq(sorted[i - 1]->key, sorted[i]->key))
            st = gw_yaml_fail(b->y, sorted[i], b->err, GW_EPARSE,
                              "the key is there twice, first on line %u", sorted[i - 1]->key_line);
    free(sorted);
    return st;
}

static enum gw_status on_container_end(struct builder *b)
{
    struct gw_yaml_node *closed = b->open;

    if (closed == NULL) /* libyaml pairs its events; were it to fail, this stays an error */
        return gw_fail(b->err, GW_EPARSE, "%s: unbalanced", b->y->name.ptr);
    if (closed->kind == GW_YAML_MAPPING)
        GW_TRY(check_duplicates(b, closed));
    b->depth--;
    b->open = closed->parent;
    b->last = closed; /* the container that just ended is its parent's newest child */
    return GW_OK;
}

static enum gw_status on_event(struct builder *b, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(b, ev);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return on_container(b, ev);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_container_end(b);
    case YAML_ALIAS_EVENT:
        return fail_at(b, &ev->start_mark, GW_EPARSE, "aliases are not allowed: repeat the value");
    case YAML_DOCUMENT_START_EVENT:
        if (b->n_documents++ > 0)
            return fail_at(b, &ev->start_mark, GW_EPARSE, "only one document a file");
        return GW_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return GW_OK;
    }
    return GW_OK;
}

static enum gw_status fail_syntax(const struct builder *b, const yaml_parser_t *parser)
{
    char what[200];

    if (parser->error == YAML_MEMORY_ERROR)
        return gw_fail(b->err, GW_ENOMEM, "%s: out of memory", b->y->name.ptr);
    if (parser->error == YAML_READER_ERROR) /* bytes, so there is no line yet */
        return gw_fail(b->err, GW_EPARSE, "%s: byte %zu: %s", b->y->name.ptr,
                       parser->problem_offset, parser->problem);
    (void)snprintf(what, sizeof(what), "%s%s%s", parser->context == NULL ? "" : parser->context,
                   parser->context == NULL ? "" : ": ",
                   parser->problem == NULL ? "not YAML" : parser->problem);
    return fail_at(b, &parser->problem_mark, GW_EPARSE, what);
}

static enum gw_status build(struct builder *b, struct gw_span text)
{
    enum gw_status st = GW_OK;
    bool ended = false;
    yaml_parser_t parser;

    if (yaml_parser_initialize(&parser) == 0)
        return gw_fail(b->err, GW_ENOMEM, "%s: out of memory", b->y->name.ptr);
    /* Fixed, or a byte-order mark would choose UTF-16 and hide text from whoever reads the file. */
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.len == 0 ? "" : text.ptr),
                                 text.len);
    while (st == GW_OK && !ended) {
        yaml_event_t ev;

        if (yaml_parser_parse(&parser, &ev) == 0) {
            st = fail_syntax(b, &parser);
            break;
        }
        ended = ev.type == YAML_STREAM_END_EVENT;
        st = on_event(b, &ev);
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&parser);
    return st;
}

/* No document, or one that is nothing but comments, is an empty mapping. */
static enum gw_status settle_root(struct builder *b)
{
    struct gw_yaml_node *root = b->y->root;
    const yaml_mark_t start = {0};

    if (root == NULL)
        return add_node(b, GW_YAML_MAPPING, &start, &root);
    if (root->kind == GW_YAML_SCALAR && root->plain && root->text.len == 0)
        root->kind = GW_YAML_MAPPING;
    return GW_OK;
}

enum gw_status gw_yaml_parse(struct gw_span text, const char *name, struct gw_yaml **out,
                             struct gw_err *err)
{
    struct builder b = {.err = err};
    enum gw_status st;

    if (text.len > MAX_TEXT_BYTES)
        return gw_fail(err, GW_ELIMIT, "%s: larger than 4 MiB", name);
    b.y = calloc(1, sizeof(*b.y));
    if (b.y == NULL)
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", name);
    b.y->arena = gw_arena_new(MAX_ARENA_BYTES);
    if (b.y->arena != NULL)
        b.y->name = gw_arena_copy(b.y->arena, gw_span_str(name));
    if (b.y->name.ptr == NULL) {
        gw_yaml_free(b.y);
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", name);
    }
    st = build(&b, text);
    if (st == GW_OK)
        st = settle_root(&b);
    if (st != GW_OK) {
        gw_yaml_free(b.y);
        return st;
    }
    *out = b.y;
    return GW_OK;
}

enum gw_status gw_yaml_load(const char *path, struct gw_yaml **out, struct gw_err *err)
{
    FILE *f = fopen(path, "rbe");
    enum gw_status st;
    char *text;
    size_t n;

    if (f == NULL)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "%s: %s", path,
                       strerrordesc_np(errno));
    text = malloc(MAX_TEXT_BYTES + 1); /* one more, to see that a file is too large */
    if (text == NULL) {
        (void)fclose(f);
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", path);
    }
    n = fread(text, 1, MAX_TEXT_BYTES + 1, f);
    if (ferror(f) != 0)
        st = gw_fail(err, GW_EIO, "%s: %s", path, strerrordesc_np(errno));
    else
        st = gw_yaml_parse((struct gw_span){text, n}, path, out, err);
    (void)fclose(f);
    explicit_bzero(text, n); /* a configuration may hold what should not be kept */
    free(text);
    return st;
}

void gw_yaml_free(struct gw_yaml *y)
{
    if (y == NULL)
        return;
    gw_arena_free(y->arena);
    free(y);
}

/* ---- reading ----------------------------------------------------------------------------- */

const struct gw_yaml_node *gw_yaml_root(const struct gw_yaml *y)
{
    return y->root;
}

const char *gw_yaml_name(const struct gw_yaml *y)
{
    return y->name.ptr;
}

const struct gw_yaml_node *gw_yaml_get(const struct gw_yaml_node *map, const char *key)
{
    if (map == NULL || map->kind != GW_YAML_MAPPING)
        return NULL;
    for (const struct gw_yaml_node *c = map->first_child; c != NULL; c = c->next)
        if (gw_span_is(c->key, key))
            return c;
    return NULL;
}

/* "listen.gateway" or "routes[2].model": from the root down, cut at the left when it is too long. */
static void path_of(const struct gw_yaml_node *node, char out[MAX_PATH_BYTES])
{
    size_t at = MAX_PATH_BYTES - 1;
    char part[MAX_PATH_BYTES];

    out[at] = '\0';
    for (; node != NULL && node->parent != NULL; node = node->parent) {
        bool keyed = node->parent->kind == GW_YAML_MAPPING;
        unsigned index = 0;
        size_t n;

        if (keyed) {
            (void)snprintf(part, sizeof(part), "%s%.60s", node->parent->parent == NULL ? "" : ".",
                           node->key.ptr);
        } else {
            for (const struct gw_yaml_node *c = node->parent->first_child; c != node; c = c->next)
                index++;
            (void)snprintf(part, sizeof(part), "[%u]", index);
        }
        n = strlen(part);
        if (n > at)
            break;
        at -= n;
        for (size_t i = 0; i < n; i++)
            out[at + i] = part[i];
        for (size_t i = at; i < at + n; i++) /* a key may hold what would play with a terminal */
            if ((unsigned char)out[i] < 0x20 || out[i] == 0x7F)
                out[i] = '?';
    }
    memmove(out, out + at, MAX_PATH_BYTES - at);
}

enum gw_status gw_yaml_fail(const struct gw_yaml *y, const struct gw_yaml_node *node,
                            struct gw_err *err, enum gw_status code, const char *fmt, ...)
{
    char path[MAX_PATH_BYTES];
    char what[sizeof(err->text)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    path_of(node, path);
    return gw_fail(err, code, "%s:%u: %s%s%s", y->name.ptr, node == NULL ? 1 : node->key_line, path,
                   path[0] == '\0' ? "" : ": ", what);
}

static bool is_plain(const struct gw_yaml_node *node)
{
    return node != NULL && node->kind == GW_YAML_SCALAR && node->plain;
}

bool gw_yaml_bool(const struct gw_yaml_node *node, bool *out)
{
    if (!is_plain(node))
        return false;
    if (gw_span_is(node->text, "true"))
        *out = true;
    else if (gw_span_is(node->text, "false"))
        *out = false;
    else
        return false;
    return true;
}

/* Reads digits with single underscores between them; *rest is what follows. */
static bool read_digits(struct gw_span text, uint64_t max, uint64_t *out, struct gw_span *rest)
{
    uint64_t n = 0;
    size_t i = 0;

    for (; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '_' && i > 0 && i + 1 < text.len && text.ptr[i - 1] != '_')
            continue;
        if (c < '0' || c > '9')
            break;
        if (n > (max - (uint64_t)(c - '0')) / 10)
            return false;
        n = n * 10 + (uint64_t)(c - '0');
    }
    if (i == 0 || text.ptr[0] == '_' || text.ptr[i - 1] == '_')
        return false;
    *out = n;
    *rest = gw_span_from(text, i);
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static bool read_unit(struct gw_span rest, const struct unit *units, size_t n, uint64_t *factor)
{
    for (size_t i = 0; i < n; i++) {
        if (gw_span_is(rest, units[i].name)) {
            *factor = units[i].factor;
            return true;
        }
    }
    return false;
}

bool gw_yaml_int(const struct gw_yaml_node *node, int64_t *out)
{
    static const struct unit units[] = {
        {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    struct gw_span text, rest;
    uint64_t n, factor;
    bool negative;

    if (!is_plain(node))
        return false;
    text = node->text;
    negative = text.len > 0 && text.ptr[0] == '-';
    if (negative)
        text = gw_span_from(text, 1);
    if (!read_digits(text, INT64_MAX, &n, &rest) ||
        !read_unit(rest, units, sizeof(units) / sizeof(units[0]), &factor) ||
        n > INT64_MAX / factor)
        return false;
    *out = negative ? -(int64_t)(n * factor) : (int64_t)(n * factor);
    return true;
}

bool gw_yaml_double(const struct gw_yaml_node *node, double *out)
{
    char *end = NULL;
    double d;

    if (!is_plain(node) || node->text.len == 0 || node->text.len > 40)
        return false;
    /* strtod also takes hexadecimal, inf and nan, which are not meant here. */
    if (strspn(node->text.ptr, "0123456789+-.eE") != node->text.len)
        return false;
    d = strtod(node->text.ptr, &end);
    if (end != node->text.ptr + node->text.len || !isfinite(d))
        return false;
    *out = d;
    return true;
}

bool gw_yaml_duration_ms(const struct gw_yaml_node *node, int64_t *out)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    struct gw_span rest;
    uint64_t n, factor;

    if (!is_plain(node) || !read_digits(node->text, INT64_MAX, &n, &rest))
        return false;
    if (n == 0 && rest.len == 0) { /* nothing needs no unit */
        *out = 0;
        return true;
    }
    if (!read_unit(rest, units, sizeof(units) / sizeof(units[0]), &factor) ||
        n > INT64_MAX / factor)
        return false;
    *out = (int64_t)(n * factor);
    return true;
}
