"""How many threads torch takes: as many as were asked for, else never more than this process may use."""

import torch

from lite_medsam.storage.machine import check_threads, physical_cores


def set_threads(threads: int | None) -> None:
    """Sets the number of torch's threads, which is one for the whole process.

    torch itself counts the CPUs of the host, which a container may use a share of only.

    Args:
        threads: As asked for; None keeps torch's own number where it is not too large. More than CPUs give a
            RuntimeWarning.
    """
    check_threads(threads)
    torch.set_num_threads(threads or min(torch.get_num_threads(), physical_cores()))
