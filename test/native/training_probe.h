// Lets tests in TypeScript train the core's learner in fp32 or fp64 and look at everything that it computes.
#pragma once
#include <napi.h>

namespace cornernet::testing {

/// trainAs(setting): lib-side types are in test/native/training.test.ts.
Napi::Value train_as(const Napi::CallbackInfo& info);
/// gaussianRadius(height, width)
Napi::Value gaussian_radius_of(const Napi::CallbackInfo& info);

}  // namespace cornernet::testing
