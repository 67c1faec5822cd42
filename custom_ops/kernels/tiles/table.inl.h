// The function table of vectors V, included last: blocks of packed weights are kVectors wide.
template <class V, int kVectors>
constexpr Kernels VectorTable(const char* isa, int32_t (*list_bits)(const uint64_t*, int64_t, uint16_t*)) {
  return {isa,
          V::kLanes,
          kVectors * V::kLanes,
          AnyColumns<V, kVectors>,
          Depthwise<V>,
          NonzeroBits<V>,
          list_bits,
          ClipRow<V>,
          MaxRow<V>,
          Gather<V>,
          MultiplyRow<V>,
          AddScaledRow<V>,
          FlushRow<V>,
          AnyNonzero,
          ActivationRow,
          ProductRow,
          nullptr};
}
