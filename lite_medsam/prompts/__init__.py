"""What a user says about an object: boxes, clicks, strokes, names; in memory, in files, and as simulated users say it.

- class_list: The classes that objects can have: a list with names, colours and keys, as JSON, CSV or plain text
- diameter_lines: A line drawn across a lesion, as its longest diameter is measured (RECIST): what a model is asked with
- first_prompts: First prompts made from label maps, as a protocol's user gives them
- from_labels: Existing masks opened as objects to be corrected: prompts of a picture or of a volume
- label_annotations: Objects of annotations: COCO, Labelme, YOLO segmentation, and polygons like GeoJSON
- label_files: Label files, whatever kind they are: told apart by their content, read as objects with masks
- label_objects: Objects of label files: a name, and a mask on each slice where they are
- label_volumes: Label volumes: NIfTI and DICOM-SEG on the voxels of their scan, and TIFF of several pages
- prompt_object: What a user says about one object: a box, clicks, a previous mask; and its checks against an image
- prompt_set: Prompts of users in files, with their masks
- protocol: Simulated users: how boxes and clicks are made from a label map, the same way on every machine
- simulated_user: A simulated user: clicks where the segmentation is most wrong, as often as a protocol allows
- snomed: Codes for names of objects: SNOMED CT where it is known, see `prompts/snomed.json`
- spatial_objects: Objects said in space, not on slices: in voxels of a file or in mm of the patient
- strokes: What a hand draws: a scribble as clicks along it, a brush as the pixels under it
- targets: What an object is called: names by data set and label, and the families that the card shows apart
- vocabulary: The names that an object may be given beside its prompt: `prompts/targets.json`
- volume_coordinates: Prompts in the voxels of a file, brought into the slices that are shown
- volume_objects: What is asked of a volume: objects with prompts on slices, limits of following them, 3D boxes
- volume_prompt_set: Prompt files for volumes: what was said about each object on which slice
"""
