"""The seam: what the service asks for is what the real encoder and the fake have."""

import ast
import dataclasses
from pathlib import Path

import pytest

from app.inference.encoder import Encoder, EncoderInfo
from tests.fakes import FakeEncoder, FakeInfo


def members(protocol: type) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


def members_of_source(name: str) -> set[str]:
    """Returns the public names of a class of the real encoder's module, from its source."""
    tree = ast.parse((Path(__file__).parents[3] / "model/engines/encoder.py").read_text(encoding="utf-8"))
    (found,) = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name]
    methods = {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    fields = {node.target.id for node in found.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr]  # each is a name
    assigned = {
        node.attr for node in ast.walk(found) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return methods | fields | assigned


@pytest.mark.parametrize(("protocol", "name"), [(Encoder, "Encoder"), (EncoderInfo, "EncoderInfo")])
def test_the_real_encoder_has_what_the_service_asks_for(protocol, name):
    assert members(protocol) - members_of_source(name) == set()


def test_so_has_the_fake():
    assert members(Encoder) - set(dir(FakeEncoder())) == set()
    assert members(EncoderInfo) == {field.name for field in dataclasses.fields(FakeInfo)}
