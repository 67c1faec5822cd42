// Lists, made on the device, of the channels in which any position of a chunk has a delta at a pixel of X: what tiles
// of one output pixel walk over (program.h).
//
//   a warp a row of X        marks the channels that are not zero in its pixel's bits
//   a warp a pixel           lists them
//   a thread a tile          counts the stretches of its taps' lists, for the choice between both kinds of tiles
#pragma once

#include "cuda/conv/run.h"
#include "cuda/device/atomics.h"

namespace krypton::cuda {

KRYPTON_DEVICE inline int CountBits(uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __popc(bits);
#else
  return __builtin_popcount(bits);
#endif
}

// A bit for each of the channels first ... first + 31 of a row that is not zero; NaN counts. All lanes get them.
KRYPTON_DEVICE inline uint32_t NonZeros([[maybe_unused]] const Warp& warp, const float* row, int64_t first,
                                        int64_t channels) {
#if defined(__CUDA_ARCH__)
  const int64_t c = first + warp.lane;
  return __ballot_sync(0xffffffffu, c < channels && row[c] != 0.0f);
#else
  uint32_t found = 0;
  for (int bit = 0; bit < 32 && first + bit < channels; ++bit) found |= (row[first + bit] != 0.0f ? 1u : 0u) << bit;
  return found;
#endif
}

// The channels in which any delta of a pixel of X is not zero.
struct ChannelLists {
  size_t words, total, counts, lists;  // places in the upload
  int64_t pixels, words_a_pixel;

  ChannelLists(Upload& upload, MapShape map, int64_t channels)
      : pixels(map.h * map.w), words_a_pixel((channels + 31) / 32) {
    words = upload.Reserve(static_cast<size_t>(pixels * words_a_pixel) * sizeof(uint32_t));
    total = upload.Reserve(sizeof(uint64_t));
    counts = upload.Reserve(static_cast<size_t>(pixels) * sizeof(int32_t));
    lists = upload.Reserve(static_cast<size_t>(pixels * channels) * sizeof(uint16_t));
  }

  // Points `g`, whose tiles are those of one pixel each, at the lists, and counts the stretches of its tiles.
  void Fill(Stream stream, const Upload& upload, const Values& x, int64_t tiles, ConvArguments* g) const {
    const DeviceBoxes boxes = g->x_boxes;
    const int64_t width = g->window_x.in;
    auto* bits = upload.Scratch<uint32_t>(words);
    auto* count = upload.Scratch<int32_t>(counts);
    auto* list = upload.Scratch<uint16_t>(lists);
    const int64_t across = words_a_pixel, channels = x.channels;
    upload.Clear(words, total + sizeof(uint64_t) - words);
    ForEachWarp(stream, x.rows, [=] KRYPTON_DEVICE(int64_t row, const Warp& warp) {
      const Pixel at = boxes.At(row);
      uint32_t* own = bits + (at.y * width + at.x) * across;
      for (int64_t first = 0; first < across; first += warp.lanes) {
        uint32_t mine = 0;  // the word of this lane
        for (int word = 0; word < warp.lanes && first + word < across; ++word) {
          const uint32_t found = NonZeros(warp, x.row(row), (first + word) * 32, channels);
          mine = word == warp.lane ? found : mine;
        }
        uint32_t* to = own + first + warp.lane;
        if (mine != 0 && (mine & ~Peek(to)) != 0) AtomicOr(to, mine);  // most rows have what others had
      }
    });
    ForEachWarp(stream, pixels, [=] KRYPTON_DEVICE(int64_t pixel, const Warp& warp) {
      int32_t found = 0;
      for (int64_t word = 0; word < across; ++word) {
        const uint32_t set = bits[pixel * across + word];
        for (int bit = warp.lane; bit < 32; bit += warp.lanes) {
          if ((set >> bit & 1u) == 0) continue;
          list[pixel * channels + found + CountBits(set & ((1u << bit) - 1))] = static_cast<uint16_t>(word * 32 + bit);
        }
        found += CountBits(set);
      }
      if (warp.lane == 0) count[pixel] = found;
    });
    g->lists = list, g->counts = count;
    auto* stretches = upload.Scratch<uint64_t>(total);
    const ConvArguments a = *g;
    ForEachRow(stream, tiles, 1, [=] KRYPTON_DEVICE(int64_t i, int64_t, int64_t) {
      const Tile tile = a.tiles[i];
      uint64_t own = 0;
      for (int32_t ky = tile.ky0; ky < tile.ky1; ++ky) {
        for (int32_t kx = tile.kx0; kx < tile.kx1; ++kx) {
          const int64_t pixel = ConvTile::TapPixel(a, tile, ky, kx);
          if (pixel >= 0) own += static_cast<uint64_t>(ConvTile::Cuts(count[pixel]));
        }
      }
      AtomicAdd(stretches, own);
    });
    g->list_stretches = stretches;
  }
};

}  // namespace krypton::cuda
