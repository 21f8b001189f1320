"""One person at one scan: objects that come and go, undo, following; the demo is a page over this.

- alike: How like the examples a mask is: from a rule's answers in and around it, its features, size and score
- answer: What was said about an object on a slice, the mask that it led to, and what the model was asked with
- asking: What the model answers to all that was said about an object on a slice
- candidates: Find the others: objects that look like those that were marked, offered as a batch
- classes: What kind of thing each object of a session is: a class list beside the objects, and the class of new ones
- cleanup: Clean-up of a session's masks, on a slice or through a volume; the result is kept like what was painted
- editing: Changes of objects that ask nothing of the model: merging, dividing, painting, taking back
- everything: Everything that the model sees in a picture: a grid of clicks, and of their masks those that are sure
- following: Objects of a session followed through a volume, and what has become of them there
- history: What a session knows now, and the steps that can be taken back or made again
- interactive: An interactive session: objects and their prompts on a picture or volume, masks, undo and redo
- lengths: Lengths that were measured on a slice by hand: rulers and calipers. They are no prompts; a session keeps them
- likeness: Where a picture looks like examples: the model's features and grey values, told apart by a linear rule
- mask_shapes: Masks put right by their shape: largest part, islands, holes, smooth edges, a rim more or less, overlaps
- masks: The masks of a session as one array of bits, with places in JSON
- offering: Candidates of a session: looked for beside its objects, and taken in one step
- plane_files: What was said on other planes than that of the slices, as prompt files in voxels of the file
- plane_following: Objects of a session followed from what was said of them on other planes than that of the slices
- planes: Prompts on the other two planes of a volume: answered there, and drawn into the masks of the slices
- preview: What a click would give, before it is made
- proposals: Where an object may be: parts of a map that answers how like an object each pixel is
- record: A session as JSON and bytes, to be kept and opened again, with the last steps that can be taken back
- record_reading: A record of a session, checked on its way in: it may come from a stranger
- shown: What is open: a scan, and its pixels as the model sees them through a window of grey values
- state: What a session knows: objects, what was said about each on each slice, and the masks that it led to
"""
