"""What a user takes home: pictures, label maps, sizes, annotations.

- annotations: Annotations for labelling tools: Labelme, YOLO segmentation and polygons, beside COCO
- class_maps: Label maps of classes: the same pixels as those of the objects, their values the numbers of the classes
- coco: COCO annotations: categories, boxes and run lengths of masks
- contents: What each file of a ZIP is, in words
- dicom_seg: Label maps as DICOM segmentation objects that refer to the images they were made of, written by highdicom
- dicom_seg_source: What a DICOM segmentation takes from its images: their headers and the order of their pixels
- measurements: Sizes of segmented objects: area, diameter, extent, volume, fluid; in mm or um, else in px
- named_overlay: The overlay for slides and letters: each object with its number and its name beside it
- overlay: Pictures of a result: masks and prompts over the image, in colours that colour-blind readers can tell apart
- readable: Sizes as people read them: a unit that fits, three or four digits that count, never an exponent
- result: What is known at the end of a session about one picture or volume, for all files that are made of it
- score_words: Scores in words: what an estimated overlap of 0.43 means to the person who looks at the mask
- take_home: Results to take home: label and overlay PNG, npz, NIfTI, COCO, prompts, measurements, and one ZIP of all
"""
