// Where in an endless stream an utterance ends: the rules of dualmode_runtime/endpoint.py.
#pragma once

#include <algorithm>

namespace dualmode {

enum class Endpoint { none, silence, nothing_said, too_long };

// Times in ms.  Silence is what the model puts no token out for.
struct Endpointing {
  double silence;   // after the last token
  double lead;      // silence before the first token
  double longest;   // of an utterance

  // heard: searched so far; last_token: when the last token's frame ended, below 0 without a token.
  Endpoint check(double heard, double last_token) const {
    if (last_token < 0) return heard >= std::min(lead, longest) ? Endpoint::nothing_said : Endpoint::none;
    if (heard - last_token >= silence) return Endpoint::silence;
    return heard >= longest ? Endpoint::too_long : Endpoint::none;
  }
};

}  // namespace dualmode
