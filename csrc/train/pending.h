// What is on its way between the processes that train together.
#pragma once
#include <string>

namespace cornernet::train {

/// Its tensor is not to be touched until it is over. One thread waits for it.
class Pending {
 public:
  virtual ~Pending() = default;
  /// Whether it is over, after waiting for a moment.
  virtual bool wait() = 0;
  /// Of one that is over: why it came to nothing, empty when it did not.
  virtual std::string failure() const = 0;
};

}  // namespace cornernet::train
