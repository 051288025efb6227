#include "model.h"

#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "crc32.h"
#include "utf8.h"

namespace dualmode {
namespace {

constexpr size_t kFixed = 128, kEntry = 80, kName = 40, kSection = 16, kPart = 16;

[[noreturn]] void refuse(const std::string& what) { throw std::runtime_error(what); }

uint32_t u32(const uint8_t* p) {
  return uint32_t(p[0]) | uint32_t(p[1]) << 8 | uint32_t(p[2]) << 16 | uint32_t(p[3]) << 24;
}
uint64_t u64(const uint8_t* p) { return u32(p) | uint64_t(u32(p + 4)) << 32; }

float f32(const uint8_t* p) {
  const uint32_t bits = u32(p);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// IEEE half precision.
float f16(const uint8_t* p) {
  const unsigned bits = p[0] | unsigned(p[1]) << 8, exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 31) return NAN;  // infinity too: neither is allowed
  const float magnitude = exponent ? std::ldexp(float(mantissa + 1024), int(exponent) - 25)
                                   : std::ldexp(float(mantissa), -24);
  return bits >> 15 ? -magnitude : magnitude;
}

// The scale of an int8 matrix's output: eight steps an octave, from 2**-24 on.
float scale_of(unsigned code) { return code ? float(std::exp2((double(code) - 192.0) / 8.0)) : 0.0f; }

enum Kind : uint32_t { kFloat = 0, kHalf = 1, kMatrixFloat = 2, kMatrixInt8 = 3, kText = 4 };

struct Entry {
  std::string name;
  uint32_t kind, rows, columns, block_rows, kept, checksum;
  uint64_t offset, size;
};

Config read_config(const uint8_t* p) {
  const struct {
    const char* name;
    uint32_t low, high;
  } fields[] = {{"precision", 0, 1},  {"bins", 7, 1024},          {"size", 2, 8192},  {"heads", 1, 1024},
                {"units", 1, 65536},  {"kernel", 1, 1023},        {"channels", 1, 4096}, {"blocks", 1, 1024},
                {"vocabulary", 2, 1 << 20}, {"chunk", 1, 1024},   {"left", 0, 65536}, {"right", 0, 1024},
                {"token_type", 0, 2}, {"block_rows", 4, 16}};
  uint32_t value[14];
  for (size_t i = 0; i < 14; ++i) {
    value[i] = u32(p + 4 * i);
    if (value[i] < fields[i].low || value[i] > fields[i].high)
      refuse("its " + std::string(fields[i].name) + " of " + std::to_string(value[i]) + " is not in " +
             std::to_string(fields[i].low) + " to " + std::to_string(fields[i].high));
  }
  Config c{Precision(value[0]), value[1], value[2],  value[3], value[4],  value[5],  value[6],
           value[7],            value[8], value[9], value[10], value[11], value[12], value[13], f32(p + 56),
           u32(p + 60),         u32(p + 64), u32(p + 68), u32(p + 72), u32(p + 76)};
  // Bounded before the product, which else wraps where size_t has 32 bits.
  if (c.head_size % 2 || c.head_size < 2 || c.head_size > 65536 || c.attended() > 65536)
    refuse("its head_size of " + std::to_string(c.head_size) + " is impossible");
  if (c.inner < 1 || c.inner > 65536) refuse("its convolution has " + std::to_string(c.inner) + " channels");
  if (c.kernel % 2 == 0) refuse("its kernel is even");
  if (c.block_rows != 4 && c.block_rows != 8 && c.block_rows != 16) refuse("its block_rows are not 4, 8 or 16");
  if (!(c.sparsity >= 0.0f && c.sparsity < 1.0f)) refuse("its sparsity is not in 0 to 1");
  if (c.context > 16) refuse("its predictor sees " + std::to_string(c.context) + " tokens, more than 16");
  for (const size_t width : {c.predictor_size, c.joiner_size})
    if (c.context ? width < 1 || width > 8192 : width != 0) refuse("its RNN-T has an impossible size");
  if (c.bins2() * c.channels > 65536) refuse("its subsampling is too wide");
  // What a stream remembers and works in, in floats; every factor is bounded above, so nothing overflows.
  const uint64_t window = round_up(c.window(), kAlign);
  const uint64_t wide = Rows::stride_of(c.size + c.units + 3 * c.attended() + 2 * c.inner);
  const uint64_t cached = Rows::stride_of(c.attended() + c.inner + kAlign * c.heads);
  const uint64_t floats = 2 * c.blocks * (window + c.kernel) * cached +
                          c.heard() * (4 * wide + window + c.vocabulary + c.joiner_size + c.bins2() * c.channels) +
                          (2 * c.heard() + 1) * c.bins1() * c.channels + 40 * c.bins2() * c.channels;
  if (floats > (uint64_t(1) << 28)) refuse("a stream of it would need more than 1 GiB of memory");
  return c;
}

// Hands the sections out in the order in which they must come, each checked before it is read.
class Reader {
 public:
  Reader(const uint8_t* data, size_t size) : data_(data), size_(size) {
    if (size < kFixed) refuse("it is too short for a header");
    if (std::memcmp(data, "DUALMODE", 8)) refuse("it is no device model");
    if (u32(data + 8) != 2) refuse("it has version " + std::to_string(u32(data + 8)) + " of the format, not 2");
    const uint64_t header = u32(data + 12), count = u32(data + 24);
    if (u64(data + 16) != size)
      refuse("it has " + std::to_string(size) + " bytes, not the " + std::to_string(u64(data + 16)) +
             " that it was written with");
    if (count > 100000 || header != kFixed + kEntry * count || header > size)
      refuse("its header does not have the size that its table needs");
    const uint8_t zeros[4] = {};
    uint32_t checksum = crc32(data, 28);
    checksum = crc32(zeros, 4, checksum);
    checksum = crc32(data + 32, header - 32, checksum);
    if (checksum != u32(data + 28)) refuse("its header is damaged (checksum)");
    check_zeros(112, kFixed);
    end_ = header;
    count_ = count;
  }

  Buffer<float> vector(const std::string& name, size_t rows, size_t columns, bool positive = false) {
    const Entry entry = next(name, rows, columns);
    if ((entry.kind != kFloat && entry.kind != kHalf) || entry.block_rows || entry.kept)
      refuse("the section " + name + " is of the wrong kind");
    const size_t bytes = entry.kind == kFloat ? 4 : 2, padded = rows == 1 ? columns : round_up(columns, kAlign);
    if (entry.size != uint64_t(rows) * columns * bytes) refuse("the section " + name + " has the wrong size");
    Buffer<float> to(rows * padded);
    for (size_t row = 0; row < rows; ++row)
      for (size_t column = 0; column < columns; ++column) {
        const uint8_t* p = data_ + entry.offset + (row * columns + column) * bytes;
        const float value = entry.kind == kFloat ? f32(p) : f16(p);
        if (!std::isfinite(value) || (positive && !(value > 0.0f)))
          refuse("the section " + name + " has an impossible value");
        to[row * padded + column] = value;
      }
    return to;
  }

  Norm norm(const std::string& name, size_t size) {
    Norm norm;
    norm.weight = vector(name + ".weight", 1, size);
    norm.bias = vector(name + ".bias", 1, size);
    return norm;
  }

  OwnedMatrix matrix(const std::string& layer, size_t outputs, size_t inputs, Precision precision) {
    const std::string name = layer + ".weight";
    const Entry entry = next(name, outputs, inputs);
    const bool quantised = precision == Precision::int8;
    if (entry.kind != (quantised ? kMatrixInt8 : kMatrixFloat)) refuse("the section " + name + " is of the wrong kind");
    if (entry.block_rows != 4 && entry.block_rows != 8 && entry.block_rows != 16)
      refuse("the section " + name + " has blocks of " + std::to_string(entry.block_rows) + " rows, not 4, 8 or 16");
    const size_t padded = round_up(outputs, entry.block_rows);
    const size_t blocks = row_blocks(outputs, entry.block_rows) * column_blocks(inputs);
    const size_t bitmask = round_up(round_up(blocks, 8) / 8, kPart);
    const size_t scales = quantised ? round_up(padded, kPart) : 0;
    const uint64_t values = uint64_t(entry.kept) * entry.block_rows * kBlockColumns * (quantised ? 1 : 4);
    if (entry.size != bitmask + scales + values) refuse("the section " + name + " has the wrong size");
    const uint8_t* from = data_ + entry.offset;
    if (count_bits(from, blocks) != entry.kept) refuse("the blocks of " + name + " do not fit its bitmask");
    check_zeros(round_up(blocks, 8) / 8 + entry.offset, bitmask + entry.offset);
    if (quantised) check_zeros(entry.offset + bitmask + padded, entry.offset + bitmask + scales);
    Buffer<float> scale(padded);
    for (size_t i = 0; quantised && i < padded; ++i) scale[i] = scale_of(from[bitmask + i]);
    const Buffer<float> bias = vector(layer + ".bias", 1, outputs);
    try {
      return OwnedMatrix({precision, outputs, inputs, entry.block_rows, from, entry.kept, from + bitmask + scales,
                          scale.data(), bias.data()});
    } catch (const std::runtime_error& error) {
      refuse("the section " + name + " is impossible: " + error.what());
    }
  }

  std::string text(const std::string& name, size_t lines) {
    const Entry entry = next(name, lines, 1);
    if (entry.kind != kText || entry.block_rows || entry.kept) refuse("the section " + name + " is of the wrong kind");
    return std::string(reinterpret_cast<const char*>(data_ + entry.offset), size_t(entry.size));
  }

  void finish() const {
    if (taken_ != count_) refuse("it has sections that its configuration does not need");
    if (end_ != size_) refuse("it has bytes behind its last section");
  }

 private:
  Entry next(const std::string& name, size_t rows, size_t columns) {
    if (taken_ == count_) refuse("it lacks the section " + name);
    const uint8_t* p = data_ + kFixed + kEntry * taken_++;
    const uint8_t* q = p + kName;
    const Entry e{std::string(p, q), u32(q),      u32(q + 4),  u32(q + 8), u32(q + 12),
                  u32(q + 16),       u32(q + 20), u64(q + 24), u64(q + 32)};
    const std::string filled = name + std::string(kName - name.size(), '\0');
    if (e.name != filled) refuse("it has another section where " + name + " must be");
    if (e.rows != rows || e.columns != columns)
      refuse("the section " + name + " is " + std::to_string(e.rows) + " x " + std::to_string(e.columns) + ", not " +
             std::to_string(rows) + " x " + std::to_string(columns));
    const uint64_t start = round_up(end_, kSection);
    if (e.offset != start || start > size_ || e.size > size_ - start)
      refuse("the section " + name + " does not lie behind the one before it");
    check_zeros(end_, start);
    end_ = start + e.size;
    if (crc32(data_ + start, size_t(e.size)) != e.checksum) refuse("the section " + name + " is damaged (checksum)");
    return e;
  }

  void check_zeros(uint64_t from, uint64_t to) const {
    for (uint64_t i = from; i < to; ++i)
      if (data_[i]) refuse("it has something where zeros must be");
  }

  const uint8_t* data_;
  size_t size_;
  uint64_t end_ = 0, count_ = 0, taken_ = 0;
};

// Returns why a text is no token, or null.
const char* fault_of(const std::string& text) {
  bool control = false;
  for (size_t i = 0; i < text.size();) {
    const Sign sign = first_sign(text.data() + i, text.size() - i);
    if (!sign.bytes) return "is not UTF-8";
    control = control || is_control(sign.code);
    i += sign.bytes;
  }
  return control ? "has a control character" : nullptr;
}

std::vector<std::string> split_lines(const std::string& text, size_t count) {
  std::vector<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    const size_t stop = text.find('\n', start);
    if (stop == std::string::npos) refuse("its last token has no end of line");
    lines.push_back(text.substr(start, stop - start));
    if (const char* fault = fault_of(lines.back()))
      refuse("its token " + std::to_string(lines.size() - 1) + " " + fault);
    start = stop + 1;
  }
  if (lines.size() != count)
    refuse("it has " + std::to_string(lines.size()) + " tokens, but a vocabulary of " + std::to_string(count));
  return lines;
}

}  // namespace

Model parse_model(const uint8_t* data, size_t size) {
  Reader reader(data, size);
  Model model;
  model.config = read_config(data + 32);
  const Config& c = model.config;
  const Precision p = c.precision;
  model.mean = reader.vector("normalize.mean", 1, c.bins);
  model.std = reader.vector("normalize.std", 1, c.bins, true);
  model.convolution = reader.vector("subsampling.conv.0.weight", 9, c.channels);
  model.convolution_bias = reader.vector("subsampling.conv.0.bias", 1, c.channels);
  model.convolution2 = reader.matrix("subsampling.conv.2", c.channels, 9 * c.channels, p);
  model.project = reader.matrix("subsampling.project", c.size, c.bins2() * c.channels, p);
  for (size_t i = 0; i < c.blocks; ++i) {
    const std::string at = "blocks." + std::to_string(i) + ".";
    BlockWeights b;
    b.up1 = reader.matrix(at + "ffn1.up", c.units, c.size, p);
    b.down1 = reader.matrix(at + "ffn1.down", c.size, c.units, p);
    b.qkv = reader.matrix(at + "attention.qkv", 3 * c.attended(), c.size, p);
    b.out = reader.matrix(at + "attention.out", c.size, c.attended(), p);
    b.expand = reader.matrix(at + "convolution.expand", 2 * c.inner, c.size, p);
    b.depthwise = reader.vector(at + "convolution.depthwise.weight", c.kernel, c.inner);
    b.depthwise_bias = reader.vector(at + "convolution.depthwise.bias", 1, c.inner);
    b.convolution = reader.norm(at + "convolution.norm", c.inner);
    b.project = reader.matrix(at + "convolution.project", c.size, c.inner, p);
    b.up2 = reader.matrix(at + "ffn2.up", c.units, c.size, p);
    b.down2 = reader.matrix(at + "ffn2.down", c.size, c.units, p);
    for (size_t n = 0; n < 5; ++n) b.norms[n] = reader.norm(at + "norms." + std::to_string(n), c.size);
    model.blocks.push_back(std::move(b));
  }
  if (c.context) {
    model.embedding = reader.vector("predictor.embedding.weight", c.vocabulary, c.predictor_size);
    model.mix = reader.matrix("predictor.mix", c.predictor_size, c.context * c.predictor_size, p);
    model.head = reader.matrix("joiner.encoder", c.joiner_size, c.size, p);
    model.predictor = reader.matrix("joiner.predictor", c.joiner_size, c.predictor_size, p);
    model.output = reader.matrix("joiner.output", c.vocabulary, c.joiner_size, p);
  } else {
    model.head = reader.matrix("head", c.vocabulary, c.size, p);
  }
  model.tokens = split_lines(reader.text("tokens", c.vocabulary), c.vocabulary);
  reader.finish();
  return model;
}

std::vector<uint8_t> read_file(const std::string& path) {
  struct stat about;
  if (!stat(path.c_str(), &about) && (about.st_mode & S_IFMT) == S_IFDIR) refuse("it is a folder");
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) refuse("it cannot be opened");
  const std::streamoff size = file.tellg();
  if (size < 0) refuse("it is no file that can be read");
  std::vector<uint8_t> data(static_cast<size_t>(size));
  file.seekg(0);
  if (size && !file.read(reinterpret_cast<char*>(data.data()), size)) refuse("it cannot be read");
  return data;
}

}  // namespace dualmode
