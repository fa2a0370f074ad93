"""One page per command, made from its parser, so that page and ``--help`` agree."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from pathlib import Path

import datalad_mrishare


def parser_of(name: str, interface: type) -> argparse.ArgumentParser:
    """The parser that ``datalad NAME`` uses, without those of all other commands."""
    from datalad.cli.parser import setup_parser_for_interface

    parser = argparse.ArgumentParser(prog=f"datalad {name}", add_help=False)
    setup_parser_for_interface(parser, interface)
    return parser


def _usage(parser: argparse.ArgumentParser) -> str:
    text = " ".join(parser.format_usage().removeprefix("usage: ").split())
    words = re.findall(r"\[[^\]]*\]|\S+", text)
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) > 78:
            lines.append("   ")
        lines[-1] += f" {word}"
    return "\n".join(lines)


def _option(action: argparse.Action) -> str:
    shown = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    if isinstance(shown, tuple):
        shown = " ".join(shown)
    if action.nargs in ("*", "+") and shown:
        shown = f"{shown} ..."
    names = ", ".join(action.option_strings)
    head = f"{names} {shown}".strip() if names else str(shown)
    text = " ".join((action.help or "").replace("``", "`").split())
    text = re.sub(r"\s*Constraints: .*?(?=\[Default|$)", " ", text).strip()
    return f"`{head}`\n: {text or 'See above.'}\n"


def _examples(interface: type) -> str:
    blocks = []
    for example in getattr(interface, "_examples_", []):
        if command := example.get("code_cmd"):
            text = example.get("text", "").strip()
            blocks.append(f"{text}\n\n```console\n$ {command.strip()}\n```\n")
    return "\n".join(blocks)


def page(name: str, module: str, class_name: str, function: str) -> str:
    """The page of one command, in Markdown."""
    from datalad.cli.interface import alter_interface_docs_for_cmdline

    interface = getattr(import_module(module), class_name)
    # datalad appends what every command accepts to the docstring of __call__, not to this one
    about = alter_interface_docs_for_cmdline(interface.__doc__ or "").replace("``", "`").strip()
    parser = parser_of(name, interface)
    options = "\n".join(_option(a) for a in parser._actions)
    parts = [f"# {name}", f"```text\n{_usage(parser)}\n```", about, "## Parameters", options]
    if examples := _examples(interface):
        parts += ["## Examples", examples]
    parts.append(f"In Python: `datalad.api.{function}`.")
    return "\n\n".join(parts) + "\n"


def write_pages(place: Path) -> list[str]:
    """Write the pages of all commands into ``place``; return their names, as in the suite."""
    place.mkdir(parents=True, exist_ok=True)
    names = []
    for module, class_name, name, function in datalad_mrishare.command_suite[1]:
        (place / f"{name}.md").write_text(page(name, module, class_name, function))
        names.append(name)
    return names
