"""Completion of `python -m src.train` in bash, by the script that -sc install=bash prints."""

import shutil
import subprocess
import sys

import pytest

from src.config.resolvers import CONF_DIR


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("norm=l", "norm=ln norm=ln2d"),
        ("norm=ln optimizer.l", "optimizer.lr="),
        ("-m experiment=speed_8", "experiment=speed_86"),
    ],
)
def test_bash_completes_groups_options_and_keys(typed: str, wanted: str) -> None:
    line = f"{sys.executable} -m src.train {typed}"
    script = f'eval "$({sys.executable} -m src.train -sc install=bash)"; COMP_LINE="{line}"; '
    script += f'COMP_POINT={len(line)}; _src_train; echo "${{COMPREPLY[*]}}"'
    said = subprocess.check_output(["bash", "-c", script], cwd=CONF_DIR.parent, text=True)
    assert said.strip() == wanted
