"""The network in torch, its weights, and its export as graphs.

- backend: TorchBackend: a model in torch behind the same two methods as the exported graphs
- checkpoint: The weights of a model directory: safetensors in, an exact float32 model out
- encoder: The laptop image encoder: a timm backbone, a feature pyramid to one embedding, and finer skip features
- export: A model as a model directory: weights, two ONNX graphs, and the proof that they agree
- families: The published model families: what each looks like, how it sees an image, and its torch module
- graph_decoder: The mask decoder as it is exported: the same function, arranged so that a CPU does less
- litemedsam_encoder: TinyViT as LiteMedSAM and MobileSAM use it, with the parameter names of their checkpoints
- model: The promptable segmentation network: image encoder plus segment_anything's prompt encoder and mask decoder
- part_study: What the parts of a trained network around LiteMedSAM's trunk cost, and what is lost without each of them
- published_decoder: segment_anything's mask decoder as the published models have it, for prompts of any kinds
- threads: How many threads torch takes: as many as were asked for, else never more than this process may use
- trunk_encoder: The encoder around LiteMedSAM's trunk: TinyViT on averaged pixels, and a small convolutional path
"""
