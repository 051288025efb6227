// Kernels for x86-64 with AVX-512 and its int8 dot products (VNNI).
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 says it of its own header (its bug 105593)
#endif

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"))), \
                             apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")
#endif

namespace dualmode {
namespace {
namespace avx512 {

constexpr const char* kName = "avx512vnni";
constexpr int kLanes = 16;
constexpr size_t kTile = 16;
constexpr uint32_t kFlip = 0x80808080;

// The instruction takes unsigned activations: x + 128, which adds 128 times the sum of an output's weights.
template <int L>
struct Dot;

template <>
struct Dot<16> {
  typedef int32_t W __attribute__((vector_size(64)));
  __m512i w;

  explicit Dot(const int8_t* from) : w(_mm512_loadu_si512(from)) {}
  static W start(const int32_t* sums) { return (W)_mm512_loadu_si512(sums) * -128; }
  W operator()(W sums, uint32_t x) const {
    return (W)_mm512_dpbusd_epi32((__m512i)sums, _mm512_set1_epi32(int(x)), w);
  }
};

template <>
struct Dot<8> {
  typedef int32_t W __attribute__((vector_size(32)));
  __m256i w;

  explicit Dot(const int8_t* from) : w(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))) {}
  static W start(const int32_t* sums) {
    return (W)_mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums)) * -128;
  }
  W operator()(W sums, uint32_t x) const {
    return (W)_mm256_dpbusd_epi32((__m256i)sums, _mm256_set1_epi32(int(x)), w);
  }
};

template <>
struct Dot<4> {
  typedef int32_t W __attribute__((vector_size(16)));
  __m128i w;

  explicit Dot(const int8_t* from) : w(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))) {}
  static W start(const int32_t* sums) { return (W)_mm_loadu_si128(reinterpret_cast<const __m128i*>(sums)) * -128; }
  W operator()(W sums, uint32_t x) const {
    return (W)_mm_dpbusd_epi32((__m128i)sums, _mm_set1_epi32(int(x)), w);
  }
};

// The packing instructions work on each 128 bits by itself, which is the order that is wanted.
#define DUALMODE_INTERLEAVE
template <class V>
inline V interleave(const V* four) {
  return (V)_mm512_packs_epi16(_mm512_packs_epi32((__m512i)four[0], (__m512i)four[1]),
                               _mm512_packs_epi32((__m512i)four[2], (__m512i)four[3]));
}

#define DUALMODE_RECIPROCAL
template <int L, class V>
inline V reciprocal(V x) {
  V estimate;  // 14 bits, and twice as many after a step of Newton's method
  if constexpr (L == 16)
    estimate = (V)_mm512_rcp14_ps((__m512)x);
  else if constexpr (L == 8)
    estimate = (V)_mm256_rcp14_ps((__m256)x);
  else
    estimate = (V)_mm_rcp14_ps((__m128)x);
  return estimate * (2.0f - x * estimate);
}

// For blocks that do not fill a vector with outputs: sixteen or eight frames fill it instead.
#define DUALMODE_FRAMES_IN_LANES 8
typedef int32_t I16 __attribute__((vector_size(64)));
typedef int32_t I8 __attribute__((vector_size(32)));
typedef float F16 __attribute__((vector_size(64)));
typedef float F8 __attribute__((vector_size(32)));

// Four inputs of each frame times four weights of one output.
inline I16 dot_frames(I16 sums, I16 x, int32_t weights) {
  return (I16)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)x, _mm512_set1_epi32(weights));
}
inline I8 dot_frames(I8 sums, I8 x, int32_t weights) {
  return (I8)_mm256_dpbusd_epi32((__m256i)sums, (__m256i)x, _mm256_set1_epi32(weights));
}

// Four outputs of all frames become, in out[j], four outputs each of frames j, j + 4, j + 8, ...
inline void transpose(const F16* v, F16* out) {
  const __m512 a = (__m512)v[0], b = (__m512)v[1], c = (__m512)v[2], d = (__m512)v[3];
  const __m512d ab = _mm512_castps_pd(_mm512_unpacklo_ps(a, b)), cd = _mm512_castps_pd(_mm512_unpacklo_ps(c, d));
  const __m512d AB = _mm512_castps_pd(_mm512_unpackhi_ps(a, b)), CD = _mm512_castps_pd(_mm512_unpackhi_ps(c, d));
  out[0] = (F16)_mm512_unpacklo_pd(ab, cd);
  out[1] = (F16)_mm512_unpackhi_pd(ab, cd);
  out[2] = (F16)_mm512_unpacklo_pd(AB, CD);
  out[3] = (F16)_mm512_unpackhi_pd(AB, CD);
}
inline void transpose(const F8* v, F8* out) {
  const __m256 a = (__m256)v[0], b = (__m256)v[1], c = (__m256)v[2], d = (__m256)v[3];
  const __m256d ab = _mm256_castps_pd(_mm256_unpacklo_ps(a, b)), cd = _mm256_castps_pd(_mm256_unpacklo_ps(c, d));
  const __m256d AB = _mm256_castps_pd(_mm256_unpackhi_ps(a, b)), CD = _mm256_castps_pd(_mm256_unpackhi_ps(c, d));
  out[0] = (F8)_mm256_unpacklo_pd(ab, cd);
  out[1] = (F8)_mm256_unpackhi_pd(ab, cd);
  out[2] = (F8)_mm256_unpacklo_pd(AB, CD);
  out[3] = (F8)_mm256_unpackhi_pd(AB, CD);
}

#include "kernels.inc"

}  // namespace avx512
}  // namespace

const Kernels* avx512_kernels() { return &avx512::kernels; }

}  // namespace dualmode

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else

const dualmode::Kernels* dualmode::avx512_kernels() { return nullptr; }

#endif
