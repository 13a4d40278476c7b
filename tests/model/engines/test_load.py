import pytest

from model.config import CheckpointError
from model.engines.load import load_encoder


def test_unknown_weights_are_refused():
    with pytest.raises(CheckpointError, match="unknown weights 'google_1024'"):
        load_encoder(weights="google_1024")


def test_an_unknown_engine_is_refused(checkpoint):
    with pytest.raises(ValueError, match="engine must be tensorflow or openvino"):
        load_encoder(weights=str(checkpoint), engine="onnx")
