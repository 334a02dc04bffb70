// Where the network may compute two things at a time: whoever runs it can offer a second stream, and else they run one after the other.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace cornernet {

/// A second stream, for one piece of work at a time.
class Beside {
 public:
  virtual ~Beside() = default;
  /// `work`, which reads `input`, sees what the present stream was given so far, and runs beside what it is given until end().
  virtual at::Tensor begin(const at::Tensor& input, const std::function<at::Tensor()>& work) = 0;
  /// What the present stream is given from now on sees what begin() returned, and may write over `input`.
  virtual void end() noexcept = 0;

  /// While it lives, the network finds `beside` on this thread.
  class Offer {
   public:
    explicit Offer(Beside& beside);
    ~Offer();
    Offer(const Offer&) = delete;
    Offer& operator=(const Offer&) = delete;
  };
};

/// Work whose result is needed later. It begins now where a second stream is offered that no other Fork uses, and else when it is joined: then what
/// comes before it holds less memory.
class Fork {
 public:
  /// `work` computes from `input`.
  Fork(const at::Tensor& input, std::function<at::Tensor()> work);
  ~Fork();
  Fork(const Fork&) = delete;
  Fork& operator=(const Fork&) = delete;
  /// Once.
  at::Tensor join();

 private:
  std::function<at::Tensor()> work_;
  Beside* beside_;
  at::Tensor result_;
};

}  // namespace cornernet
