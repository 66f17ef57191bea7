/* proxy/local/local_python.h - calls that a model writes as Python. Pure; any thread.
 *
 *   ```tool_code                                  statements, one a line or divided by ";", to the fence's end or the text's:
 *   f(city="Oslo", days=3)                        a call, a list of calls, or one call in print()
 *   print(g(a=[1.5, None], b={'k': True}))
 *   ```                                           or, without a fence, one list: [f(city="Oslo"), g()]
 *
 * Arguments have names; values are literals: strings (with escapes, raw, triple-quoted, several in a row), numbers, True, False,
 * None (also as JSON writes them), lists, tuples, dicts with keys that are strings. Everything else is no call: positions, names,
 * sums, other statements. Source: Gemma's pages on function calling, https://ai.google.dev/gemma/docs/capabilities/function-calling
 * (the list), and what Gemma 2 and 3 write unasked (the fence). Llama 3.2's card has the list, too. */
#ifndef PROXY_LOCAL_PYTHON_H
#define PROXY_LOCAL_PYTHON_H

#include <stdbool.h>

#include "base/span.h"

#define LOCAL_PYTHON_BEGIN "```tool_code"
#define LOCAL_PYTHON_END   "```"

/* One call: its name as written, and an object of JSON that is the caller's to check (keys may be there twice, bytes may be no
 * UTF-8). False: reading ends. */
typedef bool local_python_fn(void *ctx, struct gw_span name, struct gw_span arguments);

struct local_python {
    struct gw_span text;
    size_t at; /* read up to here */
    char *out; /* gets the arguments: at most twice the bytes that are read, whatever they are */
    size_t n;  /* bytes in out */
    local_python_fn *fn;
    void *ctx;
};

/* Reads statements behind LOCAL_PYTHON_BEGIN, with LOCAL_PYTHON_END if it is there. False: they are something else. */
bool local_python_block(struct local_python *p);
/* Reads a list of calls from its "[" on. */
bool local_python_list(struct local_python *p);
/* Whether text is a list's beginning up to its first call's "(" (*whole), or may become it. text is not empty. */
bool local_python_may_be_list(struct gw_span text, bool *whole);

#endif
