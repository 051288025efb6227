// Samples or features in, tokens and text out: chunks are cut, encoded and decoded greedily (CTC or RNN-T).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "encoder.h"
#include "fbank.h"
#include "model.h"
#include "transducer.h"

namespace dualmode {

class Recogniser {
 public:
  Recogniser(Model model, const Kernels& kernels);
  Recogniser(const Recogniser&) = delete;

  const Model& model() const { return model_; }
  const Kernels& kernels() const { return kernels_; }
  Encoder& encoder() { return encoder_; }

  void reset();
  // Both throw std::runtime_error for values that are not finite, after finish(), and where the other was used before.
  void accept_samples(const float* samples, size_t count);
  void accept_features(const float* features, size_t frames);
  void finish();

  const std::vector<int32_t>& tokens() const { return tokens_; }
  const std::string& text();

 private:
  enum class Input { none, samples, features };

  void open_for(Input input, const float* values, size_t count);
  void take_fbank();
  void add(const float* features, size_t frames);
  void next_chunk();
  void decode(size_t frames);

  const Model model_;
  const Kernels& kernels_;
  Encoder encoder_;
  std::optional<Transducer> transducer_;  // of an RNN-T
  Fbank fbank_;
  Input input_ = Input::none;
  bool finished_ = false;
  std::vector<float> features_;  // (4 * heard + 3, bins), of which the first `filled_` frames are there
  size_t filled_ = 0;
  int32_t previous_ = 0;  // CTC: best token of the frame before; 0 is the blank
  std::vector<int32_t> tokens_;
  std::string text_;
};

}  // namespace dualmode
