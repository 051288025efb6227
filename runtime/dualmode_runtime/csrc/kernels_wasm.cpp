// Kernels for WebAssembly with 128-bit vectors (SIMD128, in browsers since 2021; no relaxed SIMD, whose results differ
// from machine to machine).
#include "kernels.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

namespace dualmode {
namespace {
namespace simd128 {

constexpr const char* kName = "simd128";
constexpr int kLanes = 4;
constexpr size_t kTile = 4;
constexpr uint32_t kFlip = 0;

// There is a product of 16-bit pairs, which are added in 32 bits.  Weights of four outputs are arranged as their inputs
// 0 and 1, and their inputs 2 and 3, so that an output's sums stay in its lane.
template <int L>
struct Dot {
  typedef int32_t W __attribute__((vector_size(16)));
  v128_t first, second;

  explicit Dot(const int8_t* from) {
    const v128_t w = wasm_v128_load(from);
    const v128_t pairs = wasm_i8x16_shuffle(w, w, 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    first = wasm_i16x8_extend_low_i8x16(pairs);
    second = wasm_i16x8_extend_high_i8x16(pairs);
  }
  static W start(const int32_t*) { return W{}; }
  W operator()(W sums, uint32_t x) const {
    const v128_t four = wasm_i16x8_extend_low_i8x16(wasm_i32x4_splat(int32_t(x)));
    const v128_t x01 = wasm_i32x4_shuffle(four, four, 0, 0, 0, 0), x23 = wasm_i32x4_shuffle(four, four, 1, 1, 1, 1);
    return sums + (W)wasm_i32x4_dot_i16x8(first, x01) + (W)wasm_i32x4_dot_i16x8(second, x23);
  }
};

// The narrowing instructions put two vectors side by side, which is the order that is wanted.
#define DUALMODE_INTERLEAVE
template <class V>
inline V interleave(const V* four) {
  return (V)wasm_i8x16_narrow_i16x8(wasm_i16x8_narrow_i32x4((v128_t)four[0], (v128_t)four[1]),
                                    wasm_i16x8_narrow_i32x4((v128_t)four[2], (v128_t)four[3]));
}

#include "kernels.inc"

}  // namespace simd128
}  // namespace

const Kernels* simd128_kernels() { return &simd128::kernels; }

}  // namespace dualmode

#else

const dualmode::Kernels* dualmode::simd128_kernels() { return nullptr; }

#endif
