"""What the contract shows: an example of each request, each answer and each error. Data only.

The scores are those that Hugging Face publishes for google/siglip-base-patch16-224 and COCO's picture of two cats.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app import errors
from app.errors import Fault, ServiceError

REQUEST_ID = "5f0c6f7e9d1b4c2a8e3f"
PNG = (  # 8 x 8, orange
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mN8ViHHgA0wMeAAg1MCAC3HAYwwIk7yAAAAAElFTkSuQmCC"
)
FILE = "(the file)"  # in a form
LABELS = ["2 cats", "2 dogs"]
MODEL = {"variant": "SigLIPBaseP16", "weights": "google_224"}
IMAGE = {"width": 640, "height": 480, "format": "JPEG", "notes": ["exif_orientation_applied"]}
SCORES = [
    {"label": "2 cats", "logit": -0.7567, "sigmoid": 0.3194, "softmax": 0.9999},
    {"label": "2 dogs", "logit": -10.3354, "sigmoid": 0.0000325, "softmax": 0.0001},
]
EMBEDDED = {"model": MODEL, "embeddings": [[0.0312, -0.0127, 0.0541]]}
DIGEST = '"17f43654c3ab633627ee269d5393ec5ef1c37869c0eb5c6ea29c9bc489241878"'
LABEL_SET = {
    "labels": ["dog", {"label": "cat", "prompts": ["a photo of a cat", "Katze"]}],
    "templates": ["This is a photo of {}."],
}
STORED = {"name": "pets", "size": 2, "etag": DIGEST}


class Example(NamedTuple):
    """A request as JSON, and its answer. In a form the same fields are sent, the image as a file."""

    answer: Any = None
    request: Any = None


HUGGING_FACE = Example(
    [score | {"score": score["sigmoid"]} for score in SCORES],
    {"inputs": PNG, "parameters": {"candidate_labels": LABELS}},
)
VERTEX = Example(
    {"predictions": [{"image": IMAGE, "scores": SCORES}]},
    {"instances": [{"image": {"b64": PNG}}], "parameters": {"labels": LABELS}},
)
READY = Example({"status": "ready"})
INFERENCE = Example(
    {
        "model_name": "SigLIPBaseP16",
        "model_version": "1",
        "id": "42",
        "outputs": [{"name": "logit", "shape": [1, 2], "datatype": "FP32", "data": [-0.7567, -10.3354]}],
    },
    {
        "id": "42",
        "inputs": [
            {"name": "image", "shape": [1], "datatype": "BYTES", "data": [PNG]},
            {"name": "labels", "shape": [2], "datatype": "BYTES", "data": LABELS},
        ],
        "outputs": [{"name": "logit"}],
    },
)
MODEL_FACTS = Example(
    {
        "name": "SigLIPBaseP16",
        "versions": ["1"],
        "platform": "keras",
        "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("image", "labels")],
        "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, -1]} for name in ("logit", "sigmoid", "softmax")],
    }
)
MODEL_READY = Example({"name": "SigLIPBaseP16", "ready": True})


def fault(pointer: str, message: str) -> tuple[str, list[Fault]]:
    """Returns a detail and its one fault."""
    return f"{message[0].upper()}{message[1:]}.", [Fault(pointer, message)]


ERRORS: Mapping[type[ServiceError], ServiceError] = {
    type(error): error
    for error in (
        errors.InvalidRequest(
            "unknown field; did you mean labels?", [Fault("", "unknown field; did you mean labels?")]
        ),
        errors.Unauthorized(
            "This API key is not valid. Send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`."
        ),
        errors.NotFound("There is nothing at this path. GET /docs lists what there is."),
        errors.LabelSetNotFound(),
        errors.MethodNotAllowed("This path takes POST."),
        errors.BodyTimeout("The body did not arrive within 30 s."),
        errors.PreconditionFailed("The label set is not the one that If-Match names. Read it again."),
        errors.BodyTooLarge("The body is larger than the 20,000,000 bytes that this service accepts."),
        errors.ImageTooLarge("The image has 30000 x 30000 pixels. At most 50,000,000 are accepted, and 32,768 a side."),
        errors.UnsupportedMediaType("A compressed body is not accepted. Send it without Content-Encoding."),
        errors.InvalidImage(*fault("/image", "the JPEG is truncated")),
        errors.InvalidLabels(*fault("/labels/1", "label 1 has 0 characters; it must have 1 to 256")),
        errors.InvalidTemplate(*fault("/templates/0", "template 0 must have {} for the label, at most 4 times")),
        errors.Overloaded(2),
        errors.InternalError(),
        errors.NotReady("The model is not ready: downloading 37 %."),
        errors.Draining("The service is shutting down; it takes its last requests."),
        errors.DeadlineExceeded("There was no answer within 60 s. Nothing is computed for it any more."),
    )
}


# By method and path, as the OpenAPI document has them.
EXAMPLES: Mapping[tuple[str, str], Example] = {
    ("post", "/classify"): Example(
        {"model": MODEL, "image": IMAGE, "scores": SCORES}, {"image": PNG, "labels": LABELS, "top_k": 2}
    ),
    ("post", "/classify/batch"): Example(
        {
            "model": MODEL,
            "results": [
                {"image": IMAGE, "scores": SCORES},
                {"error": errors.InvalidImage(*fault("/images/1", "the JPEG is truncated")).problem(REQUEST_ID)},
            ],
        },
        {"images": [PNG, PNG], "labels": LABELS, "templates": ["This is a photo of {}.", "a picture of {}"]},
    ),
    ("get", "/label-sets"): Example({"label_sets": [STORED]}),
    ("get", "/label-sets/{name}"): Example({"name": "pets", **LABEL_SET}),
    ("put", "/label-sets/{name}"): Example(STORED, LABEL_SET),
    ("post", "/embed/image"): Example(EMBEDDED, {"image": PNG}),
    ("post", "/embed/text"): Example(EMBEDDED, {"texts": ["This is a photo of 2 cats."]}),
    ("post", "/"): HUGGING_FACE,
    ("post", "/hf"): HUGGING_FACE,
    ("post", "/invocations"): Example(
        {"model": MODEL, "image": IMAGE, "scores": SCORES}, {"image": PNG, "labels": LABELS}
    ),
    ("get", "/v2"): Example({"name": "siglip", "version": "0.1.0", "extensions": ["binary_tensor_data"]}),
    ("get", "/v2/health/live"): Example({"live": True}),
    ("get", "/v2/health/ready"): Example({"live": True, "ready": True}),
    ("get", "/v2/models/{model}"): MODEL_FACTS,
    ("get", "/v2/models/{model}/versions/{version}"): MODEL_FACTS,
    ("get", "/v2/models/{model}/ready"): MODEL_READY,
    ("get", "/v2/models/{model}/versions/{version}/ready"): MODEL_READY,
    ("post", "/v2/models/{model}/infer"): INFERENCE,
    ("post", "/v2/models/{model}/versions/{version}/infer"): INFERENCE,
    ("get", "/ping"): READY,
    ("get", "/health/startup"): Example({"status": "started"}),
    ("get", "/health/live"): Example({"status": "live"}),
    ("get", "/health/ready"): READY,
    ("get", "/health"): READY,
    ("get", "/info"): Example(
        {
            **MODEL,
            "revision": None,
            "sha256": "2c63cb7d1f2e95ba501893cbb8faeb4ea9a3af295498d35097126228659c2af8",
            "demonstration": False,
            "image_size": [224, 224],
            "context_length": 64,
            "embed_dim": 768,
            "vocab_size": 32000,
            "dtype": "float32",
            "device": "CPU",
            "engine": "tensorflow",
            "preprocessing": "whole image squashed to 224 x 224 by Pillow's antialiased bicubic on uint8, "
            "then x / 127.5 - 1",
            "canonicalisation": "lower case, ASCII punctuation deleted, white space collapsed; pieces of spiece.model; "
            "</s>; padded with </s>",
            "scale": 117.3308,
            "bias": -12.93244,
            "limits": {
                "max_body_bytes": 20_000_000,
                "max_image_pixels": 50_000_000,
                "max_side_pixels": 32_768,
                "max_frames": 1_000,
                "max_images": 64,
                "max_labels": 10_000,
                "max_label_characters": 256,
                "max_text_characters": 1_024,
                "max_label_sets": 1_000,
                "request_timeout_s": 60.0,
                "max_templates": 100,
                "image_formats": ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"],
            },
            "version": "0.1.0",
        }
    ),
    ("get", "/metrics"): Example(
        "# HELP siglip_ready 1 while /health/ready is 200\n# TYPE siglip_ready gauge\nsiglip_ready 1.0\n"
    ),
}
