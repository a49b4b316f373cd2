/* Loaded into every process of a node by LD_PRELOAD: lets fsync fail, lie or take its time, and moves the wall clock.
 *
 * A file that the test maps too says what to do at any moment. CLOCK_MONOTONIC and CLOCK_BOOTTIME are left alone: the
 * kernel promises that nobody sets them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The same as in shim.rs, in this order. */
struct control {
    volatile int64_t sync;      /* 0 as it is, 1 fails with EIO, 2 says yes and does nothing, 3 waits first */
    volatile int64_t wait_ms;   /* for 3 */
    volatile int64_t clock_ns;  /* added to the wall clock */
    volatile int64_t met;       /* syncs that were not left as they are */
    char path[480];             /* only files with this in their path */
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("PACELINE_FAULTS");
    if (!name) return;
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) control = map;
}

static int meant(int fd) {
    char link[64], path[1024];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strstr(path, control->path) != NULL;
}

static int synced(int fd, long number) {
    if (control && control->sync && meant(fd)) {
        int64_t how = control->sync;
        __atomic_add_fetch(&control->met, 1, __ATOMIC_RELAXED);
        if (how == 1) { errno = EIO; return -1; }
        if (how == 2) return 0;
        struct timespec wait = { control->wait_ms / 1000, control->wait_ms % 1000 * 1000000 };
        nanosleep(&wait, NULL);
    }
    return (int)syscall(number, fd);
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

static void shift(struct timespec *t) {
    int64_t by = control ? control->clock_ns : 0;
    int64_t ns = t->tv_nsec + by % 1000000000;
    t->tv_sec += by / 1000000000;
    if (ns < 0) { ns += 1000000000; t->tv_sec--; }
    if (ns >= 1000000000) { ns -= 1000000000; t->tv_sec++; }
    t->tv_nsec = ns;
}

int clock_gettime(clockid_t clock, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int r = real ? real(clock, t) : (int)syscall(SYS_clock_gettime, clock, t);
    if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) shift(t);
    return r;
}

int gettimeofday(struct timeval *t, void *zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
