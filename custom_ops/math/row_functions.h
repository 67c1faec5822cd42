// The functions of one pixel's row of channels, for lanes that share the row: each takes the channels lane, lane +
// lanes, ..., and Sum and Max unite what they found. In double: differences of two nearly equal numbers keep few
// digits.
#pragma once

#include <cmath>
#include <cstdint>

#include "math/device.h"
#include "math/product.h"

namespace krypton {

// The whole row.
struct OneLane {
  static constexpr int lane = 0, lanes = 1;
  double Sum(double value) const { return value; }
  double Max(double value) const { return value; }
};

template <class Lanes, class Term>
KRYPTON_DEVICE double SumOf(const Lanes& lanes, int64_t channels, const Term& term) {
  double sum = 0.0;
  for (int64_t c = lanes.lane; c < channels; c += lanes.lanes) sum += term(c);
  return lanes.Sum(sum);
}

template <class Lanes, class Term>
KRYPTON_DEVICE double MaxOf(const Lanes& lanes, int64_t channels, const Term& term) {
  double top = term(0);
  for (int64_t c = lanes.lane; c < channels; c += lanes.lanes) {
    const double value = term(c);
    top = value > top ? value : top;
  }
  return lanes.Max(top);
}

// A row of the base, and of it with the delta.
struct BaseRow {
  const float* z;
  KRYPTON_DEVICE double operator()(int64_t c) const { return static_cast<double>(z[c]); }
};
struct MovedRow {
  const float *z, *d;
  KRYPTON_DEVICE double operator()(int64_t c) const { return static_cast<double>(z[c]) + d[c]; }
};

// softmax(x) = exp(x - top) / sum
struct Normalizer {
  double top, sum;
};

template <class Lanes, class Entry>
KRYPTON_DEVICE Normalizer NormalizerOf(const Lanes& lanes, const Entry& entry, int64_t channels) {
  const double top = MaxOf(lanes, channels, entry);
  return {top, SumOf(lanes, channels, [&](int64_t c) { return std::exp(entry(c) - top); })};
}

template <class Lanes>
KRYPTON_DEVICE void SoftmaxRow(const Lanes& lanes, const float* z, const float* d, float* y, int64_t channels,
                               bool logarithm) {
  const BaseRow before{z};
  const MovedRow after{z, d};
  const Normalizer base = NormalizerOf(lanes, before, channels), moved = NormalizerOf(lanes, after, channels);
  const double shift = (moved.top + std::log(moved.sum)) - (base.top + std::log(base.sum));
  for (int64_t c = lanes.lane; c < channels; c += lanes.lanes) {
    const double change = logarithm
                              ? d[c] - shift
                              : std::exp(after(c) - moved.top) / moved.sum - std::exp(before(c) - base.top) / base.sum;
    y[c] = static_cast<float>(change);
  }
}

// lrn(x)[c] = x[c] / (bias + alpha / size * sum of x[i]^2)^beta, i from c - floor((size - 1) / 2) to
// c + ceil((size - 1) / 2)
struct LrnParameters {
  int64_t size;
  float alpha, beta, bias;
};

template <class Lanes>
KRYPTON_DEVICE void LrnRow(const Lanes& lanes, const float* z, const float* d, float* y, int64_t channels,
                           const LrnParameters& p) {
  const int64_t before = (p.size - 1) / 2, after = p.size / 2;
  const double scale = static_cast<double>(p.alpha) / static_cast<double>(p.size);
  for (int64_t c = lanes.lane; c < channels; c += lanes.lanes) {
    double base = 0.0, moved = 0.0;
    const int64_t first = c < before ? 0 : c - before, last = c + after < channels ? c + after : channels - 1;
    for (int64_t i = first; i <= last; ++i) {
      const double b = z[i], m = static_cast<double>(z[i]) + d[i];
      base += b * b, moved += m * m;
    }
    const double now = Product(static_cast<double>(z[c]) + d[c], std::pow(p.bias + scale * moved, -p.beta));
    y[c] = static_cast<float>(now - Product(z[c], std::pow(p.bias + scale * base, -p.beta)));
  }
}

// Numbered in the order of their names, which are ONNX's without Reduce.
enum class Reduction : int32_t { kL1, kL2, kLogSumExp, kMax, kMean, kMin, kSum, kSumSquare };
inline constexpr const char* kReductionNames[] = {"L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Sum", "SumSquare"};

template <class Lanes, class Entry>
KRYPTON_DEVICE double Reduce(const Lanes& lanes, Reduction reduction, const Entry& entry, int64_t channels) {
  const auto square = [&](int64_t c) { return entry(c) * entry(c); };
  switch (reduction) {
    case Reduction::kL1:
      return SumOf(lanes, channels, [&](int64_t c) { return std::fabs(entry(c)); });
    case Reduction::kL2:
      return std::sqrt(SumOf(lanes, channels, square));
    case Reduction::kLogSumExp: {
      const Normalizer n = NormalizerOf(lanes, entry, channels);
      return n.top + std::log(n.sum);
    }
    case Reduction::kMax:
      return MaxOf(lanes, channels, entry);
    case Reduction::kMin:
      return -MaxOf(lanes, channels, [&](int64_t c) { return -entry(c); });
    case Reduction::kSumSquare:
      return SumOf(lanes, channels, square);
    case Reduction::kMean:
    case Reduction::kSum:
      break;  // of the delta alone, below
  }
  return 0.0;
}

// r(z + d) - r(z)
template <class Lanes>
KRYPTON_DEVICE float ReductionDelta(const Lanes& lanes, Reduction reduction, const float* z, const float* d,
                                    int64_t channels) {
  if (reduction == Reduction::kMean || reduction == Reduction::kSum) {
    const double sum = SumOf(lanes, channels, BaseRow{d});
    return static_cast<float>(reduction == Reduction::kMean ? sum / static_cast<double>(channels) : sum);
  }
  return static_cast<float>(Reduce(lanes, reduction, MovedRow{z, d}, channels) -
                            Reduce(lanes, reduction, BaseRow{z}, channels));
}

}  // namespace krypton
