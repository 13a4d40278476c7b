import json
from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from app.evaluation.result import Documented, Estimate, Warned


def test_the_json_schema_has_the_string_below_a_field_as_its_description():
    properties = TypeAdapter(Warned).json_schema()["properties"]
    assert properties["labels"]["description"] == "Indices of the labels it is about."


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_result_with_nan_is_refused(value):
    with pytest.raises(ValidationError):
        TypeAdapter(Estimate).validate_json(f'{{"value": {value}}}')


def test_an_unknown_interval_is_null():
    assert json.loads(TypeAdapter(Estimate).dump_json(Estimate(0.5))) == {"value": 0.5, "low": None, "high": None}


def test_documented_dataclasses_stay_plain_dataclasses():
    @dataclass(frozen=True)
    class Counted(Documented):
        count: int

    assert Counted(2) == Counted(2)
