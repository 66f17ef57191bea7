/* Tests of audit_tail: lines for people, filters, a spool that is being written. */
#include <sys/wait.h>

#include <signal.h>

#include "tests/unit/audit/util.h"

/* Runs audit_tail into memory. */
static char *run_tail(struct audit_tail t, enum gw_status want)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    struct gw_err err = {GW_OK, ""};

    t.spool_dir = t.spool_dir == NULL ? scratch : t.spool_dir;
    if (!CHECK(audit_tail(&t, f, &err) == want))
        fprintf(stderr, "%s\n", err.text);
    fclose(f);
    return text;
}

static size_t lines_of(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void fill(struct audit *a, unsigned n)
{
    struct audit_chan *ch[2] = {NULL, NULL};

    for (int i = 0; i < 2; i++)
        CHECK(audit_chan_open(a, &ch[i], NULL) == GW_OK);
    for (unsigned i = 0; i < n; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%u", i);
        ev = decided_of(id);
        ev.time_ms = 1795255000000 + i * 10;
        ev.user = GW_SPAN("evil\x1b[31m\xC2\x9B\xE2\x80\xAE\nuser");
        ev.blocked = i % 2 == 1;
        ev.n_findings = 3;
        ev.policy_line = GW_SPAN("secrets");
        CHECK(audit_emit(ch[i % 2], &ev, NULL, NULL) == GW_OK);
        ev = completed_of(id);
        ev.time_ms = 1795255000005 + i * 10;
        ev.end = i % 2 == 1 ? AUDIT_END_BLOCKED : AUDIT_END_COMPLETE;
        ev.prompt_tokens = 12;
        ev.completion_tokens = 34;
        CHECK(audit_emit(ch[i % 2], &ev, NULL, NULL) == GW_OK);
    }
    for (int i = 0; i < 2; i++)
        audit_chan_close(ch[i]);
}

static void test_lines(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct audit *a = NULL;
    char *text;

    scratch_new();
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
    fill(a, 50);
    audit_close(a, 0);
    text = run_tail((struct audit_tail){.last = 0}, GW_OK);
    CHECK(lines_of(text) == 102);
    CHECK(strchr(text, 0x1b) == NULL && strstr(text, "\xC2\x9B") == NULL &&
          strstr(text, "\xE2\x80\xAE") == NULL);
    CHECK(strstr(text, "auto -> local (process)") != NULL);
    CHECK(strstr(text, "status=200 end=complete 1234ms tokens=12+34") != NULL);
    CHECK(strstr(text, "sluice.started") != NULL && strstr(text, "findings=3") != NULL);
    /* merged by time, although two channels wrote two files */
    CHECK(strstr(text, "r-10 ") < strstr(text, "r-11 ") &&
          strstr(text, "r-11 ") < strstr(text, "r-12 "));
    free(text);
    text = run_tail((struct audit_tail){.last = 7}, GW_OK);
    CHECK(lines_of(text) == 7 && strstr(text, "sluice.stopped") != NULL);
    free(text);
    text = run_tail((struct audit_tail){.filter = {.request = "r-8"}, .json = true}, GW_OK);
    CHECK(lines_of(text) == 2 && strncmp(text, "{\"class_uid\":6003", 17) == 0);
    free(text);
    text = run_tail(
        (struct audit_tail){.filter = {.record = "completed", .request = "r-1*"}, .last = 5},
        GW_OK);
    CHECK(lines_of(text) == 5 && strstr(text, "r-19 ") != NULL && strstr(text, "r-14 ") == NULL &&
          strstr(text, "decided") == NULL);
    free(text);
    text = run_tail((struct audit_tail){.last = 3, .color = true}, GW_OK);
    CHECK(lines_of(text) == 4 && strstr(text, "TIME (UTC)") != NULL);
    free(text);
    text = run_tail((struct audit_tail){.spool_dir = "/nonexistent/spool"}, GW_ENOENT);
    free(text);
    scratch_end();
}

static volatile int stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

/* As `sluice audit tail -f --json`: a process of its own, ended by a signal. */
static void follow(const char *path, const char *record)
{
    struct audit_tail t = {.spool_dir = scratch,
                           .follow = true,
                           .json = true,
                           .filter = {.record = record},
                           .stop = &stop};
    struct sigaction sa = {.sa_handler = on_term};
    FILE *f = fopen(path, "w");

    (void)sigaction(SIGTERM, &sa, NULL);
    _exit(f != NULL && audit_tail(&t, f, NULL) == GW_OK && fclose(f) == 0 ? 0 : 1);
}

/* Every record of a live spool that is asked for comes out once, over segment borders too. */
static void test_follow(enum audit_durability d, const char *record, int want)
{
    struct audit_config cfg = config_of(d);
    struct audit *a = NULL;
    char path[300], command[400];
    int status;
    pid_t pid;

    scratch_new();
    (void)snprintf(path, sizeof(path), "%s/followed", scratch);
    cfg.segment_bytes = 16 << 10;
    pid = fork();
    if (pid == 0)
        follow(path, record);
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
    fill(a, 300);
    audit_close(a, 0);
    (void)snprintf(command, sizeof(command), "test $(wc -l < %s) = %d", path, want);
    for (int i = 0; i < 3000 && system(command) != 0; i++) /* NOLINT: our own command */
        (void)usleep(10000);
    CHECK(kill(pid, SIGTERM) == 0 && waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(system(command) == 0); /* NOLINT: our own command */
    scratch_end();
}

int main(void)
{
    test_lines();
    test_follow(AUDIT_DURABILITY_PROCESS, NULL, 602);
    test_follow(AUDIT_DURABILITY_DISK, NULL, 602);
    test_follow(AUDIT_DURABILITY_PROCESS, "decided", 300);
    return test_done();
}
