// Loss scaling for fp16: gradients that would round to 0 are multiplied by a factor that follows what they can bear, by torch.amp.GradScaler's rule.
#pragma once

namespace cornernet::train {

class LossScale {
 public:
  /// 1 keeps it out.
  explicit LossScale(double first = 1) : factor_(first), adapts_(first != 1) {}

  double factor() const { return factor_; }
  bool adapts() const { return adapts_; }
  /// After each backward: whether its gradients were finite.
  void note(bool finite) {
    constexpr int kPatience = 2000;
    if (!adapts_) return;
    if (!finite) {
      factor_ /= 2;
      borne_ = 0;
    } else if (++borne_ == kPatience) {
      factor_ *= 2;
      borne_ = 0;
    }
  }

 private:
  double factor_;
  bool adapts_;
  int borne_ = 0;
};

}  // namespace cornernet::train
