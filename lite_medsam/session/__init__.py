"""One person at one scan: objects that come and go, undo, following; the demo is a page over this.

- following: Objects of a session followed through a volume, and what has become of them there
- interactive: An interactive session: objects and their prompts on a picture or volume, masks, undo and redo
- state: What a session knows: objects, what was said about each on each slice, and the masks that it led to
"""
