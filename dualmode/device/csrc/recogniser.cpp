#include "recogniser.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

namespace dualmode {

Recogniser::Recogniser(Model model, const Kernels& kernels)
    : model_(std::move(model)), kernels_(kernels), encoder_(model_, kernels),
      features_(encoder_.chunk_features() * model_.config.bins) {
  if (model_.config.context) transducer_.emplace(model_, kernels_);
}

void Recogniser::reset() {
  encoder_.reset();
  fbank_.reset();
  input_ = Input::none;
  finished_ = false;
  filled_ = 0;
  previous_ = 0;
  if (transducer_) transducer_->reset();
  tokens_.clear();
}

void Recogniser::open_for(Input input, const float* values, size_t count) {
  if (finished_) throw std::runtime_error("the utterance is finished: reset before the next one");
  if (input_ != Input::none && input_ != input)
    throw std::runtime_error("an utterance is either samples or features, not both");
  for (size_t i = 0; i < count; ++i)
    if (!std::isfinite(values[i])) throw std::runtime_error("value " + std::to_string(i) + " is not finite");
  input_ = input;
}

void Recogniser::accept_samples(const float* samples, size_t count) {
  if (model_.config.bins != Fbank::kBins)
    throw std::runtime_error("this model takes features of " + std::to_string(model_.config.bins) +
                             " bins, which are not computed here");
  open_for(Input::samples, samples, count);
  fbank_.accept(samples, count);
  take_fbank();
}

void Recogniser::accept_features(const float* features, size_t frames) {
  open_for(Input::features, features, frames * model_.config.bins);
  add(features, frames);
}

void Recogniser::finish() {
  if (finished_) return;
  if (input_ == Input::samples) {
    fbank_.finish();
    take_fbank();
  }
  finished_ = true;
  while (filled_ >= 7) next_chunk();
  filled_ = 0;
}

void Recogniser::take_fbank() {
  float frame[Fbank::kBins];
  while (fbank_.next(frame)) add(frame, 1);
}

void Recogniser::add(const float* features, size_t frames) {
  const size_t bins = model_.config.bins, whole = encoder_.chunk_features();
  while (frames) {
    const size_t count = std::min(frames, whole - filled_);
    std::memcpy(features_.data() + filled_ * bins, features, count * bins * sizeof(float));
    features += count * bins;
    frames -= count;
    filled_ += count;
    if (filled_ < whole) return;
    next_chunk();
  }
}

void Recogniser::next_chunk() {
  const size_t bins = model_.config.bins, shift = encoder_.shift();
  decode(filled_);
  filled_ -= std::min(filled_, shift);
  std::memmove(features_.data(), features_.data() + shift * bins, filled_ * bins * sizeof(float));
}

void Recogniser::decode(size_t frames) {
  const size_t count = encoder_.run(features_.data(), frames);
  for (size_t t = 0; t < count; ++t) {
    const float* scores = encoder_.head(t);
    if (transducer_) {
      transducer_->decode(scores, tokens_);
      continue;
    }
    const auto best = int32_t(std::max_element(scores, scores + model_.config.vocabulary) - scores);
    if (best != previous_ && best != 0) tokens_.push_back(best);
    previous_ = best;
  }
}

const std::string& Recogniser::text() {
  constexpr size_t kWords = 1;  // token type
  const std::string mark = model_.config.token_type == 0 ? "<space>" : "\xE2\x96\x81";
  std::string joined;
  for (const int32_t token : tokens_) {
    std::string piece = model_.tokens[size_t(token)];
    if (model_.config.token_type == kWords) {
      piece += ' ';
    } else {
      for (size_t at; (at = piece.find(mark)) != std::string::npos;) piece.replace(at, mark.size(), " ");
    }
    joined += piece;
  }
  text_.clear();
  for (const char c : joined)
    if (c != ' ' || (!text_.empty() && text_.back() != ' ')) text_ += c;
  if (!text_.empty() && text_.back() == ' ') text_.pop_back();
  return text_;
}

}  // namespace dualmode
