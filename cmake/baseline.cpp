// What the prebuilt addon brings along because glibc 2.28 and GCC 8's libstdc++ don't have it: they are all that LibTorch's own builds need.
// The linker sends references to X to __wrap_X (cmake/Prebuilt.cmake); scripts/pack.js refuses an addon that needs anything newer.
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <clocale>
#include <cmath>
#include <condition_variable>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <mutex>
#include <string>
#include <string_view>

#include <locale.h>

#define HIDDEN extern "C" __attribute__((visibility("hidden")))

/// glibc 2.32. Zero has shared_ptr count atomically, which is right with any number of threads.
HIDDEN char __libc_single_threaded;
char __libc_single_threaded = 0;

/// glibc 2.33; before, it was an inline function. On x86-64 and ARM64 the kernel's structure is glibc's.
HIDDEN int __wrap_fstat(int fd, struct stat* status) { return static_cast<int>(syscall(SYS_fstat, fd, status)); }

/// glibc 2.38, whose headers have strtol and strtoll (and so std::stoi and std::stoll) read C23's binary numbers too; these read what they did before.
extern "C" long former_strtol(const char* text, char** end, int base) __asm__("strtol");
extern "C" long long former_strtoll(const char* text, char** end, int base) __asm__("strtoll");
HIDDEN long __isoc23_strtol(const char* text, char** end, int base) { return former_strtol(text, end, base); }
HIDDEN long long __isoc23_strtoll(const char* text, char** end, int base) { return former_strtoll(text, end, base); }

/// GCC 14, for an exception that would leave a noexcept function.
HIDDEN void __cxa_call_terminate(void* exception) noexcept {
  if (exception) abi::__cxa_begin_catch(exception);
  std::terminate();
}

/// GCC 12 gave it another symbol version for a change of its exception specification.
HIDDEN void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(std::condition_variable* self, std::unique_lock<std::mutex>* lock) {
  pthread_cond_wait(self->native_handle(), lock->mutex()->native_handle());
}

/// GCC 11, for chars_format::general.
HIDDEN std::from_chars_result __wrap__ZSt10from_charsPKcS0_RdSt12chars_format(const char* first, const char* last, double* value, std::chars_format) {
  static const locale_t classic = newlocale(LC_ALL_MASK, "C", nullptr);
  // The number alone: strtod would read hexadecimal ones, too, and white space and a plus sign before any; and copying all that follows a number would
  // make the reading of a long list of them quadratic.
  const std::string_view range(first, static_cast<size_t>(last - first));
  const std::string text(range.substr(0, range.find_first_not_of("0123456789.eE+-infatyINFATY")));
  if (text.starts_with('+')) return {first, std::errc::invalid_argument};
  char* end = nullptr;
  errno = 0;
  const double number = strtod_l(text.c_str(), &end, classic);
  if (end == text.c_str()) return {first, std::errc::invalid_argument};
  if (errno == ERANGE && (number == 0 || std::isinf(number))) return {first + (end - text.c_str()), std::errc::result_out_of_range};
  *value = number;
  return {first + (end - text.c_str()), std::errc()};
}
