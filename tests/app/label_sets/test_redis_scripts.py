"""The text of the scripts. `tests/acceptance/store` runs them."""

import re

import pytest

from app.label_sets import redis_scripts

SCRIPTS = ("STATE", "VERSIONS", "DEFINITIONS", "CHANGE", "PUT_BACK")


def test_all_keys_are_in_one_slot_of_a_cluster():
    assert {key.partition(":")[0] for key in (*redis_scripts.KEYS, redis_scripts.CHANGED)} == {"{siglip}"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_names_no_key_itself(name):
    text = getattr(redis_scripts, name)
    assert set(re.findall(r"\{siglip\}:\w+", text)) <= {redis_scripts.CHANGED}
    assert max(map(int, re.findall(r"KEYS\[(\d)\]", text))) <= len(redis_scripts.KEYS)
