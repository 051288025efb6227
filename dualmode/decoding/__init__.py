"""From features to text, with any sub-network, whole utterances at once or chunk by chunk."""
