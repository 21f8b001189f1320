"""LiteMedSAM's own script and the CVPR 2024 challenge's numbers, bug for bug, to compare with what was published.

- reference_quirks: LiteMedSAM's own pipeline, defects included, to repeat the numbers that were published with it
- surface_dice: Surface Dice as the CVPR 2024 challenge computes it for pictures, which is no contour measure
"""
