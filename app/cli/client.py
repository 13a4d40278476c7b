"""A running service, as the commands use it. The only HTTP client in `app`."""

import ssl
import threading
from types import TracebackType
from typing import Any, Self

import httpx2
from pydantic import BaseModel, ValidationError

from app.cli import MISTAKE, CommandError
from app.cli.printing import print_warnings
from app.observability.logs import printable
from app.schemas import ResponseWarning
from app.settings import PREFIX, Settings

DEFAULT_URL = "http://127.0.0.1:8000"
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")  # proxies from the environment are not used for these
MAX_TRIES = 5
MAX_WAIT_S = 60  # before another try
CLOSE_S = 2.0  # how long closing waits for requests of other threads
# A service answers within its own deadline, usually a minute; storing a large label set may take longer.
TIMEOUT = httpx2.Timeout(600, connect=10)
# How a response with a warning begins the list. Within a JSON string, the quotes would have backslashes.
WARNED = b'"warnings":[{'


class WarnedResponse(BaseModel):
    """The part of a response that has warnings."""

    warnings: list[ResponseWarning]


class Refused(CommandError):
    """The service returned an error; `code` is its `error_type`, or ""."""

    def __init__(self, detail: str, code: str = "", pointers: str = "") -> None:
        super().__init__(printable(f"{detail} ({pointers})" if pointers else detail))
        self.detail = printable(detail)
        self.code = code


class Service:
    """A running service; a context manager. Thread-safe. Each different warning in its responses is printed once.

    Args:
        url: Its address, such as http://127.0.0.1:8000.
        keys: API keys, of which the first one is sent; may be empty.

    Raises:
        CommandError: The URL is invalid, or the environment names an invalid proxy.
    """

    def __init__(self, url: str, keys: list[str]) -> None:
        self._url = url
        self._closed = threading.Event()
        self._requests, self._request_ended = 0, threading.Condition()
        self._printing = threading.Lock()
        self._printed: set[str] = set()
        try:
            scheme = httpx2.URL(url).scheme
        except httpx2.InvalidURL as error:
            raise CommandError(f"{url} is not a URL: {error}", MISTAKE) from None
        if scheme not in ("http", "https"):
            raise CommandError(f"a URL begins with http:// or https://, such as {DEFAULT_URL}, not {url}", MISTAKE)
        headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
        direct = {f"all://{host}": None for host in LOOPBACK}
        try:
            self._client = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT, mounts=direct)
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            raise CommandError(f"the proxy in the environment cannot be used: {error}", MISTAKE) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._request_ended:
            self._closed.set()  # no thread waits for its next try any longer, or begins another
            # A connection that a thread opens after the client is closed would stay open.
            self._request_ended.wait_for(lambda: not self._requests, CLOSE_S)
        self._client.close()

    def ask(self, method: str, path: str, **content: Any) -> httpx2.Response:
        """Returns a successful response; `content` is httpx2's.

        If the service is busy, the request is repeated when the service says so, `MAX_TRIES` times in all.

        Raises:
            Refused: The service returned an error.
            CommandError: The service does not respond, or it is another kind of service.
        """
        for tries_left in reversed(range(MAX_TRIES)):
            response = self._request(method, path, content)
            wait_s = retry_after_s(response)
            if response.status_code != 429 or not tries_left or wait_s > MAX_WAIT_S or self._closed.wait(wait_s):
                break
        if response.is_success:
            self._print_warnings(response.content)
            return response
        raise refused(response, self._url)

    def _request(self, method: str, path: str, content: dict[str, Any]) -> httpx2.Response:
        with self._request_ended:
            if self._closed.is_set():
                raise CommandError(f"the connection to {self._url} is closed")
            self._requests += 1
        try:
            return self._client.request(method, path, **content)
        except httpx2.RequestError as error:
            raise CommandError(f"{self._url} does not respond: {reason(error)}") from None
        finally:
            with self._request_ended:
                self._requests -= 1
                self._request_ended.notify_all()

    def _print_warnings(self, content: bytes) -> None:
        """Prints the warnings in a response on stderr, without those that were printed before."""
        if WARNED not in content:  # parsing every response twice would take time
            return
        try:
            warnings = WarnedResponse.model_validate_json(content).warnings
        except ValidationError:  # the caller reports a response that is not ours
            return
        with self._printing:
            for warning in warnings:
                if warning.message not in self._printed:
                    self._printed.add(warning.message)
                    print_warnings([warning])

    def not_ours(self) -> CommandError:
        """Returns the error for a successful response that is not a SigLIP service's."""
        return CommandError(f"{self._url} responds, but is not a SigLIP service")


def admin_first(settings: Settings) -> list[str]:
    """Returns the keys for a command that changes label sets. An admin key may do everything."""
    return [*settings.read_admin_keys(), *settings.read_keys()]


def retry_after_s(response: httpx2.Response) -> float:
    """Returns how long a busy service asks to wait; 1 s if it does not say it in seconds."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 1.0


def reason(error: httpx2.RequestError) -> str:
    """Returns why there is no response, such as "Connection refused" for `[Errno 111] Connection refused`."""
    if isinstance(error, httpx2.TimeoutException):
        return "it takes too long"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return str(error).rpartition("] ")[2] or type(error).__name__


def refused(response: httpx2.Response, url: str) -> Refused:
    """Returns the error for an error response, which should be a problem (RFC 9457)."""
    request = response.request
    try:
        problem = response.json()
        detail, code = problem["detail"], problem["error_type"]
        pointers = ", ".join(fault["pointer"] for fault in problem["errors"] if fault["pointer"])
    except (ValueError, KeyError, TypeError):
        status = f"{response.status_code} {response.reason_phrase}".strip()
        return Refused(f"{url} answers {request.method} {request.url.path} with {status}, and is not a SigLIP service")
    if response.status_code == 401:
        detail += f" For this command, put it into {PREFIX}API_KEYS, or a file's name into {PREFIX}API_KEYS_FILE."
    if response.status_code == 403:
        detail += f" For this command, put it into {PREFIX}ADMIN_KEYS, or a file's name into {PREFIX}ADMIN_KEYS_FILE."
    if response.status_code == 500:
        detail += f" The request_id is {problem.get('request_id')}."
    return Refused(detail, code, pointers)
