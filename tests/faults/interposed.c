/* Stands between a process and the system: fsync slow or failing, the wall clock elsewhere. Loaded by tests alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* What a test wishes, in a file that all processes map; `interposing.py` writes the same three numbers. */
struct wishes {
    _Atomic int64_t clock_ahead;   /* seconds that the wall clock is ahead of the true one */
    _Atomic int64_t fsync_delay;   /* microseconds that each fsync takes longer */
    _Atomic int64_t fsync_failing; /* other than 0: each fsync fails with EIO */
};

static struct wishes *wishes;

__attribute__((constructor)) static void attend(void) {
    const char *path = getenv("XIEBAN_WISHES");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *wishes, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        wishes = mapped;
}

static int troubled(void) {
    if (!wishes)
        return 0;
    int64_t delay = atomic_load(&wishes->fsync_delay);
    if (delay > 0)
        usleep((useconds_t)delay);
    return atomic_load(&wishes->fsync_failing) != 0;
}

static time_t ahead(void) { return wishes ? (time_t)atomic_load(&wishes->clock_ahead) : 0; }

int fsync(int file) {
    static int (*next)(int);
    if (!next)
        next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    if (troubled()) {
        errno = EIO;
        return -1;
    }
    return next(file);
}

int fdatasync(int file) {
    static int (*next)(int);
    if (!next)
        next = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    if (troubled()) {
        errno = EIO;
        return -1;
    }
    return next(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next)
        next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = next(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += ahead();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static int (*next)(struct timeval *, void *);
    if (!next)
        next = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    int failed = next(now, zone);
    if (!failed)
        now->tv_sec += ahead();
    return failed;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into)
        *into = now.tv_sec;
    return now.tv_sec;
}
