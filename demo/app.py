"""The page and the service around it: Gradio carries the editor, the tabs, the queue and the named endpoints."""

import atexit
import os
from dataclasses import dataclass
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before gradio is imported: it asks at import time, too
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr

from . import texts
from .actions import Desk
from .endpoints import add_endpoints, never_fetch
from .fields import Refused
from .folder import Folder
from .guard import Guard
from .login import LoginPage
from .models import Models
from .seats import Seats, Turnstile

HERE = Path(__file__).parent
STYLES = ("page", "files")
REFUSED = "refused: "  # no token begins so
# one closure in this order; a feature's own file stands before "main", which builds the page from what is registered
SCRIPTS = (
    "nodes", "registry", "icons", "popover", "toast", "wire", "stores", "state", "answers",
    "camera", "drawing", "lengths", "canvas", "picking", "enface",
    "topbar", "files", "autosave", "kept", "queue", "welcome",
    "rail", "tools", "lanes", "slices", "saving", "exports", "help", "hints",
    "viewing", "looks", "boxes", "clicks", "strokes", "lasso", "ruler", "minimap", "hover", "planes",
    "cleanup", "candidates", "classes",
    "stale", "objects", "choices", "naming", "measures", "look", "models", "exact",
    "main",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How the service is run.

    Attributes:
        weights: Model directories beside the bundled one, or folders of them.
        engine: Engine that a new page starts with.
        threads: CPU threads of a model; None for the physical cores.
        zoom: See `Predictor`.
        refine: See `Predictor`.
        max_upload_mb: Of one upload.
        max_pixels: Of a picture, or voxels of a volume.
        max_users: Pages at a time.
        max_memory_mb: Of all opened pictures and volumes together.
        working: Requests that compute at a time.
        waiting: Requests that may wait for them.
        idle_minutes: A page that is not used for so long gives up its place; `math.inf`: never while it is open.
        folder: What is worked through file by file; None: nothing.
    """

    weights: tuple[str, ...] = ()
    engine: str = "auto"
    threads: int | None = None
    zoom: str = "auto"
    refine: str = "off"
    max_upload_mb: int = 200
    max_pixels: int = 120_000_000
    max_users: int = 64
    max_memory_mb: int = 4096
    working: int = 2
    waiting: int = 40
    idle_minutes: float = 30
    folder: str | None = None


def build(settings: Settings, login: bool = False) -> tuple[gr.Blocks, Desk]:
    """The page.

    Args:
        settings: How the service is run.
        login: Whether people log in, so that they can log out.

    Raises:
        WeightsError: If a model directory is none.
    """
    models = Models(settings.weights, settings.engine, settings.threads, settings.zoom, refine=settings.refine)
    models.get(models.default, models.engine)  # wrong weights are noticed now, not by the first user
    folder = None if settings.folder is None else Folder(Path(settings.folder), settings.max_pixels)
    idle = 60 * settings.idle_minutes
    # a browser may let a page sleep that nobody looks at
    seats = Seats(settings.max_users, settings.max_memory_mb * 2**20, idle, away_seconds=min(max(idle, 900), 86_400))
    atexit.register(seats.close)
    turnstile = Turnstile(settings.working, settings.waiting)
    desk = Desk(seats, models, turnstile, settings.max_upload_mb * 2**20, settings.max_pixels, folder)

    def answer(request):
        return desk.answer(request)

    def arrive(request: gr.Request) -> str:
        try:
            return seats.take(models.default, models.engine, request.session_hash).token
        except Refused as error:
            return f"{REFUSED}{error}"  # what the page shows in place of the editor

    def leave(request: gr.Request) -> None:
        seats.left(request.session_hash)

    with gr.Blocks(title="lite-medsam", analytics_enabled=False, fill_width=True, delete_cache=(300, 900)) as page:
        editor = gr.HTML(
            "",
            html_template=f"<div class='lm-root'{' data-login' if login else ''}></div>",
            css_template=style(),
            js_on_load=script(),
            server_functions=[answer],
            apply_default_css=False,
            elem_id="lite-medsam",
        )
        with gr.Column(elem_id="lm-about"):  # shown by the page's "?"
            _about(models, desk)
        page.load(arrive, None, editor, api_visibility="private", show_progress="hidden")
        page.unload(leave)
    never_fetch(page)
    page.queue(max_size=settings.waiting + settings.working, default_concurrency_limit=settings.working)
    return page, desk


def _about(models: Models, desk: Desk) -> None:
    """What lies behind "?"."""
    with gr.Tab("Model card"):
        gr.Markdown(texts.NOTICE)
        chosen = gr.Dropdown(list(models.directories), value=models.default, label="Model card of")
        card = gr.Markdown(models.card(models.default))
        gr.Markdown(texts.LIMITS)
        chosen.change(models.card, chosen, card, api_visibility="private", show_progress="hidden")
    with gr.Tab("Keys"):
        keys = "element.replaceChildren(document.querySelector('#lm-canvas').liteMedsam.keyList())"
        gr.HTML("", js_on_load=keys, apply_default_css=False)
    with gr.Tab("Help"):
        gr.Markdown(texts.HELP)
    with gr.Tab("Service"):
        gr.Markdown(texts.SERVICE)
        add_endpoints(desk)


def style() -> str:
    """The page's styles as one text."""
    return "\n".join((HERE / "page" / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)


def script() -> str:
    """The page's scripts as one text."""
    return "\n".join((HERE / "page" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)


def launch_options(settings: Settings) -> dict:
    """What `launch` needs besides host and port, so that nothing of others is loaded and nothing is recorded."""
    from starlette.middleware import Middleware

    return {
        "css": texts.PAGE_STYLE,
        "theme": _theme(),
        "app_kwargs": {
            "middleware": [Middleware(Guard, max_upload_bytes=settings.max_upload_mb * 2**20), Middleware(LoginPage)],
            "docs_url": None,
            "redoc_url": None,
        },
        "max_file_size": settings.max_upload_mb * 2**20,
        "state_session_capacity": settings.max_users,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "show_error": True,
        "footer_links": [],  # the page is as high as the window; what the service offers is behind "?"
    }


def _theme() -> gr.themes.Base:
    """Gradio's controls in the editor's one accent colour."""
    shades = (
        "#eef7fc",
        "#d6ebf7",
        "#aed8ef",
        "#7cbfe4",
        "#479fd1",
        "#1f84bd",
        "#0069a3",
        "#00588a",
        "#004971",
        "#003b5c",
        "#00263d",
    )
    names = ("c50", "c100", "c200", "c300", "c400", "c500", "c600", "c700", "c800", "c900", "c950")
    accent = gr.themes.Color(**dict(zip(names, shades, strict=True)), name="accent")
    return gr.themes.Default(
        primary_hue=accent,
        secondary_hue=accent,
        neutral_hue="gray",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
