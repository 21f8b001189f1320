"""The routes of the older 3D Slicer server, which knows no leases.

Its clients send an npy file as image, then prompts, and get the whole mask back, one bit a voxel, gzipped. Who asks is told by
the address and the user name of basic authentication (`http://name:key@host:port` as the server's address).
"""

import gzip
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lite_medsam.serve.guard import basic_user
from lite_medsam.serve.lease import Lease, Leases
from lite_medsam.serve.limits import Refused
from lite_medsam.serve.requests import npy_array
from lite_medsam.serve.workspace import Workspace

# the client knows this message and sends the image again
NO_IMAGE = {"status": "error", "message": "No image uploaded"}


class SlicerRoutes:
    """What the routes do.

    Args:
        leases: Everybody's.
    """

    def __init__(self, leases: Leases):
        self._leases = leases

    async def upload_image(self, request: Request) -> Response:
        """POST /upload_image: an npy file of a grey volume; makes a place for the client where it has none."""
        data, _ = await self._form(request)
        lease = self._leases.named(_who(request), make=True)
        assert lease is not None  # a place was made, or refused

        def work(workspace: Workspace) -> Response:
            image = self._array(data, is_gzipped=False)
            if image.ndim != 3:
                raise ValueError(f"an image must have three axes, got shape {list(image.shape)}")
            self._leases.room_for(workspace, 2 * image.size)
            workspace.set_image(image[None], {})
            return JSONResponse({"status": "ok"})

        return await self._work(lease, work)

    async def upload_segment(self, request: Request) -> Response:
        """POST /upload_segment: a gzipped npy file of the segment so far; an empty one starts another object."""
        data, _ = await self._form(request)

        def work(workspace: Workspace) -> Response:
            mask = self._array(data)
            if (mask > 0).any():
                workspace.add_initial(mask, run=False)
            else:
                workspace.reset()
            return JSONResponse({"status": "ok"})

        return await self._prompted(request, work)

    async def point(self, request: Request, fields: Mapping) -> Response:
        """POST /add_point_interaction with voxel_coord."""
        include = _clicked(fields.get("positive_click"))

        def work(workspace: Workspace) -> Response:
            workspace.add_point(fields.get("voxel_coord"), include, True)
            return _whole(workspace)

        return await self._prompted(request, work)

    async def box(self, request: Request, fields: Mapping) -> Response:
        """POST /add_bbox_interaction with two corners, both inside."""
        include = _clicked(fields.get("positive_click"))
        corners = [fields.get("outer_point_one"), fields.get("outer_point_two")]
        if not all(isinstance(c, list) and len(c) == 3 and all(type(v) is int for v in c) for c in corners):
            raise Refused(400, "outer_point_one and outer_point_two must be three whole numbers each")
        pairs = zip(*corners, strict=True)
        coords = [[min(pair), max(pair) + 1] for pair in pairs]

        def work(workspace: Workspace) -> Response:
            workspace.add_box(coords, include, True)
            return _whole(workspace)

        return await self._prompted(request, work)

    async def drawn(self, request: Request, is_lasso: bool) -> Response:
        """POST /add_lasso_interaction and /add_scribble_interaction with a gzipped npy file of the volume's shape."""
        data, fields = await self._form(request)
        include = _clicked(fields.get("positive_click"))

        def work(workspace: Workspace) -> Response:
            mask = self._array(data)
            add = workspace.add_lasso if is_lasso else workspace.add_scribble
            add(mask, None, include, True)
            return _whole(workspace)

        return await self._prompted(request, work)

    def _array(self, data: bytes, is_gzipped: bool = True) -> np.ndarray:
        limits = self._leases.limits
        return npy_array(data, limits.max_voxels, limits.memory_bytes, is_gzipped)

    async def _form(self, request: Request) -> tuple[bytes, Mapping[str, Any]]:
        """The file of a form, and its other fields."""
        stated = request.headers.get("content-length", "")
        limit = self._leases.limits.upload_bytes
        if not stated.isascii() or not stated.isdigit() or int(stated[:20]) > limit:
            raise Refused(413, f"an upload must say its size, and have at most {limit // 2**20} MB")
        try:
            async with request.form(max_files=1, max_fields=8, max_part_size=JSON_FIELD) as form:
                file = form.get("file")
                if not isinstance(file, UploadFile):
                    raise Refused(400, "a form must have a file")
                return await file.read(), {name: value for name, value in form.items() if isinstance(value, str)}
        except HTTPException as error:
            raise Refused(400, f"the form could not be read ({error.detail})") from None

    async def _prompted(self, request: Request, work: Callable[[Workspace], Response]) -> Response:
        lease = self._leases.named(_who(request), make=False)
        if lease is None or not lease.workspace.has_image:
            return JSONResponse(NO_IMAGE)
        return await self._work(lease, work)

    async def _work(self, lease: Lease, work: Callable[[Workspace], Response]) -> Response:
        async with lease.turn(self._leases.limits.waiting) as workspace:
            self._leases.used(lease)
            answer = await run_in_threadpool(work, workspace)
            self._leases.used(lease)
            return answer


JSON_FIELD = 1024  # bytes of a field beside the file


def _who(request: Request) -> tuple[str, str]:
    address = request.client.host if request.client else ""
    return address, basic_user(request.headers.get("authorization", ""))[0]


def _clicked(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.lower() in ("true", "1", "yes")
    raise Refused(400, "positive_click must be true or false")


def _whole(workspace: Workspace) -> Response:
    bits = np.packbits(workspace.mask, axis=None)
    headers = {"Content-Encoding": "gzip"}
    return Response(gzip.compress(bits.tobytes(), 1), media_type="application/octet-stream", headers=headers)
