"""GET / and GET /docs: the web page and the API documentation, with their files. Also served before a model is loaded.

All files come from this process, so both work without internet.
"""

import hashlib
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, Self

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from app.errors import NotFound

router = APIRouter(include_in_schema=False)

INDEX = "index.html"
STATIC = Path(__file__).parents[1] / "static"
FOLDERS = {"/page/": STATIC, "/page/samples/": STATIC / "samples", "/docs/": STATIC / "docs"}
# Swagger UI, as the package has it: the files of npm's swagger-ui-dist.
SWAGGER_UI = Path(str(files("fastapi_swagger.resources")))
SWAGGER_UI_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
# The files that are served, and their types. The system's table of types is not used.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".md": "text/plain; charset=utf-8",
}


class PageFile(NamedTuple):
    """A file and its headers."""

    content: bytes
    headers: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Returns a file with its headers. The entity tag is a hash of the content."""
        content = path.read_bytes()
        headers = {
            "Content-Type": TYPES[path.suffix],
            "Cache-Control": "no-cache",  # cached, but checked each time, so that a new deployment shows at once
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
        }
        return cls(content, headers)


def read_page() -> dict[str, PageFile]:
    """Returns all files by path."""
    paths = {
        place + path.name: path
        for place, folder in FOLDERS.items()
        for path in folder.iterdir()
        if path.suffix in TYPES
    }
    paths |= {"/": paths.pop(f"/page/{INDEX}"), "/docs": paths.pop(f"/docs/{INDEX}")}
    paths |= {f"/docs/{name}": SWAGGER_UI / name for name in SWAGGER_UI_FILES}
    return {place: PageFile.read(path) for place, path in paths.items()}


@router.get("/")
@router.get("/page/{name:path}")
@router.get("/docs")
@router.get("/docs/{name:path}")
async def page_file(request: Request) -> Response:
    """Answers a file of the page, or that the client has it.

    Raises:
        NotFound: The page has no such file.
    """
    files: dict[str, PageFile] = request.app.state.page
    path = request.scope["path"]
    if path not in files:
        raise NotFound("The page has no such file.")
    content, headers = files[path]
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


@router.get("/openapi.json")
async def contract(request: Request) -> Response:
    """Returns the OpenAPI document, with the path prefix if there is one."""
    prefix: str = request.state.root_path
    servers = {"servers": [{"url": prefix}]} if prefix else {}
    return JSONResponse(request.app.openapi() | servers)
