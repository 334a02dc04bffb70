// Which sizes a network's forwards on a GPU take, so that a size that is new costs little and one that recurs soon costs nothing beyond its work.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>

namespace cornernet {

/// Input sizes that a network's forwards are remembered of: a bound for a stream of ever new ones.
inline constexpr size_t kMostSizes = 512;

/// A size is new to the libraries when its number of pictures or their padded size is: kernels are chosen and planned for it, which takes as long as
/// a dozen pictures in the network. So batches run in canonical numbers of pictures, powers of two, and one padded size at first picture by picture;
/// a larger number is begun when doing without it has lost about as much. The fastest kernels are searched, which takes as long as some hundred
/// forwards, only for a size that recurs without end: a stream of one, or by and by. What has been searched is kept as long as the policy.
/// The same batches in the same order give the same forwards: no clock is asked.
class ForwardPolicy {
 public:
  struct Forward {
    int64_t pictures = 1;
    /// Whether it is to search, and whether it or one before it did.
    bool search = false, searched = false;
  };

  /// The next forward of `pictures` that wait, of `views` views each: for so many of them. It is taken to be run.
  Forward next(int64_t pictures, int64_t views, int64_t height_px, int64_t width_px);
  /// Sizes begun and searched so far.
  int64_t begun() const { return begun_; }
  int64_t searched() const { return searched_; }

 private:
  /// Views, height and width of a picture, and the number of pictures.
  using Size = std::array<int64_t, 4>;
  struct State {
    int64_t runs = 0;
    double lost = 0;  // in pictures: by running it in smaller forwards
    bool searched = false;
  };

  State& state(const Size& size);
  bool is_known(const Size& size) const;

  std::map<Size, State> states_;
  Size last_{};
  int64_t in_a_row_ = 0, begun_ = 0, searched_ = 0;
};

}  // namespace cornernet
