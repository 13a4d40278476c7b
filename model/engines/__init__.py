"""Encoders: a checkpoint on a device, with NumPy arrays as input and output."""
