"""The same through the slices of a volume.

- paths: Which slices an object is followed through, in which direction, and where it is looked for on the next one
- planes: The three planes of a volume: pictures, masks and prompts across its slices, its rows and its columns
- prediction: The answer for a volume: one mask per object and slice, kept as small crops until it is asked for
- propagation: 3D prompts followed slice by slice: each slice is encoded once for all objects on their way
- reasons: Why following an object ended, or why a slice needs a look, in words
"""
