"""Every setting of the service, with its unit, read once from `SIGLIP_*` variables.

An unknown `SIGLIP_*` variable is an error at the start, so that a typo is not a silent default.
"""

import difflib
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.environment import quoted_variable, service_links
from app.setting_values import (
    CommaSeparated,
    Networks,
    Origins,
    PathPrefix,
    PublicPaths,
    Route,
    read_keys,
)

PREFIX = "SIGLIP_"


class SettingsError(Exception):
    """A setting is unknown or invalid. The message names it and says what to do."""


class Settings(BaseSettings):
    """The service's settings. A field's description is its help in `siglip serve --help` and in the guides."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, validate_by_name=True
    )

    host: CommaSeparated = Field(
        default=["127.0.0.1"],
        description="comma-separated addresses to listen on; 0.0.0.0 is all of IPv4, :: all of IPv6 and IPv4",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="TCP port; 0 is any free port")
    processes: int = Field(
        default=1,
        ge=1,
        description="processes that serve HTTP; with more than one, another process computes for all of them",
    )
    root_path: PathPrefix = Field(
        default="",
        description="path prefix at which a proxy publishes the service, such as /siglip; the proxy may remove it",
    )
    trusted_proxies: Networks = Field(
        default=[],
        description="comma-separated addresses and networks of proxies whose X-Forwarded-Prefix is used; default: none",
    )
    model: str | None = Field(
        default=None, description="variant, such as SigLIPBaseP16; default: inferred from the weights"
    )
    weights: str | None = Field(
        default=None,
        description="published name, checkpoint directory or hub id; default: the variant's first, or the embedded one",
    )
    revision: str | None = Field(
        default=None, description="commit, branch or tag of the weights on the hub; default: the published revision"
    )
    max_num_patches: int | None = Field(
        default=None, ge=1, le=4_096, description="for NaFlex: most patches of an image; default: the checkpoint's, 256"
    )
    device: Literal["auto", "gpu", "cpu"] = Field(
        default="auto", description="auto (a GPU if there is one), gpu (fails without one) or cpu"
    )
    dtype: Literal["auto", "float32", "tf32", "float16", "bfloat16", "int8"] = Field(
        default="auto",
        description="auto (tf32 on a GPU that has it, else float32), float32, tf32 (GPU only), float16, bfloat16, or "
        "int8 (openvino only)",
    )
    engine: Literal["auto", "tensorflow", "openvino"] = Field(
        default="auto",
        description="auto (on a CPU openvino, if it is installed; else tensorflow), tensorflow, or openvino (CPU only)",
    )
    engine_cache: Path = Field(
        default=Path("~/.cache/siglip"), description="folder for the graphs that openvino makes of a checkpoint"
    )
    data_dir: Path = Field(
        default=Path("~/.local/share/siglip"), description="folder for label sets and their embeddings"
    )
    store: SecretStr | None = Field(
        default=None,
        description="Redis that several replicas share for label sets, such as redis://HOST:6379/0 or rediss://...; "
        "default: a file in the data folder",
    )
    label_sets_dir: Path | None = Field(
        default=None,
        description="folder of label sets to load at the start: NAME.txt with one label per line, or NAME.json",
    )
    api_keys: SecretStr | None = Field(
        default=None, description="comma-separated API keys, one of which a client must send; default: no key is needed"
    )
    api_keys_file: Path | None = Field(default=None, description="file with more API keys, one per line")
    admin_keys: SecretStr | None = Field(
        default=None,
        description="comma-separated API keys, one of which is needed to change label sets; default: every API key",
    )
    admin_keys_file: Path | None = Field(default=None, description="file with more admin keys, one per line")
    public_paths: PublicPaths = Field(
        default=["/", "/page", "/health", "/ping", "/v2", "/info", "/metrics", "/docs", "/openapi.json"],
        description="comma-separated paths that can be read without a key, with everything below them except below /",
    )
    cors_origins: Origins = Field(
        default=[],
        description="comma-separated origins whose web pages may call the service, such as https://example.com, * for "
        "all; default: none",
    )
    max_body_bytes: int = Field(default=20_000_000, ge=1, description="largest request body, in bytes")
    max_image_pixels: int = Field(default=50_000_000, ge=1, description="largest image, width x height, in pixels")
    color_profiles: Literal["convert", "ignore"] = Field(
        default="convert",
        description="convert (colours as the file's profile describes them, as a viewer shows them), or ignore",
    )
    decode_workers: int | None = Field(
        default=None,
        ge=1,
        description="processes that decode images, for all processes that serve; default: one per CPU, in at most half "
        "of the memory limit",
    )
    decode_memory_bytes: int = Field(
        default=1_000_000_000, ge=50_000_000, description="memory that a decode process may use for an image, in bytes"
    )
    reduce_jpegs: bool = Field(
        default=False,
        description="decode large JPEGs at a reduced size: faster, slightly different scores; see docs/speed.md",
    )
    max_labels: int = Field(default=10_000, ge=1, description="most labels per request")
    max_images: int = Field(default=64, ge=1, description="most images per request")
    max_examples: int = Field(
        default=10_000, ge=0, description="most example images of a label set, counterexamples included"
    )
    max_queue_items: int = Field(default=256, ge=1, description="most images that wait or are computed at once")
    max_queue_bytes: int = Field(
        default=500_000_000, ge=1, description="limit for all request bodies in memory together, in bytes"
    )
    max_batch: int = Field(default=32, ge=1, description="most images, or texts, per batch on the device")
    text_cache_bytes: int = Field(
        default=256_000_000, ge=0, description="cache of text embeddings in each process, in bytes; 0 caches nothing"
    )
    image_cache_bytes: int = Field(
        default=64_000_000, ge=0, description="cache of image embeddings in each process, in bytes; 0 caches nothing"
    )
    request_timeout_s: float = Field(
        default=60, gt=0, description="deadline for a request, in seconds; X-Request-Timeout-Ms may shorten it"
    )
    body_timeout_s: float = Field(
        default=30, gt=0, description="time in which the headers, and then the body, must arrive, in seconds"
    )
    # If it were shorter than a load balancer's, the balancer could send a request while the connection is closed.
    keep_alive_s: int = Field(
        default=75, ge=1, description="idle time of a connection, in seconds; a load balancer's must be shorter"
    )
    drain_s: float = Field(
        default=10, ge=0, description="time in which requests are still served after SIGTERM, in seconds"
    )
    canary_s: float = Field(default=30, gt=0, description="idle time after which the device is tested, in seconds")
    log_format: Literal["text", "json"] | None = Field(
        default=None, description="text or json, one line per request; default: text on a terminal, else json"
    )
    # Vertex AI sets these itself.
    aip_http_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        validation_alias="AIP_HTTP_PORT",
        description="Vertex AI's port, on all addresses, unless SIGLIP_PORT is set",
    )
    aip_health_route: Route | None = Field(
        default=None, validation_alias="AIP_HEALTH_ROUTE", description="Vertex AI's path for health checks"
    )
    aip_predict_route: Route | None = Field(
        default=None, validation_alias="AIP_PREDICT_ROUTE", description="Vertex AI's path for predictions"
    )

    @model_validator(mode="before")
    @classmethod
    def listens_where_the_platform_asks(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Sets host and port to Vertex AI's, unless a port is given. Kubernetes' SIGLIP_PORT=tcp://... is not one."""
        if f"{PREFIX}PORT" in service_links(os.environ) and given.get("port") == os.environ[f"{PREFIX}PORT"]:
            given = {name: value for name, value in given.items() if name != "port"}
        port = given.get("AIP_HTTP_PORT", given.get("aip_http_port"))
        if port is None or "port" in given:
            return given
        return {"host": ["0.0.0.0"], "port": port} | given  # noqa: S104 (requests come from outside the container)

    def read_keys(self) -> list[str]:
        """Returns all API keys, from the variable and from the file.

        Raises:
            SettingsError: The file cannot be read, a key is not one that a client can send, or a setting for keys is
                there but has no key.
        """
        return self._keys("API_KEYS", self.api_keys, self.api_keys_file)

    def read_admin_keys(self) -> list[str]:
        """Returns all admin keys; raises as `read_keys`."""
        return self._keys("ADMIN_KEYS", self.admin_keys, self.admin_keys_file)

    def _keys(self, name: str, given: SecretStr | None, file: Path | None) -> list[str]:
        try:
            return read_keys(PREFIX + name, given.get_secret_value() if given else None, file)
        except ValueError as error:
            raise SettingsError(str(error)) from None


def load_settings(**flags: str) -> Settings:
    """Returns the settings from the environment. `flags` are the values of command-line flags, which take precedence.

    Raises:
        SettingsError: A variable is unknown, or a value is invalid.
    """
    known = [variable(name) for name in Settings.model_fields]
    for name in sorted(os.environ.keys() - set(service_links(os.environ))):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            nearest = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0)[0]
            raise SettingsError(f"there is no setting {name}; the nearest is {nearest}")
    if quoted := quoted_variable(os.environ):
        raise SettingsError(f"{quoted} has quotes around its value; remove them (docker --env-file keeps them)")
    try:
        return Settings(**flags)  # type: ignore[arg-type]  # text, as in a variable
    except ValidationError as error:
        last = error.errors(include_url=False)[-1]  # an invalid port of Vertex AI's is two errors; this one names it
        name = str(last["loc"][0])
        shown = flag(name) if name in flags else variable(name)
        raise SettingsError(f"{shown}: {last['msg']}. Received: {last['input']!r}") from None


def variable(name: str) -> str:
    """Returns the environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias if name in Settings.model_fields else name
    return str(alias) if alias else PREFIX + name.upper()


def flag(name: str) -> str:
    """Returns the command-line flag of a setting."""
    return f"--{name.replace('_', '-')}"


def default_text(name: str) -> str:
    """Returns a setting's default as its variable would hold it, or "" if it has none."""
    default = Settings.model_fields[name].default
    default = ",".join(default) if isinstance(default, list) else default
    return "" if default is None else str(default)
