"""The pinned npm packages that the data comes from: fetches and reads them, and returns their authors and licences.

The licence decides what may be used for training. CC BY-SA art is held out: it is only used for testing.
"""

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

PACKAGES = {
    "@iconify-json/noto": "1.2.9",
    "@iconify-json/noto-v1": "1.2.5",
    "@iconify-json/fxemoji": "1.2.2",
    "@iconify-json/fluent-emoji": "1.2.7",
    "@iconify-json/fluent-emoji-flat": "1.2.6",
    "@iconify-json/fluent-emoji-high-contrast": "1.2.6",
    "@iconify-json/twemoji": "1.2.5",
    "@iconify-json/emojione": "1.2.3",
    "@iconify-json/emojione-monotone": "1.2.1",
    "@iconify-json/openmoji": "1.2.29",
    "@iconify-json/emojione-v1": "1.2.3",
    "@fontsource/noto-emoji": "5.3.2",
    "cldr-annotations-full": "48.2.0",
    "emojibase-data": "17.0.0",
}


class PackageError(Exception):
    """A package could not be fetched. The message says why."""


def fetch(name: str, folder: Path, version: str | None = None) -> Path:
    """Returns the unpacked package's directory. The first call fetches it with `npm pack`.

    Args:
        name: The package's name on npm.
        folder: Where packages are stored, one directory each.
        version: None: the one in `PACKAGES`.

    Raises:
        PackageError: npm is missing or failed.
    """
    version = version or PACKAGES[name]
    target = folder / f"{name.removeprefix('@').replace('/', '-')}-{version}"
    if (target / "package" / "package.json").exists():
        return target / "package"
    target.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", "--silent", "--pack-destination", str(target), f"{name}@{version}"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise PackageError("npm is needed to fetch the art. Install Node.js.") from error
    except subprocess.CalledProcessError as error:
        raise PackageError(f"npm could not fetch {name}@{version}: {error.stderr.strip()}") from error
    (archive,) = target.glob("*.tgz")
    with tarfile.open(archive) as tar:
        # package.json is extracted last: if it exists, the package is complete.
        members = sorted(tar.getmembers(), key=lambda member: member.name == "package/package.json")
        tar.extractall(target, members, filter="data")
    archive.unlink()
    return target / "package"


def read_json(package: Path, path: str) -> Any:
    """Returns the parsed file of an unpacked package."""
    return json.loads((package / path).read_text(encoding="utf-8"))


def attribution(name: str, package: Path) -> dict[str, str]:
    """Returns the package's name, version, licence, author and homepage, as the package states them."""
    manifest = read_json(package, "package.json")
    info = read_json(package, "info.json") if (package / "info.json").exists() else {}
    author = info.get("author") or manifest.get("author") or manifest.get("repository")
    origin = author.get("url", "") if isinstance(author, dict) else manifest.get("homepage", "")
    return {
        "package": name,
        "version": manifest["version"],
        "license": info.get("license", {}).get("spdx") or manifest["license"],
        "author": author.get("name", "") if isinstance(author, dict) else author,
        "url": origin,
    }
