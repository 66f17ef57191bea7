/* proxy/cmd/actor.c - who runs a command. */
#include "proxy/cmd/actor.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The account that logged in, which sudo and su do not change, or -1. */
static long login_uid(void)
{
    FILE *f = fopen("/proc/self/loginuid", "re");
    char text[24] = "";
    long uid = -1;

    if (f == NULL)
        return -1;
    if (fgets(text, sizeof(text), f) != NULL && text[0] >= '0' && text[0] <= '9')
        uid = strtol(text, NULL, 10);
    (void)fclose(f);
    return uid == 4294967295L ? -1 : uid; /* "not set" */
}

static void user_text(uid_t uid, char *out, size_t size)
{
    const struct passwd *pw = getpwuid(uid); // NOLINT(concurrency-mt-unsafe): one thread

    if (pw != NULL)
        (void)snprintf(out, size, "%.40s", pw->pw_name);
    else
        (void)snprintf(out, size, "%u", (unsigned)uid);
}

void cmd_actor(char *out, size_t size)
{
    char user[48], login[48];
    long uid = login_uid();

    user_text(geteuid(), user, sizeof(user));
    if (uid < 0 || (uid_t)uid == geteuid()) {
        (void)snprintf(out, size, "os:%s", user);
        return;
    }
    user_text((uid_t)uid, login, sizeof(login));
    (void)snprintf(out, size, "os:%s (login %s)", user, login);
}
