"""What a session knows now, and the steps that can be taken back or made again."""

from collections.abc import Sequence

from lite_medsam.session.state import Snapshot

MAX_HISTORY = 60


class History:
    """Snapshots in a row; the present one, those before it and those that were taken back.

    Attributes:
        now: The present one. Setting it is no step: there is nothing to take back then.
    """

    def __init__(self, first: Snapshot | None = None) -> None:
        self.now = first or Snapshot()
        self._undo: list[Snapshot] = []
        self._redo: list[Snapshot] = []

    @property
    def before(self) -> Snapshot | None:
        """The one that undo leads back to, None where there is none."""
        return self._undo[-1] if self._undo else None

    @property
    def past(self) -> tuple[Snapshot, ...]:
        """Those that undo leads back to, the oldest first."""
        return tuple(self._undo)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step that was taken back."""
        return bool(self._redo)

    def commit(self, snapshot: Snapshot) -> None:
        """Makes a step, and keeps the last MAX_HISTORY."""
        self._undo = [*self._undo[-MAX_HISTORY + 1 :], self.now]
        self._redo = []
        self.now = snapshot

    def amend(self, snapshot: Snapshot) -> None:
        """Makes the last step another one: undo leads back to before both."""
        self.now, self._redo = snapshot, []

    def restart(self, snapshot: Snapshot, past: Sequence[Snapshot] = ()) -> None:
        """Forgets all steps, and has these before the present one."""
        self.now, self._undo, self._redo = snapshot, list(past), []

    def undo(self) -> None:
        """Takes the last step back; does nothing when there is none."""
        if self._undo:
            self._redo.append(self.now)
            self.now = self._undo.pop()

    def redo(self) -> None:
        """Makes the step again that was taken back last."""
        if self._redo:
            self._undo.append(self.now)
            self.now = self._redo.pop()
