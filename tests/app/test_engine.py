import asyncio
import threading
from collections.abc import AsyncIterator
from functools import partial

import numpy as np
import pytest

from app.engine import Classification, EncoderInfo, Engine
from app.errors import InternalError, NotReady
from model.zero_shot import Scores
from tests.app.pictures import BLUE, RED, picture
from tests.fakes import FakeEncoder

pytestmark = pytest.mark.anyio


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
async def engine(encoder) -> AsyncIterator[Engine]:
    engine = Engine(max_batch=4, max_queue_items=100, text_cache_bytes=1_000_000)
    await engine.load(lambda: encoder)
    yield engine
    await engine.close()


async def test_a_classification_scores_the_labels_in_their_order(engine, encoder):
    classification = await engine.classify(picture(RED), partial(engine.embed_labels, ["cat", "dog"], ["a {}"]))
    expected = [encoder.logit(picture(RED), prompt) for prompt in ("a cat", "a dog")]
    assert classification.scores.logits == pytest.approx(expected, abs=1e-5)
    assert classification.timings_s.keys() == {"queue", "image", "text"}


async def test_without_templates_siglips_own_is_used(engine, encoder):
    classification = await engine.classify(picture(RED), partial(engine.embed_labels, ["cat"]))
    assert classification.scores.logits[0] == pytest.approx(
        encoder.logit(picture(RED), "This is a photo of cat."), abs=1e-5
    )


async def test_known_texts_are_not_encoded_again(engine, encoder):
    await engine.classify(picture(RED), partial(engine.embed_labels, ["cat", "dog"]))
    await engine.classify(picture(BLUE), partial(engine.embed_labels, ["Dog", "cat"]))
    assert sum(encoder.text_batches) == 2
    assert sum(encoder.image_batches) == 2


async def test_labels_may_have_different_numbers_of_prompts(engine, encoder):
    embeddings = await engine.embed_prompts([["a cat"], ["a dog", "ein Hund", "un chien"]])
    cat, dog = (
        encoder.encode_texts(encoder.prepare_text(["a cat"])),
        encoder.prepare_text(["a dog", "ein Hund", "un chien"]),
    )
    mean = encoder.encode_texts(dog).mean(axis=0)
    assert embeddings == pytest.approx(np.vstack([cat, mean / np.linalg.norm(mean)]), abs=1e-6)


async def test_prompts_and_templates_that_say_the_same_are_the_same(engine):
    by_templates = await engine.embed_labels(["cat", "dog"], ["a {}", "the {}"])
    by_prompts = await engine.embed_prompts([["a cat", "the cat"], ["a dog", "the dog"]])
    assert by_prompts == pytest.approx(by_templates, abs=1e-6)


async def test_a_text_that_becomes_no_number_is_a_failure(engine, encoder):
    encoder.encode = lambda batch, _sizes: np.full((len(batch), 32), np.nan, np.float32)
    with pytest.raises(InternalError, match="not a number"):
        await engine.embed_texts(["cat"])


async def test_while_label_sets_are_loaded_the_engine_embeds_and_is_not_ready(encoder):
    engine = Engine(max_batch=4, max_queue_items=100, text_cache_bytes=1_000_000)

    async def load_label_sets(info: EncoderInfo) -> None:
        assert (await engine.embed_prompts([["a cat"]])).shape == (1, info.embed_dim)
        with pytest.raises(NotReady, match="label sets"):
            engine.check_ready()

    await engine.load(lambda: encoder, load_label_sets)
    engine.check_ready()
    await engine.close()


async def test_no_batch_is_larger_than_allowed(engine, encoder):
    await engine.classify(picture(RED), partial(engine.embed_labels, [f"label {i}" for i in range(30)]))
    assert max(encoder.text_batches) <= 4


async def test_everything_on_the_device_runs_on_one_thread(engine, encoder):
    await asyncio.gather(
        *[engine.classify(picture((i, 0, 0)), partial(engine.embed_labels, [f"label {i}"])) for i in range(20)]
    )
    assert encoder.threads == {"device"}


async def test_a_cancelled_request_does_not_spoil_the_next(engine, encoder):
    entered, free = threading.Event(), threading.Event()

    def before_batch() -> None:
        entered.set()
        free.wait()

    encoder.before_batch = before_batch
    request = asyncio.create_task(engine.classify(picture(RED), partial(engine.embed_labels, ["cat"])))
    await asyncio.get_running_loop().run_in_executor(None, entered.wait)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    free.set()
    classification = await engine.classify(picture(BLUE), partial(engine.embed_labels, ["cat"]))
    assert classification.scores.logits[0] == pytest.approx(
        encoder.logit(picture(BLUE), "This is a photo of cat."), abs=1e-5
    )


async def test_before_it_is_loaded_the_engine_says_so():
    engine = Engine(max_batch=4, max_queue_items=100, text_cache_bytes=1_000_000)
    with pytest.raises(NotReady, match="starting"):
        await engine.classify(picture(RED), partial(engine.embed_labels, ["cat"]))
    await engine.close()


async def test_a_failed_load_is_raised_and_remembered():
    def load() -> FakeEncoder:
        raise OSError("no such directory")

    engine = Engine(max_batch=4, max_queue_items=100, text_cache_bytes=1_000_000)
    with pytest.raises(OSError, match="no such directory"):
        await engine.load(load)
    with pytest.raises(NotReady, match="failed"):
        engine.check_ready()
    await engine.close()


async def test_closing_during_a_load_does_not_wait_for_it():
    free = threading.Event()
    engine = Engine(max_batch=4, max_queue_items=100, text_cache_bytes=1_000_000)
    loading = asyncio.create_task(engine.load(lambda: FakeEncoder(before_warm_up=free.wait)))
    await asyncio.sleep(0)
    await engine.close()
    free.set()
    loading.cancel()


@pytest.mark.parametrize(
    ("top_k", "threshold", "order"),
    [(None, None, [2, 0, 3, 1]), (2, None, [2, 0]), (9, None, [2, 0, 3, 1]), (None, 0.5, [2, 0, 3]), (1, 0.5, [2])],
)
async def test_labels_are_ordered_by_falling_logit_with_ties_in_order(top_k, threshold, order):
    logits = np.array([0.0, -1.0, 3.0, 0.0], np.float32)
    scores = Scores(logits, 1 / (1 + np.exp(-logits)), logits)
    assert Classification(scores, {}).order(top_k, threshold).tolist() == order


async def test_a_thousand_equal_labels_keep_their_order():
    logits = np.array([0, 1] * 500, np.float32)
    order = Classification(Scores(logits, logits, logits), {}).order().tolist()
    assert order == [*range(1, 1000, 2), *range(0, 1000, 2)]
