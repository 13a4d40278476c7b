"""Directories as people save them: each loads with the scores of the plain checkpoint, or gets an error with advice.

Each directory is a small checkpoint with one change. `tests/parity/test_fine_tunes.py` has directories that the real
libraries saved.
"""

import json
import logging
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model.checkpoint.variants import load_model
from model.config import CheckpointError
from model.engines.load import load_encoder
from model.processor import SigLIPProcessor
from tests.golden.cases import HERE, photos
from tests.golden.vocabulary import as_tokenizer_json
from tests.model.conftest import split_into_shards, write_checkpoint
from tests.open_clip import open_clip_weights, write_open_clip_config

TEXTS = ["a photo of a cat", "DOG!", "snow_leopard", "猫", "", "Zürich ½"]
Change = Callable[[Path], None]


def scores(directory: Path) -> np.ndarray:
    """Returns the logits of an image and TEXTS, from the files of a directory alone."""
    inputs = SigLIPProcessor(weights=directory)(text=TEXTS, images=photos()["noise 17 x 23"])
    output = load_model(None, directory)({"images": inputs["images"], "token_ids": inputs["input_ids"]})
    return np.asarray(output["image_logits"])


def rewrite(directory: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> None:
    """Replaces the tensors of a directory."""
    path = directory / "model.safetensors"
    weights = change(load_file(path))
    path.unlink()
    save_file(weights, path, {"format": "pt"})


def tensors(change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]) -> Change:
    return lambda directory: rewrite(directory, change)


def named(rename: Callable[[str], str]) -> Change:
    return tensors(lambda weights: {rename(name): tensor for name, tensor in weights.items()})


def typed(dtype: Any) -> Change:
    return tensors(lambda weights: {name: tensor.astype(dtype) for name, tensor in weights.items()})


def plus(**more: tuple[int, ...]) -> Change:
    """Adds tensors; a double underscore in a name is a dot."""
    return tensors(lambda w: w | {name.replace("__", "."): np.zeros(shape, "f") for name, shape in more.items()})


def without(pattern: str) -> Change:
    return tensors(lambda weights: {name: tensor for name, tensor in weights.items() if not re.search(pattern, name)})


def set_json(name: str, **values: Any) -> Change:
    """Sets values of a JSON file; None removes one. A dict of a `*_config` is merged."""

    def change(directory: Path) -> None:
        path = directory / name
        old = json.loads(path.read_text()) if path.is_file() else {}
        merged = {k: {**old[k], **v} if k.endswith("_config") and k in old else v for k, v in values.items()}
        path.write_text(json.dumps({k: v for k, v in {**old, **merged}.items() if v is not None}))

    return change


def removed(*names: str) -> Change:
    return lambda directory: [(directory / name).unlink() for name in names] and None


def both(*changes: Change) -> Change:
    return lambda directory: [change(directory) for change in changes] and None


def renamed_file(old: str, new: str) -> Change:
    return lambda directory: (directory / old).rename(directory / new) and None


def pickled(name: str) -> Change:
    """Replaces the tensors by a pickle that fails the test when it is opened."""

    class Bomb:
        def __reduce__(self) -> Any:
            return exec, ("raise SystemExit('a pickle was opened')",)

    def change(directory: Path) -> None:
        (directory / "model.safetensors").unlink()
        (directory / name).write_bytes(pickle.dumps(Bomb()))

    return change


def nested_processor(directory: Path) -> None:
    """Moves the image settings to where transformers 5 saves them."""
    path = directory / "preprocessor_config.json"
    settings = {
        **json.loads(path.read_text()),
        "do_convert_rgb": True,
        "image_processor_type": "SiglipImageProcessorPil",
    }
    path.unlink()
    whole = {"image_processor": settings, "processor_class": "SiglipProcessor"}
    (directory / "processor_config.json").write_text(json.dumps(whole))


def json_vocabulary(tokenizer_class: str | None, **options: Any) -> Change:
    """Replaces the SentencePiece model by a tokenizer.json."""

    def change(directory: Path) -> None:
        (directory / "spiece.model").unlink()
        (directory / "tokenizer.json").write_text(json.dumps(as_tokenizer_json(HERE / "spiece.model", **options)))
        set_json("tokenizer_config.json", tokenizer_class=tokenizer_class)(directory)

    return change


def trainer_files(directory: Path) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "trainer_state.json"):
        (directory / name).write_bytes(b"")


def compiled_inside(name: str) -> str:
    return re.sub(r"^(vision_model|text_model)\.", r"\1._orig_mod.", name)


def checkpointed(name: str) -> str:
    return re.sub(r"(layers\.\d+)\.", r"\1._checkpoint_wrapped_module.", name)


def old_config(directory: Path) -> None:
    path = directory / "config.json"
    values = json.loads(path.read_text())
    values |= {"torch_dtype": "float32", "transformers_version": "4.37.0.dev0"}
    values["text_config"] |= {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 1, "attention_dropout": 0.0}
    path.write_text(json.dumps(values))


LOADS: dict[str, Change] = {
    "as published": lambda directory: None,
    "a pipeline's directory, with files of the training": trainer_files,
    "siglip.": named("siglip.{}".format),
    "_orig_mod.": named("_orig_mod.{}".format),
    "module.": named("module.{}".format),
    "base_model.model.": named("base_model.model.{}".format),
    "_orig_mod.module.siglip.": named("_orig_mod.module.siglip.{}".format),
    "module.base_model.model.siglip.": named("module.base_model.model.siglip.{}".format),
    "model.siglip. of Lightning": named("model.siglip.{}".format),
    "an own class's attribute": named("encoder.backbone.{}".format),
    "towers compiled one by one": named(compiled_inside),
    "activation checkpointing": named(checkpointed),
    "FSDP": named(lambda name: f"_fsdp_wrapped_module.{checkpointed(name)}"),
    "shards with a wrapper": both(named("module.{}".format), lambda directory: split_into_shards(directory) and None),
    "position_ids of old exports": plus(vision_model__embeddings__position_ids=(1, 16)),
    "position_ids with a wrapper": both(plus(text_model__embeddings__position_ids=(1, 16)), named("siglip.{}".format)),
    "float64": typed(np.float64),
    "float16": typed(np.float16),
    "bfloat16": typed(ml_dtypes.bfloat16),
    "config.json of transformers 4": old_config,
    "image_size as height and width": set_json("config.json", vision_config={"image_size": [32, 32]}),
    "patch_size as height and width": set_json("config.json", vision_config={"patch_size": [8, 8]}),
    "processor_config.json": nested_processor,
    "SiglipImageProcessorFast": set_json(
        "preprocessor_config.json", image_processor_type="SiglipImageProcessorFast", do_convert_rgb=True, do_pad=False
    ),
    "a crop size that is not used": set_json(
        "preprocessor_config.json", crop_size={"height": 32, "width": 32}, do_center_crop=False, pad_size=None
    ),
    "another class with every setting": set_json(
        "preprocessor_config.json", image_processor_type="ViTImageProcessor", do_center_crop=False
    ),
    "no image settings": removed("preprocessor_config.json"),
    "SiglipTokenizerFast": set_json("tokenizer_config.json", tokenizer_class="SiglipTokenizerFast"),
    "T5Tokenizer": set_json("tokenizer_config.json", tokenizer_class="T5Tokenizer"),
    "T5TokenizerFast with tokenizer.json alone": json_vocabulary("T5TokenizerFast"),
    "SiglipTokenizer with tokenizer.json alone": json_vocabulary("SiglipTokenizer"),
    "tokenizer.json without a class": json_vocabulary(None),
    "tokenizer.json without normalisation and bytes": json_vocabulary("T5Tokenizer", plain=True),
    "tokenizer.json and no tokenizer_config.json": both(json_vocabulary(None), removed("tokenizer_config.json")),
    "no tokenizer_config.json": removed("tokenizer_config.json"),
    "open_clip's names": tensors(open_clip_weights),
    "open_clip's file": both(
        tensors(open_clip_weights), renamed_file("model.safetensors", "open_clip_model.safetensors")
    ),
    "open_clip's names with a wrapper": both(tensors(open_clip_weights), named("module.{}".format)),
}
TOLERANCE = {"float16": 0.1, "bfloat16": 0.5}


@pytest.fixture(scope="module")
def expected(checkpoint: Path) -> np.ndarray:
    return scores(checkpoint)


@pytest.mark.parametrize("name", LOADS)
def test_the_scores_are_those_of_the_plain_checkpoint(name, expected, tmp_path):
    LOADS[name](write_checkpoint(tmp_path))
    assert np.ptp(expected) > 1, "scores that are almost equal prove nothing"
    np.testing.assert_allclose(scores(tmp_path), expected, rtol=0, atol=TOLERANCE.get(name, 1e-6))


MERGE = "it has an adapter (LoRA) that is not merged into the weights. Merge it where it was trained"
CLASSIFIER = "is an image classifier (SiglipForImageClassification): it has fixed classes and no text tower"
LORA = "vision_model__encoder__layers__0__self_attn__q_proj__lora_A__default__weight"


def lora_state(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns what `PeftModel.state_dict` has before the adapter is merged."""
    found = {}
    for name, tensor in weights.items():
        if re.search(r"self_attn\.[qv]_proj\.weight", name):
            layer = f"base_model.model.{name.removesuffix('.weight')}"
            found |= {
                f"{layer}.base_layer.weight": tensor,
                f"{layer}.lora_A.default.weight": np.zeros((4, 32), "f"),
                f"{layer}.lora_B.default.weight": np.zeros((32, 4), "f"),
            }
        else:
            found[f"base_model.model.{name}"] = tensor
    return found


def adapter(directory: Path) -> None:
    for path in directory.iterdir():
        path.unlink()
    save_file({LORA.replace("__", "."): np.zeros((4, 32), "f")}, directory / "adapter_model.safetensors")
    (directory / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "google/siglip-x"}'
    )


def emptied(*names: str) -> Change:
    """Leaves only empty files and folders of these names."""

    def change(directory: Path) -> None:
        for path in directory.iterdir():
            path.unlink()
        for name in names:
            (directory / name).mkdir() if name.endswith("/") else (directory / name).touch()

    return change


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:2c63cb7d\nsize 812672320\n"
PREPROCESSOR, TOKENIZER = "preprocessor_config.json", "tokenizer_config.json"
REFUSED: dict[str, tuple[Change, str]] = {
    "an adapter": (adapter, "is an adapter (LoRA), which is not a whole model. Merge it into google/siglip-x"),
    "an adapter with the config.json of its base": (
        both(adapter, lambda directory: write_checkpoint(directory) and None, removed("model.safetensors")),
        "is an adapter (LoRA), which is not a whole model. Merge it into google/siglip-x",
    ),
    "an adapter next to the whole model": (
        both(adapter, lambda directory: write_checkpoint(directory) and None),
        "has an adapter (LoRA) next to the weights. If it is merged into them, delete adapter_config.json. Merge",
    ),
    "an adapter that is not merged": (tensors(lora_state), MERGE),
    "an adapter without PEFT's prefix": (plus(**{LORA: (4, 32)}), MERGE),
    "an adapter's saved modules": (plus(classifier__modules_to_save__default__weight=(3, 32)), MERGE),
    "an image classifier": (
        both(
            without("^text_model|^logit"),
            plus(classifier__weight=(3, 32), classifier__bias=(3,)),
            set_json("config.json", architectures=["SiglipForImageClassification"]),
        ),
        CLASSIFIER,
    ),
    "an image classifier with another config.json": (
        both(without("^text_model|^logit"), plus(classifier__weight=(3, 32))),
        CLASSIFIER,
    ),
    "a SigLIP and a classifier": (plus(classifier__weight=(3, 32)), "it has a SigLIP and a classifier. Save"),
    "a SigLIP inside a class with a head": (
        both(named("siglip.{}".format), plus(head__weight=(3, 32))),
        "it has more than a SigLIP. Save only the SiglipModel: model.save_pretrained. Of 88 tensors: "
        "1 unexpected\n  unexpected: head.weight",
    ),
    "weights and their moving average": (
        tensors(lambda w: w | {f"ema.{name}": tensor for name, tensor in w.items()}),
        "it has more than a SigLIP",
    ),
    "student and teacher": (
        tensors(lambda w: {f"{one}.{name}": tensor for name, tensor in w.items() for one in ("student", "teacher")}),
        "it has several models (student.logit_scale, teacher.logit_scale). Save only one of them",
    ),
    "SiglipVisionModel": (
        both(
            without("^text_model|^logit"),
            named(lambda name: name.removeprefix("vision_model.")),
            set_json("config.json", model_type="siglip_vision_model"),
        ),
        "is only a part of a SigLIP (SiglipVisionModel or SiglipTextModel), and labels need both towers",
    ),
    "a prefix of only one tower": (
        tensors(lambda found: {re.sub("^vision", "model.vision", name): tensor for name, tensor in found.items()}),
        "only some names have a prefix, such as 'model.'",
    ),
    "a text tower of one layer, and none of it": (
        both(set_json("config.json", text_config={"num_hidden_layers": 1}), without("^text_model")),
        "it has no text tower, and labels need both",
    ),
    "only the image tower": (without("^text_model|^logit"), "it has no text tower, and labels need both"),
    "only the text tower": (without("^vision_model|^logit"), "it has no image tower, and labels need both"),
    "PaliGemma": (set_json("config.json", model_type="paligemma"), "is a language model that contains the image tower"),
    "a language model's tensors": (
        tensors(lambda w: {f"vision_tower.{name}": t for name, t in w.items() if name.startswith("vision")}),
        "it is a language model that contains the image tower of a SigLIP",
    ),
    "CLIP": (set_json("config.json", model_type="clip"), "is a CLIP, which is another architecture"),
    "timm": (
        set_json("config.json", model_type=None, architecture="vit_base_patch16_siglip_224", pretrained_cfg={}),
        "is an image tower of timm, and labels need both towers",
    ),
    "an open_clip CLIP": (
        both(removed("config.json"), lambda d: write_open_clip_config(d, no_causal_mask=False)),
        "open_clip_config.json: text_cfg's no_causal_mask must be True, not False",
    ),
    "pytorch_model.bin alone": (pickled("pytorch_model.bin"), "never loaded. Convert it with: python -c"),
    "open_clip_pytorch_model.bin alone": (pickled("open_clip_pytorch_model.bin"), "never loaded. Convert it with"),
    "a Lightning checkpoint": (pickled("last.ckpt"), "never loaded. Convert it with: python -c"),
    "Flax": (both(removed("model.safetensors"), lambda d: (d / "flax_model.msgpack").touch()), "flax_model.msgpack, a"),
    "DeepSpeed": (both(removed("model.safetensors"), lambda d: (d / "zero_to_fp32.py").touch()), "zero_to_fp32.py "),
    "another file name": (
        renamed_file("model.safetensors", "siglip-tuned.safetensors"),
        "If siglip-tuned.safetensors has the whole model, rename it to model.safetensors",
    ),
    "pointers of Git LFS": (
        lambda directory: (directory / "model.safetensors").write_bytes(POINTER) and None,
        "model.safetensors is only a pointer of Git LFS. Fetch the file: git lfs pull",
    ),
    "a vocabulary that is a pointer of Git LFS": (
        lambda directory: (directory / "spiece.model").write_bytes(POINTER) and None,
        "spiece.model is only a pointer of Git LFS",
    ),
    "config.json alone": (removed("model.safetensors"), "Save the whole model into it: model.save_pretrained("),
    "no config.json": (removed("config.json"), "Copy the config.json of the model that was tuned"),
    "a training's output folder": (emptied("checkpoint-500/", "checkpoint-1000/"), "use one of them, such as "),
    "an empty folder": (emptied(), "is not a checkpoint directory: it has no config.json"),
    "no vocabulary": (removed("spiece.model"), "has no vocabulary file, such as spiece.model. Save the processor"),
    "CLIPTokenizer": (set_json(TOKENIZER, tokenizer_class="CLIPTokenizer"), "tokenizer_class must be one of Siglip"),
    "do_pad": (set_json(PREPROCESSOR, do_pad=True), "do_pad must be false, not true: other preprocessing is not"),
    "an unknown step": (set_json(PREPROCESSOR, do_flip_channel_order=True), "do_flip_channel_order must be false"),
    "an unknown step in processor_config.json": (
        both(set_json(PREPROCESSOR, do_thumbnail=True), nested_processor),
        "processor_config.json: do_thumbnail must be false",
    ),
    "do_center_crop": (set_json(PREPROCESSOR, do_center_crop=True), "do_center_crop must be false, not true"),
    "shortest_edge": (set_json(PREPROCESSOR, size={"shortest_edge": 32}), 'size must be {"height": 32, "width": 32}'),
    "another class's defaults": (
        set_json(PREPROCESSOR, image_processor_type="CLIPImageProcessor"),
        "image_processor_type is 'CLIPImageProcessor', not 'SiglipImageProcessor', so do_center_crop must be set",
    ),
    "the image processor of a NaFlex": (
        set_json(PREPROCESSOR, image_processor_type="Siglip2ImageProcessor", size=None, max_num_patches=256),
        "image_processor_type is 'Siglip2ImageProcessor', not 'SiglipImageProcessor', so do_center_crop, size must",
    ),
    "8-bit weights": (plus(**{"text_model__encoder__layers__0__mlp__fc1__SCB": (64,)}), "its weights are quantised"),
    "8-bit types": (typed(np.int8), "its weights are quantised. Save the model in float32"),
    "a resized vocabulary": (
        tensors(lambda w: w | {"text_model.embeddings.token_embedding.weight": np.zeros((401, 32), "f")}),
        "text_config.vocab_size in config.json is 400, and the file has 401 rows. Correct config.json",
    ),
    "longer texts": (
        tensors(lambda w: w | {"text_model.embeddings.position_embedding.weight": np.zeros((32, 32), "f")}),
        "text_config.max_position_embeddings in config.json is 16, and the file has 32 rows",
    ),
    "larger images": (
        tensors(lambda w: w | {"vision_model.embeddings.position_embedding.weight": np.zeros((36, 32), "f")}),
        "image_size in config.json does not fit 36 positions, which are 48 pixels",
    ),
    "a NaFlex with another config.json": (
        tensors(lambda w: w | {"vision_model.embeddings.patch_embedding.weight": np.zeros((32, 192), "f")}),
        "it is a NaFlex. model_type in config.json must be 'siglip2'",
    ),
    "a fixed resolution with the config.json of a NaFlex": (
        both(set_json("config.json", model_type="siglip2", vision_config={"num_patches": 16}), removed(PREPROCESSOR)),
        "it is not a NaFlex. model_type in config.json must be 'siglip'",
    ),
    "open_clip's names with the config.json of a NaFlex": (
        both(tensors(open_clip_weights), set_json("config.json", model_type="siglip2"), removed(PREPROCESSOR)),
        " wrong shape: visual.trunk.patch_embed.proj.weight is [32, 3, 8, 8], not [32, 192]",
    ),
    "another size": (
        set_json("config.json", text_config={"intermediate_size": 48}, vision_config={"intermediate_size": 48}),
        "config.json is of a model of another size",
    ),
    "more layers": (
        set_json("config.json", text_config={"num_hidden_layers": 1}),
        "the number of layers in config.json does not match the file",
    ),
    "fewer layers": (
        set_json("config.json", text_config={"num_hidden_layers": 12}),
        "the number of layers in config.json does not match the file",
    ),
    "only trained tensors": (without(r"embeddings|layers\.0"), "it is not complete, perhaps because only trained"),
    "unknown names": (named(lambda name: name.replace(".", "/")), "its tensors have other names, such as "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_error_says_what_it_is_and_what_to_do(name, tmp_path):
    change, message = REFUSED[name]
    change(write_checkpoint(tmp_path / "tuned"))
    with pytest.raises(CheckpointError) as caught:
        load_encoder(weights=str(tmp_path / "tuned"), device="cpu")
    assert message in str(caught.value)
    assert str(tmp_path / "tuned") in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 15


def test_there_are_at_least_45_directories():
    assert len(LOADS) + len(REFUSED) >= 45


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
def test_one_log_line_shows_how_a_wrapped_name_is_read(engine, engine_cache, tmp_path, caplog):
    caplog.set_level(logging.INFO, "model")
    LOADS["_orig_mod.module.siglip."](write_checkpoint(tmp_path))
    load_encoder(weights=str(tmp_path), device="cpu", engine=engine, engine_cache=engine_cache)
    (line,) = [record.getMessage() for record in caplog.records if "wrapper" in record.getMessage()]
    assert line.startswith(f"{tmp_path}: a wrapper in the tensors' names is ignored: _orig_mod.module.siglip.")


def test_a_plain_checkpoint_logs_nothing(checkpoint, caplog):
    caplog.set_level(logging.INFO, "model")
    load_model(None, checkpoint)
    assert caplog.records == []


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
@pytest.mark.parametrize("name", ["module.base_model.model.siglip.", "open_clip's file"])
def test_both_engines_give_the_embeddings_of_the_plain_checkpoint(name, engine, checkpoint, engine_cache, tmp_path):
    LOADS[name](write_checkpoint(tmp_path))
    plain, tuned = (
        load_encoder(weights=str(directory), device="cpu", engine=engine, engine_cache=engine_cache)
        for directory in (checkpoint, tmp_path)
    )
    images, ids = plain.preprocessor(photos()["noise 17 x 23"])[None], plain.prepare_text(TEXTS)
    np.testing.assert_allclose(tuned.encode_images(images), plain.encode_images(images), rtol=0, atol=1e-6)
    np.testing.assert_allclose(tuned.encode_texts(ids), plain.encode_texts(ids), rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "engine"),
    [
        ("an adapter", "tensorflow"),
        ("an adapter that is not merged", "openvino"),
        ("pytorch_model.bin alone", "auto"),
        ("do_pad", "openvino"),
        ("only trained tensors", "tensorflow"),
    ],
)
def test_siglip_serve_ends_with_the_advice_in_one_line(name, engine, tmp_path):
    change, message = REFUSED[name]
    change(write_checkpoint(tmp_path / "tuned"))
    settings = {"SIGLIP_WEIGHTS": str(tmp_path / "tuned"), "SIGLIP_ENGINE": engine, "SIGLIP_PORT": "0"}
    settings |= {"SIGLIP_DATA_DIR": str(tmp_path / "data"), "SIGLIP_ENGINE_CACHE": str(tmp_path / "engines")}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SIGLIP_")}
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve", "--log-format", "text"],
        env=environment | settings,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert "cannot start: " in line
    assert message in line
    assert "Traceback" not in done.stderr
