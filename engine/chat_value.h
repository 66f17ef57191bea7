/* engine/chat_value.h - the values that a chat template computes with. Private to engine/chat*.
 *
 * Invariant (V1): every byte of a string is marked as template or user text, and every operation on
 * strings carries the marks along. That is how chat.h C1 holds through trim, concatenation, slices and
 * the like. All memory is the arena of one rendering: nothing is freed one by one. One thread. */
#ifndef ENGINE_CHAT_VALUE_H
#define ENGINE_CHAT_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/span.h"
#include "engine/chat_sink.h"

enum jval_type {
    JVAL_UNDEFINED,
    JVAL_NONE,
    JVAL_BOOL,
    JVAL_INT,
    JVAL_FLOAT,
    JVAL_STRING,
    JVAL_LIST, /* tuples too */
    JVAL_DICT, /* namespaces too */
    JVAL_LOOP,
    JVAL_FUNCTION, /* a global function, by its name in string */
    JVAL_METHOD,   /* a method with its object */
    JVAL_MACRO,
};

struct jstr {
    const char *ptr;
    const unsigned char *user; /* one byte a byte, 1: user text; NULL: all template text */
    size_t len;
};

struct jval;
struct jbound;
struct jmacro;
struct jinja_node;
struct jlist {
    struct jval *items;
    size_t n;
    bool tuple;
};

/* Entries in the order they were made. */
struct jdict {
    struct jentry *first, *last;
    size_t n;
    bool is_namespace;
};

/* The state behind the name "loop". */
struct jloop {
    const struct jlist *list;
    size_t index; /* from 0 */
};

struct jval {
    enum jval_type type;
    union {
        bool boolean;
        int64_t number;
        double real;
        struct jstr string;
        struct jlist *list;
        struct jdict *dict;
        struct jloop *loop;
        struct jbound *bound;
        struct jmacro *macro;
    };
};

struct jbound {
    struct jval object;
    struct gw_span name;
};

/* The names of a block that has its own: the template, a round of a loop, a macro's body. */
struct jname {
    struct gw_span name;
    struct jval value;
    struct jname *next;
};
struct jframe {
    struct jname *names;
    struct jframe *parent;
};

/* What stands between {% macro %} (or {% call %}) and its end, and the names that it sees. */
struct jmacro {
    const struct jinja_node *node;
    struct jframe *frame;
};

/* A string that grows, in the arena. Starts as zeroes. */
struct jbuild {
    char *ptr;
    unsigned char *user; /* of all bytes, once one is user text */
    size_t len, max;
};

struct jentry {
    struct jstr key;
    struct jval value;
    struct jentry *next;
};

/* One rendering: memory, budget and the first failure, which sticks. */
struct jrun {
    struct gw_arena *arena;
    uint64_t work; /* left; see JINJA_MAX_WORK */
    unsigned line; /* of the node at hand, for messages */
    enum gw_status status;
    struct gw_err *err;
    struct chat_sink *sink;
    struct jbuild *capture; /* where output goes instead of the sink; NULL: to the sink */
    struct jstr captured;   /* what a block gathered, for the filters behind it */
    struct jframe *frame;
    unsigned depth;       /* of the interpreter's recursion */
    int64_t now;          /* s since 1970, for strftime_now() */
    unsigned char *marks; /* n_marks ones, for strings that are all user text */
    size_t n_marks;
};

/* How deep the interpreter, and a value, may nest. */
enum { JRUN_MAX_DEPTH = 400 };

static const struct jval jval_undefined = {.type = JVAL_UNDEFINED};

/* Keeps the first failure. */
void jrun_fail(struct jrun *r, enum gw_status code, const char *what);
/* Takes n units of work; false (and failed) when they are used up or something failed before. */
bool jrun_work(struct jrun *r, size_t n);
/* Arena memory of n elements, or NULL and failed. */
void *jrun_alloc(struct jrun *r, size_t n, size_t size);

/* One level deeper; false (and failed) when that is too deep. Leave with r->depth--, also after a failure. */
bool jrun_enter(struct jrun *r);

struct jval jval_bool(bool b);
struct jval jval_int(int64_t number);
struct jval jval_float(double number);
struct jval jval_template(struct gw_span text); /* borrowed */
struct jval jval_string(struct jstr s);
/* A new list of n undefined items. */
struct jval jval_list(struct jrun *r, size_t n);
struct jval jval_dict(struct jrun *r);
void jdict_set(struct jrun *r, struct jdict *d, struct jstr key, struct jval value);
/* The value behind key, or NULL. */
const struct jval *jdict_get(const struct jdict *d, struct gw_span key);

static inline struct gw_span jstr_span(struct jstr s)
{
    return (struct gw_span){s.ptr, s.len};
}

/* Bytes [from, to) of s. */
struct jstr jstr_sub(struct jstr s, size_t from, size_t to);
bool jstr_is_user(struct jstr s); /* any byte of it */
struct jstr jstr_concat(struct jrun *r, struct jstr a, struct jstr b);
/* A literal as a string. */
struct jstr jstr_of(const char *s);
/* The length of the white space character at s[at], as Python sees it, or 0. */
size_t jstr_space(struct jstr s, size_t at);
/* The bytes of the character at s[at]; 1 when it is none. */
size_t jstr_char(struct jstr s, size_t at);

/* Appends s, or one template byte; failures are the run's. */
void jbuild_add(struct jrun *r, struct jbuild *b, struct jstr s);
void jbuild_addc(struct jrun *r, struct jbuild *b, char c);
struct jstr jbuild_done(const struct jbuild *b);
/* White space of both ends; or, when set is not empty, the characters in it. */
struct jstr jstr_trim(struct jstr s, struct gw_span set, bool left, bool right);
/* Characters (not bytes) of s; invalid bytes count one each. */
size_t jstr_chars(struct jstr s);
/* The offset of character i, s.len when there are fewer. */
size_t jstr_offset(struct jstr s, size_t i);

/* The length of a string in characters, a list or a dict; -1 for what has none. */
ptrdiff_t jval_length(struct jrun *r, struct jval v);
/* A number or a bool as a double; false for other types. */
bool jval_real(struct jval v, double *out);
bool jval_truth(struct jval v);
bool jval_equal(struct jrun *r, struct jval a, struct jval b);
/* -1, 0, 1 for two numbers or two strings; other types fail. */
int jval_compare(struct jrun *r, struct jval a, struct jval b);
bool jval_in(struct jrun *r, struct jval needle, struct jval hay);
/* What {{ v }} prints: strings as they are, everything else as Python writes it. */
struct jstr jval_text(struct jrun *r, struct jval v);
/* object.name: a method, else a member; undefined when there is none. */
struct jval jval_member(struct jrun *r, struct jval object, struct gw_span name);
/* object[index]: a member, else a method; numbers, negative ones from the end. */
struct jval jval_index(struct jrun *r, struct jval object, struct jval index);
/* object[start:stop:step]; undefined bounds are open. */
struct jval jval_slice(struct jrun *r, struct jval object, struct jval start, struct jval stop,
                       struct jval step);

/* The items that a for loop walks, as a list: lists, characters of strings, keys of dicts. */
const struct jlist *jval_iterate(struct jrun *r, struct jval v);

/* How tojson is asked to write. */
struct jjson {
    bool pretty; /* each element on a line of its own */
    struct jstr indent;
    struct jstr item, key; /* what stands between elements, and behind a key */
    bool ascii;            /* escapes for what is not ASCII */
    bool sorted;           /* keys */
};
/* JSON as the reference environment writes it. */
struct jstr jval_json(struct jrun *r, struct jval v, const struct jjson *how);

/* The value of a JSON text, its strings marked as user text. GW_EPARSE (r fails) when it is none. */
struct jval jval_from_json(struct jrun *r, struct gw_span text);

#endif
