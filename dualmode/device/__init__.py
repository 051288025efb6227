"""The sparse streaming sub-network on a device: a file format and an engine of our own, without Python or PyTorch."""
