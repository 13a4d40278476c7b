"""The published accuracy against the specification's table, and the protocol on small examples."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.evaluation.evaluation import evaluate
from app.evaluation.names import DataError
from app.evaluation.presets import canonical, expected_accuracy, find_preset, judge, preset_names
from app.label_sets.definition import check_label_set
from model.published import VARIANTS

FILE = Path(__file__).parents[3] / "app/evaluation/presets.json"


@pytest.mark.parametrize(
    ("preset", "model", "accuracy"),
    [
        ("imagenet", "SigLIPBaseP16 google_224", 76.04),
        ("eurosat", "SigLIPSo400mP14 google_384", 63.54),
        ("imagenetv2", "SigLIPBaseP16 google_multilingual_256", 68.14),
        ("imagenet", "SigLIP2GiantOptP16 google_384", 85.0),
        ("imagenet", "SigLIP2BaseP32 google_256", 74.0),
    ],
)
def test_published_accuracy_is_known(preset, model, accuracy):
    assert expected_accuracy(find_preset(preset), *model.split()) == accuracy


def test_every_number_belongs_to_a_published_variant_and_a_preset():
    accuracy = json.loads(FILE.read_text())["accuracy"]
    published = {f"{variant} {weights}" for variant, named in VARIANTS.items() for weights in named}
    assert set(accuracy) == published - {"SigLIPTinyP16 pictograms_64", "SigLIPSo400mP16 google_i18n_256"}
    for model, values in accuracy.items():
        assert list(values) == (["imagenet"] if model.startswith("SigLIP2") else preset_names())
        assert all(30 < value < 100 for value in values.values())


def test_a_model_without_a_published_accuracy_is_an_error():
    with pytest.raises(DataError, match="no accuracy on CIFAR-10, test is published for SigLIP2BaseP16 google_224"):
        expected_accuracy(find_preset("cifar10"), "SigLIP2BaseP16", "google_224")


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a photo of a T-shirt.", "a photo of a tshirt"),
        ('a photo of the number: "3".', "a photo of the number 3"),
        ("snow_leopard ", "snow leopard"),
    ],
)
def test_prompts_are_canonicalised_as_the_published_numbers_have_it(prompt, expected):
    assert canonical(prompt) == expected


def test_imagenet_has_the_bare_label_as_81st_prompt_and_labels_that_become_equal_stay_two():
    names = ["missile", "projectile, missile", *(f"label {number}" for number in range(998))]
    templates = [f"template {number} of a {{}}." for number in range(80)]
    definition = check_label_set(find_preset("imagenet").definition(names, templates), 1000)
    assert definition.names == names
    assert [len(prompts) for prompts in definition.prompts] == [81] * 1000
    assert definition.prompts[1][0] == "template 0 of a projectile missile"
    assert definition.prompts[0][-1] == "missile"


def test_other_data_sets_have_only_the_templates():
    definition = find_preset("stl10").definition([f"label {n}" for n in range(10)], ["a photo of a {}.", "the {}"])
    assert definition.prompts[3] == ["a photo of a label 3", "the label 3"]


def test_texts_that_are_not_the_published_ones_are_refused():
    with pytest.raises(DataError, match=r"was published with 10 names\. The file has 2"):
        find_preset("stl10").definition(["a", "b"], ["a {}", "the {}"])
    with pytest.raises(DataError, match=r"was published with 2 templates\. The file has 1"):
        find_preset("stl10").definition([str(n) for n in range(10)], ["a {}"])


@pytest.mark.parametrize(
    ("expected", "within"), [(80.0, True), (80.3, True), (79.7, True), (80.31, False), (79.6, False)]
)
def test_the_verdict_has_a_tolerance_of_0_3_points(expected, within):
    logits = np.eye(10, dtype=np.float32)
    truth = np.eye(10, dtype=bool)
    truth[[8, 9]] = truth[[9, 8]]  # two of ten are wrong
    summary = evaluate(logits, truth, list("abcdefghij"), model_fingerprint="", versions={}).summary
    preset = replace(find_preset("stl10"), images=10)
    verdict = judge(preset, expected, summary, 10)
    assert verdict.measured == pytest.approx(80)
    assert verdict.within is within
    assert verdict.sentence == (
        f"STL-10, test: top1 expected {expected:.2f}, measured 80.00, {'within' if within else 'not within'} the "
        "tolerance of 0.3"
    )
    other = judge(find_preset("stl10"), expected, summary, 10)
    assert other.sentence.endswith(". These are 10 images, but the published number is of 8,000")


def test_pets_flowers_and_caltech_are_the_mean_recall_of_the_classes():
    logits = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], np.float32)
    truth = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], bool)
    summary = evaluate(logits, truth, ["a", "b"], model_fingerprint="", versions={}).summary
    assert judge(find_preset("pets"), 50.0, summary, 4).measured == pytest.approx(50)
    assert judge(find_preset("stl10"), 50.0, summary, 4).measured == pytest.approx(75)
    assert [name for name in preset_names() if find_preset(name).metric == "macro_recall"] == [
        "pets",
        "flowers",
        "caltech101",
    ]
