// One stream: samples or features in, tokens, words and text out.  Chunks are cut, encoded and decoded greedily (CTC or
// RNN-T); utterances may end by themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "encoder.h"
#include "endpoint.h"
#include "fbank.h"
#include "model.h"
#include "resampler.h"
#include "transducer.h"

namespace dualmode {

constexpr size_t kPiece = 16000;  // samples taken at once, so that audio given whole needs no memory for all of it
constexpr float kLoudest = 4.0f;  // MAX_PEAK of dualmode_runtime/frames.py, which says why

// Times in ms of the audio; see Word of dualmode/search/words.py.
struct Word {
  std::string text;
  double start, end;  // of the 40 ms frames of its first and last token
  double stable;      // audio heard when it could not change any more; below 0 while it still can
};

class Recogniser {
 public:
  // Streams may share a model: it is only read.
  Recogniser(std::shared_ptr<const Model> model, const Kernels& kernels);
  Recogniser(const Recogniser&) = delete;

  const Model& model() const { return *model_; }
  const Kernels& kernels() const { return kernels_; }
  Encoder& encoder() { return encoder_; }

  // Forgets what was heard; rate and endpointing stay.
  void reset();

  // Both throw std::runtime_error where it is impossible, or something was heard already.
  void set_rate(int64_t rate);
  void set_endpointing(std::optional<Endpointing> rules);

  // Both throw std::runtime_error for values that are not finite, or samples beyond kLoudest, after finish(), where the
  // other was used before, and while an utterance that ended waits for next_utterance().
  void accept_samples(const float* samples, size_t count);
  void accept_features(const float* features, size_t frames);
  void finish();

  // Why the utterance ended by itself, if it did.
  Endpoint endpoint() const { return endpoint_; }
  // Begins the utterance behind the one that ended, with what was heard of it already.
  void next_utterance();

  const std::vector<int32_t>& tokens() const { return tokens_; }
  const std::vector<double>& token_times() const { return times_; }
  const std::string& text();
  std::vector<Word> words() const;
  double start_ms() const { return start_ms_; }
  // Where the utterance ended, or how far it was searched.
  double end_ms() const;

 private:
  enum class Input { none, samples, features };

  void check_untouched(const char* what) const;
  void open_for(Input input, const float* values, size_t count);
  void take_samples(const float* samples, size_t count);
  void take(const float* features, size_t frames);
  size_t add(const float* features, size_t frames, bool ask);
  void next_chunk();
  void decode(size_t frames);
  void begin_utterance(double start_ms);

  const std::shared_ptr<const Model> model_;
  const Config& c_;
  const Kernels& kernels_;
  Encoder encoder_;
  std::optional<Transducer> transducer_;  // of an RNN-T
  std::optional<Resampler> resampler_;    // of audio that is not 16 kHz
  std::optional<Endpointing> rules_;
  Fbank fbank_;
  Input input_ = Input::none;
  bool finished_ = false;
  uint64_t heard_ = 0;           // samples at 16 kHz, or feature frames
  std::vector<float> resampled_;
  // (shift + chunk, bins): the features by which the last chunk was ahead of the next one, then the next chunk's, of which
  // `filled_` frames are there.
  std::vector<float> features_;
  size_t filled_ = 0;
  std::vector<float> waiting_;   // features behind an utterance that ended, from `waiting_at_` on
  size_t waiting_at_ = 0;

  // Of the utterance:
  double start_ms_ = 0.0;
  size_t frames_ = 0;            // encoder frames searched
  Endpoint endpoint_ = Endpoint::none;
  int32_t previous_ = 0;         // CTC: best token of the frame before; 0 is the blank
  std::vector<int32_t> tokens_;
  std::vector<double> times_;    // ms, of each token's frame
  std::vector<double> known_;    // ms of audio heard when each token was put out
  std::string text_;
};

}  // namespace dualmode
