"""Label sets that are made from definitions: what is embedded, and what a damaged file costs."""

import base64
import json
import logging
import sqlite3
from contextlib import closing

import numpy as np

from app.label_sets.sqlite_tables import FILE
from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import FakeEncoder

RED_IMAGE, BLUE_IMAGE = (base64.b64encode(encoded(plain_image(colour))).decode() for colour in (RED, BLUE))


def test_only_what_is_new_is_embedded(running):
    encoder = FakeEncoder()
    with running(encoder, image_cache_bytes=0) as client:
        client.put("/label-sets/pets", json={"labels": [{"label": "cat", "examples": [RED_IMAGE]}, "dog"]})
        assert (sum(encoder.text_batches), sum(encoder.image_batches)) == (2, 1)
        client.post("/label-sets/pets/labels/1/examples", json={"examples": [BLUE_IMAGE]})
        assert (sum(encoder.text_batches), sum(encoder.image_batches)) == (2, 2)
        client.put("/label-sets/pets", json=client.get("/label-sets/pets").json())
        client.patch("/label-sets/pets", json={"threshold": 0.5})
        assert (sum(encoder.text_batches), sum(encoder.image_batches)) == (2, 2)


def test_a_damaged_example_is_logged_and_its_set_is_not_served(running, tmp_path, caplog):
    with running(data_dir=tmp_path) as client:
        for name in ("damaged", "whole"):
            client.put(f"/label-sets/{name}", json={"labels": [{"label": "cat", "examples": [RED_IMAGE]}, "dog"]})
    with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
        ((text,),) = connection.execute("SELECT text FROM label_sets WHERE name = 'damaged'").fetchall()
        content = json.loads(text)
        content["labels"][0]["examples"][0]["embedding"] = base64.b64encode(np.zeros(32, "<f4")).decode()
        connection.execute("UPDATE label_sets SET text = ? WHERE name = 'damaged'", [json.dumps(content)])
    with caplog.at_level(logging.ERROR), running(data_dir=tmp_path) as client:
        assert [found["name"] for found in client.get("/label-sets").json()["label_sets"]] == ["whole"]
    assert "label set damaged is not served: an example of it is not L2-normalised" in caplog.text
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("SELECT count(*) FROM label_sets").fetchall() == [(2,)]
