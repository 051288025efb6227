#include "transducer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace dualmode {

Transducer::Transducer(const Model& model, const Kernels& kernels)
    : model_(model), c_(model.config), k_(kernels), embedded_(1, c_.context * c_.predictor_size),
      mixed_(1, c_.predictor_size), predicted_(1, c_.joiner_size), joined_(1, c_.joiner_size), logits_(1, c_.vocabulary),
      packing_(c_.precision, 1,
               round_up(std::max(c_.context * c_.predictor_size, c_.joiner_size), kBlockColumns)) {
  reset();
}

void Transducer::reset() {
  history_.assign(c_.context, 0);
  predict();
}

void Transducer::multiply(const OwnedMatrix& matrix, const Rows& x, Rows& y, Store store) {
  packing_.multiply(k_, matrix.view(), x.data(), x.stride(), 1, {y.data(), y.stride(), store, 1.0f});
}

void Transducer::predict() {
  const size_t size = c_.predictor_size, stride = round_up(size, kAlign);
  for (size_t i = 0; i < c_.context; ++i)
    std::memcpy(embedded_[0] + i * size, model_.embedding.data() + size_t(history_[i]) * stride, size * sizeof(float));
  multiply(model_.mix, embedded_, mixed_, Store::relu);
  multiply(model_.predictor, mixed_, predicted_, Store::plain);
}

int32_t Transducer::best(const float* projected) {
  for (size_t i = 0; i < c_.joiner_size; ++i) joined_[0][i] = std::tanh(projected[i] + predicted_[0][i]);
  multiply(model_.output, joined_, logits_, Store::plain);
  return int32_t(std::max_element(logits_[0], logits_[0] + c_.vocabulary) - logits_[0]);
}

void Transducer::decode(const float* projected, std::vector<int32_t>& tokens) {
  for (int count = 0; count < kMostPerFrame; ++count) {
    const int32_t token = best(projected);
    if (token == 0) return;
    tokens.push_back(token);
    history_.erase(history_.begin());
    history_.push_back(token);
    predict();
  }
}

}  // namespace dualmode
