"""Zero-shot image classification over HTTP. Does not import TensorFlow or Keras: it uses the model as a Protocol."""

__version__ = "0.1.0"
