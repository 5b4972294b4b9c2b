"""Turn a benchmark's measurements into Markdown tables."""

from __future__ import annotations

from digit_utils.benchmark import TARGETS, best_epoch, epochs_to, seconds_an_epoch, speed_up


def as_markdown(result: dict) -> str:
    """Return the tables and a summary sentence as Markdown."""
    recipes = result["recipes"]
    peak = result["sgemm_peak"]
    lines = [
        f"# Recipes compared ({result['mode']})",
        "",
        f"{result['provenance']['machine']}; fastest matrix product {peak / 1e9:.0f} GFLOP/s. "
        f"An epoch is {result['n_train']:,} images; accuracies are on 8,400 held-out images.",
        "",
        "| recipe | s an epoch | GFLOP an epoch | GFLOP/s | of peak | images/s predicted "
        "| peak memory |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, recipe in recipes.items():
        seconds = seconds_an_epoch(result, name)
        operations = recipe["flops_an_image"] * result["n_train"]
        lines.append(
            f"| {recipe['title']} | {seconds:.1f} | {operations / 1e9:,.0f} "
            f"| {operations / seconds / 1e9:.0f} | {operations / seconds / peak:.0%} "
            f"| {recipe['predicted_a_second']:,.0f} | {_megabytes(recipe['peak_memory_mb'])} |"
        )
    targets = " | ".join(f"to {target:.2%}" for target in TARGETS)
    lines += [
        "",
        f"| recipe | runs | best epoch, mean accuracy | {targets} |",
        "| --- | --- | --- |" + " ---: |" * len(TARGETS),
    ]
    for name, recipe in recipes.items():
        if not recipe["runs"]:
            lines.append(f"| {recipe['title']} | none | |" + " |" * len(TARGETS))
            continue
        epoch, accuracy = best_epoch(recipe["runs"])
        cells = []
        for target in TARGETS:
            needed = epochs_to(recipe["runs"], target)
            seconds = needed and needed * seconds_an_epoch(result, name)
            cells.append(f"{needed} epochs, {seconds:,.0f} s" if needed else "not reached")
        runs = f"{len(recipe['runs'])} {recipe['runs_are']}"
        lines.append(
            f"| {recipe['title']} | {runs} | {epoch}, {accuracy:.2%} | {' | '.join(cells)} |"
        )
    sizes = list(next(iter(recipes.values()))["epoch_seconds"])
    lines += [
        "",
        "Seconds to an accuracy are epochs times the seconds of the recipe's fastest one; "
        "compilation is left out.",
        "",
        "| seconds an epoch of | " + " | ".join(f"{int(size):,} images" for size in sizes) + " |",
        "| --- |" + " ---: |" * len(sizes),
    ]
    for recipe in recipes.values():
        cells = " | ".join(f"{min(recipe['epoch_seconds'][size]):.2f}" for size in sizes)
        lines.append(f"| {recipe['title']} | {cells} |")
    compared = speed_up(result)
    if compared:
        lines += [
            "",
            ""
            if result["mode"] == "full"
            else "The epochs of the others are those of the "
            f"recorded full run, the seconds scaled up to {result['n_train']:,} images. ",
            f"The fast recipe ends at {compared['fast_accuracy']:.2%} (mean of "
            f"{compared['fast_seeds']} training{'s' if compared['fast_seeds'] > 1 else ''}) after "
            f"{compared['fast_seconds']:.1f} s, compilation "
            f"included. The post's double-conv recipe takes {compared['slow_seconds']:,.0f} s to "
            f"its best epoch, {compared['slow_epoch']}, with {compared['slow_accuracy']:.2%}: "
            f"**{compared['ratio']:.0f} times** as long.",
        ]
    return "\n".join(lines) + "\n"


def _megabytes(number: float | None) -> str:
    return "unknown" if number is None else f"{number:,.0f} MB"
