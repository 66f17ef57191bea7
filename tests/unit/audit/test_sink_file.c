/* Tests of records as JSON lines: halves of lines, full disks, rotation, two writers, a reader of standard output that stands
 * still. */
#include <sys/resource.h>

#include <errno.h>
#include <signal.h>

#include "audit/sink.h"
#include "tests/unit/audit/util.h"

enum { N = 6, LONG = 9000 };

static char long_json[LONG + 1];
static bool giving_up;

static bool give_up(const void *ctx)
{
    (void)ctx;
    return giving_up;
}

/* N records; the third is longer than a pipe takes at once. */
static struct sink_call call_of(struct sink_record records[N])
{
    static char text[N][32];

    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "{\"n\":%u}", i);
        records[i] = (struct sink_record){.json = gw_span_str(i == 2 ? long_json : text[i])};
    }
    return (struct sink_call){.records = records, .n = N, .give_up = give_up};
}

static bool all_are(const struct sink_call *c, enum sink_fate fate)
{
    for (unsigned i = 0; i < c->n; i++)
        if (c->records[i].fate != fate)
            return false;
    return true;
}

static struct audit_sink open_file(const char *path)
{
    struct audit_sink k = {0};

    CHECK(audit_sink_file(path, true, &k, NULL) == GW_OK);
    return k;
}

static char *path_of(const char *name)
{
    static char path[600];

    (void)snprintf(path, sizeof(path), "%s/%s", scratch, name);
    return path;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The file's text; the caller frees. */
static char *get(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = calloc(1, 1 << 20);

    CHECK(f != NULL);
    if (f != NULL) {
        text[fread(text, 1, (1 << 20) - 1, f)] = '\0';
        (void)fclose(f);
    }
    return text;
}

static unsigned lines_of(const char *text)
{
    unsigned n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

/* What stood there is kept, but for half a record. */
static void check_mended(const char *before, const char *want)
{
    struct sink_record records[N];
    struct sink_call c = call_of(records);
    const char *path = path_of("lines");
    struct audit_sink k;
    char *text;

    put(path, before);
    k = open_file(path);
    CHECK(k.ops->deliver(k.self, &c) == SINK_DONE && all_are(&c, SINK_TAKEN));
    text = get(path);
    CHECK(strncmp(text, want, strlen(want)) == 0 &&
          strncmp(text + strlen(want), "{\"n\":0}\n{\"n\":1}\n{\"n\":\"xxx", 24) == 0);
    CHECK(lines_of(text) == lines_of(want) + N && text[strlen(text) - 1] == '\n');
    free(text);
    k.ops->close(k.self);
}

static void test_mends(void)
{
    static const char *const whole = "{\"a\":1}\n{\"b\":2}\n";
    char half[64];

    check_mended("", "");
    check_mended(whole, whole);
    for (size_t n = 1; n < 8; n++) { /* a record cut at every place */
        (void)snprintf(half, sizeof(half), "%s%.*s", whole, (int)n, "{\"c\":3}\n");
        check_mended(half, n == 8 ? half : whole);
    }
    check_mended("{\"a\"", "");
    check_mended("somebody's notes", "somebody's notes\n"); /* not ours to cut */
}

static void test_rotation(void)
{
    struct sink_record records[N];
    struct sink_call c = call_of(records);
    char first[600], moved[600];
    struct audit_sink k, other;
    char *text;

    (void)snprintf(first, sizeof(first), "%s", path_of("rotated"));
    (void)snprintf(moved, sizeof(moved), "%s", path_of("rotated.1"));
    k = open_file(first);
    CHECK(k.ops->deliver(k.self, &c) == SINK_DONE);
    CHECK(rename(first, moved) == 0);
    c = call_of(records);
    CHECK(k.ops->deliver(k.self, &c) == SINK_DONE); /* still the old one */
    k.ops->reopen(k.self);
    c = call_of(records);
    CHECK(k.ops->deliver(k.self, &c) == SINK_DONE);
    text = get(moved);
    CHECK(lines_of(text) == 2 * N);
    free(text);
    text = get(first);
    CHECK(lines_of(text) == N);
    free(text);
    /* Deleted: nothing goes where nobody can read it. */
    CHECK(unlink(first) == 0);
    c = call_of(records);
    CHECK(k.ops->deliver(k.self, &c) == SINK_DONE && access(first, F_OK) == 0);
    /* A second writer is refused, and waits. */
    other = open_file(first);
    c = call_of(records);
    CHECK(other.ops->deliver(other.self, &c) == SINK_DISK && all_are(&c, SINK_WAITS) &&
          c.why[0] != '\0');
    k.ops->close(k.self);
    CHECK(other.ops->deliver(other.self, &c) == SINK_DONE);
    other.ops->close(other.self);
}

/* A disk that is full in the middle of a batch: nothing of it stays, and it comes again when there is room. */
static void test_full(void)
{
    struct rlimit was, small = {0};
    struct sink_record records[N];
    struct sink_call c = call_of(records);
    const char *path = path_of("full");
    struct audit_sink k = open_file(path);
    char *text;

    CHECK(k.ops->deliver(k.self, &c) == SINK_DONE);
    CHECK(getrlimit(RLIMIT_FSIZE, &was) == 0);
    for (rlim_t more = 1; more < 9000; more += 811) {
        struct stat st;

        CHECK(stat(path, &st) == 0);
        small.rlim_cur = (rlim_t)st.st_size + more;
        small.rlim_max = was.rlim_max;
        CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
        c = call_of(records);
        CHECK(k.ops->deliver(k.self, &c) == SINK_DISK && all_are(&c, SINK_WAITS));
        CHECK(setrlimit(RLIMIT_FSIZE, &was) == 0);
        text = get(path);
        CHECK(lines_of(text) == N && text[strlen(text) - 1] == '\n');
        free(text);
    }
    CHECK(k.ops->deliver(k.self, &c) == SINK_DONE && all_are(&c, SINK_TAKEN));
    text = get(path);
    CHECK(lines_of(text) == 2 * N);
    free(text);
    k.ops->close(k.self);
    /* Not a file at all. */
    k = open_file("/dev/full");
    c = call_of(records);
    CHECK(k.ops->deliver(k.self, &c) == SINK_DISK && all_are(&c, SINK_WAITS));
    k.ops->close(k.self);
}

/* Reads what the pipe holds now. */
static size_t drain(int fd, char *out, size_t max)
{
    size_t got = 0;
    ssize_t n;

    while (got < max && (n = read(fd, out + got, max - got)) > 0)
        got += (size_t)n;
    return got;
}

/* Nobody reads: the call ends when the gateway does. Then the lines go on where they stopped, each whole and once. */
static void test_stdout(void)
{
    enum { TURNS = 12, BYTES = TURNS * (LONG + 200) };
    char *text = calloc(1, BYTES);
    int saved = dup(STDOUT_FILENO), ends[2] = {-1, -1};
    struct sink_record records[N];
    struct sink_call c;
    struct audit_sink k = open_file(NULL);
    unsigned done = 0;
    bool stopped = false;
    size_t got = 0;

    (void)fflush(stdout);
    CHECK(saved >= 0 && pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    giving_up = true;
    while (done < TURNS) {
        enum sink_end end;

        c = call_of(records);
        end = k.ops->deliver(k.self, &c);
        stopped = stopped || end == SINK_STOPPED;
        CHECK(end == SINK_DONE ? all_are(&c, SINK_TAKEN) : end == SINK_STOPPED);
        done += end == SINK_DONE;
        if (end == SINK_STOPPED)
            got += drain(ends[0], text + got, BYTES - got);
    }
    giving_up = false;
    got += drain(ends[0], text + got, BYTES - got);
    CHECK(dup2(saved, STDOUT_FILENO) >= 0);
    CHECK(stopped && lines_of(text) == TURNS * N);
    for (unsigned i = 0, at = 0; i < TURNS; i++) {
        CHECK(strncmp(text + at, "{\"n\":0}\n{\"n\":1}\n{\"n\":\"xxx", 24) == 0);
        at += (unsigned)(got / TURNS);
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)close(saved);
    k.ops->close(k.self);
    free(text);
}

int main(void)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    (void)snprintf(long_json, sizeof(long_json), "{\"n\":\"%0*d\"}", LONG - 8, 0);
    for (char *c = strchr(long_json, '0'); *c == '0'; c++)
        *c = 'x';
    scratch_new();
    test_mends();
    test_rotation();
    test_full();
    test_stdout();
    scratch_end();
    return test_done();
}
