#include "checkpoint/file_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "runtime/error.h"

namespace cornernet {
namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

std::string unreadable(int code) { return "it can't be read: " + std::generic_category().message(code); }

bool same(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

}  // namespace

std::shared_ptr<FileBytes> FileBytes::open(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) throw Error(ErrorCode::Input, unreadable(errno));
  struct stat status;
  if (fstat(file.fd, &status) != 0) throw Error(ErrorCode::Input, unreadable(errno));
  if (S_ISDIR(status.st_mode)) throw Error(ErrorCode::Input, unreadable(EISDIR));
  if (!S_ISREG(status.st_mode)) throw Error(ErrorCode::Input, "it is not a regular file");
  if (status.st_size == 0) refuse_checkpoint("it is empty");
  // Not a mapping of the file: one that is cut off later would end the process at the next look.
  void* data = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) throw Error(ErrorCode::OutOfMemory, "no memory for its " + std::to_string(status.st_size) + " bytes");
  return std::shared_ptr<FileBytes>(new FileBytes(std::exchange(file.fd, -1), status, static_cast<uint8_t*>(data)));
}

FileBytes::FileBytes(int fd, const struct stat& status, uint8_t* data)
    : fd_(fd), status_(status), data_(data), size_(static_cast<size_t>(status.st_size)) {}

FileBytes::~FileBytes() {
  munmap(data_, size_);
  if (fd_ >= 0) close(fd_);
}

void FileBytes::read(Bytes part, uint8_t* to) const {
  const auto first = static_cast<size_t>(part.data() - data_);
  for (size_t done = 0; done < part.size();) {
    const ssize_t got = pread(fd_, to + done, part.size() - done, static_cast<off_t>(first + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse_checkpoint(unreadable(errno));
    if (got == 0) refuse_checkpoint("it was cut off while it was read");
    done += static_cast<size_t>(got);
  }
}

void FileBytes::close_unchanged() {
  const Descriptor file{std::exchange(fd_, -1)};
  struct stat now;
  if (fstat(file.fd, &now) != 0) refuse_checkpoint(unreadable(errno));
  if (now.st_size != status_.st_size || !same(now.st_mtim, status_.st_mtim)) refuse_checkpoint("it changed while it was read");
}

}  // namespace cornernet
