"""`siglip label-sets`: the label sets of a running service, and the check of a folder of them."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.cli import FAILURE, MISTAKE, SUCCESS, CommandError, as_command_error
from app.cli.client import DEFAULT_URL, Service, admin_first
from app.errors import InvalidRequest
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.folder import LabelSetFolderError, read_all, read_file, read_folder
from app.label_sets.names import check_name
from app.label_sets.responses import LabelSetList, LabelSetResponse, LabelSetSummary
from app.observability.logs import printable
from app.settings import PREFIX, Settings, SettingsError, load_settings

M = TypeVar("M", bound=BaseModel)


def main(arguments: list[str]) -> int:
    """Runs the action. Returns 1 if the service refuses, or a file in the folder has a mistake."""
    parser = argparse.ArgumentParser(
        prog="siglip label-sets",
        description="Lists, shows, stores, exports and deletes the label sets of a running service, and checks a "
        "folder of them. The exit status is 1 if the service refuses or cannot be reached, or if the folder has a "
        "mistake, and 2 if the command, a setting or a file is invalid.",
        epilog=f"A service that needs a key gets the first one of {PREFIX}ADMIN_KEYS, {PREFIX}ADMIN_KEYS_FILE, "
        f"{PREFIX}API_KEYS and {PREFIX}API_KEYS_FILE.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    at_server = argparse.ArgumentParser(add_help=False)
    at_server.add_argument("--server", metavar="URL", default=DEFAULT_URL, help=f"the service (default: {DEFAULT_URL})")
    of_name = argparse.ArgumentParser(add_help=False)
    of_name.add_argument("name", metavar="NAME", help="the label set's name")

    actions.add_parser("list", parents=[at_server], help="names and sizes").set_defaults(run=show_all)
    actions.add_parser(
        "show", parents=[of_name, at_server], help="labels, templates and thresholds as JSON, which `put` accepts"
    ).set_defaults(run=show)
    storing = actions.add_parser("put", parents=[of_name, at_server], help="store a set, or replace it")
    storing.add_argument("file", type=Path, metavar="FILE", help=".txt with one label per line, or .json")
    storing.set_defaults(run=put)
    exporting = actions.add_parser(
        "export", parents=[at_server], help="write sets as files, with the embeddings of their examples"
    )
    exporting.add_argument("folder", type=Path, metavar="DIR", help="gets a file NAME.json for each set")
    exporting.set_defaults(run=export)
    importing = actions.add_parser(
        "import", parents=[at_server], help="store the files of a folder, such as those of `export`"
    )
    importing.add_argument("folder", type=Path, metavar="DIR", help="the folder")
    importing.set_defaults(run=import_all)
    for action in (exporting, importing):
        action.add_argument("names", nargs="*", metavar="NAME", help="the sets (default: all)")
    actions.add_parser("delete", parents=[of_name, at_server], help="remove a set").set_defaults(run=delete)
    checking = actions.add_parser("check", help=f"check a folder for {PREFIX}LABEL_SETS_DIR, without a service")
    checking.add_argument("folder", type=Path, metavar="DIR", help="the folder")
    checking.set_defaults(run=check)

    options = parser.parse_args(arguments)
    with as_command_error(SettingsError, LabelSetFolderError, InvalidRequest, status=MISTAKE):
        status: int = options.run(options, load_settings())
    return status


def show_all(options: argparse.Namespace, settings: Settings) -> int:
    """Prints the size and the name of every set."""
    with Service(options.server, admin_first(settings)) as service:
        found = listed(service)
    print(" labels  name")
    for summary in found:
        print(f"{summary.size:7,}  {printable(summary.name)}")
    return SUCCESS


def listed(service: Service) -> list[LabelSetSummary]:
    """Returns all sets of a service, without their labels."""
    return parsed(LabelSetList, service, service.ask("GET", "/label-sets").content).label_sets


def show(options: argparse.Namespace, settings: Settings) -> int:
    """Prints a set in the format that `put` accepts."""
    with Service(options.server, admin_first(settings)) as service:
        response = service.ask("GET", f"/label-sets/{check_name(options.name)}")
        print(as_json(parsed(LabelSetResponse, service, response.content).content))
    return SUCCESS


def as_json(shown: dict[str, Any]) -> str:
    """Returns what a service shows of a set as the JSON of a definition."""
    definition = {name: value for name, value in shown.items() if name in LabelSetDefinition.model_fields}
    return json.dumps(definition, ensure_ascii=False, indent=1)


def put(options: argparse.Namespace, settings: Settings) -> int:
    """Stores a file."""
    name, definition = check_name(options.name), read_file(options.file, settings.max_labels)
    with Service(options.server, admin_first(settings)) as service:
        put_set(service, name, definition)
    return SUCCESS


def put_set(service: Service, name: str, definition: LabelSetDefinition) -> None:
    """Stores a set, and says what was done."""
    response = service.ask("PUT", f"/label-sets/{name}", json=definition.whole)
    summary = parsed(LabelSetSummary, service, response.content)
    print(f"{'stored' if response.status_code == 201 else 'replaced'} {name}: labels {summary.size:,}")


def export(options: argparse.Namespace, settings: Settings) -> int:
    """Writes each set into a file that `import`, `put` and a service's folder of label sets accept."""
    options.folder.mkdir(parents=True, exist_ok=True)
    with Service(options.server, admin_first(settings)) as service:
        for name in options.names or [summary.name for summary in listed(service)]:
            response = service.ask("GET", f"/label-sets/{check_name(name)}", params={"embeddings": "true"})
            path = options.folder / f"{name}.json"
            path.write_text(f"{as_json(parsed(LabelSetResponse, service, response.content).whole)}\n", encoding="utf-8")
            print(printable(str(path)))
    return SUCCESS


def import_all(options: argparse.Namespace, settings: Settings) -> int:
    """Stores the files of a folder. If one of them has a mistake, it stores none."""
    found = read_folder(options.folder, settings.max_labels)
    if missing := [name for name in options.names if name not in found]:
        raise CommandError(f"there is no {missing[0]}.json and no {missing[0]}.txt in {options.folder}", MISTAKE)
    with Service(options.server, admin_first(settings)) as service:
        for name in options.names or found:
            put_set(service, name, found[name])
    return SUCCESS


def delete(options: argparse.Namespace, settings: Settings) -> int:
    """Removes a set."""
    with Service(options.server, admin_first(settings)) as service:
        service.ask("DELETE", f"/label-sets/{check_name(options.name)}")
    print(f"deleted {options.name}")
    return SUCCESS


def check(options: argparse.Namespace, settings: Settings) -> int:
    """Prints the number of labels in each file of a folder, or what is wrong with it."""
    status = SUCCESS
    for name, read in read_all(options.folder, settings.max_labels):
        if isinstance(read, LabelSetFolderError):
            print(f"error: {read}", file=sys.stderr)
            status = FAILURE
        else:
            print(f"{name}: labels {len(read.labels):,}")
    return status


def parsed(schema: type[M], service: Service, content: bytes) -> M:
    """Returns a response as its schema."""
    try:
        return schema.model_validate_json(content)
    except ValidationError:
        raise service.not_ours() from None
