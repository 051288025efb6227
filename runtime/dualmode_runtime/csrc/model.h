// A device model in memory: the checked contents of a file (dualmode/device/FORMAT.md of the repository).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "buffer.h"
#include "matrix.h"

namespace dualmode {

struct Config {
  Precision precision;
  size_t bins, size, heads, units, kernel, channels, blocks, vocabulary;
  size_t chunk, left, right;  // encoder frames of 40 ms; `right` are heard past the chunk
  size_t token_type;   // 0 char, 1 word, 2 bpe
  size_t block_rows;   // of the pruned matrices
  float sparsity;
  size_t context;      // tokens that the RNN-T's predictor sees; 0: there is none, CTC decodes
  size_t predictor_size, joiner_size;
  size_t head_size;    // of attention
  size_t inner;        // channels of the depthwise convolution

  size_t outputs() const { return context ? joiner_size : vocabulary; }  // of the head
  size_t attended() const { return heads * head_size; }
  size_t reach() const { return kernel / 2; }
  size_t bins1() const { return (bins - 1) / 2; }     // after the first convolution
  size_t bins2() const { return (bins1() - 1) / 2; }  // after the second
  size_t heard() const { return chunk + right; }
  size_t window() const { return left + heard(); }
};

struct Norm {
  Buffer<float> weight, bias;
};

struct BlockWeights {
  OwnedMatrix up1, down1, qkv, out, expand, project, up2, down2;
  Buffer<float> depthwise, depthwise_bias;  // (kernel, padded inner)
  Norm convolution, norms[5];
};

struct Model {
  Config config;
  Buffer<float> mean, std;                    // (bins)
  Buffer<float> convolution, convolution_bias;  // (9, padded channels)
  OwnedMatrix convolution2, project;
  OwnedMatrix head;                           // CTC: scores of the tokens; RNN-T: the joiner's projection of a frame
  Buffer<float> embedding;                    // RNN-T: (vocabulary, padded predictor size)
  OwnedMatrix mix, predictor, output;         // RNN-T: embeddings to predictor to joiner to scores
  std::vector<BlockWeights> blocks;
  std::vector<std::string> tokens;
};

// Checks and reads a file's bytes; throws std::runtime_error with one sentence where something is wrong.
Model parse_model(const uint8_t* data, size_t size);

// Reads a whole file; throws std::runtime_error.
std::vector<uint8_t> read_file(const std::string& path);

}  // namespace dualmode
