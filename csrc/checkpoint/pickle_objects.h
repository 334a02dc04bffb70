// The few globals that a state dict needs, by name: storages, tensors, ordered dictionaries. Everything else stays an inert object.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "checkpoint/pickle.h"

namespace cornernet::pickle {

/// Makes a value of the unpickler's.
using Maker = std::function<Value*(Kind)>;
/// Throws Error(Checkpoint) with the place in the stream.
using Failure = std::function<void(const std::string&)>;

/// What calling or instantiating `callee` would give, without doing so. Operands of the known globals are checked for type, sign and size.
Value* construct(const Value& callee, const Value& arguments, const Maker& make, const Failure& fail);

/// The name of torch's storage class of these elements. Throws Error(Internal) for others than checkpoints have.
std::string_view storage_class(c10::ScalarType dtype);

/// ('storage', class, key, location, numel[, view]) as a Storage.
Value* resolve_persistent_id(const Value& id, const Maker& make, const Failure& fail);

}  // namespace cornernet::pickle
