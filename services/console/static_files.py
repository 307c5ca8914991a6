"""The console's style and scripts: packed once, and kept by browsers for ever under addresses that name their content."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

from services.console.entrance import open_to_anyone

FOLDER = Path(__file__).parent / "static"
SERVED = frozenset({".css", ".js", ".svg"})
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class StaticFile:
    """A file as it is sent."""

    content: bytes
    packed: bytes
    media_type: str
    mark: str
    """The beginning of its SHA-256."""


class StaticFiles:
    """All of them, by their path below `static/`."""

    def __init__(self) -> None:
        """Reads the folder."""
        self._files = {
            path.relative_to(FOLDER).as_posix(): _read(path)
            for path in sorted(FOLDER.rglob("*"))
            if path.is_file() and path.suffix in SERVED
        }

    def address_of(self, name: str) -> str:
        """Where a page finds it. Raises KeyError when there is no such file."""
        return f"/static/{self._files[name].mark}/{name}"

    def router(self) -> APIRouter:
        """The route; open to anyone, since there is nothing of anybody in it."""
        router = APIRouter()

        @router.get("/static/{mark}/{name:path}", dependencies=[open_to_anyone()], include_in_schema=False)
        async def serve_static(request: Request, mark: str, name: str) -> Response:
            found = self._files.get(name)
            if found is None:
                raise HTTPException(404)
            headers = {"Cache-Control": FOR_EVER if mark == found.mark else "no-cache", "Vary": "Accept-Encoding"}
            if "gzip" in request.headers.get("accept-encoding", ""):
                return Response(found.packed, media_type=found.media_type, headers={**headers, "Content-Encoding": "gzip"})
            return Response(found.content, media_type=found.media_type, headers=headers)

        return router


def _read(path: Path) -> StaticFile:
    content = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return StaticFile(content, gzip.compress(content, 9, mtime=0), media_type, hashlib.sha256(content).hexdigest()[:12])
