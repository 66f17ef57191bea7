/* Fuzz target: signed notes, keys and proofs, as an auditor gets them from somebody else. What is read is written and read
 * again; nothing that no key has signed may pass for proven. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/ledger.h"
#include "audit/note.h"
#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_notes(struct gw_span text)
{
    struct note *notes = NULL;
    size_t n = 0, torn = 0;

    if (ledger_notes(text, &notes, &n, &torn) != GW_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        struct gw_span again = notes[i].text;
        struct merkle edge;
        struct note note;

        (void)note_edge(&notes[i], &edge);
        if (note_read(&again, &note) != GW_OK || note.size != notes[i].size ||
            !gw_span_eq(note.origin, notes[i].origin) || again.len != 0)
            abort();
    }
    free(notes);
}

static void read_keys(struct gw_span text)
{
    struct note_key k, again;
    struct gw_buf out = {0};

    if (note_key_read(text, &k) != GW_OK)
        return;
    note_key_write(&k, &out);
    if (note_key_read(gw_buf_span(&out), &again) != GW_OK ||
        memcmp(k.pub, again.pub, sizeof(k.pub)) != 0)
        abort();
    gw_buf_fini(&out);
}

static void check(struct gw_span text)
{
    static char key[128];
    enum audit_verdict verdict = AUDIT_ALTERED;
    struct gw_err err;
    FILE *out;

    if (key[0] == '\0') { /* a key of which nobody has the secret */
        struct note_signer s;
        struct gw_buf b = {0};

        if (note_signer_new("fuzz", &s) != GW_OK)
            return;
        note_key_write(&s.key, &b);
        (void)snprintf(key, sizeof(key), "%.*s", (int)b.len, b.ptr);
        gw_buf_fini(&b);
    }
    out = fopen("/dev/null", "we");
    if (out == NULL)
        return;
    if (audit_check_proof(text, gw_span_str(key), out, &verdict, &err) == GW_OK &&
        verdict == AUDIT_INTACT)
        abort();
    (void)fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_span text = {size == 0 ? NULL : (const char *)data, size};
    unsigned char bytes[256];
    struct note_key keys[4];
    unsigned n = 0;

    read_notes(text);
    read_keys(text);
    (void)note_keys_read(text, keys, 4, &n, NULL);
    (void)gw_unbase64(text, bytes, sizeof(bytes));
    check(text);
    return 0;
}
