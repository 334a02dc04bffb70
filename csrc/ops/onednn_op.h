// Finding oneDNN's fused convolutions, which PyTorch exposes through its dispatcher only: they have no C++ function of their own.
#pragma once
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <array>
#include <optional>
#include <string_view>

namespace cornernet {

template <typename Signature>
c10::TypedOperatorHandle<Signature> onednn_op(const char* name, const char* overload = "") {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload).typed<Signature>();
}

using Ints = at::IntArrayRef;
using Scalars = c10::List<std::optional<at::Scalar>>;
using Attribute = std::optional<std::string_view>;

inline constexpr std::array<int64_t, 2> kNoDilation{1, 1};

}  // namespace cornernet
