"""docker-compose.yml: it is valid by the Compose schema, and agrees with the image and the settings."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import ROOT, final_stage, image_environment, settings_of, tool

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]


def plain(value: Any) -> str:
    """Returns a value with each ${NAME:-default} replaced by its default."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value))


def seconds(duration: str) -> int:
    """Returns a duration in seconds: 80 for "80s", 120 for "2m"."""
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def variables(name: str) -> list[str]:
    """Returns the lines of an env file, without comments."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_file_is_valid() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert done.returncode == 0, done.stdout


def test_the_schema_finds_a_typo(tmp_path: Path) -> None:
    (tmp_path / "compose.yml").write_text("services: {a: {image: b, read_onyl: true}}")
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yml", folder=tmp_path)
    assert done.returncode == 1
    assert "read_onyl" in done.stdout


def test_cpu_is_the_default_profile_and_gpu_is_another() -> None:
    assert variables(".env") == ["COMPOSE_PROFILES=cpu"]
    profiles = {name: service["profiles"] for name, service in SERVICES.items()}
    # A service without a profile would start with every profile.
    one = {"cpu": ["cpu"], "gpu": ["gpu"], "prometheus": ["monitoring"], "grafana": ["monitoring"]}
    several = {name: ["replicas"] for name in ("replica-1", "replica-2", "nginx", "redis")}
    assert profiles == one | several


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_secrets_come_from_the_shell_or_from_a_file_that_git_ignores(name: str) -> None:
    ours, secrets = SERVICES[name]["env_file"]
    assert (ours["path"], secrets) == ("deploy/compose.env", {"path": "secrets.env", "required": False})
    passed_on = variables(ours["path"])
    assert not any("=" in line for line in passed_on)
    # `environment` would replace them, also if it is empty.
    assert not {"SIGLIP_API_KEYS", "SIGLIP_ADMIN_KEYS", "HF_TOKEN"} & set(SERVICES[name]["environment"])
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    for path, ignored in ((secrets["path"], True), (".env.local", True), (".env", False), (ours["path"], False)):
        assert tool("git", "check-ignore", path).returncode == (0 if ignored else 1), path


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["tmpfs"]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert "init" not in service
    assert "privileged" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_only_on_this_host_by_default(name: str) -> None:
    published = [plain(port).split(":")[0] for port in SERVICES[name].get("ports", [])]
    assert published == ([] if name in ("redis", "replica-1", "replica-2") else ["127.0.0.1"])


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_service_agrees_with_the_image(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service, stage, environment = SERVICES[name], final_stage(), image_environment()
    settings = settings_of({key: plain(value) for key, value in service["environment"].items()}, monkeypatch)
    assert (settings.model, settings.weights, settings.device) == ("SigLIPBaseP16", "google_224", name)
    assert plain(service["ports"][0]).split(":")[-1] == str(settings.port)
    options, _, command = stage["HEALTHCHECK"].partition(" CMD ")
    assert service["healthcheck"]["test"] == ["CMD", *json.loads(command)]
    assert dict(re.findall(r"--([\w-]+)=(\w+)", options)) == {
        key.replace("_", "-"): str(value) for key, value in service["healthcheck"].items() if key != "test"
    }
    mounted = [volume.split(":")[1] for volume in service["volumes"]]
    assert mounted == [environment["HF_HOME"], environment["SIGLIP_DATA_DIR"]]
    assert service["networks"]["default"]["aliases"] == ["siglip"]
    assert service["image"].split(":")[1] == name
    memory_bytes = int(plain(service["mem_limit"]).removesuffix("g")) << 30
    assert memory_bytes // 2 // settings.decode_memory_bytes == 2  # decode workers


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_the_stop_grace_period_is_long_enough_for_drain_and_last_request(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = SERVICES[name]
    settings = settings_of({key: plain(value) for key, value in service["environment"].items()}, monkeypatch)
    assert seconds(service["stop_grace_period"]) > settings.drain_s + settings.request_timeout_s


def test_the_gpu_service_is_built_for_a_gpu_and_reserves_one() -> None:
    assert SERVICES["gpu"]["build"]["args"] == {"FLAVOUR": "gpu"}
    device, *others = SERVICES["gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert others == []


def test_the_replicas_are_equal_share_the_redis_and_are_all_behind_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = SERVICES["replica-1"], SERVICES["replica-2"]
    assert first == second
    settings = settings_of({key: plain(value) for key, value in first["environment"].items()}, monkeypatch)
    assert settings.store is not None
    assert settings.store.get_secret_value() == "redis://redis:6379/0"
    text = (ROOT / "deploy" / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    assert re.findall(r"server ([\w-]+):(\d+);", text) == [("replica-1", "8000"), ("replica-2", "8000")]
    (port,) = SERVICES["nginx"]["ports"]
    assert f"listen {plain(port).split(':')[-1]};" in text
    idle_s = re.search(r"keepalive_timeout (\w+);", text)
    read_s = re.search(r"proxy_read_timeout (\w+);", text)
    assert idle_s is not None
    assert read_s is not None
    assert seconds(idle_s[1]) < settings.keep_alive_s
    assert seconds(read_s[1]) > settings.request_timeout_s


@pytest.mark.parametrize("name", ["prometheus", "grafana", "nginx", "redis"])
def test_the_images_of_others_have_versions_and_their_files_exist(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])
    files = [volume.split(":") for volume in SERVICES[name]["volumes"] if volume.startswith("./")]
    assert files or name == "redis"
    for folder, _, mode in files:
        assert (ROOT / folder).is_dir()
        assert mode == "ro"
