/* base/json_pass.h - what most of a JSON string is, passed over at once. Private to the tokenizer (json.re). Thread: any. */
#ifndef BASE_JSON_PASS_H
#define BASE_JSON_PASS_H

#include <stdbool.h>

/* The first byte from p on that is neither plain ASCII nor of an escape of a backslash and one other byte, and so for instance the closing
 * quote; lim: there is none. p is no escape's second byte. Sets *escaped when it passes an escape. */
const unsigned char *gw_json_pass(const unsigned char *p, const unsigned char *lim, bool *escaped);
/* Its variants; the second one only where the machine has the instructions. */
const unsigned char *gw_json_pass_scalar(const unsigned char *p, const unsigned char *lim,
                                         bool *escaped);
const unsigned char *gw_json_pass_avx512(const unsigned char *p, const unsigned char *lim,
                                         bool *escaped);
bool gw_json_has_avx512(void);

#endif
