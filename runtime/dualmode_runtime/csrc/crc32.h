// CRC-32 of zlib, PNG and gzip (polynomial 0xEDB88320), eight bytes at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dualmode {

uint32_t crc32(const uint8_t* data, size_t size, uint32_t before = 0);

}  // namespace dualmode
