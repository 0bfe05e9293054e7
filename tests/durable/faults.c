// Preloaded into a process: lets its n-th change below one folder fail, or be the last thing it does.
//
// Counted are writes, syncs, truncations, renames, removals and creations. `fault_arm` starts the
// count, so that a process may fork children that each meet another fault.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { kNothing, kExit = -1, kTear = -2 };  // positive: an errno

static char folder[PATH_MAX];
static long first, last, calls;
static int action;

// Calls `from` to `to` (counted from 1) do `what`.
void fault_arm(const char *path, long from, long to, int what) {
  snprintf(folder, sizeof folder, "%s", path);
  first = from;
  last = to;
  calls = 0;
  action = what;
}

long fault_calls(void) { return calls; }

static int is_ours(const char *path) {
  return action != kNothing && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_descriptor_ours(int fd) {
  char link[64], path[PATH_MAX];
  if (action == kNothing) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return is_ours(path);
}

// True when this call is to fail with errno; does not return when it is the last.
static int fails(void) {
  calls++;
  if (calls < first || calls > last) return 0;
  if (action == kExit) _exit(137);
  if (action == kTear) return 0;
  errno = action;
  return 1;
}

static int tears(void) { return action == kTear && calls == first; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  if (is_descriptor_ours(fd)) {
    if (fails()) return -1;
    if (tears()) {
      REAL(pwrite64)(fd, data, size / 2, at);
      _exit(137);
    }
  }
  return REAL(pwrite64)(fd, data, size, at);
}

int fsync(int fd) {
  if (is_descriptor_ours(fd) && fails()) return -1;
  return REAL(fsync)(fd);
}

int fdatasync(int fd) {
  if (is_descriptor_ours(fd) && fails()) return -1;
  return REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size) {
  if (is_descriptor_ours(fd) && fails()) return -1;
  return REAL(ftruncate64)(fd, size);
}

int rename(const char *from, const char *to) {
  if (is_ours(to) && fails()) return -1;
  return REAL(rename)(from, to);
}

int unlink(const char *path) {
  if (is_ours(path) && fails()) return -1;
  return REAL(unlink)(path);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  if ((flags & O_CREAT) && is_ours(path) && fails()) return -1;
  return REAL(open64)(path, flags, mode);
}
