"""What a mutant is: a sampler with one fault, and the lines that must catch it."""

from dataclasses import dataclass

from sampling.testing._report import Report, report_on

from .good import GoodBatches

MUTANTS = {}


@dataclass(frozen=True)
class Mutant:
    name: str
    fault: str
    factory: object
    kind: str
    caught_by: frozenset
    distributed: bool

    def report(self) -> Report:
        return report_on(self.name, self.factory, self.kind, distributed=self.distributed)


def fault(what, *caught_by, distributed=False):
    """Enter the decorated class in MUTANTS."""

    def enter(cls):
        kind = "batch sampler" if issubclass(cls, GoodBatches) else "sampler"
        name = cls.__name__
        MUTANTS[name] = Mutant(name, what, cls, kind, frozenset(caught_by), distributed)
        return cls

    return enter
