#include "train/rendezvous.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <memory>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "runtime/error.h"
#include "runtime/interrupt.h"

namespace cornernet::train {
namespace {

/// A connection that is only asked for.
class Probe {
 public:
  explicit Probe(const addrinfo& at) : socket_(::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (socket_ < 0) return;
    const timeval patience{2, 0};  // of connect(), on Linux
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    connected_ = ::connect(socket_, at.ai_addr, at.ai_addrlen) == 0;
    if (!connected_) why_ = std::strerror(errno == EINPROGRESS ? ETIMEDOUT : errno);
  }
  ~Probe() {
    if (socket_ >= 0) ::close(socket_);
  }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  bool connected() const { return connected_; }
  const std::string& why() const { return why_; }
  /// This machine's address on that way.
  std::string own_address() const {
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    std::array<char, NI_MAXHOST> name{};
    if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&own), &size) != 0 ||
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, name.data(), name.size(), nullptr, 0, NI_NUMERICHOST) != 0)
      return {};
    return name.data();
  }

 private:
  int socket_;
  bool connected_ = false;
  std::string why_ = "no socket";
};

}  // namespace

void fail(const std::string& sentence) { throw Error(ErrorCode::Peer, sentence); }

std::string first_line(const char* text) { return std::string(text, std::strcspn(text, "\n")); }

void nap() {
  check_interrupted();
  std::this_thread::sleep_for(kLook);
}

std::string reach(const Membership& m, std::chrono::steady_clock::time_point deadline) {
  const std::string place = m.address + ":" + std::to_string(m.port);
  for (std::string why;; nap()) {
    addrinfo hints{}, *found = nullptr;
    hints.ai_socktype = SOCK_STREAM;
    const int failure = ::getaddrinfo(m.address.c_str(), std::to_string(m.port).c_str(), &hints, &found);
    if (failure != 0) why = ::gai_strerror(failure);
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, [](addrinfo* at) {
      if (at) ::freeaddrinfo(at);
    });
    for (const addrinfo* at = list.get(); at; at = at->ai_next) {
      const Probe probe(*at);
      if (probe.connected()) return probe.own_address();
      why = probe.why();
    }
    if (std::chrono::steady_clock::now() > deadline) fail("rank 0 can't be reached at " + place + ": " + why);
  }
}

c10::intrusive_ptr<c10d::Store> open_store(const Membership& m, bool keep) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(m.port);
  options.isServer = keep;
  options.waitWorkers = false;
  options.timeout = kConnecting;
  try {
    return c10::make_intrusive<c10d::PrefixStore>("cornernet/" + m.prefix, c10::make_intrusive<c10d::TCPStore>(m.address, options));
  } catch (const std::exception& error) {
    const std::string place = m.address + ":" + std::to_string(m.port);
    fail((keep ? "rank 0 can't listen at " : "the others' meeting point can't be used at ") + place + ": " + first_line(error.what()));
  }
}

}  // namespace cornernet::train
