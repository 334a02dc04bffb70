#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "ops/cpu/element.h"
#include "ops/cpu/kernels.h"
#include "ops/cpu/widest_vectors.h"

namespace cornernet::cpu {
namespace {

/// A channels-last map as rows (places) of channels, cut into chunks: whoever computes them, sums are of the same chunks in the same order.
struct Rows {
  // So few rows are summed in fp32 that their rounding stays below the values' own; the chunks are summed in fp64.
  static constexpr int64_t kMostRows = 256, kElements = 32768;

  explicit Rows(const at::Tensor& x)
      : channels(x.size(1)), rows(x.numel() / channels), chunk(std::clamp<int64_t>(kElements / channels, 16, kMostRows)) {}
  int64_t chunks() const { return (rows + chunk - 1) / chunk; }

  /// loop(chunk, first row, number of rows), spread over threads.
  template <typename Loop>
  void for_each_chunk(const Loop& loop) const {
    at::parallel_for(0, chunks(), 1, [&](int64_t begin, int64_t end) {
      with_widest_vectors([&] {
        for (int64_t i = begin; i < end; ++i) loop(i, i * chunk, std::min(chunk, rows - i * chunk));
      });
    });
  }

  int64_t channels, rows, chunk;
};

/// Sums and sums of squares of a chunk's distances from its first row.
template <typename T, typename Wide>
inline void sum_chunk(const T* __restrict x, int64_t rows, int64_t channels, Wide* __restrict sums, Wide* __restrict squares) {
  using E = Element<T>;
  std::fill_n(sums, channels, Wide{0});
  std::fill_n(squares, channels, Wide{0});
  for (int64_t r = 1; r < rows; ++r) {
    const T* const row = x + r * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const Wide d = E::load(row[c]) - E::load(x[c]);
      sums[c] += d;
      squares[c] += d * d;
    }
  }
}

template <typename T>
void moments_of(const T* x, const Rows& view, double* mean, double* variance) {
  using E = Element<T>;
  using Wide = typename E::Wide;
  const int64_t channels = view.channels;
  std::vector<Wide> partial(static_cast<size_t>(2 * view.chunks() * channels));
  view.for_each_chunk([&](int64_t i, int64_t first, int64_t rows) {
    Wide* const sums = partial.data() + 2 * i * channels;
    sum_chunk(x + first * channels, rows, channels, sums, sums + channels);
  });
  std::fill_n(mean, channels, 0.0);
  std::fill_n(variance, channels, 0.0);
  int64_t before = 0;
  for (int64_t i = 0; i < view.chunks(); ++i) {
    const int64_t first = i * view.chunk, rows = std::min(view.chunk, view.rows - first);
    const double share = static_cast<double>(rows) / static_cast<double>(before + rows), n = static_cast<double>(rows);
    for (int64_t c = 0; c < channels; ++c) {
      const double sum = partial[2 * i * channels + c], squares = partial[(2 * i + 1) * channels + c];
      const double apart = static_cast<double>(E::load(x[first * channels + c])) + sum / n - mean[c];
      mean[c] += apart * share;
      variance[c] += squares - sum * sum / n + apart * apart * share * static_cast<double>(before);
    }
    before += rows;
  }
  for (int64_t c = 0; c < channels; ++c) variance[c] = std::max(0.0, variance[c] / static_cast<double>(view.rows));
}

/// What one norm and what follows it read; a type each, so that loops know what there is.
template <typename T, bool kResidual, bool kRelu>
struct Norm {
  using E = Element<T>;
  using Wide = typename E::Wide;
  const T* x;
  const T* residual;
  const Wide* scale;
  const Wide* shift;
  int64_t channels;

  Wide before_act(int64_t at, int64_t c) const {
    const Wide value = E::load(x[at + c]) * scale[c] + shift[c];
    return kResidual ? value + E::load(residual[at + c]) : value;
  }

  void apply(T* __restrict y, int64_t first, int64_t rows) const {
    for (int64_t r = first; r < first + rows; ++r) {
      for (int64_t c = 0, at = r * channels; c < channels; ++c) {
        const Wide value = before_act(at, c);
        y[at + c] = E::store(kRelu && value < 0 ? Wide{0} : value);
      }
    }
  }

  /// The gradient before the ReLU; nothing comes through where it gave 0, as in ATen.
  Wide gradient(const T* grad_y, int64_t at, int64_t c) const {
    const Wide grad = E::load(grad_y[at + c]);
    return kRelu && before_act(at, c) <= 0 ? Wide{0} : grad;
  }

  /// Sums of a chunk's gradients and of their products with x's distance from the mean.
  void sum_gradients(const T* __restrict grad_y, const Wide* __restrict mean, int64_t first, int64_t rows, Wide* __restrict sums,
                     Wide* __restrict products) const {
    std::fill_n(sums, channels, Wide{0});
    std::fill_n(products, channels, Wide{0});
    for (int64_t r = first; r < first + rows; ++r) {
      for (int64_t c = 0, at = r * channels; c < channels; ++c) {
        const Wide grad = gradient(grad_y, at, c);
        sums[c] += grad;
        products[c] += grad * (E::load(x[at + c]) - mean[c]);
      }
    }
  }

  /// grad_x = scale * (grad - mean_grad) - slope * (x - mean).
  void gradients(const T* __restrict grad_y, const Wide* __restrict mean, const Wide* __restrict mean_grad, const Wide* __restrict slope,
                 int64_t first, int64_t rows, T* __restrict grad_x, T* __restrict grad_residual) const {
    for (int64_t r = first; r < first + rows; ++r) {
      for (int64_t c = 0, at = r * channels; c < channels; ++c) {
        const Wide grad = gradient(grad_y, at, c);
        if (kResidual) grad_residual[at + c] = E::store(grad);
        grad_x[at + c] = E::store(scale[c] * (grad - mean_grad[c]) - slope[c] * (E::load(x[at + c]) - mean[c]));
      }
    }
  }
};

/// Calls run with the Norm that fits.
template <typename T, typename Run>
void with_norm(const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu, const Run& run) {
  using Wide = typename Element<T>::Wide;
  const auto make = [&](auto has_residual, auto has_relu) {
    const T* const added = residual.defined() ? residual.const_data_ptr<T>() : nullptr;
    run(Norm<T, has_residual.value, has_relu.value>{x.const_data_ptr<T>(), added, affine.scale.const_data_ptr<Wide>(),
                                                    affine.shift.const_data_ptr<Wide>(), x.size(1)});
  };
  const auto with_relu = [&](auto has_residual) { relu ? make(has_residual, std::true_type{}) : make(has_residual, std::false_type{}); };
  residual.defined() ? with_relu(std::true_type{}) : with_relu(std::false_type{});
}

template <typename T>
void backward(const at::Tensor& grad_y, const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu, const double* mean,
              const double* inverse_deviation, bool measured, NormGradients& gradients) {
  using Wide = typename Element<T>::Wide;
  const Rows view(x);
  const auto channels = static_cast<size_t>(view.channels);
  const T* const grad = grad_y.const_data_ptr<T>();
  T* const grad_residual = residual.defined() ? gradients.residual.mutable_data_ptr<T>() : nullptr;
  const std::vector<Wide> centre(mean, mean + channels);
  with_norm<T>(x, affine, residual, relu, [&](const auto& norm) {
    std::vector<Wide> partial(2 * static_cast<size_t>(view.chunks()) * channels);
    view.for_each_chunk([&](int64_t i, int64_t first, int64_t rows) {
      Wide* const sums = partial.data() + 2 * i * view.channels;
      norm.sum_gradients(grad, centre.data(), first, rows, sums, sums + channels);
    });
    std::vector<double> sums(channels), products(channels);
    for (int64_t i = 0; i < view.chunks(); ++i) {
      const Wide* const of_chunk = partial.data() + 2 * i * view.channels;
      for (size_t c = 0; c < channels; ++c) {
        sums[c] += of_chunk[c];
        products[c] += of_chunk[channels + c];
      }
    }
    double *const weight = gradients.weight.mutable_data_ptr<double>(), *const bias = gradients.bias.mutable_data_ptr<double>();
    std::vector<Wide> mean_grad(channels), slope(channels);
    const auto count = static_cast<double>(view.rows);
    for (size_t c = 0; c < channels; ++c) {
      weight[c] = products[c] * inverse_deviation[c];
      bias[c] = sums[c];
      if (!measured) continue;
      mean_grad[c] = static_cast<Wide>(sums[c] / count);
      slope[c] = static_cast<Wide>(static_cast<double>(norm.scale[c]) * inverse_deviation[c] * inverse_deviation[c] * products[c] / count);
    }
    T* const grad_x = gradients.x.mutable_data_ptr<T>();
    view.for_each_chunk([&](int64_t, int64_t first, int64_t rows) {
      norm.gradients(grad, centre.data(), mean_grad.data(), slope.data(), first, rows, grad_x, grad_residual);
    });
  });
}

}  // namespace

void channel_moments(const at::Tensor& x, at::Tensor& mean, at::Tensor& variance) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "channel_moments", [&] {
    moments_of(x.const_data_ptr<scalar_t>(), Rows(x), mean.mutable_data_ptr<double>(), variance.mutable_data_ptr<double>());
  });
}

void apply_norm(const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu, at::Tensor& y) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "apply_norm", [&] {
    auto* const to = y.mutable_data_ptr<scalar_t>();
    with_norm<scalar_t>(x, affine, residual, relu, [&](const auto& norm) {
      Rows(x).for_each_chunk([&](int64_t, int64_t first, int64_t rows) { norm.apply(to, first, rows); });
    });
  });
}

void apply_norm_backward(const at::Tensor& grad_y, const at::Tensor& x, const ChannelAffine& affine, const at::Tensor& residual, bool relu,
                         const at::Tensor& mean, const at::Tensor& inverse_deviation, bool measured, NormGradients& gradients) {
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "apply_norm_backward", [&] {
    backward<scalar_t>(grad_y, x, affine, residual, relu, mean.const_data_ptr<double>(), inverse_deviation.const_data_ptr<double>(), measured,
                       gradients);
  });
}

}  // namespace cornernet::cpu
