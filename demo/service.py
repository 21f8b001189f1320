"""Running the demo: login, limits on requests, headers that keep the page from contacting anybody else."""

from pathlib import Path

from .app import Settings, build, launch_options


def serve(
    settings: Settings,
    host: str = "127.0.0.1",
    port: int = 7860,
    *,
    share: bool = False,
    root_path: str = "",
    auth_file: Path | None = None,
    open_browser: bool = False,
    block: bool = True,
):
    """Starts the service.

    Returns:
        The page, the desk and the local address when it does not block.
    """
    page, desk = build(settings)
    try:
        _, url, _ = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            root_path=root_path,
            inbrowser=open_browser,
            prevent_thread_lock=not block,
            quiet=not block,
            **launch_options(settings),
        )
    finally:
        if block:
            desk.seats.close()
    return page, desk, url
