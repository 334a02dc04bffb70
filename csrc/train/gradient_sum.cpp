#include "train/gradient_sum.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

#include "runtime/error.h"

namespace cornernet::train {
namespace {

/// Of a bucket. The first is small, so that something is on its way early.
constexpr int64_t kFirstBytes = 1 << 20, kMostBytes = 25 << 20;

}  // namespace

class GradientSum::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(GradientSum* sum, size_t place) : sum_(sum), place_(place) {}
  void operator()(const at::Tensor& /*parameter*/) override { sum_->take(place_); }

 private:
  GradientSum* sum_;
  size_t place_;
};

GradientSum::GradientSum(const std::vector<at::Tensor>& parameters, ProcessGroup& group) : group_(group) {
  std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(parameters_), [](const at::Tensor& one) { return one.requires_grad(); });
  places_.resize(parameters_.size());
  int64_t bytes = 0;
  for (size_t place = parameters_.size(); place-- > 0;) {
    const auto more = static_cast<int64_t>(parameters_[place].nbytes());
    if (buckets_.empty() || bytes + more > (buckets_.size() == 1 ? kFirstBytes : kMostBytes)) {
      buckets_.emplace_back();
      bytes = 0;
    }
    bytes += more;
    buckets_.back().places.push_back(place);
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    Bucket& bucket = buckets_[b];
    int64_t numbers = 0, at = 0;
    for (const size_t place : bucket.places) numbers += parameters_[place].numel();
    bucket.values = at::empty({numbers}, parameters_[bucket.places.front()].options().requires_grad(false));
    for (const size_t place : bucket.places) {
      const at::Tensor& parameter = parameters_[place];
      places_[place] = {b, bucket.values.as_strided(parameter.sizes(), parameter.strides(), at)};
      at += parameter.numel();
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, std::make_unique<Hook>(this, place));
    }
  }
}

GradientSum::~GradientSum() {
  for (const at::Tensor& parameter : parameters_) torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
}

void GradientSum::begin() {
  for (Bucket& bucket : buckets_) {
    bucket.missing = bucket.places.size();
    bucket.sum.reset();
  }
  for (Place& place : places_) place.came = false;
  sent_ = 0;
  running_ = true;
}

/// A gradient has come: from here on it lives in its bucket.
void GradientSum::take(size_t at) {
  if (!running_) return;
  Place& place = places_[at];
  require(!place.came, ErrorCode::Internal, "a parameter's gradient came twice in one backward");
  place.came = true;
  place.gradient.copy_(parameters_[at].grad());
  parameters_[at].mutable_grad() = place.gradient;
  --buckets_[place.bucket].missing;
  if (!group_.shares_process()) send_full();
}

void GradientSum::send_full() {
  for (; sent_ < buckets_.size() && buckets_[sent_].missing == 0; ++sent_) buckets_[sent_].sum = group_.begin_sum(buckets_[sent_].values);
}

void GradientSum::finish(double factor) {
  running_ = false;
  const at::Tensor came = at::zeros({static_cast<int64_t>(places_.size())}, at::kFloat);
  for (size_t at = 0; at < places_.size(); ++at) {
    Place& place = places_[at];
    if (place.came) {
      came[static_cast<int64_t>(at)].fill_(1);
    } else {
      place.gradient.zero_();
    }
  }
  for (Bucket& bucket : buckets_) bucket.missing = 0;
  if (group_.shares_process()) group_.sum(came);  // here all have met: no GPU waits for another that has yet to find memory
  send_full();
  if (!group_.shares_process()) group_.sum(came);
  for (Bucket& bucket : buckets_) {
    group_.finish(*bucket.sum);
    bucket.values.mul_(factor);
  }
  const float* const anywhere = came.const_data_ptr<float>();
  for (size_t at = 0; at < places_.size(); ++at) {
    if (anywhere[at] > 0) parameters_[at].mutable_grad() = places_[at].gradient;
  }
}

}  // namespace cornernet::train
