"""Scripts that let a shell complete what may be typed, made from the parser itself."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import NamedTuple

from pellucid.cli.parser import commands_of

DATA_AT = ("data", "input")  # positional arguments that name data


class Option(NamedTuple):
    """An option: its words, what it is for, its values (with `takes`), or None for any."""

    words: list[str]
    help: str
    takes: bool
    choices: list[str]
    file: bool


def script(shell: str) -> str:
    """The script for bash, zsh or fish."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _options(parser: argparse.ArgumentParser) -> list[Option]:
    found = []
    for action in parser._actions:
        if action.option_strings:
            takes = action.nargs != 0
            found.append(
                Option(
                    list(action.option_strings),
                    (action.help or "").split("; ")[0],
                    takes,
                    [str(choice) for choice in action.choices or ()],
                    takes and action.metavar == "FILE",
                )
            )
    return found


def _positions(parser: argparse.ArgumentParser) -> tuple[list[str], bool]:
    """The words that may stand as arguments without a dash, and whether files may."""
    from pellucid.cli.datasets import NAMES

    words: list[str] = []
    files = False
    for action in parser._actions:
        if action.option_strings:
            continue
        if action.dest in DATA_AT:
            words += NAMES
        words += [str(choice) for choice in action.choices or ()]
        files = files or not action.choices
    return words, files


def _each() -> Iterator[tuple[str, str, list[Option], list[str], bool]]:
    for name, parser in commands_of().items():
        words, files = _positions(parser)
        yield name, (parser.description or "").rstrip("."), _options(parser), words, files


def _bash() -> str:
    names = " ".join(name for name, *_ in _each())
    lines = [
        "# bash completion for pellucid; made by `pellucid completion bash`",
        "_pellucid() {",
        '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"',
        '    local command="${COMP_WORDS[1]}" words="" files=""',
        '    [[ $cur == "=" ]] && cur=""',
        '    [[ $prev == "=" ]] && prev="${COMP_WORDS[COMP_CWORD-2]}"',
        "    COMPREPLY=()",
        "    if (( COMP_CWORD == 1 )); then",
        f'        COMPREPLY=($(compgen -W "{names} --help --version" -- "$cur"))',
        "        return",
        "    fi",
        '    case "$command" in',
    ]
    for name, _, options, words, files in _each():
        lines += [f"    {name})", '        case "$prev" in']
        for option in options:
            if option.takes:
                asked = f'words="{" ".join(option.choices)}"' if option.choices else "files=1"
                asked = asked if option.choices or option.file else "return"
                lines.append(f"        {'|'.join(option.words)}) {asked} ;;")
        every = " ".join(word for option in options for word in option.words)
        lines += [
            "        *)",
            "            if [[ $cur == -* ]]; then",
            f'                words="{every}"',
            "            else",
            f'                words="{" ".join(words)}"{" files=1" if files else ""}',
            "            fi ;;",
            "        esac ;;",
        ]
    lines += [
        "    esac",
        '    COMPREPLY=($(compgen -W "$words" -- "$cur"))',
        '    [[ -n $files ]] && COMPREPLY+=($(compgen -f -- "$cur"))',
        "}",
        "complete -o filenames -F _pellucid pellucid",
    ]
    return "\n".join(lines) + "\n"


def _zsh() -> str:
    lines = [
        "#compdef pellucid",
        "# zsh completion for pellucid; made by `pellucid completion zsh`",
        "_pellucid() {",
        "    local -a commands",
        "    commands=(",
        *(f"        {_quoted(f'{name}:{what}')}" for name, what, *_ in _each()),
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
        '    case "$words[2]" in',
    ]
    for name, _, options, words, files in _each():
        lines.append(f"    {name}) _arguments \\")
        for option in options:
            told = re.sub(r"[\[\]:]", r"\\\g<0>", option.help)
            values = f"({' '.join(option.choices)})" if option.choices else "_files"
            values = values if option.choices or option.file else " "
            value = f":value:{values}" if option.takes else ""
            specs = [_quoted(f"{word}[{told}]{value}") for word in option.words]
            lines += [f"        {spec} \\" for spec in specs]
        kinds = [f"data:data:({' '.join(words)})"] if words else []
        kinds += ["files:file:_files"] if files else []
        rest = "_alternative " + " ".join(f'"{kind}"' for kind in kinds)
        lines.append(
            f"        {_quoted('*:argument:{' + rest + '}')} ;;" if kinds else "        ;;"
        )
    lines += ["    esac", "}", 'if [ "$funcstack[1]" = "_pellucid" ]; then', '    _pellucid "$@"',
              "else", "    compdef _pellucid pellucid", "fi"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _fish() -> str:
    lines = [
        "# fish completion for pellucid; made by `pellucid completion fish`",
        "complete -c pellucid -f",
    ]
    for name, what, options, words, files in _each():
        lines.append(f"complete -c pellucid -n __fish_use_subcommand -a {name} -d {_quoted(what)}")
        inside = f"complete -c pellucid -n '__fish_seen_subcommand_from {name}'"
        if words or files:
            given = f" -a {_quoted(' '.join(words))}" if words else ""
            lines.append(f"{inside}{' -F' if files else ''}{given}")
        for option in options:
            parts = [
                f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}"
                for word in option.words
            ]
            parts += ["-x" if option.takes and not option.file else "-r"] if option.takes else []
            parts += ["-F"] if option.file else []
            parts += [f"-a {_quoted(' '.join(option.choices))}"] if option.choices else []
            lines.append(f"{inside} {' '.join(parts)} -d {_quoted(option.help)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A word in single quotes, for any of the shells."""
    return "'" + text.replace("'", "'\\''") + "'"
