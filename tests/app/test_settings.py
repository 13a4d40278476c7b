import pytest

from app.settings import Settings, SettingsError, default_text, load_settings, variable
from tests.app.test_environment import PREDICTOR, SIGLIP


@pytest.fixture(autouse=True)
def only_these_variables(monkeypatch):
    """Removes the variables of all settings from the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_the_defaults_serve_the_embedded_model_on_localhost_only():
    settings = load_settings()
    assert (settings.host, settings.port, settings.model, settings.weights) == (["127.0.0.1"], 8000, None, None)


def test_a_variable_is_read(monkeypatch):
    monkeypatch.setenv("SIGLIP_MAX_LABELS", "7")
    monkeypatch.setenv("SIGLIP_MODEL", "SigLIPBaseP16")
    assert (load_settings().max_labels, load_settings().model) == (7, "SigLIPBaseP16")


def test_an_argument_replaces_its_variable_and_is_checked_too(monkeypatch):
    monkeypatch.setenv("SIGLIP_DEVICE", "gpu")
    assert load_settings(device="cpu").device == "cpu"
    with pytest.raises(SettingsError, match=r"^--device: .* Received: 'tpu'$"):
        load_settings(device="tpu")


def test_an_empty_variable_is_the_default(monkeypatch):
    monkeypatch.setenv("SIGLIP_PORT", "")
    assert load_settings().port == 8000


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("SIGLIP_MAX_LABLES", "SIGLIP_MAX_LABELS"), ("SIGLIP_WEIGHT", "SIGLIP_WEIGHTS"), ("SIGLIP_X", "SIGLIP_")],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch, name, nearest):
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"no setting {name}; the nearest is {nearest}"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("MAX_BATCH", "0"),
        ("DEVICE", "tpu"),
        ("DTYPE", "int4"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_an_invalid_value_is_refused_with_the_name_of_its_variable(monkeypatch, name, value):
    monkeypatch.setenv(f"SIGLIP_{name}", value)
    with pytest.raises(SettingsError, match=f"^SIGLIP_{name}: .* Received: '{value}'$"):
        load_settings()


@pytest.mark.parametrize(
    ("given", "paths"),
    [("/health/, /info", ["/health", "/info"]), ("/", ["/"]), ("/a/b//", ["/a/b"]), ("//", ["/"])],
)
def test_a_slash_at_the_end_of_a_public_path_is_ignored(monkeypatch, given, paths):
    monkeypatch.setenv("SIGLIP_PUBLIC_PATHS", given)
    assert load_settings().public_paths == paths


def test_a_public_path_that_does_not_begin_with_a_slash_is_refused(monkeypatch):
    monkeypatch.setenv("SIGLIP_PUBLIC_PATHS", "/info,health")
    with pytest.raises(SettingsError, match=r"^SIGLIP_PUBLIC_PATHS: .*a path begins with /, such as /health"):
        load_settings()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_description_with_its_unit(name):
    meaning = Settings.model_fields[name].description
    assert meaning
    for end, unit in (("_bytes", "in bytes"), ("_pixels", "in pixels"), ("_s", "in seconds")):
        assert not name.endswith(end) or unit in meaning


def test_an_invalid_value_of_a_flag_is_refused_with_the_name_of_the_flag():
    with pytest.raises(SettingsError, match=r"^--max-batch: .* Received: '0'$"):
        load_settings(max_batch="0")


def test_a_default_is_shown_as_the_text_of_its_variable():
    assert default_text("port") == "8000"
    assert default_text("model") == ""
    assert default_text("public_paths").startswith("/,/page,/health,")


@pytest.mark.parametrize(
    ("variables", "host", "port"),
    [
        ({"AIP_HTTP_PORT": "8080"}, "0.0.0.0", 8080),
        ({"AIP_HTTP_PORT": "8080", "SIGLIP_HOST": "127.0.0.1"}, "127.0.0.1", 8080),
        ({"AIP_HTTP_PORT": "8080", "SIGLIP_PORT": "9000"}, "127.0.0.1", 9000),
        ({"AIP_HTTP_PORT": ""}, "127.0.0.1", 8000),
        ({"SIGLIP_PORT": "tcp://10.96.0.7:80"}, "127.0.0.1", 8000),
        ({"SIGLIP_PORT": "tcp://10.96.0.7:80", "AIP_HTTP_PORT": "8080"}, "0.0.0.0", 8080),
    ],
)
def test_vertex_ais_port_is_used_on_all_addresses_unless_a_host_or_a_port_is_set(monkeypatch, variables, host, port):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (load_settings().host, load_settings().port) == ([host], port)


@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTP_PORT", "x"), ("HTTP_PORT", "70000"), ("HEALTH_ROUTE", "health"), ("PREDICT_ROUTE", "/a/{b}")],
)
def test_an_invalid_variable_of_vertex_ai_is_refused_with_its_name(monkeypatch, name, value):
    monkeypatch.setenv(f"AIP_{name}", value)
    with pytest.raises(SettingsError, match=f"^AIP_{name}: .* Received: '{value}'$"):
        load_settings()


def test_several_addresses_are_separated_by_commas(monkeypatch):
    monkeypatch.setenv("SIGLIP_HOST", "127.0.0.1, ::1")
    assert load_settings().host == ["127.0.0.1", "::1"]


def test_the_variables_of_a_kubernetes_service_are_not_settings_but_a_typo_still_is_an_error(monkeypatch):
    for name, value in (PREDICTOR | SIGLIP).items():
        monkeypatch.setenv(name, value)
    assert load_settings().port == 8000
    monkeypatch.setenv("SIGLIP_PREDICTOR_HOST", "10.96.0.7")
    with pytest.raises(SettingsError, match="no setting SIGLIP_PREDICTOR_HOST"):
        load_settings()


def test_a_value_in_quotes_is_an_error_that_names_the_variable_and_not_the_value(monkeypatch):
    monkeypatch.setenv("SIGLIP_API_KEYS", '"secret"')
    with pytest.raises(SettingsError, match=r"^SIGLIP_API_KEYS has quotes around its value") as caught:
        load_settings()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CORS_ORIGINS", "https://a.example,https://b.example/", "write https://b.example. Received: "),
        ("CORS_ORIGINS", '["https://a.example"]', "without brackets, quotes and wildcards"),
        ("TRUSTED_PROXIES", "10.0.0.1,nginx", r"such as 10\.0\.0\.7 or 10\.0\.0\.0/8. Received: 'nginx'"),
        ("ROOT_PATH", "siglip", "such as /siglip. Received: 'siglip'"),
    ],
)
def test_a_value_that_could_never_match_is_refused_with_what_to_write(monkeypatch, name, value, message):
    monkeypatch.setenv(f"SIGLIP_{name}", value)
    with pytest.raises(SettingsError, match=f"^SIGLIP_{name}: .*{message}"):
        load_settings()


def test_a_byte_order_mark_at_the_start_of_the_file_of_keys_is_ignored(tmp_path):
    file = tmp_path / "keys"
    file.write_bytes("\ufefffirst\r\nsecond\r\n".encode())
    assert Settings(api_keys_file=file).read_keys() == ["first", "second"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'first\n"secret"\n', "keys, line 2: a key has quotes around it"),
        ("first\n\ufeffsecret\n".encode(), "keys, line 2: a key contains a byte order mark"),
        ("secret\n".encode("utf-16"), "keys cannot be read: 'utf-8' codec"),
        (b"\n \n", "is set, but has no key"),
    ],
)
def test_a_key_that_no_client_could_send_is_an_error_that_names_the_file_and_not_the_key(tmp_path, content, message):
    file = tmp_path / "keys"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        Settings(api_keys_file=file).read_keys()
    assert "secret" not in str(caught.value)


def test_a_quoted_key_in_the_list_of_the_variable_is_an_error():
    with pytest.raises(SettingsError, match=r"^SIGLIP_API_KEYS: a key has quotes around it"):
        Settings(api_keys="first,'secret'").read_keys()


def test_admin_keys_come_from_a_variable_and_a_file(tmp_path):
    file = tmp_path / "keys"
    file.write_text("second\n")
    settings = Settings(admin_keys="first", admin_keys_file=file, api_keys="third")
    assert (settings.read_admin_keys(), settings.read_keys()) == (["first", "second"], ["third"])
    with pytest.raises(SettingsError, match=r"^SIGLIP_ADMIN_KEYS or SIGLIP_ADMIN_KEYS_FILE is set, but has no key"):
        Settings(admin_keys=",").read_admin_keys()


def test_the_password_of_the_store_is_not_shown(monkeypatch):
    monkeypatch.setenv("SIGLIP_STORE", "redis://:sesame@host")
    settings = load_settings()
    assert "sesame" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert settings.store is not None
    assert settings.store.get_secret_value() == "redis://:sesame@host"
