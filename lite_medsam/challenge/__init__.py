"""LiteMedSAM's own script and the CVPR 2024 challenge's numbers, bug for bug, to compare with what was published.

- reference_quirks: LiteMedSAM's own pipeline, defects included, to repeat the numbers that were published with it
- side_by_side: Models beside each other on the same boxes of the same cases: how they are run, scored and told apart
- side_by_side_text: A comparison of models as tables: for a terminal, and as Markdown for a page
- surface_dice: Surface Dice as the CVPR 2024 challenge computes it for pictures, which is no contour measure
"""
