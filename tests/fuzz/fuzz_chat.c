/* Fuzz target: chat templates. Whatever a template does, text of a message stays marked as such: the
 * message holds a byte that no template can write (templates with it are skipped). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/chat_jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct engine_message messages[] = {
        {{"system", 6}, {"\x01\x01s", 3}},
        {{"user", 4}, {" \x01 a b\n", 7}},
        {{"assistant", 9}, {"\x01</think>\x01", 10}},
        {{"user", 4}, {"\x01", 1}},
    };
    struct jinja_input in = {.messages = messages,
                             .n_messages = 4,
                             .add_generation_prompt = true,
                             .bos = {"<s>", 3},
                             .eos = {"</s>", 4}};
    struct gw_span text = {(const char *)data, size};
    struct chat_sink sink = {0};
    struct jinja *j = NULL;
    size_t from = 0;

    /* Escapes with these digits would write it too. */
    if (memchr(data, 1, size) != NULL || memmem(data, size, "01", 2) != NULL)
        return 0;
    if (jinja_parse(text, &j, NULL) == GW_OK) {
        (void)jinja_render(j, &in, &sink, NULL);
        for (size_t i = 0; i < sink.n_cuts; i++) {
            size_t n = sink.cuts[i].end - from;

            if (!sink.cuts[i].user && memchr(sink.text.ptr + from, 1, n) != NULL)
                abort();
            from = sink.cuts[i].end;
        }
    }
    chat_sink_fini(&sink);
    jinja_free(j);
    return 0;
}
