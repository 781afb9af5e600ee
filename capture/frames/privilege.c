/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* setresuid, CLONE_THREAD */
#include "capture/frames/privilege.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0 /* the leak check of a sanitizer traces its own process, which the filter forbids */
#endif

static bool fail(char *error, size_t len, const char *what)
{
    snprintf(error, len, "privileges cannot be dropped: %s: %s", what, strerror(errno));
    return false;
}

/* In a user namespace without that user, root is nobody already. */
static bool is_mapped(uid_t uid)
{
    FILE *map = fopen("/proc/self/uid_map", "r");
    unsigned long first, outside, count;
    bool found = map == NULL;
    while (!found && fscanf(map, "%lu %lu %lu", &first, &outside, &count) == 3)
        found = uid >= first && uid - first < count;
    if (map != NULL)
        fclose(map);
    return found;
}

/* *pw NULL: whoever runs this stays that. */
static bool look_up(const char *user, const struct passwd **pw, char *error, size_t len)
{
    bool asked = user != NULL;
    user = asked ? user : PRIVILEGE_USER;
    errno = 0;
    *pw = getpwnam(user);
    if (geteuid() != 0) {
        if (asked && (*pw == NULL || (*pw)->pw_uid != geteuid())) {
            snprintf(error, len, "only root can become user %s (-Z)", user);
            return false;
        }
        *pw = NULL;
    } else if (*pw == NULL) {
        snprintf(error, len, "there is no user %s; choose another with -Z", user);
        return false;
    }
    return true;
}

bool privilege_user_exists(const char *user, char *error, size_t error_len)
{
    const struct passwd *pw;
    return look_up(user, &pw, error, error_len);
}

static bool become(const char *user, char *error, size_t len)
{
    bool asked = user != NULL;
    const struct passwd *pw;
    if (!look_up(user, &pw, error, len))
        return false;
    if (pw == NULL)
        return true;
    uid_t uid = pw->pw_uid;
    gid_t gid = pw->pw_gid;
    if (uid == 0 || (!asked && !is_mapped(uid)))
        return true; /* -Z root: asked for */
    if (setgroups(1, &gid) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
        return fail(error, len, asked ? user : PRIVILEGE_USER);
    if (setuid(0) == 0) {
        snprintf(error, len, "privileges cannot be dropped: the way back to root is open");
        return false;
    }
    return true;
}

static bool drop_capabilities(char *error, size_t len)
{
    cap_t none = cap_init();
    bool dropped = none != NULL && cap_set_proc(none) == 0;
    if (none != NULL)
        cap_free(none);
    if (!dropped)
        return fail(error, len, "capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(error, len, "no_new_privs");
    return true;
}

/* What the programs do after this point: read what is open, files, the terminal, time, memory and threads. */
static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(readv),
    SCMP_SYS(writev),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(futex),
    SCMP_SYS(mmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(close),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(lseek),
    SCMP_SYS(fcntl),
    SCMP_SYS(ioctl),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(nanosleep),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getrandom),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(membarrier),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getcwd),
    SCMP_SYS(getdents64),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(pipe2),
    SCMP_SYS(dup),
    SCMP_SYS(umask),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fallocate),
    SCMP_SYS(flock),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(prlimit64),
    SCMP_SYS(getrusage),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(connect),
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
};

static bool add_rules(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0) != 0)
            return false;
    /* threads, but no processes; of clone3 the filter cannot see the flags, so glibc is sent back to clone */
    struct scmp_arg_cmp thread = SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD);
    struct scmp_arg_cmp local = SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0); /* a log socket that is opened anew */
    struct scmp_arg_cmp self = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0);
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, thread) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, local) == 0 &&
           seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, self) == 0; /* to suspend itself */
}

static bool sandbox(char *error, size_t len)
{
    if (UNDER_SANITIZER)
        return true;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int status = filter != NULL && add_rules(filter) ? seccomp_load(filter) : -ENOMEM;
    if (filter != NULL)
        seccomp_release(filter);
    if (status == 0 || status == -EINVAL || status == -ECANCELED || status == -EOPNOTSUPP)
        return true; /* a kernel built without seccomp: the rest of the precautions stands */
    errno = -status;
    return fail(error, len, "seccomp");
}

bool privilege_drop(const char *user, char *error, size_t error_len)
{
    tzset(); /* reads its file once, while it surely can */
    return become(user, error, error_len) && drop_capabilities(error, error_len) && sandbox(error, error_len);
}
