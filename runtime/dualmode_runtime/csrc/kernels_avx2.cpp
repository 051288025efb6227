// Kernels for x86-64 with AVX2 and FMA.
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif

namespace dualmode {
namespace {
namespace avx2 {

constexpr const char* kName = "avx2";
constexpr int kLanes = 8;
constexpr size_t kTile = 4;
constexpr uint32_t kFlip = 0;

// w x = |w| (x with the sign of w): the one byte product there is takes an unsigned and a signed byte.  Two of them are
// added in 16 bits; |w| <= 128 and |x| <= 127 cannot overflow.
template <int L>
struct Dot;

template <>
struct Dot<8> {
  typedef int32_t W __attribute__((vector_size(32)));
  __m256i w, magnitude;

  explicit Dot(const int8_t* from)
      : w(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))), magnitude(_mm256_abs_epi8(w)) {}
  static W start(const int32_t*) { return W{}; }
  W operator()(W sums, uint32_t x) const {
    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(_mm256_set1_epi32(int(x)), w));
    return sums + (W)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
};

template <>
struct Dot<4> {
  typedef int32_t W __attribute__((vector_size(16)));
  __m128i w, magnitude;

  explicit Dot(const int8_t* from)
      : w(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))), magnitude(_mm_abs_epi8(w)) {}
  static W start(const int32_t*) { return W{}; }
  W operator()(W sums, uint32_t x) const {
    const __m128i pairs = _mm_maddubs_epi16(magnitude, _mm_sign_epi8(_mm_set1_epi32(int(x)), w));
    return sums + (W)_mm_madd_epi16(pairs, _mm_set1_epi16(1));
  }
};

// The packing instructions work on each 128 bits by itself, which is the order that is wanted.
#define DUALMODE_INTERLEAVE
template <class V>
inline V interleave(const V* four) {
  return (V)_mm256_packs_epi16(_mm256_packs_epi32((__m256i)four[0], (__m256i)four[1]),
                               _mm256_packs_epi32((__m256i)four[2], (__m256i)four[3]));
}

#include "kernels.inc"

}  // namespace avx2
}  // namespace

const Kernels* avx2_kernels() { return &avx2::kernels; }

}  // namespace dualmode

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else

const dualmode::Kernels* dualmode::avx2_kernels() { return nullptr; }

#endif
