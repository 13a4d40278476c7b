"""Zero-shot image classification over HTTP. No TensorFlow and no Keras here: `app` sees the model as a Protocol."""

__version__ = "0.1.0"
