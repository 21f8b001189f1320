"""Labelled images to prompted training batches.

- augmentation: Random changes of a training sample, by modality: what would still be a plausible image of that kind
- dataset: Training batches: which image, view and prompts; a function of the seed and the batch's number
- labelled_image: Labelled images in memory, with what sampling needs to know of their objects
- prompting: Prompts for training, made in the model frame: what a user would say, and where they would click next
- sampling: A view of an image for training: the whole of it or a crop, which of its objects, and how it is changed
- workers: Batches made by several processes, in their order; for devices that are faster than one thread can feed
"""
