"""The page's texts."""

PAGE_STYLE = """
body { margin: 0; }
#lm-about { display: none; position: fixed; inset: 0; z-index: 20; overflow-y: auto;
  padding: 16px max(16px, calc(50vw - 480px)) 48px; background: var(--body-background-fill); }
#lm-about.lm-open { display: flex; }
#lm-about .lm-endpoint { display: none !important; }
#lm-about .token { color: inherit !important; }
#lm-about #lm-close-help { position: fixed; right: 16px; top: 12px; left: auto; z-index: 21;
  width: auto !important; min-width: 0 !important; }
#lm-close-help, #lm-hints-again { min-height: 36px; padding: 4px 14px; border-radius: 6px; cursor: pointer;
  color: var(--body-text-color); background: var(--background-fill-primary); border: 1px solid var(--body-text-color-subdued); }
#lm-about .tab-wrapper { padding-right: 90px; }
#lm-about .tab-container button { color: var(--body-text-color); }
#lm-about .lm-keys { border-collapse: collapse; }
#lm-about .lm-keys th, #lm-about .lm-keys td { padding: 3px 16px 3px 0; border: 0; text-align: left; font-weight: 400; }
#lm-about .lm-keys kbd { border: 1px solid var(--body-text-color-subdued); border-radius: 4px; padding: 0 6px; font: inherit; }
"""

NOTICE = (
    "**For research. Not a medical device.** No part of this is validated for diagnosis or treatment; the masks are "
    "suggestions. The phantoms are computed pictures, not patients."
)

LIMITS = """
### What to expect

* A box alone cannot name a target: retinal vessels, single layers, tubes, nested parts of a heart or a tumour come out
  poorly. Where the model knows names, say what it is.
* The score is the model's own guess of the overlap. It is not a probability that the mask is right.
* A CT needs the window that shows what you look for; the model sees what the picture shows.
* Measurements are as good as the mask and the pixel size. Check the pixel size that the file states.
* Files stay on the machine that runs this page, which has them in its memory until you close the page, and in your browser:
  it keeps your work and the files, up to a size, until you forget them under *Open*, *Kept work*.
"""

HELP = """
### In short

1. Open a file or a folder, or choose a sample. Files: PNG, JPEG, BMP, GIF, WebP, TIFF (8 and 16 bit), npz cases, DICOM (one
   file, a series or a study), NIfTI, NRRD, MetaImage.
2. Draw a box around an object. The mask appears by itself. Each box is a new object; border and handles change the selected one.
3. Wrong somewhere? **Point +** on what is missing, **Point −** on what is too much: each click refines the mask. Or draw a
   line with the scribbles. Or take the **Brush** and **Eraser**, which change exactly the pixels under them.
4. One click can mean several things: choose among the masks under the selected object.
5. *What is it?* under the selected object is there where the model knows names: say what the object is, and its mask is
   made with that.
   Without, nothing is assumed.
6. **New object** for the next one that is clicked or painted. **Find the others** offers more of its kind. *Split* tries to
   divide a mask into its instances, *Merge with* makes one object of two.
7. In a volume, draw on one slice, then **Follow**. Correct any slice, and follow again: slices that you
   settled stay as they are.
8. **Everything (ZIP)** under *Export* holds label map, overlay, npz, NIfTI, COCO, measurements, and the prompts. The command in its
   README.txt makes the same label map again.

Boxes and clicks are kept in pixels of the picture; zooming and moving change nothing about them. *True aspect* under
*View* changes what is seen alone, and the **Ruler** is no prompt. Boxes and clicks can also be typed under *Exact prompt*.
"""

SERVICE = """
### As a service

`/segment` and `/info` are named endpoints of this page. From Python:

```python
from gradio_client import Client, handle_file

client = Client("http://127.0.0.1:7860")
files, record = client.predict(
    image=handle_file("scan.png"), prompts="[[120, 80, 260, 190]]", model=None, engine=None, api_name="/segment"
)
```

`files` are the label map (object 1 has the value 1) and an overlay; `record` has the score and the area of each object.
`prompts` are boxes, or a prompt set with names and clicks; `"target": "optic cup"` on an object says what it is, out of the
names that `/info` lists for the model. For a volume they are objects with slices:
`{"version": 1, "objects": [{"name": "liver", "slices": [{"z": 12, "box": [40, 60, 180, 170]}]}]}`; a NIfTI file comes back.
"""
