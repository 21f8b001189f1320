"""Steps that every kind of training shares, training from a recipe, and what a run writes down.

- blending: One model of several runs that began at the same weights: the mean of their weights
- curves: Pictures of a training run: loss, learning rate, validation Dice
- history: The learning curve: how good the weights were that a training run kept along its way
- loop: The training loop: batches in, resumable checkpoints and averaged weights out
- losses: What training minimises: soft Dice + cross-entropy on the mask, squared error on the predicted IoU
- recipe: A training run as a file: model, settings and starting point, so that a model can be made again
- run_log: What a run writes down while it goes: CSV always, TensorBoard event files where that package is installed
- run_record: What a run needed: seconds of each phase and peak memory, written beside its logs
- starting: Where a training run starts from: our own weights, ImageNet backbones, or LiteMedSAM's checkpoint
- stepping: Optimiser steps that every training shares: rate, clipping, averages, processes, checkpoints
- trainable: Which parts of a model learn: the decoder, the last part of the encoder too, or everything
- validation: How good a model is on held-out cases, through the Predictor that users run; pictures of that
"""
