/* proxy/local/local_calls.h - calls in the forms that models were trained to write them in. Pure; any thread, one at a time per
 * tokenizer.
 *
 * Hermes, Qwen (local_tools_parse.c reads their tags): {"name": ..., "arguments": {...}}. Others stand behind a marker and go
 * on to the end of the answer:
 *
 *   Llama 3.x  [<|python_tag|>]{"name": ..., "parameters": {...}}; {...}
 *   Mistral    [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]     or   [TOOL_CALLS]name[ARGS]{...}[TOOL_CALLS]...
 *   DeepSeek   <|tool_calls_begin|><|tool_call_begin|>function<|tool_sep|>name, a line end, {...} in a fence of JSON,
 *              <|tool_call_end|>...<|tool_calls_end|>                    or   ...name<|tool_sep|>{...}...
 *   Gemma      <start_function_call>call:name{key:<escape>text<escape>,n:1}<end_function_call>...
 *   Gemma 2, 3 a fence "tool_code" of Python, [f(a=1), g()] (Llama 3.2, too): local_python.h
 *   Phi 4      functools[{...}]                                          or   <|tool_call|>[{...}]<|/tool_call|>
 *
 * (DeepSeek's bars and underscores are U+FF5C and U+2581.) These are the forms of the models' own templates and cards. */
#ifndef PROXY_LOCAL_CALLS_H
#define PROXY_LOCAL_CALLS_H

#include "base/json.h"
#include "proxy/api/api.h"

struct local_call {
    const struct api_tool *tool;
    struct gw_span arguments; /* a JSON object */
};

/* The call that text, one object, is; tool is NULL when it is none. mem has room for text, and arguments may lie in it. */
struct local_call local_call_read(struct gw_json *json, const struct api_tool *tools,
                                  unsigned n_tools, struct gw_span text, char *mem);

enum { LOCAL_CALLS_MAX = 128 };

/* The marker of one of the forms (ENGINE_SAYS_..., engine.h) that text is or begins like; *whole says which of the two. NULL: none. */
const char *local_calls_marker(unsigned forms, struct gw_span text, bool *whole);

/* Reads an answer's end, from its marker on: 0 when it is not calls of tools all the way. mem has room for twice the text. */
unsigned local_calls_read(struct gw_json *json, const struct api_tool *tools, unsigned n_tools,
                          struct gw_span text, char *mem, struct local_call out[LOCAL_CALLS_MAX]);

#endif
