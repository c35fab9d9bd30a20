"""N check: a sampler inside `torchdata.nodes`, saved and restored with them."""

from copy import deepcopy
from typing import Any

from ._outcomes import same
from ._registry import line
from ._stateful import TRAINED
from ._subject import AnySampler, Subject, drain, has_epochs, set_epoch, take, torchdata


@line(
    "N1",
    "continues exactly inside `torchdata.nodes`",
    why="The nodes ask the sampler itself for its state, with no argument, and never its iterator; "
    "and if it has one they do not skip the items already drawn. A state with `consumed: 0` in the "
    "middle of a pass silently restarts the epoch.",
    fix="Without a count, `state_dict()` of the sampler counts the items its latest iterator "
    "yielded: the whole epoch after the last item. A sampler without `state_dict` is valid too.",
)
def continues_in_nodes(subject: Subject) -> None:
    subject.needs_batches(1)
    for epoch in (0, 2):
        original = subject.at(epoch)
        loader = _loader(original, epoch)
        items = iter(loader)
        take(TRAINED, items)
        middle = deepcopy(loader.state_dict())
        rest = drain(items)
        end = deepcopy(loader.state_dict())
        if has_epochs(original):
            set_epoch(original, epoch + 1)
        following = drain(original)
        what = f"a load of the state after {TRAINED} items of epoch {epoch}"
        same(_resumed(subject, epoch, middle), rest, f"after {what}")
        what = f"a load of the state at the end of epoch {epoch}"
        same(_resumed(subject, epoch, end), following, f"after {what}")


def _loader(sampler: AnySampler, epoch: int) -> Any:  # torchdata's
    nodes = torchdata("torchdata.nodes")
    return nodes.Loader(nodes.SamplerWrapper(sampler, initial_epoch=epoch))


def _resumed(subject: Subject, epoch: int, state: Any) -> list[Any]:
    loader = _loader(subject.reborn(epoch), epoch)
    loader.load_state_dict(state)
    return drain(iter(loader))
