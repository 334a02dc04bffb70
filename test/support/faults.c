// A file system, a memory and a clock that misbehave: preloaded into a process, it fails, shortens, slows, ends and records what is asked of libc.
//
// FAULTS_PROCESS  part of a command line: other processes are left alone
// FAULTS_PATH     part of the paths that the rules and the record are about
// FAULTS          rules, a blank between them: call:effect[:first[:count]], as in write:ENOSPC:3; first counts from 1, count is endless by default
//                 calls: open read write fsync truncate rename mkdir rmdir unlink link; effects: an errno's name, short, slow=<ms>, kill
// FAULTS_TRACE    file to which everything that changes files is appended, in the order in which it happened
// FAULTS_CLOCK    seconds[@after]: the time of day is off by so much, once so many seconds have passed
// FAULTS_MALLOC   least[:first]: allocations of at least so many bytes fail, from the first-th on
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

#define REAL(name) ((__typeof__(&name))real(#name))

enum call { OPEN, READ, WRITE, FSYNC, TRUNCATE, RENAME, MKDIR, RMDIR, UNLINK, LINK, CALLS };
static const char* const call_names[CALLS] = {"open", "read", "write", "fsync", "truncate", "rename", "mkdir", "rmdir", "unlink", "link"};

enum effect { NONE, FAIL, SHORT, SLOW, KILL };
static const struct {
  const char* name;
  int code;
} errors[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EINTR", EINTR},   {"EACCES", EACCES}, {"EROFS", EROFS},   {"EDQUOT", EDQUOT},
              {"EMFILE", EMFILE}, {"ESTALE", ESTALE}, {"ENOMEM", ENOMEM}, {"EINVAL", EINVAL}, {"EAGAIN", EAGAIN}, {"ENOTSUP", ENOTSUP}};

static struct rule {
  enum call call;
  enum effect effect;
  int value;
  long first, count;
  atomic_long seen;
} rules[32];
static int rule_count, active, tracing, trace_file = -1;
static const char* about = "";
static double clock_offset, clock_after;
static struct timespec began;
static size_t malloc_least = SIZE_MAX;
static long malloc_first;
static atomic_long malloc_seen;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static void* real(const char* name) {
  return dlsym(RTLD_NEXT, name);
}

static void refuse(const char* text) {
  fprintf(stderr, "faults.c doesn't understand %s\n", text);
  _exit(99);
}

static void parse_rule(char* text) {
  struct rule* rule = &rules[rule_count++];
  char *call = strsep(&text, ":"), *effect = strsep(&text, ":"), *first = strsep(&text, ":"), *count = strsep(&text, ":");
  rule->call = CALLS;
  for (int i = 0; i < CALLS; i++)
    if (strcmp(call, call_names[i]) == 0) rule->call = (enum call)i;
  if (rule->call == CALLS || effect == NULL) refuse(call);
  rule->first = first ? atol(first) : 1;
  rule->count = count ? atol(count) : LONG_MAX;
  if (strcmp(effect, "short") == 0) rule->effect = SHORT;
  if (strcmp(effect, "kill") == 0) rule->effect = KILL;
  if (strncmp(effect, "slow=", 5) == 0) rule->effect = SLOW, rule->value = atoi(effect + 5);
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
    if (strcmp(effect, errors[i].name) == 0) rule->effect = FAIL, rule->value = errors[i].code;
  if (rule->effect == NONE) refuse(effect);
}

/** Whether this process is meant. */
static int is_meant(void) {
  const char* part = getenv("FAULTS_PROCESS");
  if (part == NULL) return 1;
  char line[4096];
  const int file = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
  const long length = syscall(SYS_read, file, line, sizeof line);
  syscall(SYS_close, file);
  return length > 0 && memmem(line, (size_t)length, part, strlen(part)) != NULL;
}

__attribute__((constructor)) static void begin(void) {
  if (!is_meant()) return;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &began);
  if (getenv("FAULTS_PATH")) about = getenv("FAULTS_PATH");
  if (getenv("FAULTS")) {
    char* text = strdup(getenv("FAULTS"));
    for (char* one; (one = strsep(&text, " ")) != NULL;)
      if (*one != '\0') parse_rule(one);
  }
  const char* trace = getenv("FAULTS_TRACE");
  if (trace) trace_file = (int)syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  tracing = trace_file >= 0;
  active = rule_count > 0 || tracing;
  const char* clock = getenv("FAULTS_CLOCK");
  if (clock && sscanf(clock, "%lf@%lf", &clock_offset, &clock_after) < 1) refuse(clock);
  const char* allocation = getenv("FAULTS_MALLOC");
  if (allocation) {
    size_t least;
    malloc_first = 1;
    if (sscanf(allocation, "%zu:%ld", &least, &malloc_first) < 1) refuse(allocation);
    malloc_least = least;
  }
}

// -- Files

static int concerns(const char* path) {
  return path != NULL && strstr(path, about) != NULL;
}

static const char* path_of(int file, char* room) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, room, PATH_MAX - 1);
  if (length < 0) return NULL;
  room[length] = '\0';
  return room;
}

/** What is to become of a call; a failure has its errno set, a slow one has waited. */
static enum effect effect_on(enum call call, const char* path) {
  enum effect found = NONE;
  if (rule_count == 0 || !concerns(path)) return NONE;
  for (int i = 0; i < rule_count; i++) {
    struct rule* rule = &rules[i];
    if (rule->call != call) continue;
    const long at = atomic_fetch_add(&rule->seen, 1) + 1;
    if (at < rule->first || at - rule->first >= rule->count) continue;
    if (rule->effect == KILL) raise(SIGKILL);
    if (rule->effect == SLOW) {
      const struct timespec pause = {rule->value / 1000, rule->value % 1000 * 1000000L};
      nanosleep(&pause, NULL);
    } else if (found == NONE) {
      found = rule->effect;
      errno = rule->value;
    }
  }
  return found;
}

/** A line `call path other offset length`, tabs between, and the bytes that were written. */
static void record(const char* call, const char* path, const char* other, long offset, const void* bytes, size_t length) {
  char head[2 * PATH_MAX + 128];
  const int size = snprintf(head, sizeof head, "%s\t%s\t%s\t%ld\t%zu\n", call, path, other, offset, length);
  const struct iovec parts[] = {{head, (size_t)size}, {(void*)bytes, bytes ? length : 0}, {"\n", 1}};
  syscall(SYS_writev, trace_file, parts, 3);
}

static int traces(const char* path) {
  return tracing && concerns(path);
}

#define TRACED(condition, act, ...)     \
  const int traced = (condition);       \
  if (traced) pthread_mutex_lock(&order); \
  act;                                  \
  const int failure = errno;            \
  if (traced && result >= 0) {          \
    __VA_ARGS__;                        \
  }                                     \
  if (traced) pthread_mutex_unlock(&order); \
  errno = failure;

static int open_any(const char* path, int flags, mode_t mode) {
  int (*const real_open)(const char*, int, ...) = (int (*)(const char*, int, ...))real("open64");
  if (!active) return real_open(path, flags, mode);
  if (effect_on(OPEN, path) == FAIL) return -1;
  struct stat64 former;
  TRACED(traces(path) && (flags & (O_CREAT | O_TRUNC)), const int was = stat64(path, &former);
         const int result = real_open(path, flags, mode),
         if (was != 0) record("create", path, "", 0, NULL, 0);
         else if (flags & O_TRUNC) record("truncate", path, "", 0, NULL, 0))
  return result;
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_any(path, flags, mode);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_any(path, flags, mode);
}

static size_t shortened(size_t length, enum effect effect) {
  return effect == SHORT && length > 1 ? length / 2 : length;
}

#define READ_CALL(name, declaration, call)                                           \
  ssize_t name declaration {                                                         \
    if (rule_count > 0) {                                                            \
      char room[PATH_MAX];                                                           \
      const enum effect effect = effect_on(READ, path_of(file, room));               \
      if (effect == FAIL) return -1;                                                 \
      length = shortened(length, effect);                                            \
    }                                                                                \
    return REAL(name) call;                                                          \
  }
READ_CALL(read, (int file, void* bytes, size_t length), (file, bytes, length))
READ_CALL(pread, (int file, void* bytes, size_t length, off_t at), (file, bytes, length, at))
READ_CALL(pread64, (int file, void* bytes, size_t length, off64_t at), (file, bytes, length, at))

static ssize_t write_any(int file, const void* bytes, size_t length, off64_t at) {
  ssize_t (*const real_write)(int, const void*, size_t) = REAL(write);
  ssize_t (*const real_pwrite)(int, const void*, size_t, off64_t) = REAL(pwrite64);
  char room[PATH_MAX];
  const char* const path = active ? path_of(file, room) : NULL;
  const enum effect effect = effect_on(WRITE, path);
  if (effect == FAIL) return -1;
  length = shortened(length, effect);
  TRACED(traces(path), const ssize_t result = at < 0 ? real_write(file, bytes, length) : real_pwrite(file, bytes, length, at),
         record("write", path, "", at < 0 ? lseek64(file, 0, SEEK_CUR) - result : at, bytes, (size_t)result))
  return result;
}

ssize_t write(int file, const void* bytes, size_t length) {
  return write_any(file, bytes, length, -1);
}

ssize_t pwrite64(int file, const void* bytes, size_t length, off64_t at) {
  return write_any(file, bytes, length, at);
}

ssize_t writev(int file, const struct iovec* parts, int count) {
  if (!active) return REAL(writev)(file, parts, count);
  return count == 0 ? 0 : write_any(file, parts->iov_base, parts->iov_len, -1); // the caller goes on with the rest
}

ssize_t pwritev64(int file, const struct iovec* parts, int count, off64_t at) {
  if (!active) return REAL(pwritev64)(file, parts, count, at);
  return count == 0 ? 0 : write_any(file, parts->iov_base, parts->iov_len, at);
}

#define FILE_CALL(name, call, declaration, arguments, offset)                             \
  int name declaration {                                                                  \
    if (!active) return REAL(name) arguments;                                             \
    char room[PATH_MAX];                                                                  \
    const char* const path = path_of(file, room);                                         \
    if (effect_on(call, path) == FAIL) return -1;                                         \
    TRACED(traces(path), const int result = REAL(name) arguments, record(call_names[call], path, "", offset, NULL, 0)) \
    return result;                                                                        \
  }
FILE_CALL(fsync, FSYNC, (int file), (file), 0)
FILE_CALL(fdatasync, FSYNC, (int file), (file), 0)
FILE_CALL(ftruncate64, TRUNCATE, (int file, off64_t length), (file, length), length)

#define PATH_CALL(name, call, declaration, arguments, other)                              \
  int name declaration {                                                                  \
    if (!active) return REAL(name) arguments;                                             \
    if (effect_on(call, path) == FAIL) return -1;                                         \
    TRACED(traces(path), const int result = REAL(name) arguments, record(#name, path, other, 0, NULL, 0)) \
    return result;                                                                        \
  }
PATH_CALL(rename, RENAME, (const char* path, const char* to), (path, to), to)
PATH_CALL(link, LINK, (const char* path, const char* to), (path, to), to)
PATH_CALL(mkdir, MKDIR, (const char* path, mode_t mode), (path, mode), "")
PATH_CALL(rmdir, RMDIR, (const char* path), (path), "")
PATH_CALL(unlink, UNLINK, (const char* path), (path), "")

// -- The time of day

static double offset_now(void) {
  struct timespec now;
  if (clock_offset == 0) return 0;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  const double passed = (double)(now.tv_sec - began.tv_sec) + 1e-9 * (double)(now.tv_nsec - began.tv_nsec);
  return passed < clock_after ? 0 : clock_offset;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  const int result = (int)syscall(SYS_clock_gettime, clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += (time_t)offset_now();
  return result;
}

int gettimeofday(struct timeval* restrict time, void* restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

// -- Memory

static int denied(size_t size) {
  return size >= malloc_least && atomic_fetch_add(&malloc_seen, 1) + 1 >= malloc_first;
}

void* malloc(size_t size) {
  return denied(size) ? (errno = ENOMEM, NULL) : __libc_malloc(size);
}

void* calloc(size_t count, size_t size) {
  return denied(count * size) ? (errno = ENOMEM, NULL) : __libc_calloc(count, size);
}

void* realloc(void* former, size_t size) {
  return denied(size) ? (errno = ENOMEM, NULL) : __libc_realloc(former, size);
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  if (denied(size)) return ENOMEM;
  void* const memory = __libc_memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}
