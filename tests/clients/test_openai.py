"""Real clients of OpenAI's API: openai itself, and LangChain, LiteLLM and Chroma, which are built on it."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from tests.app.conftest import serve
from tests.app.image_files import RED, encoded, plain_image
from tests.documents import Block, blocks
from tests.fakes import EMBED_DIM, FakeEncoder, embed

ROOT = Path(__file__).parents[2]
PYTHON = Path(sys.prefix) / "openai/bin/python"
RED_PNG = encoded(plain_image(RED))
RED_URL = f"data:image/png;base64,{base64.b64encode(RED_PNG).decode()}"
MODEL = "FakeSigLIP/fake_8"
KEY = "sk-key"
ROWS = [embed(FakeEncoder().prepare_text(["a cat"])[0]), embed(FakeEncoder().preprocessor(plain_image(RED)))]
INPUTS = ["a cat", RED_URL]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of OpenAI's API of a service with an API key."""
    with serve(api_keys=KEY) as client:
        yield f"{client.base_url}/v1"


def client_of(address: str, key: str = KEY, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=address, api_key=key, **options)


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with client_of(address) as client:
        yield client


@pytest.mark.parametrize("options", [{}, {"encoding_format": "base64"}, {"encoding_format": "float"}, {"user": "me"}])
def test_openais_client_embeds_texts_and_images(client, options):
    answer = client.embeddings.create(model=MODEL, input=INPUTS, **options)
    rows = [row.embedding for row in answer.data]
    if "encoding_format" in options and options["encoding_format"] == "base64":
        rows = [np.frombuffer(base64.b64decode(row), "<f4") for row in rows]
    np.testing.assert_allclose(np.array(rows, np.float32), ROWS, atol=1e-6)
    assert [row.index for row in answer.data] == [0, 1]
    assert answer.model == MODEL
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == FakeEncoder().info.context_length
    assert answer.warnings == []


def test_the_default_of_openais_client_is_exact(client):
    answer = client.embeddings.create(model=MODEL, input=INPUTS)
    np.testing.assert_array_equal(np.array([row.embedding for row in answer.data], np.float32), ROWS)


def test_openais_client_sends_objects_too(client):
    objects = [{"type": "text", "text": "a cat"}, {"type": "image_url", "image_url": {"url": RED_URL}}]
    answer = client.embeddings.create(model=MODEL, input=objects)
    np.testing.assert_array_equal(np.array([row.embedding for row in answer.data], np.float32), ROWS)


def test_openais_asynchronous_client_works(address):
    async def rows() -> list[list[float]]:
        async with openai.AsyncOpenAI(base_url=address, api_key=KEY) as client:
            answers = await asyncio.gather(*[client.embeddings.create(model=MODEL, input=one) for one in INPUTS])
            return [answer.data[0].embedding for answer in answers]

    np.testing.assert_array_equal(np.array(asyncio.run(rows()), np.float32), ROWS)


def test_openais_client_lists_and_retrieves_the_model(client):
    (model,) = client.models.list().data
    assert (model.id, model.object, model.owned_by) == (MODEL, "model", "siglip")
    assert client.models.retrieve(MODEL) == model


@pytest.mark.parametrize(
    ("key", "options", "error", "code", "param", "message"),
    [
        ("wrong", {}, openai.AuthenticationError, "unauthorized", None, "This API key is not valid."),
        (KEY, {"model": "text-embedding-3-small"}, openai.NotFoundError, "model_not_found", "model", f"Send {MODEL}"),
        (KEY, {"dimensions": 8}, openai.BadRequestError, "invalid_request", "dimensions", f"have {EMBED_DIM}"),
        (KEY, {"input": [[5, 7]]}, openai.BadRequestError, "invalid_request", "input", "check_embedding_ctx_length"),
        (KEY, {"input": [RED_URL[:-80]]}, openai.UnprocessableEntityError, "invalid_image", "input[0]", "truncated"),
        (KEY, {"input": " "}, openai.UnprocessableEntityError, "invalid_labels", "input", "1 to 1,024 characters"),
        (KEY, {"input": "x" * 20_000_000}, openai.APIStatusError, "body_too_large", None, "20,000,000 bytes"),
    ],
)
def test_openais_client_raises_its_own_error_with_our_message(address, key, options, error, code, param, message):
    with client_of(address, key) as client, pytest.raises(error, match=message.replace("[", r"\[")) as caught:
        client.embeddings.create(**{"model": MODEL, "input": "a cat"} | options)
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.request_id


def test_openais_client_retries_when_a_busy_service_says_so():
    entered, free = threading.Event(), threading.Event()
    encoder = FakeEncoder(before_batch=lambda: (entered.set(), free.wait()))
    with serve(encoder, max_queue_items=1) as service, ThreadPoolExecutor(2) as others:
        address = f"{service.base_url}/v1"
        waiting = others.submit(service.post, "/v1/embeddings", json={"input": RED_URL})
        entered.wait()
        with client_of(address, max_retries=0) as impatient, pytest.raises(openai.RateLimitError) as caught:
            impatient.embeddings.create(model=MODEL, input="a cat")
        with client_of(address, max_retries=5) as patient:
            retried = others.submit(patient.embeddings.create, model=MODEL, input="a cat")
            while 'route="/v1/embeddings",status="429"} 2.0' not in service.get("/metrics").text:
                pass
            free.set()
            assert retried.result().data[0].index == 0
        assert waiting.result().status_code == 200
    assert int(caught.value.response.headers["Retry-After"]) >= 1


def ask(tool: str, address: str, **arguments: Any) -> dict[str, Any]:
    """Returns what a user of the tool gets: rows, or an error."""
    request = {"tool": tool, "address": address, "key": KEY, "model": MODEL, "inputs": INPUTS} | arguments
    done = run([ROOT / "tests/clients/ask_openai.py"], input=json.dumps(request))
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def run(arguments: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs Python in the environment of the tools, without network: LiteLLM has the files that it would fetch."""
    assert PYTHON.exists(), f"{PYTHON} is missing; `make clients` sets it up"
    (encodings,) = PYTHON.parents[1].glob("lib/*/site-packages/litellm/litellm_core_utils/tokenizers")
    offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "TIKTOKEN_CACHE_DIR": str(encodings)}
    done = subprocess.run(
        [PYTHON, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | offline,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_langchain_embeds_texts_and_images(address):
    result = ask("langchain", address, check_embedding_ctx_length=False)
    np.testing.assert_allclose(result["rows"], ROWS, atol=1e-6)
    np.testing.assert_allclose(result["query"], ROWS[0], atol=1e-6)


def test_langchains_default_is_token_ids_and_the_error_names_its_setting(address):
    result = ask("langchain", address)
    assert (result["error"], result["status"]) == ("BadRequestError", 400)
    assert "check_embedding_ctx_length=False" in result["message"]


def test_litellm_embeds_texts_and_images(address):
    result = ask("litellm", address)
    np.testing.assert_allclose(result["rows"], ROWS, atol=1e-6)
    assert (result["model"], result["tokens"]) == (MODEL, 16)


def test_litellms_user_sees_our_message(address):
    result = ask("litellm", address, model="text-embedding-3-small")
    assert (result["error"], result["status"]) == ("NotFoundError", 404)
    assert f"Send {MODEL} as its name." in result["message"]


def test_chroma_stores_and_finds_texts_and_images(address):
    result = ask("chroma", address)
    np.testing.assert_allclose(result["rows"], ROWS, atol=1e-6)
    assert result["nearest"] == ["0", "1"]


def of_tools() -> list[Block]:
    """Returns the guide's examples that need one of the tools."""
    return [block for block in blocks(ROOT / "docs/openai.md") if block.mark.startswith("not run: needs")]


@pytest.mark.parametrize("block", of_tools(), ids=lambda block: block.mark.rpartition(" ")[2])
def test_an_example_of_the_guide_runs(block: Block, service: httpx.Client):
    printed = run(["-c", block.content.replace("http://localhost:8000", str(service.base_url))]).stdout
    assert "pizza" in printed
