/* proxy/request/media.h - what a request holds beside texts. Pure; any thread. */
#ifndef PROXY_MEDIA_H
#define PROXY_MEDIA_H

#include "proxy/api/api.h"

/* Images, files and audio in messages and results of tools: OR of 1 << enum router_medium. */
unsigned media_of(const struct api_request *a);

#endif
