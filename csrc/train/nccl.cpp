#include "train/nccl.h"

#include <dlfcn.h>

#include <optional>

namespace cornernet::train {
namespace {

/// Whether the library has it.
template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

std::optional<Nccl> functions_of(void* library) {
  Nccl nccl{};
  const bool whole = find(library, "ncclGetUniqueId", nccl.get_unique_id) && find(library, "ncclCommInitRank", nccl.comm_init_rank) &&
                     find(library, "ncclBroadcast", nccl.broadcast) && find(library, "ncclAllReduce", nccl.all_reduce) &&
                     find(library, "ncclCommGetAsyncError", nccl.comm_get_async_error) && find(library, "ncclCommAbort", nccl.comm_abort) &&
                     find(library, "ncclCommDestroy", nccl.comm_destroy) && find(library, "ncclGetErrorString", nccl.get_error_string);
  return whole ? std::optional(nccl) : std::nullopt;
}

/// pip's LibTorch links the library; the official archive has it inside LibTorch's CUDA library.
std::optional<Nccl> look() {
  for (const char* const name : {"libnccl.so.2", "libtorch_cuda.so"}) {
    void* const library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (library == nullptr) continue;
    if (const auto found = functions_of(library)) return found;  // never closed: LibTorch uses it
  }
  return std::nullopt;
}

}  // namespace

const Nccl* find_nccl() {
  static const std::optional<Nccl> nccl = look();
  return nccl ? &*nccl : nullptr;
}

}  // namespace cornernet::train
