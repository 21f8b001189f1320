"""Picture files to the uint8 images that the model takes.

- intensity: Pixel values of any number type to uint8, by one rule for images, volumes, training and use
- reading: Image files: png, jpg, bmp and tif of 8, 16 and 32 bit, grey, RGB, alpha or palette; png is written
"""
