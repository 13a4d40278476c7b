import json
from pathlib import Path

from app.inference.model_facts import ModelFacts
from tests.fakes import INFO


def test_facts_survive_the_way_through_plain_values():
    facts = ModelFacts(INFO, 10.0, -5.0, Path("checkpoint"), (8, 8, 3))
    assert ModelFacts.from_message(json.loads(json.dumps(facts.to_message()))) == facts
