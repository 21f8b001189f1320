"""Bytes on disk, and the machine under them: nothing here knows of images.

- bundled: Where the files lie that come with the package: in a checkout beside it, in an installed wheel inside it
- console: Standard output and error that never end a run: what they lack is replaced, a reader may leave
- files: Atomic file writing: a reader, a crash or a full disk never leaves or sees a half-written file
- guarded_reading: Files for decoders that believe every size they are told: no read takes more memory than it needs
- json_text: JSON that we write: readable, always valid UTF-8, and file names in it that lead back to their files
- limits: What a container allows this process: CPU time and memory by the control groups of Linux
- locking: One process at a time: a lock that the system takes back when its holder dies
- machine: What machine this is, and where a user's caches lie: what measured results and optimised graphs depend on
- names: Names of files that we write: which are one file somewhere, which can be written everywhere
- one_line: Others' texts as a part of our messages: one printable line, not too long
- paths: Paths as messages show them, and the files below a folder
- signed_cache: A cache of arrays on disk that never gives back what was computed from something else
- strict_json: JSON from strangers: a size limit, no NaN, no repeated keys, and errors that say the place
- tables: CSV tables that people wrote: whatever Excel, Windows or a script makes of them, and errors that say the place
"""
