// The engine against sums in double and against itself, on every instruction set that the machine has:
//   equality MODEL FEATURES KERNELS...
//
// MODEL is a device file, FEATURES raw float32 frames of its bins; KERNELS must be there, and "portable" is always run.
// It needs no Python, so it also runs in an emulator of another processor.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "device.h"

namespace {

struct Random {
  uint64_t state = 88172645463325252u;
  uint64_t next(uint64_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
  }
  float real() { return float(next(1 << 20)) / (1 << 19) - 1.0f; }
};

char error[256];

// Multiplies a random matrix; returns how far the product is from sums in double, in steps of what rounding allows.
double product(Random& random, const char* kernels, bool int8) {
  const size_t rows = size_t(4) << random.next(3), outputs = 1 + random.next(70), inputs = 1 + random.next(90);
  const size_t frames = 1 + random.next(40), down = (outputs + rows - 1) / rows, across = (inputs + 3) / 4;
  std::vector<uint8_t> bitmask((down * across + 7) / 8);
  std::vector<int8_t> codes;
  std::vector<float> reals, scales(down * rows), bias(outputs), x(frames * inputs), y(frames * outputs);
  std::vector<double> dense(outputs * inputs);
  for (size_t row = 0; row < outputs; ++row) bias[row] = random.real(), scales[row] = int8 ? 0.01f + 0.01f * random.real() : 1.0f;
  for (size_t block = 0; block < down * across; ++block) {
    if (random.next(2)) continue;
    bitmask[block / 8] = uint8_t(bitmask[block / 8] | 0x80 >> block % 8);
    for (size_t i = 0; i < rows * 4; ++i) {
      const size_t row = block / across * rows + i / 4, column = block % across * 4 + i % 4;
      const bool inside = row < outputs && column < inputs;
      codes.push_back(inside ? int8_t(int(random.next(255)) - 127) : int8_t(0));
      reals.push_back(inside ? random.real() : 0.0f);
      if (inside) dense[row * inputs + column] = int8 ? double(codes.back()) * scales[row] : double(reals.back());
    }
  }
  for (float& value : x) value = random.real();
  const void* values = int8 ? static_cast<const void*>(codes.data()) : reals.data();
  dualmode_matrix* matrix = dualmode_matrix_new(int8, outputs, inputs, rows, bitmask.data(), values, scales.data(),
                                                bias.data(), kernels, error, sizeof error);
  if (!matrix) return std::fprintf(stderr, "%s\n", error), INFINITY;
  dualmode_matrix_multiply(matrix, x.data(), frames, y.data());
  dualmode_matrix_free(matrix);
  double worst = 0;
  for (size_t frame = 0; frame < frames; ++frame) {
    const float* in = &x[frame * inputs];
    float peak = 0;
    for (size_t i = 0; i < inputs; ++i) peak = std::max(peak, std::fabs(in[i]));
    const float factor = peak > 1e-30f ? 127.0f / peak : 0.0f;
    for (size_t row = 0; row < outputs; ++row) {
      double sum = bias[row], reach = std::fabs(sum) + 1e-6, step = 0;
      for (size_t i = 0; i < inputs; ++i) {
        const double weight = dense[row * inputs + i];
        const double heard = int8 ? std::nearbyint(in[i] * factor) * (double(peak) / 127) : double(in[i]);
        sum += weight * heard;
        reach += std::fabs(weight * heard);
        // Halfway between two whole numbers, fused arithmetic may round to the other one.
        const double part = std::fabs(double(in[i]) * factor);
        if (int8 && std::fabs(part - std::floor(part) - 0.5) < 1e-4) step += std::fabs(weight) * peak / 127;
      }
      worst = std::max(worst, std::fabs(y[frame * outputs + row] - sum) / ((int8 ? 2e-5 : 2e-6) * reach + 1.001 * step));
    }
  }
  return worst;
}

// Returns the text that a model hears in features, fed in uneven pieces.
std::string heard(const char* model, const std::vector<float>& features, const char* kernels) {
  dualmode_device* device = dualmode_open(model, kernels, error, sizeof error);
  if (!device) return error;
  const size_t bins = size_t(dualmode_get_info(device).bins), frames = features.size() / bins;
  for (size_t start = 0, count = 1; start < frames; start += count, count = count % 23 + 5)
    dualmode_accept_features(device, &features[start * bins], std::min(count, frames - start), error, sizeof error);
  dualmode_finish(device, error, sizeof error);
  const std::string text = dualmode_text(device);
  dualmode_free(device);
  return text;
}

}  // namespace

int main(int count, char** words) {
  if (count < 3) return std::fprintf(stderr, "usage: equality MODEL FEATURES KERNELS...\n"), 2;
  std::ifstream file(words[2], std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<float> features(bytes.size() / sizeof(float));
  std::memcpy(features.data(), bytes.data(), features.size() * sizeof(float));
  std::vector<const char*> all(words + 3, words + count);
  all.push_back("portable");
  const std::string expected = heard(words[1], features, "portable");
  bool good = !expected.empty();
  for (const char* kernels : all) {
    dualmode_device* there = dualmode_open(words[1], kernels, error, sizeof error);
    if (!there) return std::fprintf(stderr, "%s\n", error), 1;
    dualmode_free(there);
    Random random;
    double worst[2] = {0, 0};
    for (int i = 0; i < 400; ++i) worst[i % 2] = std::max(worst[i % 2], product(random, kernels, i % 2));
    const std::string text = heard(words[1], features, kernels);
    good = good && worst[0] <= 1 && worst[1] <= 1 && text == expected;
    std::printf("%s: 400 products, float at %.2f and int8 at %.2f of what rounding allows; \"%s\"\n", kernels, worst[0], worst[1],
                text.c_str());
  }
  return good ? 0 : 1;
}
