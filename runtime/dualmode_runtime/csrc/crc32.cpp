#include "crc32.h"

#include <array>

namespace dualmode {
namespace {

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: the remainder of byte b followed by k zero bytes.
Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t rest = byte;
    for (int i = 0; i < 8; ++i) rest = rest & 1 ? rest >> 1 ^ 0xEDB88320u : rest >> 1;
    tables[0][byte] = rest;
  }
  for (size_t k = 1; k < 8; ++k)
    for (size_t byte = 0; byte < 256; ++byte)
      tables[k][byte] = tables[k - 1][byte] >> 8 ^ tables[0][tables[k - 1][byte] & 255];
  return tables;
}

}  // namespace

uint32_t crc32(const uint8_t* data, size_t size, uint32_t before) {
  static const Tables tables = make_tables();
  uint32_t rest = ~before;
  for (; size >= 8; size -= 8, data += 8) {
    rest ^= uint32_t(data[0]) | uint32_t(data[1]) << 8 | uint32_t(data[2]) << 16 | uint32_t(data[3]) << 24;
    rest = tables[7][rest & 255] ^ tables[6][rest >> 8 & 255] ^ tables[5][rest >> 16 & 255] ^ tables[4][rest >> 24] ^
           tables[3][data[4]] ^ tables[2][data[5]] ^ tables[1][data[6]] ^ tables[0][data[7]];
  }
  for (; size; --size, ++data) rest = rest >> 8 ^ tables[0][(rest ^ *data) & 255];
  return ~rest;
}

}  // namespace dualmode
