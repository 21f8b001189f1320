"""A model directory that runs: what it is, how an image gets into it, the engines that compute it.

- calibration: Calibrated scores: a two-number map from the network's score to the IoU that was measured, and how far
  off it is
- download: Published weights: the manifest of what there is, and downloads that resume, are checked and never
  half-written
- encoding_cache: What was encoded lately, found again by the content of the image; in memory, and on disk where a
  folder is given
- engine_choice: Which engine a trial found to be fastest for a model on this machine: kept in the user's cache, read
  when a model opens
- engines: The engines: the only place that knows ONNX Runtime and OpenVINO
- preprocessing: Image to model input and back: the one definition that training, every runtime, evaluation and the
  demo share
- prompt_tokens: Prompts as the decoder's inputs: coordinates in the model frame, token labels, previous masks
- runtime: Opening a model directory with an engine: what every backend can do, which one is taken, and the check of
  its files
- spec: ModelSpec <-> spec.json: everything that must be known to run a model directory, readable without torch
- trial: A quick trial of the engines: which one runs a model fastest on this machine; `auto` follows its result from
  then on
"""
