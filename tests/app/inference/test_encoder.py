"""The real encoders and the fake have all members of the `Encoder` protocol."""

from app.inference.encoder import Encoder
from model.engines.openvino_encoder import OpenVINOEncoder
from model.engines.tensorflow_encoder import TensorFlowEncoder
from tests.fakes import FakeEncoder


def members(protocol: type) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_the_real_encoders_and_the_fake_have_all_members():
    attributes = {"info", "scale", "bias"}  # set in the constructor of the abstract encoder
    for encoder in (TensorFlowEncoder, OpenVINOEncoder):
        assert members(Encoder) - attributes - set(dir(encoder)) == set()
    assert members(Encoder) <= set(dir(FakeEncoder()))


def test_the_abstract_encoder_has_all_members_too():
    # mypy checks their types: `load_encoder` returns a `model.engines.encoder.Encoder` as the protocol.
    assert members(Encoder) <= {"info", "scale", "bias"} | set(dir(TensorFlowEncoder.__mro__[1]))
