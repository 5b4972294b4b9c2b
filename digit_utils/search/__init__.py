"""A hyperparameter search that can be stopped at any moment and resumed; Ray's is in `ray`."""

from digit_utils.search.run import Search, SearchProgress, run_search
from digit_utils.search.trials import SearchError, Trial

__all__ = ["Search", "SearchError", "SearchProgress", "Trial", "run_search"]
