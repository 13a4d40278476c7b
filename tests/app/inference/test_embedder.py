"""Texts and images through a loaded engine, without HTTP. tests/app/routes/test_image_requests.py tests image files."""

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from app.errors import InternalError, Overloaded
from app.inference.device import MAX_QUEUED_ROWS
from app.inference.embedder import MAX_TEXTS_AT_ONCE
from app.inference.engine import Engine
from app.observability.record import RequestRecord
from tests import fakes
from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.app.inference.engines import make_engine
from tests.fakes import FakeEncoder

pytestmark = pytest.mark.anyio


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
async def engine(encoder) -> AsyncIterator[Engine]:
    engine = make_engine(lambda: encoder)
    await engine.load()
    yield engine
    await engine.close()


async def classify(engine, encoder, colour, labels, templates=None) -> np.ndarray:
    """Returns the logits that the engine computes for one request."""
    file = encoded(plain_image(colour))
    classes, image = await asyncio.gather(
        engine.embedder.embed_labels(labels, templates), engine.embedder.embed_image(file, RequestRecord("1"))
    )
    return engine.embedder.scores(image.row, classes.embeddings).logits


async def test_a_classification_scores_the_labels_in_their_order(engine, encoder):
    logits = await classify(engine, encoder, RED, ["cat", "dog"], ["a {}"])
    expected = [encoder.logit(plain_image(RED), prompt) for prompt in ("a cat", "a dog")]
    assert logits == pytest.approx(expected, abs=1e-5)


async def test_the_default_template_is_that_of_siglip(engine, encoder):
    (logit,) = await classify(engine, encoder, RED, ["cat"])
    assert logit == pytest.approx(encoder.logit(plain_image(RED), "This is a photo of cat."), abs=1e-5)


async def test_cached_texts_are_not_encoded_again(engine, encoder):
    await classify(engine, encoder, RED, ["cat", "dog"])
    await classify(engine, encoder, BLUE, ["Dog", "cat"])
    assert sum(encoder.text_batches) == 2
    assert sum(encoder.image_batches) == 2


async def test_equal_texts_are_encoded_once_and_returned_in_order(engine, encoder):
    found = await engine.embedder.embed_texts(["cat", "dog", "Cat", "cat"])
    cat, dog = (fakes.embed(row) for row in encoder.prepare_text(["cat", "dog"]))
    assert (found.embeddings == [cat, dog, cat, cat]).all()
    assert (found.hits, found.misses) == (0, 2)
    found = await engine.embedder.embed_texts(["tree", "dog"])
    assert (found.embeddings[1] == dog).all()
    assert (found.hits, found.misses) == (1, 1)


async def test_labels_may_have_different_numbers_of_prompts(engine, encoder):
    embeddings = await engine.embedder.embed_prompts([["a cat"], ["a dog", "ein Hund", "un chien"]])
    cat, dog = (
        encoder.encode_texts(encoder.prepare_text(["a cat"])),
        encoder.prepare_text(["a dog", "ein Hund", "un chien"]),
    )
    mean = encoder.encode_texts(dog).mean(axis=0)
    assert embeddings == pytest.approx(np.vstack([cat, mean / np.linalg.norm(mean)]), abs=1e-6)


async def test_equal_prompts_and_templates_give_equal_embeddings(engine):
    by_templates = (await engine.embedder.embed_labels(["cat", "dog"], ["a {}", "the {}"])).embeddings
    by_prompts = await engine.embedder.embed_prompts([["a cat", "the cat"], ["a dog", "the dog"]])
    assert by_prompts == pytest.approx(by_templates, abs=1e-6)


async def test_texts_are_embedded_without_a_template(engine, encoder):
    found = await engine.embedder.embed_texts(["cat", "a {}"])
    assert found.embeddings == pytest.approx(encoder.encode_texts(encoder.prepare_text(["cat", "a {}"])))


async def test_a_request_of_many_texts_is_looked_up_and_queued_in_parts(engine, encoder):
    sizes = []

    def prepare_text(texts, prepare=encoder.prepare_text):
        sizes.append(len(texts))
        return prepare(texts)

    encoder.prepare_text = prepare_text
    texts = [f"text {index}" for index in range(4_500)]
    found = await engine.embedder.embed_texts(texts)
    assert sizes == [MAX_TEXTS_AT_ONCE, MAX_TEXTS_AT_ONCE, 500]
    assert (found.hits, found.misses) == (0, 4_500)
    assert found.embeddings == pytest.approx(encoder.encode_texts(prepare_text(texts)))


async def test_no_batch_is_larger_than_max_batch(engine, encoder):
    await engine.embedder.embed_labels([f"label {i}" for i in range(30)])
    assert max(encoder.text_batches) <= 4


async def test_everything_on_the_device_runs_on_one_thread(engine, encoder):
    await asyncio.gather(*[classify(engine, encoder, (i, 0, 0), [f"label {i}"]) for i in range(20)])
    assert encoder.threads == {"device"}


async def test_a_cancelled_request_does_not_affect_the_next(engine, encoder):
    entered, free = threading.Event(), threading.Event()

    def before_batch() -> None:
        entered.set()
        free.wait()

    encoder.before_batch = before_batch
    request = asyncio.create_task(classify(engine, encoder, RED, ["cat"]))
    await asyncio.get_running_loop().run_in_executor(None, entered.wait)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    free.set()
    (logit,) = await classify(engine, encoder, BLUE, ["cat"])
    assert logit == pytest.approx(encoder.logit(plain_image(BLUE), "This is a photo of cat."), abs=1e-5)


async def test_a_full_queue_of_texts_refuses_requests(engine, encoder):
    free = threading.Event()
    encoder.before_batch = free.wait
    texts = [[f"{i} {j}" for j in range(MAX_TEXTS_AT_ONCE)] for i in range(MAX_QUEUED_ROWS // MAX_TEXTS_AT_ONCE + 2)]
    requests = [asyncio.create_task(engine.embedder.embed_texts(own)) for own in texts]
    with pytest.raises(Overloaded):
        await asyncio.gather(*requests)
    for request in requests:
        request.cancel()
    free.set()


class FaultyEncoder(FakeEncoder):
    """An encoder that returns NaN while `faulty` is true."""

    faulty = True

    def encode(self, batch: np.ndarray, sizes: list[int]) -> np.ndarray:
        embeddings = super().encode(batch, sizes)
        return embeddings * np.nan if self.faulty else embeddings


async def test_an_embedding_that_is_not_a_number_is_an_error_and_is_not_cached():
    encoder = FaultyEncoder()
    engine = make_engine(lambda: encoder)
    await engine.load()
    file = encoded(plain_image())
    for embed in (
        lambda: engine.embedder.embed_texts(["cat"]),
        lambda: engine.embedder.embed_image(file, RequestRecord("1")),
    ):
        with pytest.raises(InternalError):
            await embed()
    encoder.faulty = False
    assert np.isfinite((await engine.embedder.embed_texts(["cat"])).embeddings).all()
    await engine.close()
