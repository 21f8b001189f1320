"""A model directory that runs: what it is, how an image gets into it, the engines that compute it.

- assembly: Model directories put together from an authors' file without torch: our graphs around their numbers
- calibration: Calibrated scores: a two-number map from the network's score to the measured IoU, and its error
- download: Downloads that resume, are checked, and never leave half a file
- encoding_cache: What was encoded lately, found again by the image's content; in memory, and in a folder if given
- engine_choice: Which engine a trial found fastest for a model on this machine: kept in the user's cache
- engines: The engines: the only place that knows ONNX Runtime and OpenVINO
- json_fields: Frozen dataclasses from JSON objects: each field of the type of its default, nothing unknown
- manifest: The manifest of published models: which there are, their terms, and what their files must be
- packaged_file: One file out of a Python package, brought by the user's own pip or uv; nothing of it is run
- preprocessing: Image to model input and back: the one definition for training, runtimes, evaluation and demo
- prompt_tokens: Prompts as the decoder's inputs: coordinates in the model frame, token labels, previous masks
- published: Published models by name: where they lie on this machine, and how their files come there
- runtime: Opening a model directory with an engine: which one is taken, and the check of its files
- spec: ModelSpec and its spec.json: all that is needed to run a model directory, readable without torch
- trial: A quick trial of the engines: which one runs a model fastest here; `auto` follows its result
"""
