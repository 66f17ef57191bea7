/* Unit tests of proxy/cmd/cmd_policy*.c and proxy/cmd/cmd_keys.c: the commands as a user calls them. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cmd/cmd.h"
#include "tests/files.h"
#include "tests/test.h"

static char dir[] = "/tmp/test_cmd_XXXXXX", conf[64], out_path[64], out[20000];

/* Runs a command with standard output and error in files; leaves what it printed in `out`. */
static int run(int (*cmd)(int argc, char **argv), const char *const *args)
{
    char copies[16][600];
    char *argv[17];
    int argc = 0, status, saved = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
    size_t n;
    FILE *f;

    for (; args[argc] != NULL && argc < 16; argc++) {
        (void)snprintf(copies[argc], sizeof(copies[argc]), "%s", args[argc]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    (void)fflush(stdout);
    CHECK(freopen(out_path, "w", stdout) != NULL && dup2(STDOUT_FILENO, STDERR_FILENO) >= 0);
    optind = 0; /* getopt starts anew */
    status = cmd(argc, argv);
    (void)fflush(stdout);
    CHECK(dup2(saved, STDOUT_FILENO) >= 0 && dup2(saved_err, STDERR_FILENO) >= 0);
    close(saved);
    close(saved_err);
    f = fopen(out_path, "r");
    n = f == NULL ? 0 : fread(out, 1, sizeof(out) - 1, f);
    out[n] = '\0';
    if (f != NULL)
        (void)fclose(f);
    return status;
}

#define RUN(cmd, ...) run(cmd, (const char *const[]){__VA_ARGS__, NULL})

static void expect(const char *text)
{
    if (!CHECK(strstr(out, text) != NULL))
        printf("  want: %s\n  got: %s\n", text, out);
}

static void write_config(const char *text)
{
    FILE *f = fopen(conf, "w");

    CHECK(f != NULL && fprintf(f, "state_dir: state\n%s", text) > 0 && fclose(f) == 0);
}

static const char targets[] =
    "targets:\n"
    "  local: { kind: engine, model: m.gguf }\n"
    "  openai: { kind: openai, base_url: https://api.openai.com/v1, zone: approved,\n"
    "            key: env:TEST_CMD_NOT_SET, default_model: m }\n";

/* A key that is nobody's, put together here so that no scanner trips over this file. */
#define KEY                                                                                        \
    "AKIA"                                                                                         \
    "Z7Q2MN4PLR3TVW5X"

static void test_policy(void)
{
    char text[800];

    (void)snprintf(text, sizeof(text),
                   "%spolicy:\n  - { name: hide, when: { class: secret }, then: redact }\n",
                   targets);
    write_config(text);
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "--model", "gpt-4o", "Hello!") == 0);
    expect("allowed: openai: first of its route");
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "--model", "gpt-4o", "use " KEY " now") ==
          0);
    expect("redact by policy line hide");
    expect("AKIA************VW5X");
    CHECK(strstr(out, KEY) == NULL);
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "use " KEY) == 0);
    expect("not applied: the text stays in this process");
    CHECK(
        RUN(cmd_policy, "policy", "test", "-c", conf, "--json",
            "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"\\u0041KIAZ7Q2MN4"
            "PLR3TVW5X\"}]}") == 0);
    expect("\"pointer\":\"/messages/0/content\"");
    expect("\"action\":\"redact\",\"edited\":true");
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "{\"messages\":[],\"messages\":[]}") == 1);
    expect("it would be answered with 400");
    (void)snprintf(
        text, sizeof(text),
        "%spolicy:\n  - { name: no, when: { class: secret, group: core }, then: block }\n"
        "  - { name: in, when: { class: secret }, then: { zone: process } }\n",
        targets);
    write_config(text);
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "--group", "core", "use " KEY) == 1);
    expect("refused: blocked by policy line no");
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "--model", "gpt-4o", "use " KEY) == 0);
    expect("targets     local (moved by policy)");
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "--intercepted", "use " KEY) == 1);
    expect("no target in the zones that policy line in allows");
    write_config("workers: x\n");
    CHECK(RUN(cmd_policy, "policy", "test", "-c", conf, "hi") == 1);
    expect("s.yaml:2: workers: must be a whole number");
    CHECK(RUN(cmd_policy, "policy") == 2 && RUN(cmd_policy, "policy", "test", "a", "b") == 2);
    CHECK(RUN(cmd_policy, "policy", "--help") == 0);
    expect("usage: sluice policy test");
}

static void test_keys(void)
{
    char key[64] = "";
    const char *at;

    write_config(targets);
    CHECK(RUN(cmd_keys, "keys", "list", "-c", conf) == 0);
    expect("No keys yet");
    CHECK(RUN(cmd_keys, "keys", "create", "-c", conf, "--name", "ci", "--group", "core", "--owner",
              "acme", "--expires", "90d") == 0);
    at = strstr(out, "slk_");
    CHECK(at != NULL);
    if (at != NULL)
        (void)snprintf(key, sizeof(key), "%.47s", at);
    CHECK(RUN(cmd_keys, "keys", "list", "-c", conf) == 0);
    expect("works");
    expect("acme");
    CHECK(strstr(out, key) == NULL); /* shown once */
    CHECK(RUN(cmd_keys, "keys", "create", "-c", conf, "--name", "ci") == 1);
    expect("a key named ci exists");
    CHECK(RUN(cmd_keys, "keys", "create", "-c", conf) == 2);
    CHECK(RUN(cmd_keys, "keys", "create", "-c", conf, "--name", "x", "--expires", "2020-01-01") ==
          2);
    CHECK(RUN(cmd_keys, "keys", "create", "-c", conf, "--name", "x", "--expires", "2999-02-30") ==
          2);
    CHECK(RUN(cmd_keys, "keys", "create", "-c", conf, "--name", "x", "--expires", "5") == 2);
    CHECK(RUN(cmd_keys, "keys", "create", "-c", conf, "--name", "x", "--expires", "2999-02-28") ==
          0);
    CHECK(RUN(cmd_keys, "keys", "list", "-c", conf, "--json") == 0);
    expect("\"groups\":[\"core\"]");
    expect("\"expires\":\"2999-03-01T00:00:00.000Z\"");
    CHECK(RUN(cmd_keys, "keys", "revoke", "-c", conf, "ci") == 0);
    CHECK(RUN(cmd_keys, "keys", "revoke", "-c", conf, "ci") == 1);
    CHECK(RUN(cmd_keys, "keys", "list", "-c", conf) == 0);
    expect("revoked");
    CHECK(RUN(cmd_keys, "keys", "frob", "-c", conf) == 2 && RUN(cmd_keys, "keys") == 2);
    CHECK(RUN(cmd_keys, "keys", "revoke", "-c", conf) == 2);
}

int main(void)
{
    char cmd[80];

    unsetenv("OPENAI_API_KEY");
    if (mkdtemp(dir) == NULL)
        return 1;
    (void)snprintf(conf, sizeof(conf), "%s/s.yaml", dir);
    (void)snprintf(out_path, sizeof(out_path), "%s/out", dir);
    test_policy();
    test_keys();
    (void)snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
    CHECK(system(cmd) == 0);
    CHECK(test_remove_tree(dir));
    return test_done();
}
