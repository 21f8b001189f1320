"""A picture and prompts to masks.

A box travels through plan (what is seen in which view), encoding, decoding, answers and prediction, in that order.

- answers: What the decoder has answered about the objects of an image, collected view by view
- checks: What an image and prompts must be before the model is asked
- choices: What a prompt can mean: the answer of the model, and its alternatives where they differ
- compact_logits: Logit maps of many objects in little memory: only the surroundings of each mask are kept
- decoding: Features and prompts to logits in the model frame: only prompts that are alike share a call of the decoder
- encoding: Views of an image to features: what a cache knows is not encoded again
- instances: One mask that holds several touching objects, divided at the necks between its deep places
- pasting: Logits of a model frame to a mask of the image: where it lies, and only that part at image resolution
- plan: The plan of an image: which object is seen in which view, made before anything is encoded
- prediction: Masks of the objects of one image, at the model's resolution until they are asked for
- predictor: Predictor: an image and prompts in, masks at image resolution out
- refinement: A second look at the border of a large object: crops along it, closer, with the mask so far as prompt
- region: A mask kept as the rectangle that holds it, so that histories and volumes of masks stay small
- sam_model: Model directories opened by the names of segment_anything's models
- sam_predictor: The classes that scripts for Segment Anything and MobileSAM use, with numpy and no torch
- sam_prompts: Prompts as segment_anything's scripts give them, checked, as the tokens of the decoder
- sam_transform: Images, points and boxes in the model frame, with the methods of ResizeLongestSide
- sharing: Crops that near objects share, where each with a crop of its own would need too many
- timed_backend: A backend that notes how long each thread has spent in it
- zoom: Which objects are segmented from a crop, and where that crop lies
"""
