"""When each word was said (CTC alignment by the dense sub-network), and how much later it is put out by a stream."""
