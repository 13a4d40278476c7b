import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.inference.model_facts import ModelFacts
from tests.fakes import INFO


@pytest.mark.parametrize(
    ("info", "shape"), [(INFO, (8, 8, 3)), (replace(INFO, image_size=None, max_num_patches=2), (1540,))]
)
def test_facts_survive_the_way_through_plain_values(info, shape):
    facts = ModelFacts(info, 10.0, -5.0, Path("checkpoint"), shape)
    assert ModelFacts.from_message(json.loads(json.dumps(facts.to_message()))) == facts
