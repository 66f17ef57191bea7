/* Which model it is: a file's digest, a folder's, and that neither is read again while the file is the same. */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/net/model_digest.h"
#include "tests/files.h"
#include "tests/test.h"

static char dir[] = "/tmp/sluice-digest-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[4][256];
    static unsigned next;
    char *p = path[next++ % 4];

    (void)snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
    return p;
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(path_of(name), "we");

    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static const char *digest(const char *name)
{
    static char hex[2][GW_SHA256_HEX_BYTES];
    static unsigned next;
    char *out = hex[next++ % 2];
    static struct gw_err err;

    if (model_digest(path_of(name), dir, out, &err) != GW_OK)
        return err.text;
    return out;
}

/* What sha256sum says of "one" and "two". */
#define ONE "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
#define TWO "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"

/* Takes "one"'s digest in the note for another: who is asked again then reads the note. */
static void garble_note(void)
{
    char text[4096] = "", *p;
    FILE *f = fopen(path_of("model.digests"), "re");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text) - 1, f);

    CHECK(n != 0 && fclose(f) == 0);
    p = strstr(text, ONE);
    CHECK(p != NULL);
    if (p != NULL)
        memcpy(p, TWO, strlen(TWO));
    write_file("model.digests", text);
}

static void test_file(void)
{
    const int64_t begin_ms = gw_clock_wall_ms();

    write_file("a.gguf", "one");
    CHECK(strcmp(digest("a.gguf"), ONE) == 0);
    CHECK(access(path_of("model.digests"), F_OK) != 0); /* too young to be believed */
    while (gw_clock_wall_ms() - begin_ms < 1100)
        (void)usleep(10000);
    CHECK(strcmp(digest("a.gguf"), ONE) == 0);
    garble_note();
    CHECK(strcmp(digest("a.gguf"), TWO) == 0);
    CHECK(utimensat(AT_FDCWD, path_of("a.gguf"), NULL, 0) == 0); /* touched */
    CHECK(strcmp(digest("a.gguf"), ONE) == 0);
    write_file("model.digests", "nonsense\n\n" ONE "\n" ONE " \n");
    CHECK(strcmp(digest("a.gguf"), ONE) == 0);
    CHECK(strstr(digest("none.gguf"), "none.gguf") != NULL);
}

static void test_folder(void)
{
    unsigned char sum[GW_SHA256_BYTES];
    char want[GW_SHA256_HEX_BYTES];

    CHECK(mkdir(path_of("m"), 0700) == 0 && mkdir(path_of("m/sub"), 0700) == 0);
    write_file("m/b", "two");
    write_file("m/A", "one");
    write_file("m/A.sha256", "a note");
    write_file("m/.hidden", "x");
    write_file("m/sub/c", "x");
    gw_sha256(GW_SPAN(ONE "  A\n" TWO "  b\n"), sum);
    gw_hex(sum, sizeof(sum), want);
    CHECK(strcmp(digest("m"), want) == 0);
    write_file("m/b", "one");
    CHECK(strcmp(digest("m"), want) != 0);
}

int main(void)
{
    char command[300];

    CHECK(mkdtemp(dir) != NULL);
    test_file();
    test_folder();
    (void)snprintf(command, sizeof(command), "rm -r %s", dir);
    CHECK(system(command) == 0); /* NOLINT: a test */
    CHECK(test_remove_tree(dir));
    return test_done();
}
