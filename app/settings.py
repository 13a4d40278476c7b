"""Every number of the service, with its unit, read once from `SIGLIP_*` variables.

An unknown `SIGLIP_*` variable stops the start, so that a typo is not a silent default.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "SIGLIP_"


class SettingsError(Exception):
    """A setting is unknown or cannot be used; the message names it and says what would do."""


def split(given: str) -> list[str]:
    """Returns what stands between the commas."""
    return [part for piece in given.split(",") if (part := piece.strip())]


def split_text(given: object) -> object:
    """Returns a variable's text split, and what is a list already as it is."""
    return split(given) if isinstance(given, str) else given


def without_slash(path: str) -> str:
    """Returns a path without the slash at its end, which names the same folder: `/health/` is `/health`.

    Raises:
        ValueError: It does not begin with a slash, so no request has this path.
    """
    if not path.startswith("/"):
        raise ValueError(f"a path begins with /, such as /{path}")
    return path.rstrip("/") or "/"


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(split_text)]
PublicPaths = Annotated[list[Annotated[str, AfterValidator(without_slash)]], NoDecode, BeforeValidator(split_text)]

Route = Annotated[str, Field(pattern=r"^/[^{}?#\s]*$")]


class Settings(BaseSettings):
    """What an operator may choose. The description of a field is its line in `serve --help`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_by_name=True
    )

    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port; 0 picks a free one")
    # The encoder's own default is the embedded demonstration checkpoint; named there, so not here again.
    model: str | None = Field(
        default=None, description="variant, such as SigLIPBaseP16; none: the one that has the weights"
    )
    weights: str | None = Field(
        default=None, description="name, directory or hub id; none: the variant's first, or embedded"
    )
    revision: str | None = Field(default=None, description="commit, branch or tag of the weights on the hub")
    device: Literal["auto", "gpu", "cpu"] = Field(
        default="auto", description="auto, gpu (refuses to start without) or cpu"
    )
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        default="auto", description="auto, float32, bfloat16, or int8, which is the engine openvino's alone"
    )
    engine: Literal["tensorflow", "openvino"] = Field(
        default="tensorflow", description="tensorflow, or openvino: faster on a CPU, see requirements-openvino.txt"
    )
    engine_cache: Path = Field(
        default=Path("~/.cache/siglip"), description="folder where openvino keeps what it makes of a checkpoint"
    )
    data_dir: Path = Field(
        default=Path("~/.local/share/siglip"), description="folder for label sets and their embeddings"
    )
    label_sets_dir: Path | None = Field(
        default=None, description="folder of label sets to load at the start: NAME.txt, one label a line, or NAME.json"
    )
    api_keys: SecretStr | None = Field(
        default=None, description="keys, separated by commas, one of which a client must send; none: no key is needed"
    )
    api_keys_file: Path | None = Field(default=None, description="file of further keys, one a line")
    public_paths: PublicPaths = Field(
        default=["/", "/page", "/health", "/ping", "/v2", "/info", "/metrics", "/docs", "/openapi.json"],
        description="paths, separated by commas, that may be read without a key, with all below all but /",
    )
    cors_origins: CommaSeparated = Field(
        default=[], description="origins, separated by commas, whose pages may call the service; * for all"
    )
    max_body_bytes: int = Field(default=20_000_000, ge=1, description="largest request body, in bytes")
    max_image_pixels: int = Field(default=50_000_000, ge=1, description="largest image, width x height, in pixels")
    reduce_jpegs: bool = Field(
        default=False, description="decode large JPEGs at a reduced size: faster, a little off; see docs/speed.md"
    )
    max_labels: int = Field(default=10_000, ge=1, description="most labels of one request")
    max_images: int = Field(default=64, ge=1, description="most images of one request")
    max_queue_items: int = Field(default=256, ge=1, description="most images at a time, waiting or being computed")
    max_queue_bytes: int = Field(default=500_000_000, ge=1, description="most of all request bodies together, in bytes")
    max_batch: int = Field(default=32, ge=1, description="most images, or texts, that the device computes at once")
    text_cache_bytes: int = Field(
        default=256_000_000, ge=0, description="memory for text embeddings, in bytes; 0: none"
    )
    image_cache_bytes: int = Field(
        default=64_000_000, ge=0, description="memory for image embeddings, by the file's digest, in bytes; 0: none"
    )
    request_timeout_s: float = Field(
        default=60, gt=0, description="seconds for one request; X-Request-Timeout-Ms may ask for fewer"
    )
    body_timeout_s: float = Field(default=30, gt=0, description="seconds for a body to arrive")
    # Shorter than a balancer's own, it would end a connection at the moment that the balancer sends the next request.
    keep_alive_s: int = Field(
        default=75,
        ge=1,
        description="seconds that a connection may be idle; a load balancer before it must wait for less",
    )
    drain_s: float = Field(default=10, ge=0, description="seconds of service after SIGTERM, while not ready any more")
    canary_s: float = Field(default=30, gt=0, description="seconds without work after which the device is tried")
    log_format: Literal["text", "json"] | None = Field(
        default=None, description="text or json, one line a request; none: text on a terminal, else json"
    )
    # Vertex AI's own, which it sets itself.
    aip_http_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        validation_alias="AIP_HTTP_PORT",
        description="Vertex AI's port, on all addresses, where SIGLIP_PORT and SIGLIP_HOST say nothing else",
    )
    aip_health_route: Route | None = Field(
        default=None, validation_alias="AIP_HEALTH_ROUTE", description="Vertex AI's path for readiness; none: no such"
    )
    aip_predict_route: Route | None = Field(
        default=None,
        validation_alias="AIP_PREDICT_ROUTE",
        description="Vertex AI's path for predictions; none: no such",
    )

    @model_validator(mode="before")
    @classmethod
    def listens_where_vertex_asks(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Gives the address that Vertex AI's port means, where none is given."""
        port = given.get("AIP_HTTP_PORT", given.get("aip_http_port"))
        if port is None or "port" in given:
            return given
        return {"host": "0.0.0.0", "port": port} | given  # noqa: S104 (it asks from outside the container)

    def read_keys(self) -> list[str]:
        """Returns all API keys, of the variable and of the file.

        Raises:
            SettingsError: The file cannot be read, or keys are asked for and there is none.
        """
        keys = split(self.api_keys.get_secret_value()) if self.api_keys else []
        if self.api_keys_file:
            try:
                lines = self.api_keys_file.expanduser().read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"{PREFIX}API_KEYS_FILE cannot be read: {error}") from None
            keys += [key for line in lines if (key := line.strip())]
        if not keys and (self.api_keys or self.api_keys_file):
            raise SettingsError(f"{PREFIX}API_KEYS or {PREFIX}API_KEYS_FILE is set, but holds no key")
        return keys


def load_settings(**given: str) -> Settings:
    """Returns the settings of this process's environment, with those that are given in the place of their variables.

    Raises:
        SettingsError: A variable is unknown, or its value cannot be used.
    """
    known = [variable(name) for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
            raise SettingsError(f"there is no setting {name}; the nearest is {nearest}")
    try:
        return Settings(**given)  # type: ignore[arg-type]  # text, as a variable has it
    except ValidationError as error:
        last = error.errors(include_url=False)[-1]  # of a port of Vertex AI's, the second: it is at fault in both
        raise SettingsError(f"{variable(str(last['loc'][0]))}: {last['msg']}. Received: {last['input']!r}") from None


def variable(name: str) -> str:
    """Returns the variable of a setting, which is its name's unless the setting says another."""
    alias = Settings.model_fields[name].validation_alias if name in Settings.model_fields else name
    return str(alias) if alias else PREFIX + name.upper()


def settings_table() -> str:
    """Returns one line a setting: its variable, its default, and what it means in which unit."""
    rows = [
        (variable(name), shown(field.default), field.description or "") for name, field in Settings.model_fields.items()
    ]
    return "\n".join(f"  {name:24} {default:10} {meaning}" for name, default, meaning in rows)


def shown(default: object) -> str:
    """Returns a setting's default as its variable would hold it."""
    if isinstance(default, list):
        default = ",".join(default)
    return str(default) if default not in (None, "") else "-"
