"""A contender of the bench that opens the fake model, whatever the engine."""

from fakes import FakeBackend

from lite_medsam.bench.contenders import REFERENCE, Contender
from lite_medsam.model.spec import Architecture, ModelSpec


class FakeContender(Contender):
    """Opens the fake model, whatever the engine."""

    def open(self, engine, threads):
        backend = FakeBackend()
        if self.title == REFERENCE:  # so that its own script accepts it
            backend.spec = ModelSpec(
                architecture=Architecture(family="litemedsam"), preprocessing=backend.spec.preprocessing
            )
        return backend
