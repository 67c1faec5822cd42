#include "kernels/table.h"

#include <cstdlib>
#include <cstring>

#include "kernels/split.h"
#ifdef KRYPTON_X86
#include <cpuid.h>
#endif

namespace krypton {
namespace {

#ifdef KRYPTON_X86
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
// Not __builtin_cpu_supports: GCC 12 does not know all of these names.
bool HasBf16() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0, more = 0;
  constexpr unsigned kVbmi2 = 1u << 6, kAvx512Bf16 = 1u << 5;
  if (!HasAvx512() || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ecx & kVbmi2)) return false;
  return __get_cpuid_count(7, 1, &eax, &more, &more, &more) && (eax & kAvx512Bf16);
}
bool HasAmx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  return HasBf16() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & kAmxBf16) && (edx & kAmxTile);
}
// The AVX-512 kernels with convolution in split precision.
Kernels WithSplit(const char* isa, const SplitKernels* split) {
  Kernels table = *Avx512Kernels();
  table.isa = isa, table.split = split;
  return table;
}
#endif

}  // namespace

const Kernels* Avx512Bf16Kernels() {
#ifdef KRYPTON_BF16
  if (!HasBf16()) return nullptr;
  static const Kernels kernels = WithSplit("avx512bf16", Bf16SplitKernels());
  return &kernels;
#else
  return nullptr;
#endif
}

const Kernels* AmxKernels() {
#ifdef KRYPTON_AMX
  if (!HasAmx() || AmxSplitKernels() == nullptr) return nullptr;
  static const Kernels kernels = WithSplit("amx", AmxSplitKernels());
  return &kernels;
#else
  return nullptr;
#endif
}

const Kernels* SelectKernels(const char** reason) {
  const char* forced = std::getenv("KRYPTON_CPU_ISA");
  const bool automatic = forced == nullptr || *forced == '\0';
  *reason = nullptr;
  if (!automatic && std::strcmp(forced, "portable") == 0) return PortableKernels();
#ifdef KRYPTON_X86
  const bool amx = automatic || std::strcmp(forced, "amx") == 0;
  const bool bf16 = automatic || std::strcmp(forced, "avx512bf16") == 0;
  const bool avx512 = automatic || std::strcmp(forced, "avx512") == 0;
  const bool avx2 = automatic || std::strcmp(forced, "avx2") == 0;
  if (amx && AmxKernels() != nullptr) return AmxKernels();
  if (bf16 && Avx512Bf16Kernels() != nullptr) return Avx512Bf16Kernels();
  if (avx512 && HasAvx512()) return Avx512Kernels();
  if (avx2 && HasAvx2()) return Avx2Kernels();
#endif
  if (automatic) return PortableKernels();
  *reason =
      "KRYPTON_CPU_ISA: expected portable, avx2, avx512, avx512bf16 or amx, and one that this CPU has; unset it to "
      "choose freely";
  return nullptr;
}

const Kernels& ActiveKernels() {
  const char* reason = nullptr;
  static const Kernels* const kernels = SelectKernels(&reason);
  return kernels == nullptr ? *PortableKernels() : *kernels;
}

}  // namespace krypton
