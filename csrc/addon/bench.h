// The operators' benchmark and the count of a network's work, between JavaScript values and plain structs.
#pragma once
#include <napi.h>

#include <vector>

#include "addon/channel.h"
#include "engine/detector.h"

namespace cornernet {

/// One object an operator.
Napi::Array work_to_js(Napi::Env env, const std::vector<Work>& work);

/// networkWork({ width, height, views, precision }): of HourglassNet-104, at once.
Napi::Value network_work(const Napi::CallbackInfo& info);
/// benchOperator(work, setting)
Napi::Value bench_operator(const Napi::CallbackInfo& info, Channel& channel);
/// benchPeak('matmul' | 'conv' | 'copy', setting)
Napi::Value bench_peak(const Napi::CallbackInfo& info, Channel& channel);

}  // namespace cornernet
