import asyncio

import pytest

from app.errors import Fault, InvalidLabels
from app.routes.scoring import remap_pointers, together


@pytest.mark.parametrize(
    ("pointers", "raised", "remapped"),
    [
        ({"/labels": "/parameters/candidate_labels"}, "/labels/3", "/parameters/candidate_labels/3"),
        ({"/labels": "/parameters/candidate_labels"}, "/labels", "/parameters/candidate_labels"),
        ({"/templates/0": "/template"}, "/templates/0", "/template"),
        ({"/templates/0": "/template"}, "/labels/3", "/labels/3"),
        ({"/label": "/x"}, "/labels", "/labels"),
        ({"/image": "/inputs", "/inputs": "/y"}, "/image", "/inputs"),
    ],
)
def test_a_pointer_is_remapped_to_the_field_of_another_api(pointers, raised, remapped):
    with pytest.raises(InvalidLabels) as error, remap_pointers(pointers):
        raise InvalidLabels("x", [Fault(raised, "x")])
    assert error.value.faults == [Fault(remapped, "x")]


@pytest.mark.anyio
async def test_if_one_of_two_concurrent_tasks_fails_the_other_is_cancelled():
    ended = asyncio.Event()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(ZeroDivisionError):
        await together(fail(), last())
    await ended.wait()
