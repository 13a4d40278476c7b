"""Cancels a request at its deadline, or when its client disconnects. Pure ASGI.

Rows of a cancelled request that are still queued are dropped before the device computes them.
"""

import asyncio
from typing import cast

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import DeadlineExceeded, Fault, InvalidRequest

HEADER = "X-Request-Timeout-Ms"


class Deadline:
    """ASGI middleware that ends a request at its deadline (`DeadlineExceeded`), or when its client disconnects.

    Args:
        app: The wrapped app.
        timeout_s: Seconds from the request's headers to its response; `X-Request-Timeout-Ms` can shorten it.
    """

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self.app = app
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        timeout_s = self._timeout_s(Headers(scope=scope))
        request = cast("asyncio.Task[None]", asyncio.current_task())  # ASGI apps run in a task
        disconnected = asyncio.Event()
        watcher: asyncio.Task[None] | None = None

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            disconnected.set()
            request.cancel()

        async def receive_watched() -> Message:
            nonlocal watcher
            if watcher:  # the body is complete, so only a disconnect can follow
                await disconnected.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                watcher = asyncio.create_task(watch())
            return message

        async def send_unwatched(message: Message) -> None:
            stop()  # a response that has begun is sent to its end
            await send(message)

        def stop() -> None:
            timer.reschedule(None)
            if watcher:
                watcher.cancel()

        try:
            async with asyncio.timeout(timeout_s) as timer:
                await self.app(scope, receive_watched, send_unwatched)
        except TimeoutError:
            if not timer.expired():
                raise
            detail = f"There was no response within {timeout_s:g} s. The request was cancelled."
            raise DeadlineExceeded(detail) from None
        except asyncio.CancelledError:
            if not disconnected.is_set():
                raise
            request.uncancel()
            raise ClientDisconnect from None
        finally:
            if watcher:
                watcher.cancel()

    def _timeout_s(self, headers: Headers) -> float:
        given = headers.get(HEADER)
        if given is None:
            return self.timeout_s
        if not (given.isascii() and given.isdecimal() and 1 <= len(given) <= 9 and int(given) > 0):
            message = f"{HEADER} must be a whole number of milliseconds, at least 1."
            raise InvalidRequest(message, [Fault("", message)])
        return min(int(given) / 1000, self.timeout_s)
