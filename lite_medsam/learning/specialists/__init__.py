"""Networks without prompts of their own to compare with: the box is one more channel of the image.

- curve: Specialists and the fine-tuned promptable model on the same images, for several numbers of them
- curve_chart: What a learning curve of specialists came to, as a picture and as a table
- examples: Training examples of a specialist: a view of an image, the box of one object in it, its mask
- loop: Training a specialist: steps by number or by time, validation, a checkpoint to continue from
- networks: The networks: MONAI's U-Net, and the ReLayNet-style one of this package
- relaynet: ReLayNet's shape: wide-tall kernels, and unpooling to where the pooled values came from
- run: From cases to an exported specialist
- settings: Everything that decides a specialist's training besides the data; readable without torch
"""
