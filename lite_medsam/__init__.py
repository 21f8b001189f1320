"""Promptable medical image segmentation on a laptop: a box or a click becomes a mask, on a plain CPU.

>>> import lite_medsam
>>> predictor = lite_medsam.Predictor.open()
>>> image = lite_medsam.load_image("scan.png")
>>> labels = predictor.segment(image, [[120, 80, 260, 190]]).label_map()
"""

import importlib

__version__ = "0.1.0"

# public name -> module; imported when it is first used, so that the command line starts fast
_PUBLIC = {
    "Case": "cases.case",
    "CaseError": "errors",
    "EncodedImage": "segment.encoding",
    "EncodingCache": "model.encoding_cache",
    "MissingExtraError": "errors",
    "ModelSpec": "model.spec",
    "Prediction": "segment.prediction",
    "Predictor": "segment.predictor",
    "Prompt": "prompts.prompt_set",
    "PromptError": "errors",
    "SamPredictor": "segment.sam_predictor",
    "VolumeObject": "volumes.propagation",
    "WeightsError": "errors",
    "draw_masks": "results.overlay",
    "draw_prompts": "results.overlay",
    "evaluate": "evaluation.evaluate",
    "load_case": "cases.case",
    "load_image": "cases.case",
    "load_prompts": "prompts.prompt_set",
    "load_protocol": "prompts.prompt_set",
    "load_volume": "scans.reading",
    "make_phantom": "phantoms",
    "propagate": "volumes.propagation",
    "save_case": "cases.case",
    "to_uint8": "cases.case",
}
__all__ = sorted(_PUBLIC)


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lite_medsam' has no attribute {name!r}; public names: {', '.join(__all__)}")
    value = getattr(importlib.import_module(f"lite_medsam.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
