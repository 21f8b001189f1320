"""A picture and prompts to masks.

- choices: What a prompt can mean: the answer of the model, and its alternatives where they differ
- instances: One mask that holds several touching objects, divided at the necks between its deep places
- mask_support: Where in its frame a mask lies, so that only that part of the logits is kept and enlarged
- prediction: Masks of the objects of one image, at the model's resolution until they are asked for
- predictor: Predictor: an image and prompts in, masks at image resolution out; it keeps no state between calls
- recentring: Shows the decoder an object in the middle of the frame, wherever it lies in what was encoded
- region: A mask kept as the rectangle that holds it, so that histories and volumes of masks stay small
- sam_predictor: The classes that scripts for Segment Anything and MobileSAM use, over any model directory
- zoom: Which objects are segmented from a crop, where that crop lies, and which of them share one
"""
