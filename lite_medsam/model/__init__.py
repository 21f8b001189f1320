"""A model directory that runs: what it is, how an image gets into it, the engines that compute it.

- calibration: Calibrated scores: a two-number map from the network's score to the measured IoU, and its error
- download: Published weights: what there is, and downloads that resume, are checked and never half-written
- encoding_cache: What was encoded lately, found again by the image's content; in memory, and in a folder if given
- engine_choice: Which engine a trial found fastest for a model on this machine: kept in the user's cache
- engines: The engines: the only place that knows ONNX Runtime and OpenVINO
- preprocessing: Image to model input and back: the one definition for training, runtimes, evaluation and demo
- prompt_tokens: Prompts as the decoder's inputs: coordinates in the model frame, token labels, previous masks
- runtime: Opening a model directory with an engine: which one is taken, and the check of its files
- spec: ModelSpec and its spec.json: all that is needed to run a model directory, readable without torch
- trial: A quick trial of the engines: which one runs a model fastest here; `auto` follows its result
"""
