// Where those who train together meet: the store that rank 0 keeps, or torchrun.
#pragma once
#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "train/process_group.h"

namespace cornernet::train {

inline constexpr std::chrono::milliseconds kLook{100};  // between two looks at what may have come
inline constexpr std::chrono::seconds kConnecting{30};  // of processes that have all met

/// Error(Peer).
[[noreturn]] void fail(const std::string& sentence);
/// Of what LibTorch says, which goes on with where in its sources.
std::string first_line(const char* text);
/// Between two looks; Error(Closed) when the thread is interrupted.
void nap();

/// Tries until the store's place answers; gives this machine's address on the way there.
std::string reach(const Membership& m, std::chrono::steady_clock::time_point deadline);
/// Under the membership's prefix. `keep`: it is kept here.
c10::intrusive_ptr<c10d::Store> open_store(const Membership& m, bool keep);

}  // namespace cornernet::train
