// Arithmetic of the encoder, once for each instruction set; a table of functions is chosen when a model is opened.
//
// Activations are rows of floats, one row a frame.  A row's storage is a multiple of kAlign floats wide, and what lies
// past its width is zero: kernels read and write whole vectors without asking.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dualmode {

constexpr size_t kBlockColumns = 4;  // inputs of a block: four bytes are what one int8 dot product takes
constexpr size_t kAlign = 16;        // floats of the widest vector

inline size_t round_up(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// A block-sparse matrix (outputs x inputs), kept blocks only, row of blocks by row of blocks:
//
//     columns   0 1 2 3                     starts   0 2 3
//     row 0     a . b .     is stored as    columns  0 2 3
//     row 1     . . . c                     values   a b c
struct Matrix {
  size_t block_rows = 16;             // outputs of a block: 16, 8 or 4
  size_t outputs = 0, inputs = 0;     // not padded
  size_t row_blocks = 0;              // rows of blocks
  const uint32_t* starts = nullptr;   // (row_blocks + 1) first kept block of each row of blocks
  const uint16_t* columns = nullptr;  // (kept) position of each block, in units of kBlockColumns inputs
  const float* f32 = nullptr;         // (kept, kBlockColumns, block_rows), or null
  const int8_t* i8 = nullptr;         // (kept, block_rows, kBlockColumns), or null
  const float* scales = nullptr;      // (padded outputs) int8: weight = scale * value
  const int32_t* sums = nullptr;      // (padded outputs) int8: sum of an output's values
  const float* bias = nullptr;        // (padded outputs)
};

// Activations as a product reads them: tiles of frames, in each tile four inputs of every frame side by side.
struct Packed {
  float* f32 = nullptr;      // for a float matrix
  uint32_t* i8 = nullptr;    // for an int8 matrix: four bytes an entry
  float* scales = nullptr;   // (frames) int8: activation = scale * value
  size_t frames = 0;
};

enum class Store { plain, relu, silu, add };  // add: y += scale * result

struct Output {
  float* y;
  size_t stride;  // floats from one frame to the next
  Store store = Store::plain;
  float scale = 1.0f;
};

struct Kernels {
  const char* name;
  // Packs x (frames x inputs) for `product`; int8 quantises each frame by its largest magnitude.
  void (*pack_f32)(const float* x, size_t stride, size_t inputs, Packed& packed);
  void (*pack_i8)(const float* x, size_t stride, size_t inputs, Packed& packed);
  // Output = store(matrix x + bias); writes the padded outputs.
  void (*product)(const Matrix& matrix, const Packed& x, const Output& output);
  // c (m x n) = a (m x k) b (k x n); n is rounded up to whole vectors.
  void (*gemm)(const float* a, size_t a_stride, const float* b, size_t b_stride, float* c, size_t c_stride, size_t m,
               size_t k, size_t n);
  void (*layer_norm)(const float* x, size_t x_stride, const float* weight, const float* bias, float* y,
                     size_t y_stride, size_t frames, size_t size, bool silu);
  // y (frames x size) = x[:size] * sigmoid(x[size:]), x (frames x 2 size).
  void (*glu)(const float* x, size_t x_stride, float* y, size_t y_stride, size_t frames, size_t size);
  // y[t] = bias + sum over k of weight[k] * x[t + k]; x has frames + taps - 1 rows, weight (taps,
  // size rounded up to kAlign).
  void (*depthwise)(const float* x, size_t x_stride, const float* weight, const float* bias, size_t taps, float* y,
                    size_t y_stride, size_t frames, size_t size);
  // Rows of scores, masked by adding `mask`, become probabilities; `width` is a multiple of kAlign.
  void (*softmax)(float* scores, size_t stride, const float* mask, size_t rows, size_t width);
  // 3x3 convolution of stride 2 of one channel, then ReLU: x (2 height + 1 rows) to y (height, width, channels);
  // weight (9, padded channels).
  void (*convolve)(const float* x, size_t x_stride, const float* weight, const float* bias, float* y, size_t height,
                   size_t width, size_t channels);
};

// Returns the kernels called `name` ("avx512vnni", "avx2", "dotprod", "simd128", "portable"), the best ones if `name` is
// null, or null if this machine or this build has none of that name.
const Kernels* find_kernels(const char* name);

const Kernels* portable_kernels();
const Kernels* avx2_kernels();    // null where the build has none
const Kernels* avx512_kernels();
const Kernels* dotprod_kernels();
const Kernels* simd128_kernels();

}  // namespace dualmode
