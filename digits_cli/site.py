"""Build the book: stage its pages and executed chapters, then let Jupyter Book render them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from digits_cli.book import find_checkout, list_chapters, shown, without_colour, write_notebook
from digits_cli.bound import without_markers
from digits_cli.errors import RunnerError
from digits_cli.execute import hold
from digits_cli.freshness import why_run_is_stale, why_stale
from digits_cli.publish import executed_chapters, published_chapters
from digits_cli.repository import configured, find_address, rewrite_file
from digits_cli.yaml_source import YamlSource

BUILDING = {"site": "the site is being built"}


def build_site(profile: str | None) -> int:
    """Build `_build/html` from a profile's runs, or None: as published; return the exit code.

    A failed build leaves the last good site in place.
    """
    root = find_checkout()
    with hold(root / "_build", BUILDING):
        pages = stage_site(root, profile)
        code, made = _jupyter_book(root, "-n", "-W", "--keep-going")
        final = root / "_build" / "html"
        kept = f"{shown(final)} is still the last good site." if final.is_dir() else ""
        if code != 0:
            told = f"Jupyter Book ended with exit code {code}; its warnings and errors are above, "
            told += f"and what it made is in {shown(made)}. {kept}"
            print(f"digits site: {told}", file=sys.stderr)
            return code
        missing = [page for page in ["index", *pages] if not (made / f"{page}.html").is_file()]
        if missing:
            raise RunnerError(f"Jupyter Book made no page for {', '.join(missing)}. {kept}")
        _replace(final, made)
    print(f"The book is ready: open {shown(final / 'index.html')}")
    return 0


def check_links(profile: str | None) -> int:
    """Check every external link of the book; return 0 when all are answered, else 1."""
    root = find_checkout()
    with hold(root / "_build", BUILDING):
        stage_site(root, profile)
        code, made = _jupyter_book(root, "--builder", "linkcheck")
        if not (made / "output.txt").is_file():
            raise RunnerError("Jupyter Book wrote no list of links; what it said is above.")
        report = root / "_build" / "linkcheck"
        _replace(report, made)
    broken = (report / "output.txt").read_text(encoding="utf-8").count("[broken]")
    print(f"{broken} broken links; all are in {shown(report / 'output.txt')}")
    return 1 if broken or code else 0


def _replace(final: Path, made: Path) -> None:
    """Put what was made in its place at once, and clear up."""
    work = made.parents[1]
    if final.is_dir():
        final.rename(work / "old")
    made.rename(final)
    shutil.rmtree(work, ignore_errors=True)


def _jupyter_book(root: Path, *options: str) -> tuple[int, Path]:
    """Build the staged site, pass on what is said; return the exit code and the folder made."""
    work = root / "_build" / ".book"
    shutil.rmtree(work, ignore_errors=True)
    # Jupyter Book 1 has no `python -m jupyter_book`; this way it is this environment's.
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(root / "_build" / "site"), "--path-output", str(work), *options]
    environ, pipe = {**os.environ, "PYTHONUNBUFFERED": "1"}, subprocess.PIPE
    with subprocess.Popen(
        command, cwd=root, env=environ, stdout=pipe, encoding="utf-8", errors="replace"
    ) as book:
        try:
            quiet = False
            for line in book.stdout or ():
                # Its last words, in a box, name the folder we build in, not where the site goes.
                quiet = quiet or set(without_colour(line).strip()) == {"="}
                if not quiet:
                    print(line, end="", flush=True)
        except BaseException:
            book.kill()
            raise
    return book.returncode, work / "_build" / "html"  # so it calls whatever it builds


def stage_site(root: Path, profile: str | None) -> list[str]:
    """Fill `_build/site` afresh with the book's sources; return the pages that `_toc.yml` names."""
    pages, chapters = _toc_pages(root / "_toc.yml"), list_chapters(root)
    names = {f"notebooks/{chapter.name}" for chapter in chapters}
    listed = {page for page in pages if page.startswith("notebooks/")}
    problems = [f"{name} is not in _toc.yml" for name in names - listed]
    problems += [f"_toc.yml lists {name}, which is no chapter" for name in listed - names]
    if problems:
        raise RunnerError(f"Put _toc.yml right: {'; '.join(sorted(problems))}.")
    if profile is None:
        notebooks = published_chapters(root, chapters)
        stale = {chapter.name: why_stale(root, chapter) for chapter in chapters}
    else:
        notebooks = executed_chapters(root, profile, chapters)
        stale = {chapter.name: why_run_is_stale(root, chapter, profile) for chapter in chapters}
    site = root / "_build" / "site"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(root / name, site / name)
    caches = shutil.ignore_patterns("__pycache__")
    for folder in filter(Path.is_dir, map(root.joinpath, ("book", "results", "sweeps"))):
        shutil.copytree(folder, site / folder.name, ignore=caches)  # pages show from all three
    (site / "notebooks").mkdir()
    for name, notebook in notebooks.items():
        # For the page of versions and timings.
        notebook.metadata.setdefault("digits", {})["stale"] = stale[name]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = without_markers(cell.source)
        write_notebook(site / "notebooks" / f"{name}.ipynb", notebook)
    for page in site.glob("book/*.md"):
        page.write_text(without_markers(page.read_text(encoding="utf-8")), encoding="utf-8")
    written, (ours, source) = configured(root)[0], find_address(root)
    if written and ours and ours != written:
        print(f"Links lead to {ours} (by {source}; _config.yml names {written}).")
        texts = (path for kind in ("*.yml", "book/*.md", "*/*.ipynb") for path in site.glob(kind))
        for path in texts:
            rewrite_file(path, written, ours)
    return pages


def _toc_pages(path: Path) -> list[str]:
    """Return the pages that `_toc.yml` names, the root first, without suffixes."""
    from sphinx_external_toc.parsing import parse_toc_data

    values = YamlSource(path, RunnerError).values
    try:
        pages = list(parse_toc_data(values))
    except Exception as error:
        raise RunnerError(f"{shown(path)} is no table of contents: {error}") from error
    return [page.removesuffix(".md").removesuffix(".ipynb") for page in pages]
