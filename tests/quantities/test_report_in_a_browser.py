"""The report in a browser, on a screen and on a phone: nothing is asked of a host, nothing is refused, nothing sticks out."""

import shutil

import pytest

from lite_medsam.phantoms import make_phantom_volume
from lite_medsam.quantities.measure import MeasureOptions, measure_scan
from lite_medsam.quantities.outputs import write_results
from lite_medsam.quantities.reading import LabelledScan
from lite_medsam.quantities.report_html import ScanReport
from lite_medsam.quantities.visits import Visit
from lite_medsam.scans.geometry import Geometry
from lite_medsam.scans.scan import Scan

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def report_of(kind: str, seed: int, day: str) -> ScanReport:
    case = make_phantom_volume(kind, seed, (25, 120, 128))
    geometry = Geometry.from_spacing(case.label_shape, case.spacing_mm)
    scan = Scan(case.image, case.spacing_mm, "OCT", geometry, case.name, True, label=case.label)
    labelled = LabelledScan(scan, case.label, case.label_names, True)
    measured = measure_scan(labelled, MeasureOptions(laterality="R", first_b_scan="superior"))
    return ScanReport(measured, Visit("P1", "R", day, measured.quantities))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_it_opens_on_a_screen_and_on_a_phone(tmp_path):
    api = pytest.importorskip("playwright.sync_api")
    kinds = (("oct-srf", 3, "2025-01-01"), ("oct-srf", 4, "2026-01-01"), ("oct-healthy", 3, "2026-01-01"))
    write_results(tmp_path, [report_of(*kind) for kind in kinds])
    asked, said = [], []
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for width in (1280, 390):
            page = chromium.new_page(viewport={"width": width, "height": 900})
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.goto((tmp_path / "report.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            # two trends at least, for each scan a B-scan and a map at least, each as wide as its place
            widths = page.evaluate(
                "[...document.querySelectorAll('figure>svg')].map(s => s.getBoundingClientRect().width)"
            )
            assert len(widths) >= 8 and min(widths) > 300
        chromium.close()
    assert not said
    assert all(url.startswith(("file:", "data:")) for url in asked)
