// Rates of the convolution kernels on one thread, against what this core was measured to do, as lines of JSON.
//
//   krypton_kernel_benchmark > rates.jsonl        (benchmarks/kernels/microkernels.py builds and runs it)
//
// A case is the layer that a chunk of 32 positions leaves: 1x1 on boxes of 7x7 pixels, or 3x3 on the inner 6x6 outputs
// of boxes of 8x8, in tasks as the op makes them, clip rule and base map included; lists of non-zeros are made
// beforehand. In packed cases a pixel has the same non-zero channels at every position. Each case's results are
// compared with sums in double precision before its rate is printed. More than 300 lines, because it stands alone: it
// is built with the kernels and nothing else.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/isa/amx_configuration.h"
#include "kernels/split.h"
#include "kernels/table.h"
#ifdef KRYPTON_X86
#include <immintrin.h>
#endif

namespace krypton {
namespace {

constexpr int64_t kPositions = 32;
constexpr int64_t kTaskRows = 512, kBatchRows = 256;  // as in incremental_conv.cc and split_conv.cc
constexpr double kSeconds = 0.12;
constexpr double kTolerance = 2e-5, kPlainTolerance = 2e-2;

double Now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// The shortest of many calls: what disturbs a machine only ever adds.
template <class Body>
double Shortest(const Body& body) {
  double best = std::numeric_limits<double>::infinity();
  body();
  for (const double end = Now() + kSeconds; Now() < end;) {
    const double start = Now();
    body();
    best = std::min(best, Now() - start);
  }
  return best;
}

#ifdef KRYPTON_X86
constexpr int64_t kRounds = 200000;
volatile float sink;

__attribute__((target("avx2,fma"))) void MultiplyAddAvx2() {
  __m256 sums[12], x = _mm256_set1_ps(1.0f), w = _mm256_set1_ps(1e-9f);
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < kRounds; ++i) {
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(x, w, sum);
  }
  for (const __m256& sum : sums) sink = _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) void MultiplyAddAvx512() {
  __m512 sums[12], x = _mm512_set1_ps(1.0f), w = _mm512_set1_ps(1e-9f);
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < kRounds; ++i) {
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(x, w, sum);
  }
  for (const __m512& sum : sums) sink = _mm512_cvtss_f32(sum);
}

#ifdef KRYPTON_AMX
__attribute__((target("amx-tile,amx-bf16"))) void MultiplyAddAmx() {
  _tile_loadconfig(&kTileConfiguration);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  for (int64_t i = 0; i < kRounds; ++i) {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  }
  _tile_release();
}
#endif

// Multiply-adds of float32, as 2 operations each, and of bfloat16 where the table has matrix tiles.
double FloatPeak(const std::string& isa) {
  if (isa == "avx2") return 2.0 * 12 * 8 * kRounds / Shortest(MultiplyAddAvx2);
  if (isa == "portable") return 0;
  return 2.0 * 12 * 16 * kRounds / Shortest(MultiplyAddAvx512);
}
double SplitPeak(const std::string& isa) {
  if (isa == "avx512bf16") return 2 * FloatPeak(isa);
#ifdef KRYPTON_AMX
  return 2.0 * 4 * 16 * 16 * 32 * kRounds / Shortest(MultiplyAddAmx);
#else
  return 0;
#endif
}

// Bytes a second that one core reads from a buffer of this size.
__attribute__((target("avx2"))) double ReadRate(int64_t bytes) {
  const std::vector<float> buffer(static_cast<size_t>(bytes / 4), 1.0f);
  const double seconds = Shortest([&]() __attribute__((target("avx2"))) {
    __m256 sums[8];
    for (__m256& sum : sums) sum = _mm256_setzero_ps();
    for (size_t i = 0; i + 64 <= buffer.size(); i += 64) {
      for (int j = 0; j < 8; ++j) sums[j] = _mm256_or_ps(sums[j], _mm256_loadu_ps(buffer.data() + i + 8 * j));
    }
    for (const __m256& sum : sums) sink = _mm256_cvtss_f32(sum);
  });
  return static_cast<double>(bytes) / seconds;
}
#else
double FloatPeak(const std::string&) { return 0; }
double SplitPeak(const std::string&) { return 0; }
double ReadRate(int64_t) { return 0; }
#endif

// A layer's operands and its rows, one tap set: every output has all its taps.
struct Layer {
  int64_t kernel, channels, maps;
  double density;

  int64_t side = 0, outputs = 0;  // of a box: pixels of its input and outputs, along an axis
  std::vector<float> x, w, z, y;  // [position, y, x, C], [ky, kx, C, M], [y, x, M], [row, M]
  std::vector<ConvRow> rows;

  Layer(int64_t kernel, int64_t channels, int64_t maps, double density)
      : kernel(kernel), channels(channels), maps(maps), density(density) {
    side = kernel == 1 ? 7 : 8, outputs = side - kernel + 1;
    std::mt19937 random(0);
    std::normal_distribution<float> normal;
    std::bernoulli_distribution nonzero(density);
    const int64_t box = side * side * channels;
    x.assign(static_cast<size_t>(kPositions * box + 256), 0.0f);
    w.resize(static_cast<size_t>(depth() * maps));
    z.resize(static_cast<size_t>(outputs * outputs * maps));
    for (int64_t i = 0; i < box; ++i) {
      if (density < 1 && !nonzero(random)) continue;
      for (int64_t position = 0; position < kPositions; ++position) x[position * box + i] = normal(random);
    }
    for (float& value : w) value = normal(random);
    for (float& value : z) value = normal(random);
    // Position by position, or with zeros pixel by pixel.
    for (int64_t i = 0; i < kPositions * outputs * outputs; ++i) {
      const int64_t position = density < 1 ? i % kPositions : i / (outputs * outputs);
      const int64_t pixel = density < 1 ? i / kPositions : i % (outputs * outputs);
      const int64_t corner = (pixel / outputs * side + pixel % outputs) * channels;
      rows.push_back({position * box + corner, side * channels, i, pixel});
    }
    y.resize(rows.size() * static_cast<size_t>(maps));
  }

  int64_t depth() const { return kernel * kernel * channels; }
  int64_t stretch() const { return kernel * channels; }  // k of one tap row, contiguous in X
  float At(const ConvRow& row, int64_t k) const { return x[row.source + k / stretch() * row.pitch + k % stretch()]; }

  // Floating-point operations of products with a non-zero left operand.
  double Operations() const {
    double products = 0;
    for (const ConvRow& row : rows) {
      for (int64_t k = 0; k < depth(); ++k) products += At(row, k) != 0;
    }
    return 2 * products * static_cast<double>(maps);
  }

  // The largest error of some outputs, of the largest output.
  double Error() const {
    double error = 0, largest = 0;
    for (size_t i = 0; i < rows.size(); i += 37) {
      for (int64_t n = 0; n < maps; n += 5) {
        double sum = z[rows[i].pixel * maps + n];
        const double before = std::max(sum, 0.0);
        for (int64_t k = 0; k < depth(); ++k) sum += static_cast<double>(At(rows[i], k)) * w[k * maps + n];
        const double expected = std::max(sum, 0.0) - before;
        error = std::max(error, std::fabs(expected - y[rows[i].target * maps + n]));
        largest = std::max(largest, std::fabs(expected));
      }
    }
    return error / largest;
  }
};

void Report(const char* isa, const char* precision, const Layer& layer, double seconds, double peak, double tolerance) {
  const double error = layer.Error(), rate = layer.Operations() / seconds;
  if (!(error <= tolerance)) {
    std::fprintf(stderr, "%s %s: wrong by %.1e of the largest output, expected at most %.0e\n", isa, precision, error,
                 tolerance);
    std::exit(1);
  }
  std::printf(
      "{\"isa\": \"%s\", \"precision\": \"%s\", \"kernel\": %d, \"channels\": %d, \"maps\": %d, \"density\": %g, "
      "\"rows\": %d, \"gflops\": %.1f, \"peak\": %.1f}\n",
      isa, precision, static_cast<int>(layer.kernel), static_cast<int>(layer.channels), static_cast<int>(layer.maps),
      layer.density, static_cast<int>(layer.rows.size()), rate / 1e9, peak / 1e9);
  std::fflush(stdout);
}

void MeasureFloat(const Kernels& kernels, double peak, Layer layer) {
  const int64_t columns = kernels.block_columns, blocks = (layer.maps + columns - 1) / columns;
  std::vector<float> storage(static_cast<size_t>(blocks * layer.depth() * columns + 16), 0.0f);
  float* packed = storage.data() + (64 - reinterpret_cast<uintptr_t>(storage.data()) % 64) % 64 / 4;
  for (int64_t k = 0; k < layer.depth(); ++k) {
    for (int64_t n = 0; n < layer.maps; ++n) {
      packed[(n / columns * layer.depth() + k) * columns + n % columns] = layer.w[k * layer.maps + n];
    }
  }
  std::vector<ConvSegment> segments;
  for (int64_t ky = 0; ky < layer.kernel; ++ky) {
    segments.push_back({ky, 0, ky * layer.stretch() * columns, layer.stretch()});
  }
  // A list for each tile and segment; the stretches and their count are the same for all.
  const int64_t rows = static_cast<int64_t>(layer.rows.size()), tiles = (rows + kTileRows - 1) / kTileRows;
  std::vector<uint16_t> indices(static_cast<size_t>(tiles * layer.depth() + kIndexSlack));
  std::vector<int32_t> counts(static_cast<size_t>(tiles * layer.kernel));
  std::vector<ConvTile> list;
  uint16_t* next = indices.data();
  for (int64_t t = 0; t < tiles; ++t) {
    const ConvRow* first = layer.rows.data() + t * kTileRows;
    const int64_t height = std::min<int64_t>(kTileRows, rows - t * kTileRows);
    list.push_back({first, height, next, counts.data() + t * layer.kernel});
    for (int64_t ky = 0; ky < layer.kernel; ++ky) {
      const uint16_t* start = next;
      for (int64_t k = 0; k < layer.stretch(); ++k) {
        bool any = false;
        for (int64_t r = 0; r < height; ++r) any = any || layer.At(first[r], ky * layer.stretch() + k) != 0;
        if (any) *next++ = static_cast<uint16_t>(k);
      }
      counts[t * layer.kernel + ky] = static_cast<int32_t>(next - start);
    }
  }
  const int64_t task = kTaskRows / kTileRows;
  const auto run = [&] {
    for (int64_t begin = 0; begin < tiles; begin += task) {
      for (int64_t b = 0; b < blocks; ++b) {
        ConvBlock block{};
        block.tiles = list.data() + begin, block.tile_count = std::min(task, tiles - begin);
        block.segments = segments.data(), block.segment_count = layer.kernel;
        block.x = layer.x.data(), block.w = packed + b * layer.depth() * columns, block.width = columns;
        block.y = layer.y.data() + b * columns, block.y_stride = layer.maps;
        block.z = layer.z.data() + b * columns, block.z_stride = layer.maps;
        block.lo = 0, block.hi = std::numeric_limits<float>::infinity();
        kernels.conv_block(block);
      }
    }
  };
  Report(kernels.isa, "float32", layer, Shortest(run), peak, kTolerance);
}

void MeasureSplit(const Kernels& kernels, double peak, bool low, Layer layer) {
  const SplitKernels& split = *kernels.split;
  const int64_t pieces = low ? 2 : 1, blocks = (layer.maps + kSplitColumns - 1) / kSplitColumns;
  std::vector<uint16_t> packed(static_cast<size_t>(blocks * (layer.depth() + 1) * pieces * kSplitColumns), 0);
  for (int64_t b = 0; b < blocks; ++b) {
    for (int64_t k = 0; k < layer.depth(); ++k) {
      uint16_t* out = packed.data() + (b * (layer.depth() + 1) + k) * pieces * kSplitColumns;
      float row[kSplitColumns];
      for (int64_t n = 0; n < kSplitColumns; ++n) {
        const int64_t map = b * kSplitColumns + (split.order == nullptr ? n : split.order[n]);
        row[n] = map < layer.maps ? layer.w[k * layer.maps + map] : 0.0f;
      }
      split.split(row, kSplitColumns, out, low ? out + kSplitColumns : nullptr);
    }
  }
  std::vector<uint16_t> hi(layer.x.size()), lo(layer.x.size());
  split.split(layer.x.data(), static_cast<int64_t>(layer.x.size()), hi.data(), low ? lo.data() : nullptr);
  std::vector<SplitWord> words;
  for (int64_t k = 0; k < layer.depth(); k += 64) {  // channels are multiples of 64: words end with stretches
    words.push_back({k / layer.stretch(), k % layer.stretch(), k});
  }
  const int64_t rows = static_cast<int64_t>(layer.rows.size()), count = static_cast<int64_t>(words.size());
  const int64_t batch = kBatchRows / split.strip_rows * split.strip_rows;
  const int64_t size = layer.density < 1 ? split.strip_rows : batch;
  std::vector<uint64_t> masks(static_cast<size_t>((rows + size - 1) / size * count), 0);
  std::vector<SplitGroup> groups;
  for (int64_t begin = 0; begin < rows; begin += size) {
    uint64_t* mask = masks.data() + begin / size * count;
    const int64_t height = std::min(size, rows - begin);
    for (int64_t k = 0; k < layer.depth(); ++k) {
      bool any = false;
      for (int64_t r = 0; r < height; ++r) any = any || layer.At(layer.rows[begin + r], k) != 0;
      if (any) mask[k / 64] |= uint64_t{1} << (k % 64);
    }
    groups.push_back({height, mask});
  }
  const auto run = [&] {
    for (int64_t begin = 0; begin < rows; begin += batch) {
      SplitBlock block{};
      block.rows = layer.rows.data() + begin, block.groups = groups.data() + begin / size;
      block.group_count = (std::min(batch, rows - begin) + size - 1) / size;
      block.words = words.data(), block.word_count = count;
      block.x_hi = hi.data(), block.x_lo = low ? lo.data() : nullptr, block.w = packed.data();
      block.depth = layer.depth(), block.columns = layer.maps, block.y = layer.y.data(), block.y_stride = layer.maps;
      block.z = layer.z.data(), block.z_stride = layer.maps;
      block.lo = 0, block.hi = std::numeric_limits<float>::infinity();
      split.conv_block(block);
    }
  };
  Report(kernels.isa, low ? "bfloat16x3" : "bfloat16", layer, Shortest(run), low ? peak / 3 : peak,
         low ? kTolerance : kPlainTolerance);
}

void MeasureTable(const Kernels& kernels) {
  const double peak = FloatPeak(kernels.isa), split_peak = kernels.split != nullptr ? SplitPeak(kernels.isa) : 0;
  std::printf("{\"isa\": \"%s\", \"float32_peak\": %.1f, \"bfloat16_peak\": %.1f}\n", kernels.isa, peak / 1e9,
              split_peak / 1e9);
  for (const int64_t kernel : {1, 3}) {
    for (const double density : {1.0, 0.5, 0.25}) {
      for (const int64_t channels : {64, 128, 256, 512}) {
        const Layer layer(kernel, channels, channels, density);
        if (kernels.split == nullptr) {
          MeasureFloat(kernels, peak, layer);
        } else {
          if (kernels.split->costs.triple > 0) MeasureSplit(kernels, split_peak, true, layer);
          MeasureSplit(kernels, split_peak, false, layer);
        }
      }
    }
  }
}

int Main() {
  for (const auto& [name, bytes] : {std::pair{"L2", int64_t{1} << 19}, {"L3", int64_t{1} << 23}, {"memory", 1 << 29}}) {
    std::printf("{\"from\": \"%s\", \"bytes\": %lld, \"read\": %.1f}\n", name, static_cast<long long>(bytes),
                ReadRate(bytes) / 1e9);
  }
  for (const char* isa : {"avx2", "avx512", "avx512bf16", "amx"}) {
    setenv("KRYPTON_CPU_ISA", isa, 1);
    const char* reason = nullptr;
    const Kernels* kernels = SelectKernels(&reason);
    if (kernels != nullptr) MeasureTable(*kernels);
  }
  return 0;
}

}  // namespace
}  // namespace krypton

int main() { return krypton::Main(); }
