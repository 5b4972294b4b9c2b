"""A hyperparameter search that can be stopped at any moment and resumed; Ray's is in `ray`."""

from digit_utils.search.run import Search, SearchProgress, run_search
from digit_utils.search.store import SearchError
from digit_utils.search.trial import Trial

__all__ = ["Search", "SearchError", "SearchProgress", "Trial", "run_search"]
