"""What a directory is that lacks a file. tests/parity/ runs the commands in the messages."""

import shlex

import pytest

from model.checkpoint.missing_files import (
    adapter,
    pickles,
    repository_without_tensors,
    without_config,
    without_tensors,
)


def test_pickles_of_a_training_are_not_weights():
    training = ["training_args.bin", "optimizer.pt", "scheduler.pt", "scaler.pt", "rng_state_0.pth", "README.md"]
    weights = ["epoch_3.pt", "last.ckpt", "model.pth", "open_clip_pytorch_model.bin", "pytorch_model.bin"]
    assert pickles([*training, *weights]) == weights


def test_commands_are_quoted_for_a_shell():
    message = without_tensors("/it's mine", ["pytorch_model-1.bin", "pytorch_model-2.bin"])
    command = shlex.split(message[message.index("python -c") :])
    assert command[3:] == [
        "/it's mine/model.safetensors",
        "/it's mine/pytorch_model-1.bin",
        "/it's mine/pytorch_model-2.bin",
    ]
    compile(command[2], "command", "exec")
    message = adapter("/it's mine/")
    command = shlex.split(message[message.index("python -c") :])
    assert command[3:] == ["BASE", "/it's mine/", "/it's mine-merged"]
    compile(command[2], "command", "exec")


@pytest.mark.parametrize(
    ("names", "converted"),
    [
        (["last.ckpt", "best.pt", "pytorch_model.bin"], ["pytorch_model.bin"]),
        (["best.pt", "pytorch_model-2.bin", "pytorch_model-1.bin"], ["pytorch_model-1.bin", "pytorch_model-2.bin"]),
        (["last.ckpt", "best.pt"], ["best.pt"]),
    ],
)
def test_pickles_of_different_epochs_are_not_mixed(names, converted):
    command = shlex.split(without_tensors("d", names).partition("Convert it with: ")[2])
    assert command[4:] == [f"d/{name}" for name in converted]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "d has neither model.safetensors nor model.safetensors.index.json. Save the whole model into it"),
        (["a.bin"], "Save the whole model into it: model.save_pretrained('d')"),
        (["pytorch_model.bin", "zero_to_fp32.py"], "python d/zero_to_fp32.py d d --safe_serialization"),
        (["adapter_model.safetensors"], "Save the whole model into it"),
        (["adapter_model.safetensors", "adapter_config.json"], "d is an adapter (LoRA)"),
        (["tuned.keras"], "only tuned.keras, a format that is not supported"),
        (["tf_model.h5"], "only tf_model.h5, a format that is not supported"),
        ([f"pytorch_model-{i}.bin" for i in range(9)], "only pytorch_model-0.bin, pytorch_model-1.bin, .... This is"),
    ],
)
def test_without_tensors(names, message):
    assert message in without_tensors("d", names)
    assert "\n" not in without_tensors("d", names)


@pytest.mark.parametrize(
    ("content", "base"),
    [('{"base_model_name_or_path": "google/x"}', "google/x"), ("{}", "BASE"), ("[]", "BASE"), ("{", "BASE")],
)
def test_an_adapter_names_the_model_that_it_was_trained_on(content, base, tmp_path):
    (tmp_path / "adapter_config.json").write_text(content)
    assert f"Merge it into {base}, " in adapter(tmp_path)


def test_a_repository_with_only_a_pickle_is_downloaded_and_converted_by_the_command():
    message = repository_without_tensors("someone/tuned", ["pytorch_model.bin", "config.json"])
    assert "hf download someone/tuned --local-dir tuned && python -c " in message
    assert message.endswith(" tuned/model.safetensors tuned/pytorch_model.bin")
    assert "Use it as --weights ./tuned" in message
    assert "someone/tuned --revision v2 --local" in repository_without_tensors("someone/tuned", ["a.pt"], "v2")
    assert "is not a checkpoint that can be loaded" in repository_without_tensors("someone/tuned", ["README.md"])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "d is not a checkpoint directory: it has no config.json"),
        (["adapter_config.json"], "d is an adapter (LoRA)"),
        (["model.safetensors"], "Copy the config.json of the model that was tuned"),
        (["pytorch_model.bin"], "Copy the config.json of the model that was tuned"),
        (["checkpoint-10", "checkpoint-9"], "such as d/checkpoint-10"),
    ],
)
def test_without_config(names, message):
    assert message in without_config("d", names)
