// Text as code points, and which of them a terminal obeys.
#pragma once

#include <cstddef>
#include <cstdint>

namespace dualmode {

struct Sign {
  uint32_t code;
  size_t bytes;  // 0: it is not UTF-8
};

// The first sign of `size` bytes, at least one.  UTF-8 has no code point written longer than need be, no surrogates,
// none past U+10FFFF (RFC 3629).
Sign first_sign(const char* text, size_t size);

// What drives a terminal, or turns the direction of what is printed around (dualmode_runtime/lines.py, and tabs).
bool is_control(uint32_t code);

}  // namespace dualmode
