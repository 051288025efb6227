// Kernels for 64-bit ARM with int8 dot products (Armv8.2 DotProd: most phones since 2018).
#include "kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

namespace dualmode {
namespace {
namespace dotprod {

constexpr const char* kName = "dotprod";
constexpr int kLanes = 4;
constexpr size_t kTile = 4;
constexpr uint32_t kFlip = 0;

template <int L>
struct Dot {
  typedef int32_t W __attribute__((vector_size(16)));
  int8x16_t w;

  explicit Dot(const int8_t* from) : w(vld1q_s8(from)) {}
  static W start(const int32_t*) { return W{}; }
  W operator()(W sums, uint32_t x) const {
    return (W)vdotq_s32((int32x4_t)sums, w, vreinterpretq_s8_u32(vdupq_n_u32(x)));
  }
};

#include "kernels.inc"

}  // namespace dotprod
}  // namespace

const Kernels* dotprod_kernels() { return &dotprod::kernels; }

}  // namespace dualmode

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else

const dualmode::Kernels* dualmode::dotprod_kernels() { return nullptr; }

#endif
