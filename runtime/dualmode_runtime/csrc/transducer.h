// Greedy RNN-T search with a stateless predictor: one encoder frame after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.h"
#include "kernels.h"
#include "matrix.h"
#include "model.h"

namespace dualmode {

class Transducer {
 public:
  // Both must outlive it; the model is an RNN-T.
  Transducer(const Model& model, const Kernels& kernels);

  void reset();

  // Appends the tokens of the next frame: at every node the best one, until it is the blank.  `projected` is what the
  // joiner makes of the frame (joiner size).
  void decode(const float* projected, std::vector<int32_t>& tokens);

 private:
  static constexpr int kMostPerFrame = 3;

  void predict();
  int32_t best(const float* projected);
  void multiply(const OwnedMatrix& matrix, const Rows& x, Rows& y, Store store);

  const Model& model_;
  const Config& c_;
  const Kernels& k_;
  std::vector<int32_t> history_;  // the last `context` tokens, the oldest first; blanks come before the first one
  Rows embedded_, mixed_, predicted_, joined_, logits_;  // of one row each
  Packing packing_;
};

}  // namespace dualmode
