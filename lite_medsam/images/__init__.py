"""Picture files to the uint8 images that the model takes, and masks by the numbers that files store.

- decoding: PNG, JPEG and BMP files to the numbers that they store, and which kind of file a content is
- intensity: Pixel values of any number type to uint8, by one rule for images, volumes, training and use
- masks: Masks: the one reader, by the numbers that a file stores
- matlab: Arrays of MATLAB files up to version 7, in bounds and without running anything
- metaimage: MetaImage volumes (.mhd with a raw file, .mha): header and numbers, read without ITK
- no_data: Numbers that stand where nothing was measured, found as ground of a picture
- orientation: Orientation: the turns and mirrors that EXIF and TIFF state
- outlines: Outlines of masks, and masks filled from them, so that each gives the other back exactly
- png_writing: PNG files of images and label maps, written
- reading: Image files: png, jpg, bmp, tif, webp and gif of 1 to 64 bit, grey, RGB, alpha or palette, as pictures
- silence: Silence: what decoders print about a damaged file before they raise is kept from the console
- size: How large a picture may be
- softness: Soft values: whether the numbers of a mask are brightness (JPEG, softened edges, smooth resizing) or labels
- stored: What a picture file stores, before anything is made of it: its numbers, and how they are meant to be shown
- tiff: TIFF pictures: which layouts are read, and what their samples mean
- tiff_segments: The strips and tiles of a TIFF: unpacked by libtiff as plain bytes, made numbers and put together here
- value_counts: Which values an array holds and how often, some at a time
- web_formats: WebP and GIF files, as pictures from web pages and slides come, to the numbers that they store
"""
