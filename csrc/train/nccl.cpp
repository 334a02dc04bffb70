#include "train/nccl.h"

#include <ATen/DynamicLibrary.h>

#include <exception>
#include <optional>

namespace cornernet::train {
namespace {

/// Throws when it lacks one.
Nccl functions_of(at::DynamicLibrary& library) {
  Nccl nccl{};
  const auto find = [&]<typename Function>(const char* name, Function& function) { function = reinterpret_cast<Function>(library.sym(name)); };
  find("ncclGetUniqueId", nccl.get_unique_id);
  find("ncclCommInitRank", nccl.comm_init_rank);
  find("ncclBroadcast", nccl.broadcast);
  find("ncclAllReduce", nccl.all_reduce);
  find("ncclCommGetAsyncError", nccl.comm_get_async_error);
  find("ncclCommAbort", nccl.comm_abort);
  find("ncclGetErrorString", nccl.get_error_string);
  find("ncclGetLastError", nccl.get_last_error);
  return nccl;
}

/// pip's LibTorch links the library; the official archive has it inside LibTorch's CUDA library.
std::optional<Nccl> look() {
  for (const char* const name : {"libnccl.so.2", "libtorch_cuda.so"}) {
    try {
      at::DynamicLibrary library(name, nullptr, /*leak_handle=*/true);
      return functions_of(library);
    } catch (const std::exception&) {
      // The next one may have it.
    }
  }
  return std::nullopt;
}

}  // namespace

const Nccl* find_nccl() {
  static const std::optional<Nccl> nccl = look();
  return nccl ? &*nccl : nullptr;
}

}  // namespace cornernet::train
