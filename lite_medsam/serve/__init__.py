"""An HTTP service that the clients of nnInteractive speak: boxes and clicks in a viewer become masks of a volume.

- app: The routes of nnInteractive's protocol
- following: From what was said about an object to its mask in the whole volume
- guard: What stands before the routes: who may ask, from where, and headers that keep a browser apart
- lease: Who is there: a lease for each client, its limits and its end
- limits: What a client may send and hold, and how a request is refused
- models: The model that all clients share: one inference at a time, with and without zoom
- planes: A volume cut into slices along any of its axes
- protocol: The client package's own modules for the wire: paths, headers, arrays as bytes; imported without torch
- requests: What a request says, checked: bodies, JSON, packed arrays, and the answer as bytes
- running: The service on a port
- slicer: The routes of the older 3D Slicer server, which knows no leases
- spoken: What a client has said of its object; all that undo brings back
- voxels: A mask of a volume kept as the box that holds it
- wire_prompts: Boxes, points, scribbles and lassos of a volume as prompts on its slices
- workspace: The state of one client: its volume, its object, undo
"""
