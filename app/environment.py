"""The environment of the process: Kubernetes' variables that look like settings, values in quotes, and HOME."""

import re
import tempfile
from collections.abc import Mapping, MutableMapping

from app.setting_values import in_quotes

# Variables of the service, of Vertex AI and of the hub's client.
OURS = ("SIGLIP_", "AIP_", "HF_")
ADDRESS = re.compile(r"(tcp|udp|sctp)://.+:\d+")
HOST = re.compile(r"SIGLIP_(\w+_)?SERVICE_HOST")
# Name -> value, of the variables that Kubernetes sets in each container for a Service named siglip or siglip-...
SERVICE_LINKS = [
    (HOST, re.compile(r"[0-9a-f.:]+")),
    (re.compile(r"SIGLIP_(\w+_)?SERVICE_PORT(_\w+)?"), re.compile(r"\d+")),
    (re.compile(r"SIGLIP_(\w+_)?PORT"), ADDRESS),
    (re.compile(r"SIGLIP_(\w+_)?PORT_\d+_(TCP|UDP|SCTP)"), ADDRESS),
    (re.compile(r"SIGLIP_(\w+_)?PORT_\d+_(TCP|UDP|SCTP)_PROTO"), re.compile(r"tcp|udp|sctp")),
    (re.compile(r"SIGLIP_(\w+_)?PORT_\d+_(TCP|UDP|SCTP)_PORT"), re.compile(r"\d+")),
    (re.compile(r"SIGLIP_(\w+_)?PORT_\d+_(TCP|UDP|SCTP)_ADDR"), re.compile(r"[0-9a-f.:]+")),
]


def service_links(environment: Mapping[str, str]) -> list[str]:
    """Returns the variables that Kubernetes has set for a Service whose name begins with "siglip".

    They are recognised by name and value, so `SIGLIP_PORT=tcp://10.0.0.1:80` is one and `SIGLIP_PORT=80` is not. A
    `SERVICE_PORT` is a bare number, so it is one only next to its `SERVICE_HOST`.
    """
    found = []
    for name, value in environment.items():
        matches = any(names.fullmatch(name) and values.fullmatch(value) for names, values in SERVICE_LINKS)
        service, is_port, _ = name.partition("SERVICE_PORT")
        if matches and not (is_port and f"{service}SERVICE_HOST" not in environment):
            found.append(name)
    return sorted(found)


def quoted_variable(environment: Mapping[str, str]) -> str | None:
    """Returns a variable whose value has quotes around it, or None. Docker's --env-file does not remove them."""
    return next((name for name in sorted(environment) if name.startswith(OURS) and in_quotes(environment[name])), None)


def provide_home(environment: MutableMapping[str, str], home: str) -> str | None:
    """Sets HOME to the folder for temporary files if `home` is `~`, and returns a remark about it, or None.

    `os.path.expanduser` returns `~` if HOME is not set and the user is not in /etc/passwd, as on OpenShift.
    Libraries would write into a folder of that name.
    """
    if home != "~":
        return None
    environment["HOME"] = tempfile.gettempdir()
    return f"this user has no home folder, so {environment['HOME']} is used; set HOME, or SIGLIP_DATA_DIR and HF_HOME"
