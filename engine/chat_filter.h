/* engine/chat_filter.h - what the tables of filters and methods are made of. Private to engine/chat_filter*. */
#ifndef ENGINE_CHAT_FILTER_H
#define ENGINE_CHAT_FILTER_H

#include "engine/chat_eval.h"

typedef struct jval jinja_function(struct jrun *r, struct jval value,
                                   const struct jinja_args *args);

struct jinja_entry {
    const char *name;
    jinja_function *f;
};

/* Each ends with a NULL name. Filters of strings get their value as a string, whatever it was. */
extern const struct jinja_entry jinja_string_filters[], jinja_string_methods[];
extern const struct jinja_entry jinja_list_filters[], jinja_dict_methods[];

/* The text of an argument; empty when it was not given. What is no string fails. name may be NULL. */
struct gw_span jinja_text_arg(struct jrun *r, const struct jinja_args *args, unsigned place,
                              const char *name);
/* A whole number, or otherwise when it was not given or is none (None). */
int64_t jinja_int_arg(struct jrun *r, const struct jinja_args *args, unsigned place,
                      const char *name, int64_t otherwise);

/* value.path, where the path may hold dots and numbers: what Jinja calls an attribute of a filter. otherwise stands for each
 * part that is not there. */
struct jval jinja_path(struct jrun *r, struct jval value, struct jval path, struct jval otherwise);

/* Upper and lower case of a string; title differs between the method and the filter (words). */
jinja_function jinja_case_upper, jinja_case_lower, jinja_case_capitalize, jinja_case_title,
    jinja_case_title_words;
/* s with ASCII letters in lower case. */
struct jstr jinja_lower(struct jrun *r, struct jstr s);

#endif
