"""A checkpoint on a device: NumPy in, NumPy out."""
