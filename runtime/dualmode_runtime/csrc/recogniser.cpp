#include "recogniser.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "words.h"

namespace dualmode {
namespace {

constexpr double kFeatureMs = 10.0, kFrameMs = 40.0;
// Audio that an encoder frame needs beyond its own 40 ms (dualmode_runtime/frames.py, LAST_FRAME_MS).
constexpr double kLastFrameMs = 37.5;

}  // namespace

Recogniser::Recogniser(std::shared_ptr<const Model> model, const Kernels& kernels)
    : model_(std::move(model)), c_(model_->config), kernels_(kernels), encoder_(*model_, kernels),
      features_((encoder_.shift() + encoder_.chunk_features()) * c_.bins) {
  if (c_.context) transducer_.emplace(*model_, kernels_);
}

void Recogniser::reset() {
  fbank_.reset();
  if (resampler_) resampler_->reset();
  input_ = Input::none;
  finished_ = false;
  heard_ = filled_ = waiting_at_ = 0;
  waiting_.clear();
  begin_utterance(0.0);
}

void Recogniser::begin_utterance(double start_ms) {
  encoder_.reset();
  if (transducer_) transducer_->reset();
  start_ms_ = start_ms;
  frames_ = 0;
  endpoint_ = Endpoint::none;
  previous_ = 0;
  tokens_.clear();
  times_.clear();
  known_.clear();
}

void Recogniser::check_untouched(const char* what) const {
  if (input_ != Input::none || finished_) throw std::runtime_error(std::string(what) + " cannot change: reset before");
}

void Recogniser::set_rate(int64_t rate) {
  if (rate == int64_t(resampler_ ? resampler_->rate() : Resampler::kRate)) return;
  check_untouched("the sample rate");
  if (rate == int64_t(Resampler::kRate))
    resampler_.reset();
  else
    resampler_ = Resampler(rate);  // made first: where that fails, the one before stays
}

void Recogniser::set_endpointing(std::optional<Endpointing> rules) {
  check_untouched("endpointing");
  if (rules && !(rules->silence > 0.0 && rules->lead > 0.0 && rules->longest > 0.0))
    throw std::runtime_error("the times of endpointing must be above 0 ms");
  rules_ = rules;
}

void Recogniser::open_for(Input input, const float* values, size_t count) {
  if (finished_) throw std::runtime_error("the utterance is finished: reset before the next one");
  if (endpoint_ != Endpoint::none)
    throw std::runtime_error("an utterance has ended: begin the next one before more is heard");
  if (input_ != Input::none && input_ != input)
    throw std::runtime_error("an utterance is either samples or features, not both");
  for (size_t i = 0; i < count; ++i) {
    if (input == Input::samples && !(std::fabs(values[i]) <= kLoudest))
      throw std::runtime_error("samples are not finite, or far outside of [-1, 1]: divide integers by their range");
    if (!std::isfinite(values[i])) throw std::runtime_error("value " + std::to_string(i) + " is not finite");
  }
  if (count) input_ = input;
}

void Recogniser::accept_samples(const float* samples, size_t count) {
  if (c_.bins != Fbank::kBins)
    throw std::runtime_error("this model takes features of " + std::to_string(c_.bins) +
                             " bins, which are not computed here");
  open_for(Input::samples, samples, count);
  for (size_t start = 0; start < count; start += kPiece) {
    const size_t piece = std::min(kPiece, count - start);
    if (resampler_) {
      resampled_.clear();
      resampler_->accept(samples + start, piece, resampled_);
      take_samples(resampled_.data(), resampled_.size());
    } else {
      take_samples(samples + start, piece);
    }
  }
}

void Recogniser::accept_features(const float* features, size_t frames) {
  open_for(Input::features, features, frames * c_.bins);
  heard_ += frames;
  take(features, frames);
}

void Recogniser::finish() {
  if (finished_) return;
  if (endpoint_ != Endpoint::none)
    throw std::runtime_error("an utterance has ended: begin the next one before the audio is finished");
  finished_ = true;  // from here on no utterance ends by itself
  if (input_ == Input::samples) {
    if (resampler_) {
      resampled_.clear();
      resampler_->finish(resampled_);
      take_samples(resampled_.data(), resampled_.size());
    }
    fbank_.finish();
    take_samples(nullptr, 0);
  }
  while (filled_ >= 7) next_chunk();
  filled_ = 0;
}

void Recogniser::take_samples(const float* samples, size_t count) {
  if (count) fbank_.accept(samples, count);
  heard_ += count;
  float frame[Fbank::kBins];
  while (fbank_.next(frame)) take(frame, 1);
}

void Recogniser::take(const float* features, size_t frames) {
  const size_t taken = add(features, frames, true);
  waiting_.insert(waiting_.end(), features + taken * c_.bins, features + frames * c_.bins);
}

// Decodes chunks until an utterance ends, if `ask`; returns how many frames were taken.
size_t Recogniser::add(const float* features, size_t frames, bool ask) {
  const size_t whole = encoder_.chunk_features(), shift = encoder_.shift();
  size_t taken = 0;
  while (taken < frames && endpoint_ == Endpoint::none) {
    const size_t count = std::min(frames - taken, whole - filled_);
    std::memcpy(features_.data() + (shift + filled_) * c_.bins, features + taken * c_.bins,
                count * c_.bins * sizeof(float));
    taken += count;
    filled_ += count;
    if (filled_ < whole) continue;
    next_chunk();
    if (ask && rules_ && !finished_)
      endpoint_ = rules_->check(kFrameMs * double(frames_), tokens_.empty() ? -1.0 : times_.back() + kFrameMs - start_ms_);
  }
  return taken;
}

void Recogniser::next_utterance() {
  if (endpoint_ == Endpoint::none) throw std::runtime_error("no utterance has ended");
  // Where nothing was said, a little earlier: a word may just have begun.
  const size_t back = endpoint_ == Endpoint::nothing_said ? std::min(c_.chunk, frames_ / 2) : 0;
  const float* first = features_.data() + (encoder_.shift() - 4 * back) * c_.bins;
  const std::vector<float> again(first, first + (4 * back + filled_) * c_.bins);
  begin_utterance(start_ms_ + kFrameMs * double(frames_ - back));
  filled_ = 0;
  add(again.data(), again.size() / c_.bins, false);
  waiting_at_ += add(waiting_.data() + waiting_at_ * c_.bins, waiting_.size() / c_.bins - waiting_at_, true);
  if (waiting_at_ == waiting_.size() / c_.bins) {
    waiting_.clear();
    waiting_at_ = 0;
  }
}

void Recogniser::next_chunk() {
  const size_t shift = encoder_.shift();
  decode(filled_);
  std::memmove(features_.data(), features_.data() + shift * c_.bins, filled_ * c_.bins * sizeof(float));
  filled_ -= std::min(filled_, shift);
}

void Recogniser::decode(size_t frames) {
  const size_t count = encoder_.run(features_.data() + encoder_.shift() * c_.bins, frames);
  const double known = start_ms_ + kFrameMs * double(frames_ + count + c_.right) + kLastFrameMs;
  for (size_t t = 0; t < count; ++t, ++frames_) {
    const float* scores = encoder_.head(t);
    if (transducer_) {
      transducer_->decode(scores, tokens_);
    } else {
      const auto best = int32_t(std::max_element(scores, scores + c_.vocabulary) - scores);
      if (best != previous_ && best != 0) tokens_.push_back(best);
      previous_ = best;
    }
    times_.resize(tokens_.size(), start_ms_ + kFrameMs * double(frames_));
    known_.resize(tokens_.size(), known);
  }
}

const std::string& Recogniser::text() { return text_ = text_of(*model_, tokens_.data(), tokens_.size()); }

double Recogniser::end_ms() const {
  if (!finished_) return start_ms_ + kFrameMs * double(frames_);
  return double(heard_) * (input_ == Input::samples ? 1000.0 / double(Resampler::kRate) : kFeatureMs);
}

std::vector<Word> Recogniser::words() const {
  const bool ended = finished_ || endpoint_ != Endpoint::none;
  const double end = end_ms();
  std::vector<Word> words;
  for (const auto& [first, last] : word_spans(*model_, tokens_)) {
    // A word is closed by the token behind it; whole words as tokens by themselves.
    const size_t closing = c_.token_type == 1 ? first : last;
    double stable = closing < tokens_.size() ? known_[closing] : -1.0;
    if (ended) stable = stable < 0.0 ? end : std::min(stable, end);
    words.push_back({text_of(*model_, tokens_.data() + first, last - first), times_[first], times_[last - 1] + kFrameMs,
                     stable});
  }
  return words;
}

}  // namespace dualmode
