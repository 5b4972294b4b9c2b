# %% [markdown]
# # Many trainings, many machines
#
# **How do hundreds of trainings get done without losing one, and what does a second machine gain?**

# %% [markdown]
# **You will learn**
#
# - why a search that was stopped goes on as if it had not been;
# - to run a chapter for every combination of some values, over several seeds;
# - what a search and a sweep cost besides the trainings themselves;
# - how much two workers gain over one, and why it is not twice as much;
# - to work out beforehand how many workers are worth having.
#
# | Before you start | |
# | --- | --- |
# | Prerequisites | [Searching for better settings](05_hyperopt.ipynb): trials, TPE, ending trials early |
# | Time | 15 minutes to read; the run takes seconds, all measurements are recorded |

# %% tags=["colab", "remove-cell"]
# Installs the book's helpers where they are missing: on Colab, on Kaggle (Settings, Internet on).
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("digit_utils") is None:
    book = "https://github.com/digits-book/digits-book"
    pip = [sys.executable, "-m", "pip", "install"]
    if importlib.util.find_spec("pip") is None:
        print("There is no pip here, uv installs instead; without uv: python -m ensurepip")
        pip = ["uv", "pip", "install", "--python", sys.executable]
    subprocess.check_call([*pip, "-q", "--no-deps", f"git+{book}@main"])
    importlib.invalidate_caches()

from digit_utils import hosts

hosts.prepare()

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from hyperopt import hp, tpe
from IPython.display import Markdown, display
from matplotlib.ticker import PercentFormatter

from digit_utils import plots
from digit_utils.artifacts import load_json
from digit_utils.results import report
from digit_utils.search import run_search

plots.use_book_style()

# %% tags=["parameters"]
ARTIFACTS: str = "artifacts"  # folder of your own measurements; without, the recorded ones
SEED: int = 0  # of the small search that is stopped
WORKERS: int = 100  # workers to plan for, at least 1
TRIAL_MINUTES: float = 3.4  # a trial of the plan; the post's took 203 seconds
TRIAL_EPOCHS: int = 30  # reports of such a trial, one an epoch, at least 1
N_TRIALS: int = 1000  # trials of the plan, at least 1

# %% [markdown]
# ## Stopped, and gone on
#
# Whoever trains for hours is stopped now and then: by a closed lid, a full disk, a session's end. What has been done by then must not be lost, and
# the rest should come out as it would have. We try it with a search whose trials cost nothing. One runs to its end. The other is asked for six trials
# only, and then called again for all of them: what the first call leaves to the second is its files.


# %%
def objective(settings):
    """Pretend to train: some settings are better than others."""
    return (settings["dropout"] - 0.3) ** 2 + 1 / settings["dense_units"]


space = {
    "dropout": hp.uniform("dropout", 0.0, 0.6),
    "dense_units": hp.choice("dense_units", [128, 256, 512]),
}
folder = Path(tempfile.mkdtemp(prefix="trials-"))


def search(name, n_trials):
    """Search, keeping the trials in a folder of this name."""
    return run_search(objective, space, tpe.suggest, n_trials, folder / name, seed=SEED)


whole = search("whole", 30)
search("stopped", 6)
gone_on = search("stopped", 30)
same = [trial.parameters for trial in whole.trials] == [t.parameters for t in gone_on.trials]
files = list((folder / "stopped").glob("trial_*.json"))
print(f"{len(files)} trials in files of their own")
print(f"the same settings in the same order: {same}")

# %% [markdown]
# How can it know? Hyperopt draws its proposals from a stream of random numbers, and what it remembers is lost when its process ends. `run_search` gives every trial a
# random number of its own, made from the seed and from the trial's place. Together with the trials before it, which are read back from their files, that
# settles the proposal. Each file is written under another name first and then renamed, so that it is there whole or not at all.
#
# `experiments/kill_and_resume.py` does it the hard way: it ends searches and sweeps thirty times each, at random moments and without warning, and looks
# whether a file is lost or changed, and whether the end is that of an undisturbed run. What came of it is in `results/kill_and_resume.json`.
#
# ## A sweep
#
# A *search* chooses what to try next. A *sweep* does not choose: it tries every combination that was written down. That is the way to see what a
# setting does, with error bars, and to defend a choice that was made. This is the book's example, `sweeps/batch_size.yaml`:

# %%
sweep, _ = load_json(ARTIFACTS, "example_sweep", made_by="experiments/measure_search.py sweep")

# %% tags=["nbval-check-output"]
print(sweep["file"])

# %% [markdown]
# `digits sweep sweeps/batch_size.yaml --jobs 2` checks every name and value in it, runs chapter 3 once for each combination and seed, two at a time,
# and gathers what the runs report into one table. Each run is a process of its own, with a folder named by a hash of the notebook's code and the
# values. A run that has finished is never run again; stop the sweep at any moment, and the same command goes on. Here is what it found:

# %%
runs = pd.DataFrame(sweep["runs"])
metric, (first, second) = sweep["metric"], sweep["varied"]
found = runs.groupby([second, first])[metric].agg(["mean", "std", "count"])
pd.DataFrame(
    {
        "mean accuracy": found["mean"].map("{:.2%}".format),
        "standard deviation (points)": (100 * found["std"]).round(2),
        "seeds": found["count"],
    }
)

# %% mystnb={"image": {"alt": "Mean validation accuracy against the batch size, one line for each number of epochs, with the standard deviation over the seeds as error bars."}}
figure, ax = plt.subplots()
sizes = sorted(runs[first].unique())
for shift, (epochs, mark) in enumerate(
    zip(sorted(runs[second].unique()), ("o", "s", "^"), strict=False)
):
    line = found.loc[epochs].loc[sizes]
    places = np.arange(len(sizes)) + 0.06 * shift
    ax.errorbar(places, line["mean"], yerr=line["std"], marker=mark, capsize=4, label=str(epochs))
ax.set_xticks(range(len(sizes)), [str(size) for size in sizes])
ax.yaxis.set_major_formatter(PercentFormatter(1.0))
ax.set(title="The example sweep", xlabel="Batch size (images)", ylabel="Validation accuracy")
ax.legend(title="Epochs")
plt.show()

# %%
n_seeds = int(found["count"].min())
smallest, largest = (
    runs[runs[first] == size].groupby(second)[metric].mean() for size in (sizes[0], sizes[-1])
)
cost = 100 * (smallest - largest)
display(
    Markdown(
        f"With {n_seeds} seeds each, a batch of {sizes[-1]} images instead of {sizes[0]} costs "
        + " and ".join(
            f"**{points:.1f} points** after {epochs} epochs" for epochs, points in cost.items()
        )
        + ". In as many epochs a large batch takes fewer steps. The error bars are the "
        "spread of the seeds, not an interval for their mean."
    )
)

# %% [markdown]
# ## What the bookkeeping costs
#
# Writing each trial to disk at once, so that nothing is ever lost, has a price. To see it alone, we timed searches and sweeps whose trainings take no
# time at all.

# %%
cost, _ = load_json(ARTIFACTS, "search_cost", made_by="experiments/measure_search.py cost")
made = cost["provenance"]
print(f"measured {made['date']}, {made['machine']}")
search_cost = pd.DataFrame(cost["search"])
sweep_cost = pd.DataFrame(cost["sweep"])
search_cost.set_index("trials").set_axis(["ms a trial"], axis=1).round(1)

# %% mystnb={"image": {"alt": "Milliseconds of bookkeeping a run against the number of runs of a sweep, for new runs and for runs that are there already. After the first point, which carries the start of the process, a new run costs about a millisecond, a little more in the longest sweep."}}
figure, ax = plt.subplots()
for column, label, mark in (
    ("milliseconds_a_run", "a run that is new", "o-"),
    ("milliseconds_a_run_already_there", "a run that is there already", "s--"),
):
    ax.plot(sweep_cost["runs"], sweep_cost[column], mark, label=label)
ax.set_ylim(0, None)
ax.set(title="Bookkeeping of a sweep", xlabel="Runs of the sweep", ylabel="Milliseconds a run")
ax.legend()
plt.show()

# %%
share = search_cost["milliseconds_a_trial"].max() / 5000
display(
    Markdown(
        f"A sweep of {sweep_cost['runs'].iloc[-1]:,} runs spends "
        f"{sweep_cost['milliseconds_a_run'].iloc[-1]:.1f} ms on each, one of "
        f"{sweep_cost['runs'].iloc[0]:,} runs "
        f"{sweep_cost['milliseconds_a_run'].iloc[0]:.1f} ms; these were measured first, so "
        "the start of the process may be in them. Proposing a trial and writing it down "
        f"takes a search at most {search_cost['milliseconds_a_trial'].max():.0f} ms. Next "
        f"to a trial of five seconds that is **{share:.2%}**; those of chapter 5 take "
        "longer."
    )
)

# %% [markdown]
# ## One worker, two workers
#
# `digits` is the command that comes with the book's helpers, and Ray a library that runs Python functions in several processes or on several machines (`pip install 'ray[tune]'`).
# `digits search searches/post_space.py --trials 50 --engine ray` runs several trials at a time. Ray starts *workers*, processes that stay, and hands them
# trial after trial; on a cluster it does so across machines (`--address`). These are the trials of chapter 5, run in four ways on one machine with two
# processors; *plain* is hyperopt alone, one trial after another. A worker's start is left out here, it comes once.

# %%
ways = pd.DataFrame(cost["trials"]).T
columns = {
    "trials": "trials",
    "stopped": "ended early",
    "epochs": "epochs",
    "trials_a_minute": "trials a minute",
    "seconds_inside_a_trial": "seconds inside a trial",
}
whole_numbers = dict.fromkeys(["trials", "stopped", "epochs"], int)
ways[list(columns)].astype(whole_numbers).rename(columns=columns).round(1)

# %%
gain = ways.loc["two workers", "trials_a_minute"] / ways.loc["one worker", "trials_a_minute"]
over_plain = ways.loc["two workers", "trials_a_minute"] / ways.loc["plain", "trials_a_minute"]
early = ways.loc["two workers, early stopping"]
whole_epochs = ways.loc["two workers", "epochs"] / ways.loc["two workers", "trials"]
epochs_saved = 1 - early["epochs"] / (early["trials"] * whole_epochs)
early_gain = early["trials_a_minute"] / ways.loc["two workers", "trials_a_minute"]
display(
    Markdown(
        f"Two workers get **{gain:.2f} times** as many trials done as one, and "
        f"{over_plain:.2f} times as many as the plain engine. Not twice, because one worker "
        "alone is not one processor alone: TensorFlow spreads a training over both. On one "
        "machine a second worker gains only what a single training leaves idle, and the two "
        "get in each other's way. On a second machine they would not; that was not "
        "measured. (Each way was measured once, so the last digit means little.)\n"
        "\n"
        f"Ending hopeless trials early ends {early['stopped']:.0f} of {early['trials']:.0f} "
        f"and saves **{epochs_saved:.0%}** of the epochs. If epochs were all, "
        f"{1 / (1 - epochs_saved):.2f} times as many trials would get done in the same "
        f"time; measured were {early_gain:.2f} times. What does not shrink is, for one, "
        "what every trial begins with: building its network and preparing the first step."
    )
)

# %% [markdown]
# This is one search of a few dozen trials, which ran. [Chapter 5](05_hyperopt.ipynb) finds another share, for it asks something else: there five
# finished random searches of fifty trials are *replayed*.
#
# ## A plan for a hundred workers
#
# How many workers are worth having? Three things grow with their number.
#
# **The driver's work.** One process proposes all trials, hears every report and writes every file. Its work a trial grows little with their number (see the
# table above); we take it as fixed, so the driver can serve only so many workers. We measured its processor time with trials that do nothing but report. (Ray's own processes beside it are not counted.)
#
# **Proposals in the dark.** With $w$ workers the first $w$ trials are proposed before any has ended, and every later one without the $w - 1$ that
# are still running. A search of $n$ trials has at most $n - w$ that have learnt anything; random search would not mind.
#
# **Waste at the end.** When the trials run out, workers stand idle until the last has finished: about half a trial each, on average.
#
# What is *shared* is little. A worker gets the text of the search's file once and the settings of each trial, a few hundred bytes; it loads the digits from
# its own copy of the package. No disk has to be shared. What comes back is a number an epoch.

# %%
driver = cost["ray_driver"]
driver_seconds = (
    driver["milliseconds_a_trial"] + TRIAL_EPOCHS * driver["milliseconds_a_report"]
) / 1000
most_workers = 60 * TRIAL_MINUTES / driver_seconds
rounds = N_TRIALS / WORKERS
curve_bytes = 14 * TRIAL_EPOCHS  # a score and its line in the file
kilobytes = (np.mean([file.stat().st_size for file in files]) + curve_bytes) / 1000
plan_hours = (rounds + 0.5) * TRIAL_MINUTES / 60
alone_hours = N_TRIALS * TRIAL_MINUTES / 60
plan = pd.DataFrame(
    [
        ("driver's time a trial", f"{driver_seconds:.2f} s"),
        ("workers one driver can serve", f"{most_workers:,.0f}"),
        (f"driver busy with {WORKERS} workers", f"{WORKERS / most_workers:.0%}"),
        ("one worker alone", f"{alone_hours:.1f} hours"),
        (f"{WORKERS} workers", f"{plan_hours:.1f} hours"),
        ("trials that could learn from others", f"{max(0, N_TRIALS - WORKERS):,} of {N_TRIALS:,}"),
        (f"files of trials, {kilobytes:.1f} kB each", f"{kilobytes * N_TRIALS / 1000:.1f} MB"),
    ],
    columns=["what", f"{N_TRIALS:,} trials of {TRIAL_MINUTES} minutes, {TRIAL_EPOCHS} epochs"],
)
plan.set_index("what")

# %%
short_limit = ways.loc["two workers", "seconds_inside_a_trial"] / (
    (driver["milliseconds_a_trial"] + whole_epochs * driver["milliseconds_a_report"]) / 1000
)


def enough(limit):
    """Say whether one driver serves the plan's workers."""
    return "one driver is enough" if limit >= WORKERS else "one driver is too few"


display(
    Markdown(
        f"With trials of this length one driver could serve **{most_workers:,.0f} "
        f"workers**, with this book's short ones **{short_limit:,.0f}**. The plan has "
        f"{WORKERS}: {enough(most_workers)} for long trials, {enough(short_limit)} for "
        "short ones."
    )
)

# %% [markdown]
# None of this was run on a hundred workers. It is arithmetic from what two workers on one machine showed; a network between machines adds some
# milliseconds to every report, and a slow file system some to every trial. Start with ten and measure again.
#
# ## What we found

# %%
report(
    "- A search that was stopped and went on tried "
    f"{'the same settings' if same else 'OTHER SETTINGS'} as one that was not.\n"
    f"- A sweep's bookkeeping costs {sweep_cost['milliseconds_a_run'].iloc[-1]:.1f} ms a "
    f"run at {sweep_cost['runs'].iloc[-1]:,} runs, a search's at most "
    f"{search_cost['milliseconds_a_trial'].max():.0f} ms a trial.\n"
    f"- On one machine with two processors, two workers get **{gain:.2f} times** as much "
    "done as one.\n"
    f"- Ending hopeless trials early saved **{epochs_saved:.0%}** of the epochs of a "
    "search.\n"
    f"- By its measured work one driver could serve {most_workers:,.0f} workers on trials "
    f"of {TRIAL_MINUTES} minutes, {short_limit:,.0f} on this book's short ones.",
    gone_on_the_same=same,
    recorded_gain_of_two_workers=gain,
    recorded_epochs_saved=epochs_saved,
    recorded_bookkeeping_ms=sweep_cost["milliseconds_a_run"].tolist(),
    recorded_search_overhead_share=share,
    most_workers=most_workers,
)

# %% [markdown]
# ## Exercises
#
# **1.** Write a sweep that tells what more images are worth to chapter 3's network. What would you vary, what keep?
#
# <details>
# <summary>Solution</summary>
#
# Vary the number of training images, over at least three seeds. Keep the number of *steps*, not of passes: with a quarter of the images a pass has a quarter
# of the steps, and few images would look worse for want of training alone. A list of runs says
# what goes with what:
#
# ```yaml
# chapter: 03_base_cnn
# profile: quick
# constants: {PATIENCE: 100}
# list:
#   - {N_TRAIN: 1000, EPOCHS: 16}
#   - {N_TRAIN: 2000, EPOCHS: 8}
#   - {N_TRAIN: 4000, EPOCHS: 4}
# seeds: [0, 1, 2]
# metric: validation_accuracy
# ```
#
# To sweep what a notebook does not offer as a parameter, add it to the notebook's cell of parameters first.
#
# </details>
#
# **2.** Trials of one minute and ten epochs: how many workers can one driver serve?
#
# <details>
# <summary>Solution</summary>
#
# ```python
# seconds = (driver["milliseconds_a_trial"] + 10 * driver["milliseconds_a_report"]) / 1000
# print(f"{60 / seconds:.0f} workers")
# ```
#
# </details>
#
# ## What's next
#
# From how to train many networks to how to compare them: [Is it really better?](09_is_it_really_better.ipynb).
