// NCCL, by the functions of its C interface that are needed. LibTorch's CUDA side brings the library but not its header, and LibTorch's own header
// of a process group over NCCL can't be read without that.
#pragma once
#include <cstddef>

namespace cornernet::train {

/// As nccl.h of version 2 has them: results are 0 for success; a stream is a cudaStream_t.
struct Nccl {
  struct Id {
    char bytes[128];
  };
  using Communicator = void*;
  static constexpr int kSuccess = 0, kInProgress = 7;
  static constexpr int kBytes = 1, kFloat32 = 7;  // types
  static constexpr int kSum = 0;                  // of operations

  int (*get_unique_id)(Id* id);
  int (*comm_init_rank)(Communicator* made, int processes, Id id, int rank);
  int (*broadcast)(const void* from, void* to, size_t count, int type, int root, Communicator communicator, void* stream);
  int (*all_reduce)(const void* from, void* to, size_t count, int type, int operation, Communicator communicator, void* stream);
  int (*comm_get_async_error)(Communicator communicator, int* error);
  int (*comm_abort)(Communicator communicator);
  const char* (*get_error_string)(int error);
  const char* (*get_last_error)(Communicator communicator);  // its own words; null for the thread's last
};

/// Of the library in this process or beside LibTorch; null when there is none.
const Nccl* find_nccl();

}  // namespace cornernet::train
