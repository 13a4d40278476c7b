"""The Protocol: the real encoder and the fake have everything that the service needs."""

from app.inference.encoder import Encoder
from model.engines.openvino_encoder import OpenVINOEncoder
from model.engines.tensorflow_encoder import TensorFlowEncoder
from tests.fakes import FakeEncoder


def members(protocol: type) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_the_real_encoders_and_the_fake_have_what_the_service_needs():
    attributes = {"info", "scale", "bias"}  # set in the constructor of the abstract encoder
    for encoder in (TensorFlowEncoder, OpenVINOEncoder, FakeEncoder):
        assert members(Encoder) - attributes - set(dir(encoder)) == set()
    assert attributes <= vars(FakeEncoder()).keys()


def test_the_abstract_encoder_has_them_too():
    # Checked by mypy: `load_encoder` returns a `model.engines.encoder.Encoder` as the Protocol.
    assert members(Encoder) <= {"info", "scale", "bias"} | set(dir(TensorFlowEncoder.__mro__[1]))
