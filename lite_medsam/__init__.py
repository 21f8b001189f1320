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
    "Case": "case",
    "CaseError": "errors",
    "EncodedImage": "predictor",
    "EncodingCache": "encoding_cache",
    "MissingExtraError": "errors",
    "ModelSpec": "spec",
    "Prediction": "predictor",
    "Predictor": "predictor",
    "Prompt": "prompts",
    "PromptError": "errors",
    "SamPredictor": "sam_predictor",
    "VolumeObject": "volume",
    "WeightsError": "errors",
    "draw_masks": "overlay",
    "draw_prompts": "overlay",
    "evaluate": "evaluation",
    "load_case": "case",
    "load_image": "case",
    "load_prompts": "prompts",
    "load_protocol": "prompts",
    "load_volume": "volume_io",
    "make_phantom": "phantoms",
    "propagate": "volume",
    "save_case": "case",
    "to_uint8": "case",
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
