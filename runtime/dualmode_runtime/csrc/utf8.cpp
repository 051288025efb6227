#include "utf8.h"

namespace dualmode {

Sign first_sign(const char* text, size_t size) {
  constexpr Sign kNone = {0, 0};
  uint32_t code = uint8_t(text[0]);
  if (code < 0x80) return {code, 1};
  if (code < 0xC2 || code > 0xF4) return kNone;
  const size_t more = code < 0xE0 ? 1 : code < 0xF0 ? 2 : 3;
  if (size <= more) return kNone;
  code &= 0x3F >> more;
  for (size_t k = 1; k <= more; ++k) {
    const uint8_t byte = uint8_t(text[k]);
    if ((byte & 0xC0) != 0x80) return kNone;
    code = code << 6 | (byte & 0x3F);
  }
  const uint32_t least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
  if (code < least || (code >= 0xD800 && code < 0xE000) || code > 0x10FFFF) return kNone;
  return {code, more + 1};
}

bool is_control(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

}  // namespace dualmode
