#include "device.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "recogniser.h"

struct dualmode_model {
  std::shared_ptr<const dualmode::Model> model;
  const dualmode::Kernels& kernels;
};

struct dualmode_device {
  dualmode::Recogniser recogniser;
  std::vector<dualmode::Word> said;   // what `words` points to
  std::vector<dualmode_word> words;
};

struct dualmode_matrix {
  dualmode::OwnedMatrix matrix;
  const dualmode::Kernels& kernels;
  dualmode::Precision precision;
};

namespace {

using namespace dualmode;

// Of a message that is too long, the end is written: the reason stands behind a path of any length.
void say(const char* message, char* error, size_t size) noexcept {
  if (!error || !size) return;
  const size_t length = std::strlen(message);
  const char* mark = length < size || size < 4 ? "" : "...";
  size_t from = length < size ? 0 : length + 1 - size + std::strlen(mark);
  while (from && (message[from] & 0xC0) == 0x80) ++from;  // not within a sign of UTF-8
  std::snprintf(error, size, "%s%s", mark, message + from);
}

// Runs `work`; exceptions end here, since C knows none.  Functions that tell no errors give no room for one.
template <class Work>
auto guarded(const Work& work, decltype(work()) failed, char* error = nullptr,
             size_t size = 0) noexcept -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    say("there is not enough memory", error, size);
  } catch (const std::exception& problem) {
    say(problem.what(), error, size);
  }
  return failed;
}

// What a handle stands for, which is NULL where it could not be opened.
template <class Handle>
Handle& opened(Handle* handle) {
  if (!handle) throw std::runtime_error("NULL was given for a handle: it was not opened, see the error of that");
  return *handle;
}

const Kernels& kernels_called(const char* name) {
  const Kernels* kernels = find_kernels(name);
  if (!kernels) throw std::runtime_error("this machine has no kernels called " + std::string(name));
  return *kernels;
}

dualmode_model open_bytes(const void* data, size_t size, const Kernels& kernels) {
  return {std::make_shared<const Model>(parse_model(static_cast<const uint8_t*>(data), size)), kernels};
}

dualmode_model open_file(const char* path, const Kernels& kernels) {
  if (!path) throw std::runtime_error("NULL was given for the path");
  try {
    const std::vector<uint8_t> bytes = read_file(path);
    return open_bytes(bytes.data(), bytes.size(), kernels);
  } catch (const std::runtime_error& problem) {
    throw std::runtime_error(std::string(path) + ": " + problem.what());
  }
}

dualmode_device* open_stream(const dualmode_model& model) {
  return new dualmode_device{{model.model, model.kernels}, {}, {}};
}

dualmode_info info_of(const Config& c) {
  return {c.precision == Precision::int8, int32_t(c.bins), int32_t(c.size), int32_t(c.blocks), int32_t(c.vocabulary),
          int32_t(c.chunk), int32_t(c.left), int32_t(c.right), int32_t(c.block_rows), c.sparsity,
          c.context != 0,  int32_t(c.outputs())};
}

}  // namespace

dualmode_model* dualmode_model_open(const char* path, const char* kernels, char* error, size_t error_size) {
  return guarded([&] { return new dualmode_model(open_file(path, kernels_called(kernels))); }, nullptr, error, error_size);
}

dualmode_model* dualmode_model_open_memory(const void* data, size_t size, const char* kernels, char* error,
                                           size_t error_size) {
  return guarded([&] { return new dualmode_model(open_bytes(data, size, kernels_called(kernels))); }, nullptr, error,
                 error_size);
}

void dualmode_model_free(dualmode_model* model) { delete model; }

dualmode_info dualmode_model_get_info(const dualmode_model* model) { return info_of(model->model->config); }

dualmode_device* dualmode_stream(const dualmode_model* model, char* error, size_t error_size) {
  return guarded([&] { return open_stream(opened(model)); }, nullptr, error, error_size);
}

dualmode_device* dualmode_open(const char* path, const char* kernels, char* error, size_t error_size) {
  return guarded([&] { return open_stream(open_file(path, kernels_called(kernels))); }, nullptr, error, error_size);
}

dualmode_device* dualmode_open_memory(const void* data, size_t size, const char* kernels, char* error,
                                      size_t error_size) {
  return guarded([&] { return open_stream(open_bytes(data, size, kernels_called(kernels))); }, nullptr, error,
                 error_size);
}

void dualmode_free(dualmode_device* device) { delete device; }

dualmode_info dualmode_get_info(const dualmode_device* device) { return info_of(device->recogniser.model().config); }

const char* dualmode_get_kernels(const dualmode_device* device) { return device->recogniser.kernels().name; }

void dualmode_reset(dualmode_device* device) { device->recogniser.reset(); }

int dualmode_set_rate(dualmode_device* device, int32_t rate, char* error, size_t error_size) {
  return guarded([&] { return opened(device).recogniser.set_rate(rate), 0; }, -1, error, error_size);
}

int dualmode_accept_samples(dualmode_device* device, const float* samples, size_t count, char* error,
                            size_t error_size) {
  return guarded([&] { return opened(device).recogniser.accept_samples(samples, count), 0; }, -1, error, error_size);
}

int dualmode_accept_features(dualmode_device* device, const float* features, size_t frames, char* error,
                             size_t error_size) {
  return guarded([&] { return opened(device).recogniser.accept_features(features, frames), 0; }, -1, error, error_size);
}

int dualmode_finish(dualmode_device* device, char* error, size_t error_size) {
  return guarded([&] { return opened(device).recogniser.finish(), 0; }, -1, error, error_size);
}

size_t dualmode_tokens(const dualmode_device* device, const int32_t** tokens) {
  *tokens = device->recogniser.tokens().data();
  return device->recogniser.tokens().size();
}

int dualmode_set_endpointing(dualmode_device* device, const dualmode_endpointing* rules, char* error,
                             size_t error_size) {
  return guarded(
      [&] {
        std::optional<Endpointing> chosen;
        if (rules) chosen = Endpointing{rules->silence_ms, rules->max_lead_ms, rules->max_utterance_ms};
        return opened(device).recogniser.set_endpointing(chosen), 0;
      },
      -1, error, error_size);
}

int dualmode_endpoint(const dualmode_device* device) { return int(device->recogniser.endpoint()); }

int dualmode_next_utterance(dualmode_device* device, char* error, size_t error_size) {
  return guarded([&] { return opened(device).recogniser.next_utterance(), 0; }, -1, error, error_size);
}

size_t dualmode_token_times(const dualmode_device* device, const double** ms) {
  *ms = device->recogniser.token_times().data();
  return device->recogniser.token_times().size();
}

size_t dualmode_words(dualmode_device* device, const dualmode_word** words) {
  *words = nullptr;
  return guarded(
      [&] {
        dualmode_device& one = opened(device);
        one.said = one.recogniser.words();
        one.words.clear();
        for (const Word& word : one.said) one.words.push_back({word.text.c_str(), word.start, word.end, word.stable});
        *words = one.words.data();
        return one.words.size();
      },
      size_t(0));
}

double dualmode_start_ms(const dualmode_device* device) { return device->recogniser.start_ms(); }

double dualmode_end_ms(const dualmode_device* device) { return device->recogniser.end_ms(); }

const char* dualmode_text(dualmode_device* device) {
  return guarded([&] { return opened(device).recogniser.text().c_str(); }, "");
}

int dualmode_encode(dualmode_device* device, const float* features, size_t frames, float* encoded, float* scores,
                    char* error, size_t error_size) {
  return guarded(
      [&] {
        Encoder& encoder = opened(device).recogniser.encoder();
        const Config& c = device->recogniser.model().config;
        if (frames < 7 || frames > encoder.chunk_features())
          throw std::runtime_error("a chunk has 7 to " + std::to_string(encoder.chunk_features()) +
                                   " feature frames, not " + std::to_string(frames));
        const size_t count = encoder.run(features, frames);
        for (size_t t = 0; t < count; ++t) {
          if (encoded) std::memcpy(encoded + t * c.size, encoder.encoded(t), c.size * sizeof(float));
          if (scores) std::memcpy(scores + t * c.outputs(), encoder.head(t), c.outputs() * sizeof(float));
        }
        return int(count);
      },
      -1, error, error_size);
}

void dualmode_run_products(dualmode_device* device, size_t frames) {
  const size_t chunk = device->recogniser.model().config.chunk;
  device->recogniser.encoder().run_products(frames < chunk ? frames : chunk);
}

size_t dualmode_fbank(const float* samples, size_t count, float* features, size_t room) {
  return guarded(
      [&] {
        Fbank fbank;
        size_t written = 0;
        const auto write = [&] {
          while (written < room && fbank.next(features + written * Fbank::kBins)) ++written;
        };
        for (size_t start = 0; start < count && written < room; start += kPiece) {
          fbank.accept(samples + start, std::min(kPiece, count - start));
          write();
        }
        fbank.finish();
        write();
        return size_t(Fbank::frames(count));
      },
      size_t(0));
}

int64_t dualmode_resample(const float* samples, size_t count, int32_t rate, float* resampled, size_t room, char* error,
                          size_t error_size) {
  return guarded(
      [&] {
        Resampler resampler(rate);
        std::vector<float> all;
        resampler.accept(samples, count, all);
        resampler.finish(all);
        std::copy_n(all.begin(), std::min(room, all.size()), resampled);
        return int64_t(all.size());
      },
      int64_t(-1), error, error_size);
}

dualmode_matrix* dualmode_matrix_new(int int8, size_t outputs, size_t inputs, size_t block_rows, const uint8_t* bitmask,
                                     const void* values, const float* scales, const float* bias, const char* kernels,
                                     char* error, size_t error_size) {
  return guarded(
      [&] {
        if (block_rows != 4 && block_rows != 8 && block_rows != 16)
          throw std::runtime_error("blocks have 4, 8 or 16 rows, not " + std::to_string(block_rows));
        const size_t kept = count_bits(bitmask, row_blocks(outputs, block_rows) * column_blocks(inputs));
        if (kept == SIZE_MAX) throw std::runtime_error("the bitmask has bits behind its last block");
        const Precision precision = int8 ? Precision::int8 : Precision::f32;
        return new dualmode_matrix{OwnedMatrix({precision, outputs, inputs, block_rows, bitmask, kept,
                                                static_cast<const uint8_t*>(values), scales, bias}),
                                   kernels_called(kernels), precision};
      },
      nullptr, error, error_size);
}

int dualmode_matrix_multiply(dualmode_matrix* matrix, const float* x, size_t frames, float* y) {
  return guarded(
      [&] {
        const Matrix& view = opened(matrix).matrix.view();
        Rows from(frames, view.inputs), to(frames, round_up(view.outputs, kAlign));
        for (size_t t = 0; t < frames && view.inputs; ++t)
          std::memcpy(from[t], x + t * view.inputs, view.inputs * sizeof(float));
        Packing packing(matrix->precision, frames, frames * round_up(view.inputs, kBlockColumns));
        packing.multiply(matrix->kernels, view, from.data(), from.stride(), frames, {to.data(), to.stride()});
        for (size_t t = 0; t < frames && view.outputs; ++t)
          std::memcpy(y + t * view.outputs, to[t], view.outputs * sizeof(float));
        return 0;
      },
      -1);
}

void dualmode_matrix_free(dualmode_matrix* matrix) { delete matrix; }
