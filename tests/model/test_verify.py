"""Published outputs compared with computed ones, on a small checkpoint that was never published."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from app.cli.command_line import main
from model.checkpoint.variants import load_model
from model.config import CheckpointError
from model.processor import SigLIPProcessor
from model.published import VARIANTS
from model.verify import KINDS, Line, bilinear, published_facts, published_name, verify
from tests.golden.cases import pixels
from tests.golden.published import PUBLISHED_1
from tests.model.conftest import SQUARE

NAMES = ("SigLIPBaseP16", "google_224")
PUBLISHED = published_facts()
URL = "https://images.example/photo.png"


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(pixels((40, 60), 1)[0]).save(path)
    return path


@pytest.fixture(scope="module")
def lines_of(checkpoint):
    """Compares the small checkpoint with the given facts, as if it were google_224."""
    model, processor = load_model(None, checkpoint), SigLIPProcessor(weights=checkpoint)

    def lines(*facts, images=None, sha256=None) -> list[Line]:
        source = {"url": URL} | ({"sha256": sha256} if sha256 else {})
        facts = [
            {"checkpoint": "SigLIPBaseP16 google_224", "source": "somebody", "tolerance": 0.01} | fact for fact in facts
        ]
        published = {"facts": facts, "images": {"photo.png": source}}
        return verify(checkpoint, NAMES, model, processor, images or {}, published)[2:]  # without the files' hashes

    return lines


def computed(lines_of, fact, **options) -> list[float]:
    (line,) = lines_of(fact | {"expected": [0.0]}, **options)
    return [float(value) for value in line.actual.split()]


LOGITS = {"kind": "logits", "image": "photo.png", "texts": ["a cat", "a dog"]}
FACTS = [
    {"kind": "scale"},
    {"kind": "log_scale"},
    {"kind": "bias"},
    {"kind": "pooled_text", "text": "a cat"},
    {"kind": "token_ids", "text": "a photo of a cat"},
    {"kind": "text_head_is_identity"},
    LOGITS,
    {**LOGITS, "resize": "bilinear"},
    {**LOGITS, "kind": "sigmoid"},
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: "-".join(map(str, fact.values()))[:40])
def test_a_value_passes_within_its_tolerance_and_fails_outside_it(fact, lines_of, photo):
    images = {"photo.png": photo}
    actual = computed(lines_of, fact, images=images)
    beyond = [*actual[:-1], actual[-1] + 1]
    right, wrong, short = lines_of(
        *(fact | {"expected": values} for values in (actual, beyond, [*actual, 0.0])), images=images
    )
    assert [right.verdict, wrong.verdict, short.verdict] == ["pass", "fail", "fail"]
    assert wrong.expected == " ".join(f"{value:.7g}" for value in beyond)
    assert wrong.actual == right.actual == right.expected
    assert (wrong.tolerance, wrong.remark) == ("0.01", "somebody")


def test_the_computed_values_come_from_the_model(lines_of, checkpoint, photo):
    model, processor = load_model(None, checkpoint), SigLIPProcessor(weights=checkpoint)
    inputs = processor(text=LOGITS["texts"], image_paths=photo)
    output = model({"images": inputs["images"], "token_ids": inputs["input_ids"]})
    images = {"photo.png": photo}
    assert computed(lines_of, LOGITS, images=images) == pytest.approx(np.asarray(output["image_logits"])[0], abs=1e-4)
    assert computed(lines_of, {"kind": "scale"}) == pytest.approx([np.exp(4.77)], rel=1e-6)
    assert computed(lines_of, {"kind": "token_ids", "text": ""}) == []


def test_a_fact_without_its_image_is_not_checked_and_the_remark_has_the_image_url(lines_of):
    (line,) = lines_of(LOGITS | {"expected": [0.0, 0.0]})
    assert (line.verdict, line.actual) == ("not checked", "-")
    assert line.remark == f"photo.png was not given; download it from {URL}"


def test_a_fact_with_a_different_image_is_not_checked(lines_of, photo):
    (line,) = lines_of(LOGITS | {"expected": [0.0, 0.0]}, images={"photo.png": photo}, sha256="0" * 64)
    assert line.verdict == "not checked"
    assert "is not the image from" in line.remark


def test_files_are_compared_by_sha256(checkpoint, tmp_path):
    model, processor = load_model(None, checkpoint), SigLIPProcessor(weights=checkpoint)
    nothing = {"facts": [], "images": {}}
    lines = verify(checkpoint, NAMES, model, processor, {}, nothing)
    assert [(line.name, line.verdict) for line in lines] == [
        ("sha256 of spiece.model", "fail"),
        ("sha256 of model.safetensors", "fail"),
    ]
    assert lines[0].expected == VARIANTS[NAMES[0]][NAMES[1]].sha256["spiece.model"]
    elsewhere = verify(tmp_path, NAMES, model, processor, {}, nothing)
    assert {line.verdict for line in elsewhere} == {"not checked"}


def test_facts_about_other_checkpoints_are_ignored(lines_of):
    assert lines_of({"checkpoint": "SigLIPLargeP16 google_384", "kind": "scale", "expected": 118.2}) == []
    assert len(lines_of({"checkpoint": "c4_en", "kind": "token_ids", "text": "a", "expected": [2]})) == 1


def test_every_published_fact_is_complete_and_about_a_known_checkpoint():
    names = {f"{variant} {weights}" for variant, known in VARIANTS.items() for weights in known} | {"c4_en"}
    for fact in PUBLISHED["facts"]:
        assert fact["checkpoint"] in names
        assert fact["kind"] in KINDS
        assert fact["source"]
        assert fact["tolerance"] >= 0
        assert fact.get("image", "bus.jpg") in PUBLISHED["images"]
        assert len(fact.get("texts", "?")) == len(np.atleast_1d(fact["expected"])) or "texts" not in fact
    checked = {fact["checkpoint"] for fact in PUBLISHED["facts"]}
    assert checked >= {f"{row.variant} {row.weights}" for row in PUBLISHED_1}, "each SigLIP 1 has a fact"


def test_published_logits_and_published_probabilities_agree():
    """For large-384, the percentages of the demonstration are the sigmoids of the conversion script's logits."""
    facts = [fact for fact in PUBLISHED["facts"] if fact["checkpoint"] == "SigLIPLargeP16 google_384"]
    (logits,) = (f["expected"] for f in facts if f["kind"] == "logits" and f["image"] == "apple-ipod.jpg")
    (shares,) = (f["expected"] for f in facts if f["kind"] == "sigmoid")
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(logits))), shares, atol=5e-4)


def test_the_published_token_ids_match_the_specification():
    texts = {fact["text"]: fact["expected"] for fact in PUBLISHED["facts"] if fact["kind"] == "token_ids"}
    assert len(texts) == 21
    assert texts["the real mountain view"] == [260, 638, 3293, 870]
    assert max(map(len, texts.values())) == 63, "a context of 64, minus </s>"


def test_published_name_finds_the_checkpoint_by_its_architecture():
    for variant, named in VARIANTS.items():
        for weights, published in named.items():
            if published.generation == 1 and published.hub_id:
                assert published_name(published.config) == (variant, weights)
    unpublished = [SQUARE, VARIANTS["SigLIP2BaseP16"]["google_224"].config]
    for config in unpublished:
        with pytest.raises(CheckpointError, match="no published values"):
            published_name(config)


@pytest.mark.parametrize("size", [(32, 32), (100, 30), (7, 200)])
def test_the_bilinear_resize_matches_tensorflow(size):
    image = pixels((61, 90), 1)[0]
    expected = tf.cast(tf.clip_by_value(tf.image.resize(image, size), 0, 255), tf.uint8).numpy()
    assert np.abs(bilinear(image, size).astype(int) - expected).max() <= 1
    assert (bilinear(image, size) != expected).mean() < 0.001


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "google_1024"], "error: unknown weights 'google_1024'. Known: "),
        (
            ["--weights", "/no/such/directory"],
            "error: '/no/such/directory' is neither an existing directory nor a hub id",
        ),
        (["--weights", "google_224", "--images", "/no/such/folder"], "error: [Errno 2] No such file or directory"),
    ],
)
def test_the_command_exits_with_2_if_nothing_can_be_compared(arguments, message, capsys):
    assert main(["verify", *arguments]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_the_command_refuses_a_checkpoint_that_was_not_published(checkpoint, capsys):
    assert main(["verify", "--weights", str(checkpoint)]) == 2
    assert "there are no published values for a checkpoint of this architecture" in capsys.readouterr().err
