"""`lite-medsam bench`: this model and the published LiteMedSAM measured side by side on this machine.

- ceilings: What this machine can do at best in the same runtime: matrix products per second, and bytes per second
- chart: The result of a bench as one picture: both models' times, ratios against the goals, stages, growth with boxes
- child: Runs one command of the package in a process of its own and says how much memory that took at most
- contenders: The models that are measured against each other, and where the published one is kept between runs
- context: What the parts of a bench share: settings, the models, and where results go
- files: From an image file to a written mask: sizes, numbers of boxes, zoom, and where the time goes
- goals: What was aimed at, and whether it was reached; nothing is left out of the list
- graphs: The two graphs of each model side by side: encode, decode by number of boxes, threads, and the roofline
- machine: What the measurements were made on: processor, cores, versions
- operators: Operators of a graph as ONNX Runtime ran them: multiply-adds, bytes, time, and how far from the roofline
- processes: Whole processes: import time, cold start to the first mask, peak memory of one image and of folders
- refining: What a second look at the border of a large object costs: a box prompt with and without it, taking turns
- report: The result of a bench as text for a terminal
- run: Runs the parts of a bench one after the other; a part that fails is named and the others go on
- samples: Synthetic images of the sizes that are measured, as arrays and as files
- scale: Many files: seconds of one more slice by number of processes, bytes in and out, what a million cost
- small_graphs: ONNX graphs of one operator, written without the onnx package, which the base package does not have
- timing: Timings that can be compared: tasks take turns, so that a disturbance of the machine hits all of them
- volumes: A volume with several objects: followed slice by slice, each slice encoded once for all of them
- zooming: What crops around small objects cost, and what they bring: each zoom mode over the same cases, taking turns
"""
