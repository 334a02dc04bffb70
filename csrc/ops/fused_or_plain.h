// The choice between a fused kernel and the same in several, made by whether the library has the fused one.
#pragma once
#include <c10/util/Exception.h>

#include "ops/failure.h"

namespace cornernet {

/// Remembers for one layer that its fused kernel can't be had (three channels on a V100, say).
class FusedOrPlain {
 public:
  template <typename Fused, typename Plain>
  auto run(const Fused& fused, const Plain& plain) const {
    if (!only_plain_) {
      try {
        return fused();
      } catch (const c10::Error& error) {
        if (failure_of(error.what_without_backtrace()) != Failure::NoEngine) throw;
      }
    }
    auto result = plain();  // where it is workspace that lacks, this fails too, and nothing is remembered
    only_plain_ = true;
    return result;
  }

 private:
  mutable bool only_plain_ = false;
};

}  // namespace cornernet
