// y = f(z + d) - f(z) for each function of functions.h; included behind clip_rule.inl.h, so that each instruction set
// vectorises the loops in its own way. Every f is written without branches and without calls where it is common.
//
// Both terms come from the same code, so d = 0 gives exactly 0. Where a function is linear, the delta is carried by the
// clip rule and not by a difference of two sums, so rounding scales with it. exp, erf and tanh are polynomials good to
// 2e-7 of their range.

KRYPTON_DEVICE inline float ExpValue(float x) {
  // x = n ln 2 + r, |r| <= ln 2 / 2; the constant of 1.5 * 2^23 rounds to an integer. A NaN passes both comparisons.
  const float capped = x < -87.0f ? -87.0f : x;
  const float bounded = capped > 88.0f ? 88.0f : capped;
  const float n = (bounded * 1.44269504f + 12582912.0f) - 12582912.0f;
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const uint32_t bits = (static_cast<uint32_t>(static_cast<int32_t>(n == n ? n : 0.0f)) + 127u) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return p * power;
}

KRYPTON_DEVICE inline float SigmoidValue(float x) { return 1.0f / (1.0f + ExpValue(-x)); }

KRYPTON_DEVICE inline float TanhValue(float x) { return 1.0f - 2.0f / (ExpValue(2.0f * x) + 1.0f); }

// Abramowitz and Stegun, 7.1.26: off by 1.5e-7 at most.
KRYPTON_DEVICE inline float ErfValue(float x) {
  const float size = x < 0.0f ? -x : x;
  const float t = 1.0f / (1.0f + 0.3275911f * size);
  const float p =
      t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  const float found = 1.0f - p * ExpValue(-size * size);
  return x < 0.0f ? -found : found;
}

// mish(x) = x w (w + 2) / (w (w + 2) + 2) with w = exp(x); beyond 20 it is x.
KRYPTON_DEVICE inline float MishValue(float x) {
  const float w = ExpValue(x > 20.0f ? 20.0f : x), n = w * (w + 2.0f);
  return x * (n / (n + 2.0f));
}

KRYPTON_DEVICE inline float SoftplusValue(float x) {
  const float size = x < 0.0f ? -x : x;
  return (x > 0.0f ? x : 0.0f) + std::log1p(ExpValue(-size));
}

KRYPTON_DEVICE inline float PositiveDelta(float d, float z) {
  return ClipRuleScalar(d, z, 0.0f, std::numeric_limits<float>::infinity());
}
KRYPTON_DEVICE inline float NegativeDelta(float d, float z) {
  return ClipRuleScalar(d, z, -std::numeric_limits<float>::infinity(), 0.0f);
}
KRYPTON_DEVICE inline float NegativePart(float x) { return x > 0.0f ? 0.0f : x; }

template <class F>
KRYPTON_DEVICE inline void Rows(float* y, const float* d, const float* z, int64_t n, const F& f) {
  for (int64_t i = 0; i < n; ++i) y[i] = f(d[i], z[i]);
}

template <class F>
KRYPTON_DEVICE inline void Differences(float* y, const float* d, const float* z, int64_t n, const F& f) {
  for (int64_t i = 0; i < n; ++i) y[i] = f(z[i] + d[i]) - f(z[i]);
}

KRYPTON_DEVICE inline void ActivationRow(float* y, const float* d, const float* z, int64_t n,
                                         const Activation& activation) {
  const float alpha = activation.alpha, beta = activation.beta;
  switch (activation.function) {
    case Function::kAbs:
      return Rows(y, d, z, n, [](float u, float v) { return PositiveDelta(u, v) - NegativeDelta(u, v); });
    case Function::kLeakyRelu:
      return Rows(y, d, z, n, [=](float u, float v) { return PositiveDelta(u, v) + alpha * NegativeDelta(u, v); });
    case Function::kElu:
    case Function::kSelu: {
      const float scale = activation.function == Function::kSelu ? beta : 1.0f;
      return Rows(y, d, z, n, [=](float u, float v) {
        const float curved = ExpValue(NegativePart(v + u)) - ExpValue(NegativePart(v));
        return scale * (PositiveDelta(u, v) + alpha * curved);
      });
    }
    case Function::kCelu:
      return Rows(y, d, z, n, [=](float u, float v) {
        const float curved = ExpValue(NegativePart(v + u) / alpha) - ExpValue(NegativePart(v) / alpha);
        return PositiveDelta(u, v) + alpha * curved;
      });
    case Function::kHardSigmoid: {
      // The clip rule in x, where the two corners are; alpha is not 0 (checked by the op).
      const float first = -beta / alpha, second = (1.0f - beta) / alpha;
      const float lo = first < second ? first : second, hi = first < second ? second : first;
      return Rows(y, d, z, n, [=](float u, float v) { return alpha * ClipRuleScalar(u, v, lo, hi); });
    }
    case Function::kHardSwish:
      // x g(x), g by the clip rule: the product's delta is d g(z + d) + z (g(z + d) - g(z)).
      return Rows(y, d, z, n, [](float u, float v) {
        const float x = v + u, g = (x < -3.0f ? 0.0f : x > 3.0f ? 1.0f : x / 6.0f + 0.5f);
        return u * g + v * (ClipRuleScalar(u, v, -3.0f, 3.0f) / 6.0f);
      });
    case Function::kSwish:
      return Rows(y, d, z, n, [=](float u, float v) {
        const float g = SigmoidValue(alpha * (v + u));
        return u * g + v * (g - SigmoidValue(alpha * v));
      });
    case Function::kAtan:
      return Differences(y, d, z, n, [](float x) { return std::atan(x); });
    case Function::kCos:
      return Differences(y, d, z, n, [](float x) { return std::cos(x); });
    case Function::kErf:
      return Differences(y, d, z, n, ErfValue);
    case Function::kExp:
      return Differences(y, d, z, n, ExpValue);
    case Function::kGelu:
      return Differences(y, d, z, n, [](float x) { return 0.5f * x * (1.0f + ErfValue(0.70710678f * x)); });
    case Function::kGeluTanh:
      return Differences(y, d, z, n,
                         [](float x) { return x * SigmoidValue(1.59576912f * (x + 0.044715f * x * x * x)); });
    case Function::kLog:
      return Differences(y, d, z, n, [](float x) { return std::log(x); });
    case Function::kMish:
      return Differences(y, d, z, n, MishValue);
    case Function::kReciprocal:
      return Differences(y, d, z, n, [](float x) { return 1.0f / x; });
    case Function::kSigmoid:
      return Differences(y, d, z, n, SigmoidValue);
    case Function::kSin:
      return Differences(y, d, z, n, [](float x) { return std::sin(x); });
    case Function::kSoftplus:
      return Differences(y, d, z, n, SoftplusValue);
    case Function::kSoftsign:
      return Differences(y, d, z, n, [](float x) { return x / (1.0f + (x < 0.0f ? -x : x)); });
    case Function::kSqrt:
      return Differences(y, d, z, n, [](float x) { return std::sqrt(x); });
    case Function::kTanh:
      return Differences(y, d, z, n, TanhValue);
  }
}

// y = a0 * db + b0 * da + da * db: the delta of a product.
inline void ProductRow(float* y, const float* a0, const float* da, const float* b0, const float* db, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = (a0[i] + da[i]) * db[i] + b0[i] * da[i];
}
