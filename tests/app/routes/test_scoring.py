import asyncio

import pytest

from app.errors import Fault, InvalidLabels
from app.routes.scoring import remap_pointers, together


@pytest.mark.parametrize(
    ("places", "raised", "told"),
    [
        ({"/labels": "/parameters/candidate_labels"}, "/labels/3", "/parameters/candidate_labels/3"),
        ({"/labels": "/parameters/candidate_labels"}, "/labels", "/parameters/candidate_labels"),
        ({"/templates/0": "/template"}, "/templates/0", "/template"),
        ({"/templates/0": "/template"}, "/labels/3", "/labels/3"),
        ({"/label": "/x"}, "/labels", "/labels"),
        ({"/image": "/inputs", "/inputs": "/y"}, "/image", "/inputs"),
    ],
)
def test_a_pointer_is_turned_to_another_surfaces_field(places, raised, told):
    with pytest.raises(InvalidLabels) as error, remap_pointers(places):
        raise InvalidLabels("x", [Fault(raised, "x")])
    assert error.value.faults == [Fault(told, "x")]


@pytest.mark.anyio
async def test_of_two_things_together_one_that_fails_ends_the_other():
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
