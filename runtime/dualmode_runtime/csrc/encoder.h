// The streaming encoder and the first layer of what stands on it, its head: one chunk after the other, all memory taken
// when it is made.
//
// Computes what DualModeEncoder.forward_chunk (dualmode/encoder/conformer.py) computes, in another order where that is
// cheaper: keys are rotated once, at their absolute position, and stay where they are; a window is a ring of slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "buffer.h"
#include "kernels.h"
#include "matrix.h"
#include "model.h"

namespace dualmode {

class Encoder {
 public:
  // Both must outlive the encoder.
  Encoder(const Model& model, const Kernels& kernels);

  void reset();

  // Feature frames of 10 ms of a whole chunk, and by how many the next chunk starts later.
  size_t chunk_features() const { return 4 * model_.config.heard() + 3; }
  size_t shift() const { return 4 * model_.config.chunk; }

  // Encodes the next chunk: features (frames x bins), 7 to chunk_features() frames; returns its encoder frames, those of
  // the look-ahead not among them.  Fewer than chunk_features() frames are near the stream's end.
  size_t run(const float* features, size_t frames);

  // Only the matrix products of the blocks, for measurements; a stream that goes on afterwards hears nonsense.
  void run_products(size_t count);

  // Of the last chunk, one row a frame.
  const float* encoded(size_t frame) const { return x_[frame]; }
  const float* head(size_t frame) const { return head_[frame]; }

 private:
  struct Cache {
    Buffer<float> keys;    // (heads, head size, window padded), rotated
    Rows values;           // (window), each head padded to whole vectors
    Rows convolution;      // (reach), gated frames before the chunk
  };

  void subsample(const float* features, size_t frames, size_t count);
  void place(size_t count);
  void feed_forward(const OwnedMatrix& up, const OwnedMatrix& down, const Norm& norm, size_t count);
  void attend(const BlockWeights& weights, Cache& cache, size_t count);
  void convolve(const BlockWeights& weights, Cache& cache, size_t count);
  void normalise(const Rows& from, const Norm& norm, Rows& to, size_t count, bool silu = false);
  void multiply(const OwnedMatrix& matrix, const Rows& x, Rows& y, size_t count, Store store, float scale = 1.0f);

  const Model& model_;
  const Config& c_;
  const Kernels& k_;
  size_t window_;       // slots, padded
  size_t head_stride_;  // floats of a head in `values`
  std::vector<double> frequencies_;  // of the rotation, radians a frame

  std::vector<Cache> caches_;
  std::vector<int64_t> held_;  // frame in each slot, or a very old one
  int64_t start_ = 0;          // first frame of the next chunk

  Rows features_, patches_, convolved_, subsampled_, x_, normed_, wide_, gated_, mixed_, scores_, head_;
  Buffer<float> planes_, mask_, cos_, sin_;
  std::vector<size_t> slots_;  // of the chunk's frames
  Packing packing_;
};

}  // namespace dualmode
