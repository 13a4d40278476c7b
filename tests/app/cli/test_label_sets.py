import base64
import json

import pytest

from app.cli import CommandError
from app.cli.label_sets import main
from app.cli.printing import warning_line
from app.inference.acceptance import NOT_IN_FORCE
from tests.app.cli.stub import StubResponse, stub_server
from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import FakeEncoder


@pytest.fixture
def run(running, monkeypatch):
    """Runs the command with a service that requires an API key."""
    with running(api_keys="secret") as client:
        monkeypatch.setenv("SIGLIP_API_KEYS", "secret")
        yield lambda *arguments: main([*map(str, arguments), "--server", str(client.base_url)])


def test_a_set_is_stored_replaced_listed_shown_and_deleted(run, tmp_path, capsys):
    (tmp_path / "zoo.txt").write_text("# animals\ncat\nKätzchen\n")
    assert run("put", "zoo", tmp_path / "zoo.txt") == 0
    assert run("put", "zoo", tmp_path / "zoo.txt") == 0
    assert run("list") == 0
    assert capsys.readouterr().out.splitlines() == [
        "stored zoo: labels 2",
        "replaced zoo: labels 2",
        " labels  name",
        "      2  zoo",
    ]
    assert run("show", "zoo") == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"labels": ["cat", "Kätzchen"], "templates": ["This is a photo of {}."]}
    assert "Kätzchen" in shown
    assert run("delete", "zoo") == 0
    assert run("list") == 0
    assert capsys.readouterr().out.splitlines() == ["deleted zoo", " labels  name"]


TUNED_FOR = {"model_fingerprint": "0" * 64, "texts": "1" * 64}


@pytest.mark.parametrize(
    ("of_set", "of_label"),
    [({}, {}), ({"threshold": None, "tuned_for": TUNED_FOR}, {}), ({"tuned_for": TUNED_FOR}, {"threshold": 0.5})],
)
def test_the_output_of_show_can_be_stored_again(run, tmp_path, capsys, of_set, of_label):
    definition = {
        "labels": ["cat", {"label": "dog", "prompts": ["ein Hund"], **of_label}],
        "templates": ["a {}"],
        **of_set,
    }
    (tmp_path / "zoo.json").write_text(json.dumps(definition))
    run("put", "zoo", tmp_path / "zoo.json")
    capsys.readouterr()
    run("show", "zoo")
    (tmp_path / "again.json").write_text(capsys.readouterr().out)
    assert json.loads((tmp_path / "again.json").read_text()) == definition
    assert run("put", "zoo2", tmp_path / "again.json") == 0


def test_thresholds_that_are_not_in_force_are_a_warning(run, tmp_path, capsys):
    (tmp_path / "zoo.json").write_text(json.dumps({"labels": ["cat"], "threshold": 0.5, "tuned_for": TUNED_FOR}))
    assert run("put", "zoo", tmp_path / "zoo.json") == 0
    stdout, stderr = capsys.readouterr()
    assert stdout == "stored zoo: labels 1\n"
    assert stderr == f"{warning_line(NOT_IN_FORCE)}\n"


@pytest.mark.parametrize(
    ("arguments", "message", "status"),
    [
        (["show", "zoo"], "There is no label set with this name. GET /label-sets lists all of them.", 1),
        (["delete", "zoo"], "There is no label set with this name.", 1),
        (["show", "../info"], "A label set's name has 1 to 64 of a-z", 2),
        (["put", "Zoo", "zoo.txt"], "A label set's name has 1 to 64 of a-z", 2),
        (["put", "zoo", "zoo.txt"], "zoo.txt: No such file or directory", 2),
        (["put", "zoo", "zoo.csv"], "zoo.csv: a label set is a .txt or a .json file", 2),
    ],
)
def test_a_command_that_fails_gives_a_one_line_error(run, arguments, message, status):
    with pytest.raises(CommandError) as exc_info:
        run(*arguments)
    assert str(exc_info.value).startswith(message)
    assert exc_info.value.status == status


def test_a_set_that_the_service_rejects_is_reported_with_its_message(running, tmp_path):
    (tmp_path / "zoo.txt").write_text("cat\ndog\n")
    with (
        running(max_labels=1) as client,
        pytest.raises(CommandError, match=r"There are 2 labels; send 1 to 1\. \(/labels\)"),
    ):
        main(["put", "zoo", str(tmp_path / "zoo.txt"), "--server", str(client.base_url)])


def test_a_response_of_another_service_is_an_error():
    with (
        stub_server(StubResponse(200, b"{}")) as (url, _),
        pytest.raises(CommandError, match="is not a SigLIP service"),
    ):
        main(["list", "--server", url])


def test_checking_a_folder_reports_the_first_mistake_of_every_file(tmp_path, capsys):
    (tmp_path / "zoo.txt").write_text("cat\ndog\n")
    assert main(["check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "zoo: labels 2\n"
    (tmp_path / "bad.txt").write_bytes(b"cat\n\xff\n")
    (tmp_path / "bad.json").write_text('["cat", 1]')
    (tmp_path / "notes.md").write_text("cat")
    assert main(["check", str(tmp_path)]) == 1
    stdout, stderr = capsys.readouterr()
    assert stdout == "zoo: labels 2\n"
    assert stderr.splitlines() == [
        f"error: {tmp_path}/bad.json: labels/1: input should be a string, or an object with label and prompts.",
        f"error: {tmp_path}/bad.txt: there is a .json file of the same name",
        f"error: {tmp_path}/notes.md: a label set is a .txt or a .json file",
    ]


def test_a_missing_folder_is_a_users_mistake(tmp_path):
    with pytest.raises(CommandError, match="nowhere: No such file or directory") as exc_info:
        main(["check", str(tmp_path / "nowhere")])
    assert exc_info.value.status == 2


def test_exported_sets_are_imported_with_their_examples(run, running, tmp_path, capsys):
    image = base64.b64encode(encoded(plain_image(RED))).decode()
    (tmp_path / "zoo.json").write_text(json.dumps({"labels": [{"label": "cat", "examples": [image]}, "dog"]}))
    (tmp_path / "plain.txt").write_text("cat")
    for name in ("zoo.json", "plain.txt"):
        run("put", name.partition(".")[0], tmp_path / name)
    run("show", "zoo")
    shown = capsys.readouterr().out.split("labels 1\n")[1]
    folder = tmp_path / "sets"
    assert run("export", folder) == 0
    assert capsys.readouterr().out.splitlines() == [f"{folder}/plain.json", f"{folder}/zoo.json"]
    assert image not in (folder / "zoo.json").read_text()
    encoder = FakeEncoder()
    with running(encoder) as client:
        assert main(["import", str(folder), "zoo", "--server", str(client.base_url)]) == 0
        assert capsys.readouterr().out == "stored zoo: labels 2\n"
        assert main(["import", str(folder), "--server", str(client.base_url)]) == 0
        assert capsys.readouterr().out == "stored plain: labels 1\nreplaced zoo: labels 2\n"
        assert main(["show", "zoo", "--server", str(client.base_url)]) == 0
        assert encoder.image_batches == []
    assert capsys.readouterr().out == shown


def test_an_import_with_a_mistake_stores_nothing(run, tmp_path):
    (tmp_path / "a.txt").write_text("cat")
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(CommandError, match="labels is missing"):
        run("import", tmp_path)
    with pytest.raises(CommandError, match="There is no label set"):
        run("show", "a")
    (tmp_path / "b.json").unlink()
    with pytest.raises(CommandError, match=r"there is no c\.json and no c\.txt"):
        run("import", tmp_path, "c")


def test_a_set_is_changed_with_an_admin_key_if_the_service_asks_for_one(running, monkeypatch, tmp_path, capsys):
    (tmp_path / "zoo.txt").write_text("cat\n")
    with running(api_keys="reader", admin_keys="admin") as client:
        put = ["put", "zoo", str(tmp_path / "zoo.txt"), "--server", str(client.base_url)]
        monkeypatch.setenv("SIGLIP_API_KEYS", "reader")
        with pytest.raises(CommandError, match=r"only changed with an admin key.* put it into SIGLIP_ADMIN_KEYS"):
            main(put)
        monkeypatch.setenv("SIGLIP_ADMIN_KEYS", "admin")
        assert main(put) == 0
        for command in (["export"], ["import"]):
            assert main([*command, str(tmp_path / "sets"), "--server", str(client.base_url)]) == 0
    assert "replaced zoo: labels 1" in capsys.readouterr().out
