import tempfile

import pytest

from app.environment import provide_home, quoted_variable, service_links

# What Kubernetes sets in every container of a namespace that has a Service with this name.
SIGLIP = {
    "SIGLIP_SERVICE_HOST": "10.96.0.7",
    "SIGLIP_SERVICE_PORT": "80",
    "SIGLIP_SERVICE_PORT_HTTP": "80",
    "SIGLIP_PORT": "tcp://10.96.0.7:80",
    "SIGLIP_PORT_80_TCP": "tcp://10.96.0.7:80",
    "SIGLIP_PORT_80_TCP_PROTO": "tcp",
    "SIGLIP_PORT_80_TCP_PORT": "80",
    "SIGLIP_PORT_80_TCP_ADDR": "10.96.0.7",
}
PREDICTOR = {name.replace("SIGLIP_", "SIGLIP_PREDICTOR_"): value for name, value in SIGLIP.items()}
IPV6 = {
    "SIGLIP_SERVICE_HOST": "fd00::7",
    "SIGLIP_PORT": "tcp://[fd00::7]:80",
    "SIGLIP_PORT_53_UDP": "udp://[fd00::7]:53",
    "SIGLIP_PORT_53_UDP_ADDR": "fd00::7",
}


@pytest.mark.parametrize("links", [SIGLIP, PREDICTOR, IPV6, SIGLIP | PREDICTOR])
def test_the_variables_of_a_kubernetes_service_are_recognised(links):
    assert service_links(links | {"SIGLIP_MAX_BATCH": "8", "KUBERNETES_SERVICE_HOST": "10.96.0.1"}) == sorted(links)


@pytest.mark.parametrize(
    "variables",
    [
        {"SIGLIP_PORT": "8000"},
        {"SIGLIP_PORT": "http://10.96.0.7"},
        {"SIGLIP_HOST": "10.96.0.7"},
        {"SIGLIP_SERVICE_HOST": "siglip.example"},
        {"SIGLIP_SERVICE_PORT": "8000"},  # without its SERVICE_HOST: somebody's idea of a setting
        {"SIGLIP_PORTS": "tcp://10.96.0.7:80"},
        {"SIGLIP_PORT_80_TCP": "80"},
        {"MY_SIGLIP_PORT": "tcp://10.96.0.7:80"},
    ],
)
def test_other_variables_are_not(variables):
    assert service_links(variables) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("SIGLIP_MODEL", '"SigLIPBaseP16"', True),
        ("SIGLIP_API_KEYS", "'a,b'", True),
        ("HF_TOKEN", '"hf_abc"', True),
        ("AIP_HTTP_PORT", '"8080"', True),
        ("SIGLIP_MODEL", "SigLIPBaseP16", False),
        ("SIGLIP_MODEL", '"', False),
        ("PS1", '"$ "', False),
    ],
)
def test_a_value_in_quotes_is_found_in_variables_that_are_read_here(name, value, found):
    assert quoted_variable({name: value}) == (name if found else None)


def test_a_user_without_a_home_folder_gets_that_for_temporary_files():
    environment: dict[str, str] = {}
    remark = provide_home(environment, "~")
    assert environment == {"HOME": tempfile.gettempdir()}
    assert remark is not None
    assert "set HOME, or SIGLIP_DATA_DIR and HF_HOME" in remark
    assert provide_home(environment, "/home/somebody") is None
