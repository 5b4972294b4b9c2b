"""Ask a hyperopt algorithm for settings, one trial at a time, without its state on a disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hyperopt import JOB_STATE_DONE, STATUS_FAIL, STATUS_OK, Trials, space_eval
from hyperopt.base import Domain

from digit_utils.files import to_plain
from digit_utils.search.space import as_in_space, to_draws
from digit_utils.search.trials import Trial


class Proposer:
    """Proposes the settings of a trial from its number and from the trials told before.

    Nothing else enters, so a search that was stopped proposes what one that was not would have.
    """

    def __init__(self, space: Mapping[str, Any], algo: Callable, seed: int):
        self.space, self.algo, self.seed = space, algo, seed
        self.domain, self.trials = Domain(None, dict(space)), Trials()

    def propose(self, number: int) -> tuple[dict[str, Any], int]:
        """Return settings as values, and the seed that gave them."""
        # From the trial's place and not from a stream: nothing has to be wound forward.
        proposal_seed = int(np.random.default_rng([self.seed, number]).integers(2**31 - 1))
        (document,) = self.algo([number - 1], self.domain, self.trials, proposal_seed)
        draws = {name: values[0] for name, values in document["misc"]["vals"].items()}
        settings = to_plain(space_eval(self.space, draws))
        return as_in_space(self.space, settings), proposal_seed

    def tell(self, trial: Trial) -> None:
        """Tell the algorithm what came of a trial; one stopped early counts with its last loss."""
        number = trial.number - 1
        draws = to_draws(self.space, trial.parameters)
        result = (
            {"status": STATUS_FAIL}
            if trial.loss is None
            else {"status": STATUS_OK, "loss": trial.loss}
        )
        misc = {
            "tid": number,
            "cmd": self.domain.cmd,
            "workdir": self.domain.workdir,
            "idxs": {name: [number] for name in draws},
            "vals": {name: [draw] for name, draw in draws.items()},
        }
        (document,) = self.trials.new_trial_docs([number], [None], [result], [misc])
        document["state"] = JOB_STATE_DONE
        self.trials.insert_trial_docs([document])
        self.trials.refresh()
