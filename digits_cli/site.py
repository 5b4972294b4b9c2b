"""Build the book: stage its pages and executed chapters, then let Jupyter Book render them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from digits_cli.claims import hold_site
from digits_cli.errors import RunnerError
from digits_cli.freshness import why_run_is_stale, why_stale
from digits_cli.notebooks import without_colour, write_notebook
from digits_cli.paths import find_checkout, list_chapters, shown
from digits_cli.publish import executed_chapters, published_chapters
from digits_cli.repository import (
    configured_address,
    find_address,
    rewrite_notebook,
    rewrite_text,
)
from digits_cli.yaml_source import YamlSource


def check_links(profile: str | None = None, root: Path | str | None = None) -> int:
    """Check every external link of the book; return 0 when all are answered, else 1.

    `profile`, `root` and errors as for `build_site`. ``_build/linkcheck/output.txt`` lists the
    broken ones.
    """
    root = find_checkout(root)
    with hold_site(root):
        return _check_links(root, profile)


def _check_links(root: Path, profile: str | None) -> int:
    build = root / "_build"
    stage_site(root, profile)
    work = build / ".links"
    shutil.rmtree(work, ignore_errors=True)
    code = _show(_jupyter_book(build / "site", work, "--builder", "linkcheck"), root)
    report = build / "linkcheck"
    shutil.rmtree(report, ignore_errors=True)
    made = work / "_build" / "html"  # so Jupyter Book calls it whatever it builds
    if not (made / "output.txt").is_file():
        raise RunnerError("Jupyter Book wrote no list of links; what it said is above.")
    made.rename(report)
    shutil.rmtree(work, ignore_errors=True)
    broken = [
        line
        for line in (report / "output.txt").read_text(encoding="utf-8").splitlines()
        if "[broken]" in line
    ]
    print(f"{len(broken)} broken links; all are in {shown(report / 'output.txt')}")
    return 1 if broken or code else 0


def _jupyter_book(source: Path, work: Path, *options: str) -> list[str]:
    # Jupyter Book 1 has no `python -m jupyter_book`; going through this interpreter makes sure
    # that it is the one of this environment.
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    return [*command, "build", str(source), "--path-output", str(work), *options]


def build_site(profile: str | None = "quick", root: Path | str | None = None) -> int:
    """Build `_build/html` from a profile's executed notebooks; return Jupyter Book's exit code.

    `profile` None: from `notebooks/` as published, without a run. `root` None: found from the
    working directory. A failed build leaves the last good site in place. Raises RunnerError when
    chapters are missing, out of date or not in `_toc.yml`, a page was not made, or another process
    builds the site.
    """
    root = find_checkout(root)
    with hold_site(root):
        return _build_site(root, profile)


def _build_site(root: Path, profile: str | None) -> int:
    build = root / "_build"
    pages = stage_site(root, profile)
    work = build / ".book"
    shutil.rmtree(work, ignore_errors=True)
    code = _show(_jupyter_book(build / "site", work, "-n", "-W", "--keep-going"), root)
    html = work / "_build" / "html"
    final = build / "html"
    kept = f"{shown(final)} is still the last good site." if final.is_dir() else ""
    if code != 0:
        print(
            f"digits site: Jupyter Book ended with exit code {code}; its warnings and errors are "
            f"above, and what it made is in {shown(html)}. {kept}",
            file=sys.stderr,
        )
        return code
    missing = [page for page in ["index", *pages] if not (html / f"{page}.html").is_file()]
    if missing:
        raise RunnerError(f"Jupyter Book made no page for {', '.join(missing)}. {kept}")
    old = build / ".html-old"
    shutil.rmtree(old, ignore_errors=True)
    if final.is_dir():
        final.rename(old)
    try:
        html.rename(final)
    except OSError:
        if old.is_dir():
            old.rename(final)  # the last good site comes back
        raise
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    print(f"The book is ready: open {shown(final / 'index.html')}")
    return 0


def _show(command: list[str], cwd: Path) -> int:
    """Run Jupyter Book, pass on its output, and return its exit code."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    ) as book:
        assert book.stdout is not None
        try:
            quiet = False
            for line in book.stdout:
                # Its last words, in a box, name the folder we build in, not where the site goes.
                quiet = quiet or set(without_colour(line).strip()) == {"="}
                if not quiet:
                    print(line, end="", flush=True)
        except BaseException:
            book.kill()
            raise
    return book.returncode


def stage_site(root: Path, profile: str | None) -> list[str]:
    """Fill `_build/site` afresh with the book's sources; return `toc_pages`.

    `profile` as for `build_site`. Raises RunnerError when chapters are missing, out of date or not
    in `_toc.yml`.
    """
    for name in ("_config.yml", "_toc.yml", "book"):
        if not (root / name).exists():
            raise RunnerError(f"{shown(root / name)} is missing: the book needs it.")
    pages = toc_pages(root / "_toc.yml")
    chapters = list_chapters(root)
    names = {f"notebooks/{chapter.name}" for chapter in chapters}
    listed = {page for page in pages if page.startswith("notebooks/")}
    if names != listed:
        problems = [f"{name} is not in _toc.yml" for name in sorted(names - listed)]
        problems += [f"_toc.yml lists {name}, which is no chapter" for name in listed - names]
        raise RunnerError(f"Put _toc.yml right: {'; '.join(sorted(problems))}.")
    if profile is None:
        notebooks = published_chapters(root, chapters)
    else:
        notebooks = executed_chapters(root, profile, chapters)
    site = root / "_build" / "site"
    shutil.rmtree(site, ignore_errors=True)
    (site / "notebooks").mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(root / name, site / name)
    shutil.copytree(root / "book", site / "book", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("results", "sweeps"):  # pages show numbers and files from there
        if (root / folder).is_dir():
            shutil.copytree(root / folder, site / folder)
    for chapter in chapters:  # for the page of versions and timings
        digits = notebooks[chapter.name].metadata.setdefault("digits", {})
        digits["stale"] = (
            why_stale(root, chapter)
            if profile is None
            else why_run_is_stale(root, chapter, profile)
        )
    written, (ours, source) = configured_address(root), find_address(root)
    if ours != written and written:
        print(f"Links lead to {ours} (by {source}; _config.yml names {written}).")
        for path in [site / "_config.yml", *(site / "book").glob("*.md")]:
            text = path.read_text(encoding="utf-8")
            path.write_text(rewrite_text(text, written, ours), encoding="utf-8")
    for name, notebook in notebooks.items():
        rewrite_notebook(notebook, written, ours)
        write_notebook(site / "notebooks" / f"{name}.ipynb", notebook)
    return pages


def toc_pages(path: Path) -> list[str]:
    """Return the pages that `_toc.yml` names, the root first, without suffixes.

    Raises RunnerError when the file cannot be read or an entry is not a text.
    """
    pages = list(_walk(YamlSource(path, RunnerError).values))
    for page in pages:
        if not isinstance(page, str):
            raise RunnerError(f"{shown(path)} names {page!r:.200}, expected a page's name.")
    endings = (".md", ".ipynb")
    return [page.removesuffix(next((e for e in endings if page.endswith(e)), "")) for page in pages]


def _walk(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"root", "file"}:
                yield value
            else:
                yield from _walk(value)
    elif isinstance(node, list):
        for item in node:
            yield from _walk(item)
