"""The tensors of an Open Inference Protocol request and response, as JSON or as bytes after the JSON.

A BYTES tensor is a list of elements. In JSON each is text; as bytes each is a length (four bytes, little-endian) and
that many bytes. Lengths come from the client: each is checked against the received bytes before memory is allocated.

Source: kserve/open-inference-protocol `specification/protocol/inference_rest.md`; for the bytes,
triton-inference-server/server `docs/protocol/extension_binary_data.md`.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field

from app.errors import InvalidRequest
from app.schemas import LABELS, PNG, ClassifyOptions, Frame, ResponseWarning, Sent, Texts, example
from app.validation import parse_json, validated

HEADER = "Inference-Header-Content-Length"
LENGTH_BYTES = 4
OUTPUTS = ("logit", "sigmoid", "softmax")
OutputName = Literal["logit", "sigmoid", "softmax"]


def flattened(data: Any) -> Any:
    """Returns the elements of a tensor [N, 1] as those of a tensor [N]."""
    if not isinstance(data, list):
        return data
    return [element for row in data for element in (row if isinstance(row, list) else [row])]


class InputParameters(Sent):
    """The size of an input's binary data."""

    binary_data_size: Annotated[int | None, Field(ge=0, description="The number of bytes after the JSON.")] = None


class InputTensor(Sent):
    """`image` has files, in JSON as base64; `labels`; `templates`, which is optional."""

    name: Literal["image", "labels", "templates"]
    shape: Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=2, fail_fast=True)]
    datatype: Literal["BYTES"]
    parameters: InputParameters | None = None
    data: Annotated[
        Texts | None, BeforeValidator(flattened, json_schema_input_type=list[str] | list[list[str]] | None)
    ] = None


class OutputParameters(Sent):
    """The form of an output."""

    binary_data: bool | None = None


class RequestedOutput(Sent):
    """A requested output."""

    name: OutputName
    parameters: OutputParameters | None = None


class RequestParameters(Sent):
    """The form of outputs that do not have their own, and the frame of each image file."""

    frame: Frame = 0
    binary_data_output: bool = False


class InferBody(Sent):
    """An inference request. Without `outputs`, all three are returned."""

    model_config = example(
        {
            "id": "42",
            "inputs": [
                {"name": "image", "shape": [1], "datatype": "BYTES", "data": [PNG]},
                {"name": "labels", "shape": [2], "datatype": "BYTES", "data": LABELS},
            ],
            "outputs": [{"name": "logit"}],
        }
    )

    id: Annotated[str | None, Field(max_length=256, description="Returned unchanged.")] = None
    parameters: RequestParameters | None = None
    inputs: Annotated[list[InputTensor], Field(max_length=3, fail_fast=True)]
    outputs: Annotated[list[RequestedOutput] | None, Field(max_length=3, fail_fast=True)] = None


class OutputTensor(BaseModel):
    """One number for each image and label, [N, L], the labels in the order of the request."""

    name: OutputName
    shape: list[int]
    datatype: Literal["FP32"]
    parameters: dict[str, int] | None = None
    data: list[float] | None = None


class ResponseParameters(BaseModel):
    """What a reader of the outputs must know."""

    warnings: Annotated[str, Field(description="A JSON array of `code`, `message` and `labels`.")]


class InferResponse(BaseModel):
    """An inference's outputs. With warnings, `parameters` has them as a JSON text: it takes no lists."""

    model_config = example(
        {
            "model_name": "SigLIPBaseP16",
            "model_version": "1",
            "id": "42",
            "outputs": [{"name": "logit", "shape": [1, 2], "datatype": "FP32", "data": [-0.7567, -10.3354]}],
        }
    )

    model_name: str
    model_version: str
    id: str | None = None
    parameters: ResponseParameters | None = None
    outputs: list[OutputTensor]


class Inference(NamedTuple):
    """A parsed request."""

    images: list[bytes | str]
    options: ClassifyOptions
    body: InferBody
    indices: Mapping[str, int]  # of the inputs, by name

    def pointer(self, name: str) -> str:
        """Returns the JSON pointer of an input's elements."""
        return f"/inputs/{self.indices[name]}/data" if name in self.indices else "/inputs"


def read_inference(content: bytes, header_bytes: int, max_elements: int) -> Inference:
    """Returns a parsed request. Call it in a thread.

    Args:
        content: The body.
        header_bytes: The number of its bytes that are JSON.
        max_elements: The most elements of any tensor: millions of empty ones would take seconds.

    Raises:
        InvalidRequest: It is malformed, or its lengths do not match the bytes that arrived.
    """
    body = validated(InferBody, parse_json(content[:header_bytes], "The inference header"), strict=True)
    binary = memoryview(content)[header_bytes:]
    elements: dict[str, Sequence[bytes | str]] = {}
    indices: dict[str, int] = {}
    for index, tensor in enumerate(body.inputs):
        if tensor.name in elements:
            raise InvalidRequest.at(f"/inputs/{index}", f"inputs has {tensor.name} twice")
        size_bytes = tensor.parameters.binary_data_size if tensor.parameters else None
        if (size_bytes is None) == (tensor.data is None):
            message = f"{tensor.name} must have data, or binary_data_size in its parameters"
            raise InvalidRequest.at(f"/inputs/{index}", message)
        count = math.prod(tensor.shape)
        if count > max_elements:
            message = f"{tensor.name} has {count:,} elements; at most {max_elements:,} are accepted"
            raise InvalidRequest.at(f"/inputs/{index}/shape", message)
        if tensor.data is not None:
            elements[tensor.name] = tensor.data
        elif size_bytes is not None and count * LENGTH_BYTES <= size_bytes <= len(binary):
            elements[tensor.name] = unpack(binary[:size_bytes], count, f"/inputs/{index}")
            binary = binary[size_bytes:]
        else:
            raise InvalidRequest.at(f"/inputs/{index}", f"{tensor.name} has too few bytes after the JSON")
        if len(elements[tensor.name]) != count:
            message = f"{tensor.name} has another number of elements than its shape"
            raise InvalidRequest.at(f"/inputs/{index}/shape", message)
        indices[tensor.name] = index
    if len(binary):
        raise InvalidRequest.at("", "there are more bytes after the JSON than the inputs need")
    if missing := [name for name in ("image", "labels") if name not in elements]:
        raise InvalidRequest.at("/inputs", f"inputs must have {missing[0]}")
    texts = {name: as_texts(elements[name], f"/inputs/{indices[name]}") for name in elements if name != "image"}
    frame = body.parameters.frame if body.parameters else 0
    options = ClassifyOptions(labels=texts["labels"], templates=texts.get("templates"), frame=frame)
    return Inference(list(elements["image"]), options, body, indices)


def unpack(binary: memoryview, count: int, pointer: str) -> list[bytes]:
    """Returns the elements of a BYTES tensor, and at most one more than its shape says."""
    elements: list[bytes] = []
    at = 0
    while at < len(binary) and len(elements) <= count:
        length_bytes = int.from_bytes(binary[at : at + LENGTH_BYTES], "little")
        at += LENGTH_BYTES
        if at + length_bytes > len(binary):
            raise InvalidRequest.at(pointer, "an element is longer than its tensor")
        elements.append(bytes(binary[at : at + length_bytes]))
        at += length_bytes
    return elements


def as_texts(elements: Sequence[bytes | str], pointer: str) -> list[str]:
    """Returns elements as text."""
    try:
        return [element if isinstance(element, str) else element.decode() for element in elements]
    except UnicodeDecodeError:
        raise InvalidRequest.at(pointer, "an element is not UTF-8") from None


def write_response(
    body: InferBody,
    model_name: str,
    model_version: str,
    scores: Mapping[str, np.ndarray],
    warnings: Sequence[ResponseWarning],
) -> tuple[bytes, int | None]:
    """Returns the response's bytes, and how many of them are JSON if binary data follows. Call it in a thread.

    Args:
        body: The request.
        model_name: The model's name.
        model_version: The model's version.
        scores: An array [N, L] float32 for each of `OUTPUTS`.
        warnings: What a reader of the scores must know.
    """
    outputs, binary = [], []
    binary_by_default = bool(body.parameters and body.parameters.binary_data_output)
    for wanted in body.outputs or [RequestedOutput(name=name) for name in OUTPUTS]:  # type: ignore[arg-type]  # OUTPUTS are its names
        values = scores[wanted.name]
        chosen = wanted.parameters.binary_data if wanted.parameters else None
        head = f'"name":"{wanted.name}","shape":[{values.shape[0]},{values.shape[1]}],"datatype":"FP32"'
        if binary_by_default if chosen is None else chosen:
            binary.append(values.astype("<f4").tobytes())
            outputs.append(f'{{{head},"parameters":{{"binary_data_size":{len(binary[-1])}}}}}')
        else:
            # Number by number: the JSON encoder would hold the interpreter for millions of them.
            numbers = ",".join(f"{value:.7g}" for value in values.ravel().tolist())
            outputs.append(f'{{{head},"data":[{numbers}]}}')
    names: dict[str, Any] = {"model_name": model_name, "model_version": model_version}
    if body.id is not None:
        names["id"] = body.id
    if warnings:
        names["parameters"] = {"warnings": json.dumps([warning.model_dump() for warning in warnings])}
    header = f'{json.dumps(names)[:-1]},"outputs":[{",".join(outputs)}]}}'.encode()
    return (header + b"".join(binary), len(header)) if binary else (header, None)
