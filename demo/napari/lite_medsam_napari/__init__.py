"""A napari panel for `lite-medsam serve`.

- drawing: What is drawn in napari as prompts of the protocol
- editing: One volume on the server and the labels of its objects; knows no viewer
- panel: The panel: buttons and layers
"""
