#include <cstring>

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace dualmode {
namespace {

#if defined(__x86_64__)
// Asks the processor itself: __builtin_cpu_supports says no to everything in what zig links.
struct Processor {
  unsigned a = 0, b = 0, features = 0, d = 0;              // leaf 1: features is ECX
  unsigned a7 = 0, extended = 0, extended2 = 0, d7 = 0;    // leaf 7: EBX and ECX
  unsigned saved = 0;                                      // registers that the operating system keeps

  Processor() {
    if (!__get_cpuid(1, &a, &b, &features, &d) || !(features & bit_OSXSAVE)) return;
    unsigned high;
    __asm__("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    if (!__get_cpuid_count(7, 0, &a7, &extended, &extended2, &d7)) extended = extended2 = 0;
  }
  bool avx2() const { return (saved & 0x6) == 0x6 && features & bit_FMA && extended & bit_AVX2; }
  bool avx512() const {
    constexpr unsigned kAll = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    return avx2() && (saved & 0xe6) == 0xe6 && (extended & kAll) == kAll && extended2 & bit_AVX512VNNI;
  }
};

bool has_avx2() { return Processor().avx2(); }
bool has_avx512() { return Processor().avx512(); }
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif

bool has_dotprod() {
#if defined(__aarch64__) && defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#else
  return false;
#endif
}

}  // namespace

const Kernels* find_kernels(const char* name) {
  const Kernels* best_first[] = {has_avx512() ? avx512_kernels() : nullptr, has_avx2() ? avx2_kernels() : nullptr,
                                 has_dotprod() ? dotprod_kernels() : nullptr, simd128_kernels(),
                                 portable_kernels()};
  for (const Kernels* kernels : best_first)
    if (kernels && (!name || !std::strcmp(kernels->name, name))) return kernels;
  return nullptr;
}

}  // namespace dualmode
