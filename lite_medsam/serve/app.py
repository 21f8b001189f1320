"""The routes of nnInteractive's protocol."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Mapping

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lite_medsam.serve.lease import Leases
from lite_medsam.serve.limits import Refused
from lite_medsam.serve.models import SharedModel
from lite_medsam.serve.protocol import names as protocol
from lite_medsam.serve.requests import buffer_of, packed, read_body, read_json, read_meta, said_bool, unpacked
from lite_medsam.serve.slicer import SlicerRoutes
from lite_medsam.serve.wire_prompts import NO_3D_BOX
from lite_medsam.serve.workspace import Changed, Workspace

_SWEEP_SECONDS = 5.0
logger = logging.getLogger("lite_medsam.serve")


def build(model: SharedModel, leases: Leases, origins: tuple[str, ...] = ()) -> FastAPI:
    """The service without its guard.

    Args:
        model: What all clients share.
        leases: Everybody's.
        origins: Pages that may ask from a browser.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI):
        sweeping = asyncio.create_task(_sweep(leases))
        yield
        sweeping.cancel()
        leases.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    routes, slicer = _Routes(model, leases), SlicerRoutes(leases)
    for path, route in {
        protocol.PATH_HEALTHZ: routes.healthz,
        protocol.PATH_CAPABILITIES: routes.capabilities,
        protocol.PATH_LEASE_STATUS: routes.lease_status,
    }.items():
        app.router.add_route(path, route, methods=["GET"])
    for path, route in {
        protocol.PATH_CLAIM: routes.claim,
        protocol.PATH_RELEASE: routes.release,
        protocol.PATH_HEARTBEAT: routes.heartbeat,
        protocol.PATH_SET_IMAGE: routes.set_image,
        protocol.PATH_SET_TARGET_BUFFER: routes.set_target_buffer,
        protocol.PATH_SET_DO_AUTOZOOM: routes.set_do_autozoom,
        protocol.PATH_RESET_INTERACTIONS: routes.reset_interactions,
        protocol.PATH_UNDO: routes.undo,
        protocol.PATH_PREDICT: routes.predict,
        protocol.PATH_ADD_BBOX: _either(routes.add_box, slicer.box, "outer_point_one"),
        protocol.PATH_ADD_POINT: _either(routes.add_point, slicer.point, "voxel_coord"),
        protocol.PATH_ADD_SCRIBBLE: _drawn(routes, slicer, is_lasso=False),
        protocol.PATH_ADD_LASSO: _drawn(routes, slicer, is_lasso=True),
        protocol.PATH_ADD_INITIAL_SEG: routes.add_initial,
        "/upload_image": slicer.upload_image,
        "/upload_segment": slicer.upload_segment,
    }.items():
        app.router.add_route(path, route, methods=["POST"])
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(ValueError, _wrong)
    app.add_exception_handler(MemoryError, _no_memory)
    app.add_exception_handler(Exception, _failed)
    if origins:
        named = ["Authorization", "Content-Type", protocol.LEASE_HEADER, protocol.META_HEADER]
        app.add_middleware(
            CORSMiddleware, allow_origins=list(origins), allow_methods=["GET", "POST"], allow_headers=named,
            expose_headers=[protocol.META_HEADER],
        )  # fmt: skip
    return app


class _Routes:
    """What the routes do; each takes a request and gives a response."""

    def __init__(self, model: SharedModel, leases: Leases):
        self._model, self._leases, self._limits = model, leases, leases.limits

    async def healthz(self, _: Request) -> Response:
        return JSONResponse({"ok": True})

    async def capabilities(self, _: Request) -> Response:
        return JSONResponse(capabilities(self._model))

    async def claim(self, _: Request) -> Response:
        lease = self._leases.claim()
        return JSONResponse(
            {
                "lease_token": lease.token,
                "idle_timeout_seconds": self._limits.idle_timeout_seconds,
                "liveness_timeout_seconds": self._limits.liveness_timeout_seconds,
                "max_sessions": self._limits.max_sessions,
            }
        )

    async def release(self, request: Request) -> Response:
        self._leases.release(_token(request))
        return JSONResponse({"released": True})

    async def heartbeat(self, request: Request) -> Response:
        lease = self._leases.find(_token(request))
        return JSONResponse({"remaining_seconds": self._leases.remaining_seconds(lease)})

    async def lease_status(self, request: Request) -> Response:
        remaining = self._leases.remaining_seconds(self._leases.peek(_token(request)))
        return JSONResponse({"remaining_seconds": remaining, "idle_timeout_seconds": self._limits.idle_timeout_seconds})

    async def set_image(self, request: Request) -> Response:
        self._leases.find(_token(request))  # before the body is read: strangers upload nothing
        properties = read_meta(request).get("image_properties") or {}
        if not isinstance(properties, Mapping):
            raise Refused(400, "image_properties must be an object")
        body = await read_body(request, self._limits.upload_bytes)

        def work(workspace: Workspace) -> Response:
            image = unpacked(body, 3 * self._limits.max_voxels, self._limits.memory_bytes)
            if image.ndim == 4 and math.prod(image.shape[1:]) > self._limits.max_voxels:
                raise Refused(413, f"a volume must have at most {self._limits.max_voxels} voxels; crop it")
            self._leases.room_for(workspace, 2 * image.size)  # as 8 bit, and the buffer
            workspace.set_image(image, properties)
            return JSONResponse({"original_image_shape": list(image.shape)})

        return await self._work(request, work)

    async def set_target_buffer(self, request: Request) -> Response:
        shape, dtype = buffer_of(await read_json(request))
        return await self._work(request, lambda workspace: workspace.set_target_buffer(shape, dtype))

    async def set_do_autozoom(self, request: Request) -> Response:
        wanted = said_bool(await read_json(request), "do_autozoom")

        def work(workspace: Workspace) -> None:
            workspace.zooms = wanted and self._model.zooms

        return await self._work(request, work)

    async def reset_interactions(self, request: Request) -> Response:
        return await self._work(request, lambda workspace: workspace.reset())

    async def undo(self, request: Request) -> Response:
        return await self._work(request, lambda workspace: workspace.undo())

    async def predict(self, request: Request) -> Response:
        refine = said_bool(await read_json(request), "force_full_refine", False)
        return await self._work(request, lambda workspace: workspace.predict(refine))

    async def add_box(self, request: Request, fields: Mapping) -> Response:
        include, run = said_bool(fields, "include_interaction"), said_bool(fields, "run_prediction", True)
        coords = fields.get("bbox_coords")
        return await self._work(request, lambda workspace: workspace.add_box(coords, include, run))

    async def add_point(self, request: Request, fields: Mapping) -> Response:
        include, run = said_bool(fields, "include_interaction"), said_bool(fields, "run_prediction", True)
        coordinates = fields.get("coordinates")
        return await self._work(request, lambda workspace: workspace.add_point(coordinates, include, run))

    async def add_drawn(self, request: Request, is_lasso: bool) -> Response:
        meta, body = await self._array(request)
        include, run = said_bool(meta, "include_interaction"), said_bool(meta, "run_prediction", True)
        bounds = meta.get("interaction_bbox")

        def work(workspace: Workspace) -> Changed:
            mask = unpacked(body, self._limits.max_voxels, self._limits.memory_bytes)
            add = workspace.add_lasso if is_lasso else workspace.add_scribble
            return add(mask, bounds, include, run)

        return await self._work(request, work)

    async def add_initial(self, request: Request) -> Response:
        meta, body = await self._array(request)
        run = said_bool(meta, "run_prediction", False)

        def work(workspace: Workspace) -> Changed:
            return workspace.add_initial(unpacked(body, self._limits.max_voxels, self._limits.memory_bytes), run)

        return await self._work(request, work)

    async def _array(self, request: Request) -> tuple[dict, bytes]:
        self._leases.find(_token(request))
        return read_meta(request), await read_body(request, self._limits.upload_bytes)

    async def _work(self, request: Request, work: Callable[[Workspace], Response | Changed | None]) -> Response:
        """Does something for a client, one after the other, beside the loop that answers heartbeats."""
        lease = self._leases.find(_token(request))
        async with lease.turn(self._limits.waiting) as workspace:
            self._leases.used(lease)
            answer = await run_in_threadpool(_answer, work, workspace)
            self._leases.used(lease)
            return answer


def capabilities(model: SharedModel) -> dict:
    """What the model can do, in the protocol's words; `refused` says in ours what it cannot, and why."""
    kinds, side = model.spec.prompts, model.spec.preprocessing.image_size
    refused = {
        "bbox3d": NO_3D_BOX.partition(",")[0] + "; the model is 2D and follows an object through the slices by itself"
    }
    if "points" not in kinds:
        refused |= {name: f"{model.spec.name} was not trained on clicks" for name in ("points", "scribble")}
    if "box" not in kinds:
        refused |= {name: f"{model.spec.name} was not trained on boxes" for name in ("bbox2d", "lasso")}
    names = ("points", "bbox2d", "bbox3d", "scribble", "lasso")
    return {
        "supported_interactions": {name: name not in refused for name in names},
        # the channels of the published checkpoints; there are none here, but clients read them
        "channel_mapping": {
            "prev_seg": 0, "bbox2d": [1, 2], "bbox3d": [1, 2], "lasso": [1, 2], "points": [3, 4], "scribble": [5, 6],
        },
        "num_interaction_channels": 7,
        "supports_initial_label": True,
        "supports_zero_shot_label_refinement": "box" in kinds,
        "preferred_scribble_thickness": [2, 2, 2],
        "interaction_decay": None,
        "patch_size": [1, side, side],
        "do_autozoom": model.zooms,
        "inference_session_version": "2.6.0",
        "license": model.spec.licence,
        "supports_undo": True,
        "server": "lite-medsam",
        "model": model.spec.name,
        "refused": refused,
    }  # fmt: skip


def _answer(work: Callable[[Workspace], Response | Changed | None], workspace: Workspace) -> Response:
    done = work(workspace)
    if isinstance(done, Changed):
        return packed(done)
    return JSONResponse({}) if done is None else done


def _either(ours: Callable, slicers: Callable, field: str) -> Callable:
    """A route that both protocols have: Slicer's requests have no lease, but a field of their own."""

    async def route(request: Request) -> Response:
        fields = await read_json(request)
        return await (slicers if _token(request) is None and field in fields else ours)(request, fields)

    return route


def _drawn(routes: _Routes, slicer: SlicerRoutes, is_lasso: bool) -> Callable:
    """A route that both protocols have: Slicer sends a form."""

    async def route(request: Request) -> Response:
        is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
        take = slicer.drawn if is_form and _token(request) is None else routes.add_drawn
        return await take(request, is_lasso)

    return route


def _token(request: Request) -> str | None:
    return request.headers.get(protocol.LEASE_HEADER)


async def _sweep(leases: Leases) -> None:
    while True:
        await asyncio.sleep(min(_SWEEP_SECONDS, leases.limits.liveness_timeout_seconds))
        leases.sweep()


def _told(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"detail": message}, status, headers)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _told(error.status, error.message, error.headers)


async def _wrong(_: Request, error: Exception) -> Response:
    return _told(400, " ".join(str(error).split())[:500])


async def _no_memory(_: Request, error: Exception) -> Response:
    return _told(413, "the server has not enough memory for this; crop the volume")


async def _failed(_: Request, error: Exception) -> Response:
    return _told(500, "the server failed at this request; its log says why")
