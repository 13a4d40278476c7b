"""Samples as a file stores them to upright, opaque sRGB."""
