/* proxy/store/store_key.h - what a key is: its text and the form of its fields. For the files of this folder. */
#ifndef PROXY_STORE_KEY_H
#define PROXY_STORE_KEY_H

#include "proxy/store/store_private.h"

/* Makes the text of a new key and its digest. The caller wipes the text. */
void store_key_make(bool admin, char key[PROXY_KEY_BYTES], unsigned char sha256[GW_SHA256_BYTES]);

/* Checks the form of all fields that people set. GW_EINVAL says what is wrong. */
enum gw_status store_key_check(const struct proxy_key_info *k, struct gw_err *err);

/* Takes the next item off a list that is separated by commas; false at its end. */
bool store_key_next(struct gw_span *list, struct gw_span *item);

#endif
