#include "kernels/kernels.h"

#include <cstdlib>
#include <cstring>

namespace krypton {
namespace {

#ifdef KRYPTON_X86
bool HasAvx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool HasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

}  // namespace

const Kernels* SelectKernels(const char** reason) {
  const char* forced = std::getenv("KRYPTON_CPU_ISA");
  const bool automatic = forced == nullptr || *forced == '\0';
  *reason = nullptr;
  if (!automatic && std::strcmp(forced, "portable") == 0) return PortableKernels();
#ifdef KRYPTON_X86
  const bool avx512 = automatic || std::strcmp(forced, "avx512") == 0;
  const bool avx2 = automatic || std::strcmp(forced, "avx2") == 0;
  if (avx512 && HasAvx512()) return Avx512Kernels();
  if (avx2 && HasAvx2()) return Avx2Kernels();
#endif
  if (automatic) return PortableKernels();
  *reason = "KRYPTON_CPU_ISA: expected portable, avx2 or avx512, and one that this CPU has; unset it to choose freely";
  return nullptr;
}

const Kernels& ActiveKernels() {
  const char* reason = nullptr;
  static const Kernels* const kernels = SelectKernels(&reason);
  return kernels == nullptr ? *PortableKernels() : *kernels;
}

}  // namespace krypton
