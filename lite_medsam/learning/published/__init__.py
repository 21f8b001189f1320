"""Checkpoints that others published: read, checked, converted.

- assembly_recipe: Recipes for `model.assembly`: a converted directory told as our bytes and places in the authors' file
- checkpoint_file: Reading checkpoint files that nobody vouches for: tensors only, no code is ever run
- convert: Published checkpoint to model directory, and back to the layout that LiteMedSAM's own code loads
- get: A published model by name, ready to run: its file brought, checked, converted, and put into the cache
- random_reference: The published LiteMedSAM architecture with random weights: what `bench` measures against
- reading: Published checkpoints: which model a file holds, and its weights, exactly those or none
"""
