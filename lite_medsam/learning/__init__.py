"""Everything that needs torch: the network, its training, fine-tuning, distillation, and published checkpoints.

- data/: Labelled images to prompted training batches
- distillation/: A small student learns to answer as a large teacher does
- finetuning/: A model made better on a folder of cases
- lessons/: What a teacher answers about views of images, asked once and kept
- network/: The network in torch, its weights, and its export as graphs
- published/: Checkpoints that others published: read, checked, converted
- specialists/: Networks without prompts of their own to compare with: the box is one more channel of the image
- training/: Steps that every kind of training shares, training from a recipe, and what a run writes down
"""
