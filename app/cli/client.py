"""A running service, as the commands ask it. The only file of `app` that is an HTTP client."""

import ssl
import threading
from types import TracebackType
from typing import Any, Self

import httpx2

from app.cli import MISTAKE, CommandError
from app.cli.printing import printable
from app.settings import PREFIX

DEFAULT_URL = "http://127.0.0.1:8000"
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")  # whatever proxy the environment names, it is not for these
MAX_TRIES = 5
MAX_WAIT_S = 60  # before another try; a service that wants more is left alone
# A service answers within its own deadline, which is a minute as a rule; storing a large label set may be allowed more.
TIMEOUT = httpx2.Timeout(600, connect=10)


class Refused(CommandError):
    """The service has answered that it will not, or cannot; `code` is its `error_type`, or ""."""

    def __init__(self, detail: str, code: str = "", pointers: str = "") -> None:
        super().__init__(printable(f"{detail} ({pointers})" if pointers else detail))
        self.detail = printable(detail)
        self.code = code


class Service:
    """A running service; a context manager. Any thread may ask.

    Args:
        url: Where it is, such as http://127.0.0.1:8000.
        keys: API keys, of which the first is sent; none: none is.

    Raises:
        CommandError: The URL is none, or the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, keys: list[str]) -> None:
        self._url = url
        self._closed = threading.Event()
        try:
            scheme = httpx2.URL(url).scheme
        except httpx2.InvalidURL as error:
            raise CommandError(f"{url} is no URL: {error}", MISTAKE) from None
        if scheme not in ("http", "https"):
            raise CommandError(f"a URL begins with http:// or https://, such as {DEFAULT_URL}, not {url}", MISTAKE)
        headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
        direct = {f"all://{host}": None for host in LOOPBACK}
        try:
            self._client = httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT, mounts=direct)
        except (ImportError, ValueError, httpx2.InvalidURL) as error:
            raise CommandError(f"the proxy that the environment names cannot be used: {error}", MISTAKE) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()  # so that no thread goes on to wait for its next try
        self._client.close()

    def ask(self, method: str, path: str, **content: Any) -> httpx2.Response:
        """Returns the answer, which is a success; `content` is as httpx2 takes it.

        A busy service is asked again when it says so, `MAX_TRIES` times in all.

        Raises:
            Refused: The service has answered with an error.
            CommandError: There is no service, or not one of this kind.
        """
        for tries_left in reversed(range(MAX_TRIES)):
            try:
                answer = self._client.request(method, path, **content)
            except httpx2.RequestError as error:
                raise CommandError(f"{self._url} does not answer: {reason(error)}") from None
            wait_s = retry_after_s(answer)
            if answer.status_code != 429 or not tries_left or wait_s > MAX_WAIT_S or self._closed.wait(wait_s):
                break
        if answer.is_success:
            return answer
        raise refused(answer, self._url)

    def not_ours(self) -> CommandError:
        """Returns the error for a success that is none of a SigLIP service's answers."""
        return CommandError(f"{self._url} answers, but not as a SigLIP service does")


def retry_after_s(answer: httpx2.Response) -> float:
    """Returns how long a busy service wants to be left alone; 1 s if it does not say it in seconds."""
    value = answer.headers.get("retry-after", "")
    return float(value) if value.isdecimal() else 1.0


def reason(error: httpx2.RequestError) -> str:
    """Returns why there is no answer: "Connection refused" of `[Errno 111] Connection refused`."""
    if isinstance(error, httpx2.TimeoutException):
        return "it takes too long"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not valid: {cause.verify_message}"
        cause = cause.__cause__ or cause.__context__
    return str(error).rpartition("] ")[2] or type(error).__name__


def refused(answer: httpx2.Response, url: str) -> Refused:
    """Returns the error of an answer that is a problem (RFC 9457), or is not even that."""
    request = answer.request
    try:
        problem = answer.json()
        detail, code = problem["detail"], problem["error_type"]
        pointers = ", ".join(fault["pointer"] for fault in problem["errors"] if fault["pointer"])
    except (ValueError, KeyError, TypeError):
        status = f"{answer.status_code} {answer.reason_phrase}".strip()
        return Refused(f"{url} answers {request.method} {request.url.path} with {status}, not as a SigLIP service does")
    if answer.status_code == 401:
        detail += f" Here, put it into {PREFIX}API_KEYS, or a file's name into {PREFIX}API_KEYS_FILE."
    if answer.status_code == 500:
        detail += f" It is {problem.get('request_id')}."
    return Refused(detail, code, pointers)
